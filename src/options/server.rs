//! Server: the options of the server as a whole, checked. What passes here need not be doubted elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use super::about::About;
use super::args::Args;
use super::guard::{extra_headers, guard, trusted_proxies};
use super::route::{self, RouteOptions};
use super::session::session;
use super::table::{Exposure, TABLE};
use super::tls::{redirect_port, tls};
use super::values::{bounded, choice, count, size, usage, wrong};
use crate::backend::{PROGRAM_DESCRIPTORS, Target};
use crate::console;
use crate::error::StartError;
use crate::framing::Framing;
use crate::http::{CgiConfig, HttpConfig, PagesConfig, Private, ResolveClients, RouteConfig};
use crate::limits;
use crate::log::{LogConfig, LogFormat};
use crate::net::address::ListenAddr;
use crate::net::host_port::BadAddress;
use crate::server::{ConnectionLimits, ServerConfig};

/// Descriptors kept free of sessions: listeners, log, requests that are not sessions yet, files.
const SPARE_DESCRIPTORS: u64 = 64;

/// Of these, descriptors that are free of connections, too: listeners, log, look-ups of names, what tells of
/// sockets and signals.
const RESERVED_DESCRIPTORS: u64 = 32;

/// Connections there may be in any case, however low the limit of open files.
const LEAST_CONNECTIONS: u64 = 16;

/// What nobody takes is not kept for ever, even where sessions may take their time.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The options of a command line, checked. All conflicts are found here.
///
/// # Errors
/// [`StartError::Usage`], one sentence that says what to type.
pub fn config(args: &Args) -> Result<ServerConfig, StartError> {
    config_with(args, Vec::new())
}

/// The same with the routes of a file, which the command line's routes of the same rule override.
///
/// # Errors
/// [`StartError::Usage`].
pub fn config_with(args: &Args, more: Vec<RouteConfig>) -> Result<ServerConfig, StartError> {
    let listen = listen_addrs(args.port.as_deref(), &args.listen)?;
    if listen.is_empty() {
        return usage([], "say where to listen: add --port 8082 (or --listen 127.0.0.1:8082)");
    }
    let routes = all_routes(args, more)?;
    pointless(args, &routes)?;
    // What holds for pages, and is wrong even where every route has its own.
    let session = session(args)?;
    Ok(ServerConfig {
        tls: tls(args)?,
        redirect_port: redirect_port(args, &listen)?,
        listen,
        accept_proxy: args.accept_proxy,
        connections: ConnectionLimits {
            max: saturated(max_connections(args, &routes)?),
            max_per_ip: count("max-connections-per-ip", &args.max_connections_per_ip, "50")?,
        },
        http: HttpConfig {
            max_sessions: saturated(max_sessions(args, &routes)?),
            record_max: size("record-max", &args.record_max)? as u64,
            routes,
            pages: PagesConfig {
                cgi: cgi(args)?,
                dir: args.static_dir.as_ref().map(PathBuf::from),
                private: private(args).collect(),
                builtin: if args.dev_console { vec![console::PAGE] } else { Vec::new() },
            },
            guard: guard(args)?,
            trusted: trusted_proxies(args)?,
            extra_headers: extra_headers(args)?,
            handshake_timeout: bounded("handshake-timeout", &args.handshake_timeout)?,
            response_timeout: session.limits.write_timeout.unwrap_or(RESPONSE_TIMEOUT),
        },
        shutdown_timeout: bounded("shutdown-timeout", &args.shutdown_timeout)?,
    })
}

/// The routes that were typed, and `more`; the most particular first.
fn all_routes(args: &Args, more: Vec<RouteConfig>) -> Result<Vec<RouteConfig>, StartError> {
    let typed = args.route.iter().map(|text| RouteOptions::typed(text, args)?.check());
    let default = RouteOptions::default_of(args).map(|options| options.check());
    let mut routes = typed.chain(default).collect::<Result<Vec<_>, _>>()?;
    for (i, route) in routes.iter().enumerate() {
        if routes[..i].iter().any(|other| other.rule == route.rule) {
            let rule = &route.rule;
            let text = format!("--route {rule}=… is given twice (--to is that of /): drop one");
            return usage(["route", "to"], text);
        }
    }
    let is_typed = |one: &RouteConfig| routes.iter().any(|route| route.rule == one.rule);
    let more: Vec<_> = more.into_iter().filter(|one| !is_typed(one)).collect();
    routes.extend(more);
    if routes.is_empty() {
        return usage(
            [],
            "say where the lines go: add --to localhost:7777, or -- and a program (or try wsrelay demo)",
        );
    }
    routes.sort_by_key(|route| route.rule.precedence());
    Ok(routes)
}

/// Options that are about something which neither `args` nor any route has.
fn pointless(args: &Args, routes: &[RouteConfig]) -> Result<(), StartError> {
    let any = |is: fn(&Target) -> bool| routes.iter().any(|route| is(&route.backend));
    if !any(Target::is_program) {
        About::Programs.check(args)?;
    }
    if !any(|backend| !backend.is_program()) {
        About::Server.check(args)?;
    }
    let has_lines = |route: &RouteConfig| {
        route.session.greeting.is_some() || !matches!(route.session.framing, Framing::Raw { .. })
    };
    if !routes.iter().any(has_lines) {
        About::LineEnds.check(args)?;
    }
    if !routes.iter().any(|route| route.record.is_some()) {
        About::Recordings.check(args)?;
    }
    let names = |route: &RouteConfig| route.handshake.resolve_clients != ResolveClients::Never;
    if !routes.iter().any(names) {
        About::ClientName.check(args)?;
    }
    if !any(Target::is_tls) {
        About::TlsBackend.check(args)?;
    }
    Ok(())
}

/// `--cgi-dir`, if it was given.
fn cgi(args: &Args) -> Result<Option<CgiConfig>, StartError> {
    let timeout = bounded("cgi-timeout", &args.cgi_timeout)?;
    About::Cgi.check(args)?;
    let programs = args.cgi_dir.as_ref().map(|dir| route::program_dir(args, dir)).transpose()?;
    let limit = bounded("connect-timeout", &args.connect_timeout)?;
    let resolve_clients = args.resolve_clients.then_some(limit);
    Ok(programs.map(|programs| CgiConfig { programs, timeout, resolve_clients }))
}

/// What these options name and is not for everybody to read.
pub(super) fn private(args: &Args) -> impl Iterator<Item = Private> {
    TABLE.iter().filter_map(|row| {
        let is_secret = match row.private? {
            Exposure::Secret => true,
            Exposure::SecretWithout(other) if args.given(other).is_empty() => true,
            Exposure::SecretWithout(_) => return None,
            Exposure::Source => false,
        };
        let path = PathBuf::from(args.given(row.key).first()?);
        Some(Private { option: row.key, path, is_secret })
    })
}

/// The logging that was asked for, which is set up before anything else.
///
/// # Errors
/// [`StartError::Usage`].
pub fn log_config(args: &Args) -> Result<LogConfig, StartError> {
    use tracing::level_filters::LevelFilter as Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = choice("log-level", &args.log_level, &levels)?;
    if args.trace && level < Level::INFO {
        return usage(
            ["trace", "log-level"],
            "--trace logs what passes as information: add --log-level info, or drop --trace",
        );
    }
    Ok(LogConfig {
        level,
        format: choice(
            "log-format",
            &args.log_format,
            &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        )?,
    })
}

/// Where to listen; empty if nothing was typed.
///
/// # Errors
/// [`StartError::Usage`].
pub fn listen_addrs(port: Option<&str>, listen: &[String]) -> Result<Vec<ListenAddr>, StartError> {
    match port {
        Some(_) if !listen.is_empty() => usage(
            ["port", "listen"],
            "--port takes every interface and --listen exactly one address: give one or the other",
        ),
        Some(port) => match port.parse() {
            Ok(port) => Ok(vec![ListenAddr::Everywhere(port)]),
            Err(_) => wrong("port", port, "not a port number", "8082"),
        },
        None => listen
            .iter()
            .map(|text| {
                ListenAddr::parse(text)
                    .or_else(|BadAddress { why, instead }| wrong("listen", text, why, instead))
            })
            .collect(),
    }
}

/// `--max-sessions`, or what the limit of open files allows.
fn max_sessions(args: &Args, routes: &[RouteConfig]) -> Result<u64, StartError> {
    if let Some(most) = route::max_sessions(args)? {
        return Ok(most.get().into());
    }
    let open_files = limits::open_files().unwrap_or(u64::MAX);
    Ok(sessions_within(open_files, descriptors_each(args, routes)))
}

/// Descriptors that a session takes at most, its client's included.
fn descriptors_each(args: &Args, routes: &[RouteConfig]) -> u64 {
    let recording = |route: &RouteConfig| u64::from(route.record.is_some());
    let each = routes.iter().map(|route| route.backend.descriptors() + recording(route));
    // A request of --cgi-dir takes a place, too.
    each.chain(args.cgi_dir.iter().map(|_| PROGRAM_DESCRIPTORS)).max().unwrap_or(1)
}

/// How many sessions there is room for.
fn sessions_within(open_files: u64, each: u64) -> u64 {
    (open_files.saturating_sub(SPARE_DESCRIPTORS) / each).max(1)
}

/// `--max-connections`, or what the limit of open files allows.
fn max_connections(args: &Args, routes: &[RouteConfig]) -> Result<u64, StartError> {
    if let Some(most) = count("max-connections", &args.max_connections, "1000")? {
        return Ok(most.get().into());
    }
    let sessions = max_sessions(args, routes)?;
    let open_files = limits::open_files().unwrap_or(u64::MAX);
    let each = descriptors_each(args, routes);
    Ok(connections_within(open_files, sessions, each, args.static_dir.is_some()))
}

fn saturated(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// How many connections there is room for, if so many may become sessions: silent ones must leave
/// descriptors for the backends of those, and those who are too many for a session should still be told
/// so. A connection that is no session may have a file open, if there are files.
fn connections_within(open_files: u64, sessions: u64, each: u64, has_files: bool) -> u64 {
    let sessions = sessions.min(sessions_within(open_files, each));
    let free = open_files
        .saturating_sub(RESERVED_DESCRIPTORS)
        .saturating_sub(sessions.saturating_mul(each));
    (sessions + free / (1 + u64::from(has_files))).max(LEAST_CONNECTIONS)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
