//! Config: what is true. Checked once, here; the rest of the program need not doubt it.

mod file;
mod guard;
mod session;
mod show;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::guard::GuardConfig;
use self::guard::extra_headers;
use self::values::{bounded, choice, usage};
use crate::backend::Backend;
use crate::backend::program::Program;
use crate::cli::Args;
use crate::console;
use crate::error::StartError;
use crate::http::extra::ExtraHeaders;
use crate::log::{LogConfig, LogFormat};
use crate::net::address::ListenAddr;

pub use self::file::Options;
pub use self::session::{SessionConfig, SlowClient};

/// Descriptors kept free of sessions: listeners, log, requests that are not sessions yet, files.
const SPARE_DESCRIPTORS: u64 = 64;

/// A server's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; not empty.
    pub listen: Vec<ListenAddr>,
    /// Where sessions are relayed to.
    pub backend: Backend,
    /// What is served to plain HTTP requests.
    pub pages: Pages,
    /// Who is let in.
    pub guard: GuardConfig,
    /// What is settled before the 101.
    pub handshake: HandshakeConfig,
    /// What responses say besides.
    pub extra_headers: ExtraHeaders,
    /// What holds after it.
    pub session: Arc<SessionConfig>,
    /// Sessions at a time.
    pub max_sessions: usize,
    /// How long sessions may take to end once we are told to stop.
    pub shutdown_timeout: Duration,
}

/// What is served to requests that are no WebSocket handshakes.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// The directory whose files are served.
    pub dir: Option<PathBuf>,
    /// Files built into the program, for what the directory does not have. The first that fits is
    /// served.
    pub builtin: Vec<&'static [crate::http::Page]>,
}

/// The rules of the opening handshake.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// Ours, in order of preference; `None`: the client's first offer is echoed.
    pub subprotocols: Option<Vec<String>>,
    /// How clients are refused for want of a backend or capacity.
    pub refuse: Refuse,
    /// How long a client may take to make its request.
    pub timeout: Duration,
    /// How long the backend may take to answer.
    pub connect_timeout: Duration,
}

/// How clients are refused for want of a backend or capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// By an HTTP status.
    Http,
    /// By a completed handshake and a Close 1013.
    Close,
}

impl Config {
    /// Checks what was typed for `wsrelay --to`. All conflicts are found here.
    ///
    /// # Errors
    /// [`StartError::Usage`], one sentence that says what to type.
    pub fn from_args(args: &Args) -> Result<Self, StartError> {
        let listen = listen_addrs(args.port.as_deref(), &args.listen)?;
        if listen.is_empty() {
            return usage("say where to listen: add --port 8082 (or --listen 127.0.0.1:8082)");
        }
        let backend = backend(args)?;
        Ok(Config {
            listen,
            max_sessions: max_sessions(args, &backend)?,
            backend,
            pages: Pages {
                dir: args.static_dir.as_ref().map(PathBuf::from),
                builtin: if args.dev_console { vec![console::PAGE] } else { Vec::new() },
            },
            guard: GuardConfig::from_args(args)?,
            handshake: handshake(args)?,
            extra_headers: extra_headers(args)?,
            session: Arc::new(SessionConfig::from_args(args)?),
            shutdown_timeout: bounded("--shutdown-timeout", &args.shutdown_timeout, 10)?,
        })
    }
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
    let level = choice("--log-level", &args.log_level, Level::INFO, &levels)?;
    if args.trace && level < Level::INFO {
        return usage(
            "--trace logs what passes as information: add --log-level info, or drop --trace",
        );
    }
    Ok(LogConfig {
        level,
        format: choice(
            "--log-format",
            &args.log_format,
            LogFormat::Text,
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
            "--port takes every interface and --listen exactly one address: give one or the other",
        ),
        Some(port) => match port.parse() {
            Ok(port) => Ok(vec![ListenAddr::Everywhere(port)]),
            Err(_) => usage(format!("--port {port}: not a port number; type --port 8082")),
        },
        None => listen
            .iter()
            .map(|text| {
                ListenAddr::parse(text).or_else(|why| {
                    usage(format!(
                        "--listen {text}: {why}; type --listen 127.0.0.1:8082, [::]:8082 or unix:/path"
                    ))
                })
            })
            .collect(),
    }
}

fn backend(args: &Args) -> Result<Backend, StartError> {
    match (&args.to, args.program.split_first()) {
        (Some(_), Some((command, _))) => usage(format!(
            "--to relays to a server, and -- {command} starts a program: give one or the other"
        )),
        (None, None) => usage(
            "say where the lines go: add --to localhost:7777, or -- and a program (or try wsrelay demo)",
        ),
        (Some(to), None) => {
            for (name, given) in
                [("--pass-env", &args.pass_env), ("--kill-grace", &args.kill_grace)]
            {
                if given.is_some() {
                    return usage(format!(
                        "{name} is about programs, and --to starts none: drop one"
                    ));
                }
            }
            Backend::parse(to).or_else(|why| {
                usage(format!("--to {to}: {why}; type --to localhost:7777 or --to unix:/path"))
            })
        }
        (None, Some((command, rest))) => Ok(Backend::Program(Program {
            command: command.clone(),
            args: rest.to_vec(),
            pass_env: pass_env(args.pass_env.as_deref())?,
            kill_grace: bounded("--kill-grace", &args.kill_grace, 1)?,
        })),
    }
}

fn pass_env(list: Option<&str>) -> Result<Vec<String>, StartError> {
    let list = list.unwrap_or("PATH");
    let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        None => Ok(names),
        Some(bad) => usage(format!(
            "--pass-env {list}: {bad:?} is no variable's name; type --pass-env PATH,HOME"
        )),
    }
}

fn handshake(args: &Args) -> Result<HandshakeConfig, StartError> {
    let subprotocols = args.subprotocol.as_deref().map(subprotocols).transpose()?;
    Ok(HandshakeConfig {
        subprotocols,
        refuse: choice(
            "--refuse",
            &args.refuse,
            Refuse::Http,
            &[("http", Refuse::Http), ("close", Refuse::Close)],
        )?,
        timeout: bounded("--handshake-timeout", &args.handshake_timeout, 10)?,
        connect_timeout: bounded("--connect-timeout", &args.connect_timeout, 5)?,
    })
}

fn subprotocols(list: &str) -> Result<Vec<String>, StartError> {
    let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !crate::http::handshake::is_token(name)) {
        None => Ok(names),
        Some(bad) => usage(format!(
            "--subprotocol {list}: {bad:?} can't be a subprotocol's name (letters, digits and \
             !#$%&'*+-.^_`|~); type --subprotocol chat or --subprotocol a,b"
        )),
    }
}

/// `--max-sessions`, or what the limit of open files allows.
fn max_sessions(args: &Args, backend: &Backend) -> Result<usize, StartError> {
    match &args.max_sessions {
        None => {
            let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            let usable = files.unwrap_or(u64::MAX).saturating_sub(SPARE_DESCRIPTORS);
            let usable = usable / backend.descriptors();
            Ok(usize::try_from(usable).unwrap_or(usize::MAX).max(1))
        }
        Some(text) => match text.parse() {
            Ok(n) if n > 0 => Ok(n),
            _ => usage(format!("--max-sessions {text}: not a number above 0")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Typed, parse};

    fn config(line: &str) -> Result<Config, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match parse(&words)? {
            Typed::Run(args) => Config::from_args(&args).map_err(|e| {
                assert_eq!(e.exit_code(), 2);
                e.to_string()
            }),
            Typed::Print(text) => Err(text),
        }
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = config("--port 8082 --to localhost:7777").unwrap();
        assert_eq!(config.listen, [ListenAddr::Everywhere(8082)]);
        assert_eq!(config.backend.to_string(), "localhost:7777");
        assert_eq!(config.session.max_line, 1024 * 1024);
        assert_eq!(config.session.slow_client, SlowClient::Wait);
        let limits = config.session.limits;
        assert_eq!(limits.ping_interval, Some(Duration::from_secs(30)));
        assert_eq!(limits.ping_timeout, Some(Duration::from_secs(15)));
        assert_eq!(limits.write_timeout, Some(Duration::from_secs(30)));
        assert_eq!((limits.idle_timeout, limits.flush_after), (None, None));
        assert_eq!(config.session.close_timeout, Duration::from_secs(5));
        assert_eq!(config.handshake.timeout, Duration::from_secs(10));
        assert_eq!(config.handshake.connect_timeout, Duration::from_secs(5));
        assert_eq!(config.shutdown_timeout, Duration::from_secs(10));
        assert!(config.pages.dir.is_none() && config.pages.builtin.is_empty());
    }

    #[test]
    fn a_program_takes_more_descriptors() {
        let server = config("--port 1 --to localhost:7777").unwrap();
        let config = config("--port 1 -- cat -n").unwrap();
        let Backend::Program(program) = &config.backend else { panic!("{:?}", config.backend) };
        assert_eq!((program.command.as_str(), &program.args[..]), ("cat", &["-n".to_owned()][..]));
        assert_eq!(program.pass_env, ["PATH"]);
        assert_eq!(program.kill_grace, Duration::from_secs(1));
        assert!(config.max_sessions < server.max_sessions / 2);
    }

    #[test]
    fn a_trace_that_nobody_would_see_is_refused() {
        let with = |level: &str| {
            let log_level = Some(level.to_owned());
            log_config(&Args { trace: true, log_level, ..Args::default() })
        };
        assert!(with("warn").unwrap_err().to_string().contains("--log-level info"));
        assert!(with("info").is_ok() && with("debug").is_ok());
    }

    #[test]
    fn wrong_and_conflicting_options_say_what_to_type() {
        let base = "--port 8082 --to localhost:7777";
        for (line, want) in [
            ("", "--port 8082"),
            ("--port 8082", "--to localhost:7777"),
            ("--to localhost:7777", "--port 8082"),
            ("--port x --to a:1", "--port x: not a port number"),
            ("--port 70000 --to a:1", "not a port number"),
            ("--port 1 --to 7777", "has no port"),
            ("--port 1 --listen 127.0.0.1:1 --to a:1", "one or the other"),
            ("--listen 127.0.0.1 --to a:1", "has no port"),
            (&format!("{base} --eol cr"), "type one of lf, crlf"),
            (&format!("{base} --newlines keep"), "split, space, reject"),
            (&format!("{base} --charset latin-99"), "latin-99"),
            (&format!("{base} --binary --eol crlf"), "--eol is about lines"),
            (&format!("{base} --max-line 0"), "--max-line 64KiB"),
            (&format!("{base} --max-line 1XiB"), "--max-line 64KiB"),
            (&format!("{base} --ping-interval 30"), "a duration needs a unit"),
            (&format!("{base} --connect-timeout 0"), "can't be off"),
            (&format!("{base} --queue 1MiB"), "--slow-client drop"),
            (&format!("{base} --slow-client kill"), "wait, drop"),
            (&format!("{base} --subprotocol a,,b"), "can't be a subprotocol"),
            (&format!("{base} --refuse maybe"), "http, close"),
            (&format!("{base} --max-sessions 0"), "above 0"),
            (&format!("{base} --kill-grace 1s"), "--kill-grace is about programs"),
            (&format!("{base} --pass-env A"), "--pass-env is about programs"),
            (&format!("{base} -- cat -n"), "one or the other"),
            ("--port 1 --kill-grace 0 -- cat", "can't be off"),
            ("--port 1 --pass-env A=B -- cat", "type --pass-env PATH,HOME"),
            ("--port 1 --pass-env , -- cat", "type --pass-env PATH,HOME"),
            ("-- cat", "--port 8082"),
        ] {
            let got = config(line).unwrap_err();
            assert!(got.contains(want), "{line:?}: {got}");
            assert!(!got.contains('\n'), "{line:?}: {got}");
        }
    }
}
