//! Routes: which requests go where, and what holds there, checked.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use super::args::Args;
use super::guard::guard;
use super::session::session;
use super::subprotocol::{subprotocol_names, subprotocols};
use super::values::{bounded, choice, count, names, or_default, usage, wrong};
use crate::backend::program::{Program, ProgramDir};
use crate::backend::{Fact, ProxyProtocol, Target};
use crate::error::StartError;
use crate::http::gate::origin::Hosts;
use crate::http::gate::rule::{Prefix, Rule};
use crate::http::{HandshakeConfig, Refuse, ResolveClients, RouteConfig};
use crate::net::host_port::BadAddress;
use crate::session::SessionConfig;

/// A route as somebody wrote it: for whom it is, and the options that hold for it.
#[derive(Clone, Debug, Default)]
pub struct RouteOptions {
    /// `path`: all paths if not given.
    pub path: Option<String>,
    /// `host`: all hosts if not given.
    pub host: Option<String>,
    /// Whether it is only for clients that offer one of the subprotocols in `args`.
    pub by_subprotocol: bool,
    /// The options that hold for it, those of all routes included, `to` and `program` its own.
    pub args: Args,
}

impl RouteOptions {
    /// Those of `--to` or a program: the default route, if there is one.
    pub fn default_of(args: &Args) -> Option<Self> {
        let has_target = args.has_target();
        let args = Args { route: Vec::new(), max_sessions: None, ..args.clone() };
        has_target.then(|| RouteOptions { args, ..RouteOptions::default() })
    }

    /// Those of `--route /chat=localhost:7777`.
    ///
    /// # Errors
    /// [`StartError::Usage`], if it has no path or no address.
    pub fn typed(text: &str, args: &Args) -> Result<Self, StartError> {
        let Some((path, to)) = text.split_once('=') else {
            let why = "it needs a path and an address";
            return wrong("route", text, why, "/chat=localhost:7777");
        };
        if let Err(why) = Prefix::parse(path) {
            return wrong("route", text, why, format_args!("/chat={to}"));
        }
        if let Err(BadAddress { why, instead }) = Target::parse(to) {
            return wrong("route", text, why, format_args!("{path}={instead}"));
        }
        let args = Args {
            to: Some(to.to_owned()),
            program: Vec::new(),
            program_dir: None,
            target_file: None,
            route: Vec::new(),
            max_sessions: None,
            ..args.clone()
        };
        Ok(RouteOptions { path: Some(path.to_owned()), args, ..RouteOptions::default() })
    }

    /// Which requests it is for.
    ///
    /// # Errors
    /// [`StartError::Usage`].
    pub fn rule(&self) -> Result<Rule, StartError> {
        let path = self.path.as_deref().unwrap_or("/");
        let path = Prefix::parse(path).or_else(|why| {
            usage(["path"], format!("path {path:?}: {why}; write path = \"/chat\""))
        })?;
        let host = self.host.as_deref().map(|host| {
            Hosts::parse(host).or_else(|why| {
                let advice = "write host = \"example.org\" or \"*.example.org\"";
                usage(["host"], format!("host {host:?}: {why}; {advice}"))
            })
        });
        let subprotocols = match self.by_subprotocol {
            true => subprotocol_names(&self.args)?,
            false => None,
        };
        Ok(Rule { host: host.transpose()?, path, subprotocols })
    }

    /// All of it, checked.
    ///
    /// # Errors
    /// [`StartError::Usage`].
    pub fn check(&self) -> Result<RouteConfig, StartError> {
        let args = &self.args;
        let (backend, session) = (backend(args)?, Arc::new(session(args)?));
        let names = session.greeting.as_ref().is_some_and(|lines| lines.names(&Fact::Host));
        let resolve_clients = match args.resolve_clients {
            true if backend.is_program() => ResolveClients::First,
            true if names => ResolveClients::WhileConnecting,
            _ => ResolveClients::Never,
        };
        Ok(RouteConfig {
            rule: self.rule()?,
            backend,
            proxy_protocol: proxy_protocol(args)?,
            guard: guard(args)?,
            handshake: HandshakeConfig { resolve_clients, ..handshake(args, &session)? },
            session,
            record: args.record.as_ref().map(PathBuf::from),
            max_sessions: max_sessions(args)?,
        })
    }
}

/// The rules of the opening handshake, checked.
///
/// # Errors
/// [`StartError::Usage`].
fn handshake(args: &Args, session: &Arc<SessionConfig>) -> Result<HandshakeConfig, StartError> {
    Ok(HandshakeConfig {
        subprotocols: subprotocols(args, session)?,
        refuse: choice(
            "refuse",
            &args.refuse,
            &[("http", Refuse::Http), ("close", Refuse::Close)],
        )?,
        resolve_clients: ResolveClients::Never,
        connect_timeout: bounded("connect-timeout", &args.connect_timeout)?,
    })
}

fn backend(args: &Args) -> Result<Target, StartError> {
    let command = args.program.split_first();
    let dir = args.program_dir.as_deref();
    let file = args.target_file.as_deref();
    let ways = [
        args.to.as_ref().map(|_| ("to", "--to relays to a server".to_owned())),
        file.map(|_| ("target-file", "--target-file relays to a server for each token".to_owned())),
        dir.map(|_| ("program-dir", "--program-dir starts programs of a directory".to_owned())),
        command.map(|(name, _)| ("program", format!("-- {name} starts a program"))),
    ];
    if let [(key, one), (_, other), ..] = &*ways.into_iter().flatten().collect::<Vec<_>>() {
        return usage([*key], format!("{one}, and {other}: give one or the other"));
    }
    if let Some(path) = file {
        if args.token_file.is_some() {
            let text = "the tokens of --target-file choose a backend, those of --token-file allow a client to connect, \
                        and both come as ?token=: drop one (or ask for passwords, with --auth-file)";
            return usage(["target-file", "token-file"], text);
        }
        let target = Target::File { path: PathBuf::from(path), ca: None };
        return Ok(target.with_ca(args.backend_ca.as_deref()));
    }
    match (&args.to, dir, command) {
        (Some(to), ..) => {
            let backend = Target::parse(to)
                .or_else(|BadAddress { why, instead }| wrong("to", to, why, instead))?;
            Ok(backend.with_ca(args.backend_ca.as_deref()))
        }
        (_, Some(dir), _) => Ok(Target::Programs(program_dir(args, dir)?)),
        (_, _, Some((command, rest))) => Ok(Target::Program(Program {
            command: command.clone(),
            args: rest.to_vec(),
            pass_env: pass_env(args)?,
            kill_grace: bounded("kill-grace", &args.kill_grace)?,
        })),
        (None, None, None) => usage(
            [],
            "say where the lines go: add --to localhost:7777, or -- and a program (or try wsrelay demo)",
        ),
    }
}

fn proxy_protocol(args: &Args) -> Result<Option<ProxyProtocol>, StartError> {
    let versions =
        [("off", None), ("v1", Some(ProxyProtocol::V1)), ("v2", Some(ProxyProtocol::V2))];
    choice("proxy-protocol", &args.proxy_protocol, &versions)
}

/// A directory of programs, and what they are started with.
///
/// # Errors
/// [`StartError::Usage`].
pub fn program_dir(args: &Args, dir: &str) -> Result<ProgramDir, StartError> {
    Ok(ProgramDir {
        dir: PathBuf::from(dir),
        pass_env: pass_env(args)?,
        kill_grace: bounded("kill-grace", &args.kill_grace)?,
    })
}

fn pass_env(args: &Args) -> Result<Vec<String>, StartError> {
    let valid = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    let list = or_default("pass-env", &args.pass_env);
    names("pass-env", list, valid, "is no variable's name", "PATH,HOME")
}

/// `--max-sessions`, if it was given.
///
/// # Errors
/// [`StartError::Usage`].
pub fn max_sessions(args: &Args) -> Result<Option<NonZeroU32>, StartError> {
    count("max-sessions", &args.max_sessions, "1000, or leave it out")
}
