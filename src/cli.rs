//! What was typed: the command line as argh reads it, before anything is checked.

use argh::FromArgs;

/// WebSocket sessions in, lines to one ordinary TCP server out. Each client becomes a TCP
/// connection to the backend; messages become lines, and lines messages.
#[derive(FromArgs, Clone, Debug, Default)]
#[argh(
    example = "Relay browsers to a line server on port 7777:
  {command_name} --port 8082 --to localhost:7777",
    example = "The same, and serve the page that opens the WebSocket:
  {command_name} --port 8082 --to localhost:7777 --static-dir ./public",
    example = "Relay each browser to a program of its own, by its stdin and stdout:
  {command_name} --port 8080 -- ./counter.sh 10",
    example = "See it work, with nothing else installed:
  {command_name} demo",
    note = "Sizes: 64KiB, 1MiB, or plain bytes. Durations: 500ms, 30s, 5m; 0 is off.
--name=value is the same as --name value. -h is --help, -V is --version.",
    error_code(0, "asked to stop by a signal"),
    error_code(1, "can't start: port taken, file unreadable …"),
    error_code(2, "the command line is wrong")
)]
// argh shows these texts as they stand, brackets of IPv6 addresses and all.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
pub struct Args {
    /// take what is not typed here from this TOML file; its keys are these options without dashes
    #[argh(option, arg_name = "file")]
    pub config: Option<String>,

    /// listen on this port on all interfaces, IPv4 and IPv6; 0 picks a free one
    #[argh(option, arg_name = "n")]
    pub port: Option<String>,

    /// listen on exactly this address (repeatable): 127.0.0.1:8082, [::]:8082, unix:/path
    #[argh(option, arg_name = "addr")]
    pub listen: Vec<String>,

    /// the backend: HOST:PORT, [::1]:7777 or unix:/path
    #[argh(option, arg_name = "addr")]
    pub to: Option<String>,

    /// variables of the environment that a program gets, comma-separated (default PATH), besides
    /// those of CGI
    #[argh(option, arg_name = "names")]
    pub pass_env: Option<String>,

    /// ending a program takes the end of its stdin, SIGINT, SIGTERM and SIGKILL, each this long after
    /// the other (default 1s)
    #[argh(option, arg_name = "time")]
    pub kill_grace: Option<String>,

    /// serve the files of this directory beside the WebSocket
    #[argh(option, arg_name = "dir")]
    pub static_dir: Option<String>,

    /// for development: show browsers a console wherever there is no file, to talk to the backend
    #[argh(switch)]
    pub dev_console: bool,

    /// raw mode: bytes up verbatim, each read from the backend down as one binary message
    #[argh(switch)]
    pub binary: bool,

    /// end of line written to the backend: lf (default) or crlf
    #[argh(option, arg_name = "eol")]
    pub eol: Option<String>,

    /// newlines inside a message: split (default; several lines), space, or reject (close 1008)
    #[argh(option, arg_name = "how")]
    pub newlines: Option<String>,

    /// the backend's charset: utf-8 (default), windows-1252, iso-8859-2, koi8-r, shift_jis …
    #[argh(option, arg_name = "label")]
    pub charset: Option<String>,

    /// longest line, in both directions (default 1MiB); longer ones close 1009
    #[argh(option, arg_name = "size")]
    pub max_line: Option<String>,

    /// send an unterminated tail ("login: ") as a message once it has waited this long (default 0)
    #[argh(option, arg_name = "time")]
    pub flush_after: Option<String>,

    /// subprotocols to choose from, comma-separated (default: echo the client's first offer)
    #[argh(option, arg_name = "names")]
    pub subprotocol: Option<String>,

    /// refuse clients for want of a backend or capacity by http (default; an HTTP status) or close
    /// (upgrade, then close 1013: a page's script can read the reason)
    #[argh(option, arg_name = "how")]
    pub refuse: Option<String>,

    /// web pages that may connect (repeatable, or comma-separated): https://example.org,
    /// https://*.example.org, http://localhost:*, example.org, null, * (default: all; with a
    /// password or token those of --same-origin)
    #[argh(option, arg_name = "list")]
    pub origin: Vec<String>,

    /// only web pages of the host and port connected to may connect, and those of --origin
    #[argh(switch)]
    pub same_origin: bool,

    /// refuse clients that send no Origin, as programs other than browsers do
    #[argh(switch)]
    pub origin_required: bool,

    /// proxies whose X-Forwarded-For, -Host, -Proto or Forwarded is believed: 127.0.0.1,
    /// 10.0.0.0/8, unix (comma-separated)
    #[argh(option, arg_name = "list")]
    pub trust_proxy: Option<String>,

    /// ask for a name and password (HTTP Basic) of this file, made by htpasswd -B; SIGHUP reads it
    /// again
    #[argh(option, arg_name = "file")]
    pub auth_file: Option<String>,

    /// ask for a token of this file, one a line, name:token or token (as Authorization: Bearer,
    /// cookie token, or ?token=); SIGHUP reads it again
    #[argh(option, arg_name = "file")]
    pub token_file: Option<String>,

    /// ask for the password or token before showing pages too
    #[argh(switch)]
    pub auth_static: bool,

    /// add this header to all responses (repeatable): "Name: value"
    #[argh(option, arg_name = "header")]
    pub header: Vec<String>,

    /// add this header to the answers to WebSocket handshakes (repeatable)
    #[argh(option, arg_name = "header")]
    pub header_ws: Vec<String>,

    /// add this header to the answers to other requests (repeatable)
    #[argh(option, arg_name = "header")]
    pub header_http: Vec<String>,

    /// sessions at a time (default: what the limit of open files allows); more are refused
    #[argh(option, arg_name = "n")]
    pub max_sessions: Option<String>,

    /// sessions at a time of one address, or IPv6 network of 64 bits (default: no limit)
    #[argh(option, arg_name = "n")]
    pub max_sessions_per_ip: Option<String>,

    /// handshakes of one address, such as 5/s or 100/m; five may come at once (default: no limit)
    #[argh(option, arg_name = "rate")]
    pub connect_rate: Option<String>,

    /// what a client that does not keep up does to its backend: wait (default; it has to wait too)
    /// or drop (it goes on into the queue, and the client is dropped when that overflows)
    #[argh(option, arg_name = "how")]
    pub slow_client: Option<String>,

    /// the queue of --slow-client drop (default 1MiB)
    #[argh(option, arg_name = "size")]
    pub queue: Option<String>,

    /// longest wait for a request to be complete (default 10s)
    #[argh(option, arg_name = "time")]
    pub handshake_timeout: Option<String>,

    /// longest wait for the backend to answer (default 5s)
    #[argh(option, arg_name = "time")]
    pub connect_timeout: Option<String>,

    /// close a client that takes nothing of what waits for it for this long (default 30s)
    #[argh(option, arg_name = "time")]
    pub write_timeout: Option<String>,

    /// ping a client after this much silence (default 30s)
    #[argh(option, arg_name = "time")]
    pub ping_interval: Option<String>,

    /// end the session if the client stays silent this long after a ping (default 15s)
    #[argh(option, arg_name = "time")]
    pub ping_timeout: Option<String>,

    /// close a session without data in either direction for this long (default 0)
    #[argh(option, arg_name = "time")]
    pub idle_timeout: Option<String>,

    /// longest wait for either side to take its leave (default 5s)
    #[argh(option, arg_name = "time")]
    pub close_timeout: Option<String>,

    /// longest wait for all sessions to end after SIGTERM or SIGINT (default 10s)
    #[argh(option, arg_name = "time")]
    pub shutdown_timeout: Option<String>,

    /// error, warn, info (default), debug or trace
    #[argh(option, arg_name = "level")]
    pub log_level: Option<String>,

    /// text (default) or json, to stderr
    #[argh(option, arg_name = "how")]
    pub log_format: Option<String>,

    /// log every message, both ways; for debugging, as it shows what people say
    #[argh(switch)]
    pub trace: bool,

    /// what stands behind --: a program and its arguments
    #[argh(positional, hidden_help)]
    pub program: Vec<String>,

    /// another mode than relaying
    #[argh(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(FromArgs, Clone, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// `wsrelay demo`
    Demo(DemoArgs),
    /// `wsrelay check`
    Check(CheckArgs),
}

/// The built-in chat: a line server, a page, and the relay between them. It prints the address to
/// open in a browser.
#[derive(FromArgs, Clone, Debug, Default)]
#[argh(subcommand, name = "demo")]
pub struct DemoArgs {
    /// listen on this port on all interfaces, so that phones can join too; default: on 8082 (or a
    /// free port, if that is taken), for this machine only
    #[argh(option, arg_name = "n")]
    pub port: Option<String>,

    /// listen on exactly this address (repeatable)
    #[argh(option, arg_name = "addr")]
    pub listen: Vec<String>,
}

/// Check a configuration file: say what is wrong with it, or print all that holds with it, defaults
/// included, as such a file.
#[derive(FromArgs, Clone, Debug, Default)]
#[argh(subcommand, name = "check")]
pub struct CheckArgs {
    /// the file
    #[argh(positional, arg_name = "file")]
    pub file: String,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Typed {
    /// To run, with these options.
    Run(Box<Args>),
    /// To print this and go, with success.
    Print(String),
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// One sentence that says what is wrong and what to type.
pub fn parse(args: &[String]) -> Result<Typed, String> {
    let mut parts = args.splitn(2, |arg| arg == "--");
    let (ours, program) = (normalise(parts.next().unwrap_or_default())?, parts.next());
    if ours.iter().any(|arg| arg == "--version") {
        return Ok(Typed::Print(format!("wsrelay {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let mut args = match Args::from_args(&["wsrelay"], &ours) {
        Ok(args) => args,
        Err(exit) if exit.status.is_ok() => return Ok(Typed::Print(with_usage(&exit.output))),
        Err(exit) => return Err(explain(&exit.output)),
    };
    match (args.program.first(), program) {
        (Some(surplus), _) => Err(unexpected(surplus)),
        (None, Some([])) => {
            Err("-- stands before a program: type wsrelay --port 8080 -- cat, or drop it".into())
        }
        (None, program) => {
            args.program = program.unwrap_or_default().to_vec();
            Ok(Typed::Run(Box::new(args)))
        }
    }
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is on or off.
    Switch,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Repeatable,
}

/// What `option` (with its dashes) takes.
///
/// # Errors
/// One sentence, if there is no such option.
pub fn kind_of(option: &str) -> Result<Kind, String> {
    // argh keeps its table of options to itself, but it answers questions.
    let takes = |words: &[&str]| Args::from_args(&["wsrelay"], words);
    match takes(&[option]) {
        Ok(_) => Ok(Kind::Switch),
        Err(exit) if exit.status.is_ok() => Ok(Kind::Switch),
        Err(exit) if exit.output.starts_with("Unrecognized") => Err(explain(&exit.output)),
        Err(_) if takes(&[option, "1", option, "1"]).is_ok() => Ok(Kind::Repeatable),
        Err(_) => Ok(Kind::Value),
    }
}

/// argh knows neither `--name=value` nor short forms: they are written out. `args` end before `--`.
///
/// # Errors
/// One sentence, if a switch is given a value.
pub fn normalise(args: &[String]) -> Result<Vec<String>, String> {
    let mut out = Vec::with_capacity(args.len() + 4);
    for arg in args {
        match arg.as_str() {
            "-h" => out.push("--help".into()),
            "-V" => out.push("--version".into()),
            long if long.starts_with("--") && long.contains('=') => {
                let (name, value) = long.split_once('=').expect("it was looked for");
                if kind_of(name) == Ok(Kind::Switch) {
                    return Err(format!("{name} takes no value: leave out ={value}"));
                }
                out.extend([name.to_owned(), value.to_owned()]);
            }
            _ => out.push(arg.clone()),
        }
    }
    Ok(out)
}

/// argh's help with a usage that can be taken in at a glance: its own first line names every
/// option in a row.
fn with_usage(help: &str) -> String {
    const USAGE: &str = "\
Usage: wsrelay [options] --to ADDR      relay to a backend
       wsrelay [options] -- CMD ARG…    relay to a program, one process a session
       wsrelay --config FILE            the same, from a TOML file
       wsrelay check FILE               check such a file
       wsrelay demo                     the built-in chat: a line server, a page, the relay between
";
    match help.split_once('\n') {
        Some((first, rest)) if first.starts_with("Usage: wsrelay [--config") => {
            format!("{USAGE}{rest}")
        }
        _ => help.to_owned(),
    }
}

/// argh's message as one sentence that says what to type.
fn explain(output: &str) -> String {
    let first = output.lines().next().unwrap_or_default().trim();
    let Some(unknown) = first.strip_prefix("Unrecognized argument: ") else {
        let mut text = first.trim_end_matches('.').to_owned();
        if let Some(rest) = text.strip_prefix("No value provided for option '") {
            text = format!("{} needs a value", rest.trim_end_matches('\''));
        } else if let Some(rest) = text.strip_prefix("Error parsing option '") {
            // All values are taken as text, so the one thing argh itself can object to is a second.
            let name = rest.split('\'').next().unwrap_or(rest);
            text = format!("{name} is given twice: give it once");
        }
        return text;
    };
    match unknown.strip_prefix('-') {
        Some(_) => match similar_option(unknown) {
            Some(known) => format!("there is no option {unknown}: did you mean {known}?"),
            None => format!("there is no option {unknown}: wsrelay --help lists them"),
        },
        None => unexpected(unknown),
    }
}

fn unexpected(word: &str) -> String {
    format!(
        "don't know what to do with {word:?}: try wsrelay --port 8082 --to localhost:7777, \
         wsrelay --port 8082 -- PROGRAM, or wsrelay --help"
    )
}

/// The option that was probably meant: the same but for dashes, what websocketd calls it, or a
/// typing error away.
fn similar_option(unknown: &str) -> Option<String> {
    const WEBSOCKETD: [(&str, &str); 4] = [
        ("address", "--listen"),
        ("maxforks", "--max-sessions"),
        ("pingms", "--ping-interval"),
        ("maxframesize", "--max-line"),
    ];
    let plain = |name: &str| name.replace('-', "");
    let wanted = plain(unknown);
    if let Some((_, ours)) = WEBSOCKETD.iter().find(|(theirs, _)| *theirs == wanted) {
        return Some((*ours).to_owned());
    }
    // argh keeps its list of options to itself, but for the help.
    let help = Args::from_args(&["wsrelay"], &["--help"]).err()?.output;
    let known = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    known
        .filter(|name| name.starts_with("--"))
        .map(|name| (strsim::damerau_levenshtein(&plain(name), &wanted), name.to_owned()))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Typed, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    fn args(line: &str) -> Args {
        match typed(line) {
            Ok(Typed::Run(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn both_ways_to_give_a_value() {
        for line in ["--port 8082 --to a:1", "--port=8082 --to=a:1"] {
            let args = args(line);
            assert_eq!(args.port.as_deref(), Some("8082"));
            assert_eq!(args.to.as_deref(), Some("a:1"));
        }
        assert_eq!(args("--to=a:1 --subprotocol=a=b").subprotocol.as_deref(), Some("a=b"));
    }

    #[test]
    fn help_and_version_are_printed() {
        for line in ["--help", "-h", "help", "demo --help", "demo -h"] {
            let Ok(Typed::Print(text)) = typed(line) else { panic!("{line}") };
            assert!(text.contains("Usage: wsrelay"), "{line}: {text}");
        }
        for line in ["--version", "-V"] {
            let Ok(Typed::Print(text)) = typed(line) else { panic!("{line}") };
            assert_eq!(text, format!("wsrelay {}\n", env!("CARGO_PKG_VERSION")));
        }
    }

    #[test]
    fn a_program_and_all_that_is_its_own() {
        let args = args("--port 1 -- demo --help --to=b:1 -- -h");
        assert_eq!(args.program, ["demo", "--help", "--to=b:1", "--", "-h"]);
        assert!(args.command.is_none() && args.to.is_none());
    }

    #[test]
    fn mistakes_are_told_in_one_sentence() {
        for (line, want) in [
            ("--frobnicate 1", "there is no option --frobnicate: wsrelay --help"),
            ("--prot 1", "there is no option --prot: did you mean --port?"),
            ("--staticdir .", "did you mean --static-dir?"),
            ("--maxforks=9", "did you mean --max-sessions?"),
            ("localhost:7777", "don't know what to do with \"localhost:7777\""),
            ("--port", "--port needs a value"),
            ("--binary=yes", "--binary takes no value"),
            ("--dev-console=yes", "--dev-console takes no value"),
            ("--devconsole", "did you mean --dev-console?"),
            ("--to a:1 --to b:1", "--to is given twice"),
            ("--port 1 --", "wsrelay --port 8080 -- cat"),
            ("--port 1 cat -- cat", "don't know what to do with \"cat\""),
            ("--passenv A -- cat", "did you mean --pass-env?"),
        ] {
            let text = typed(line).unwrap_err();
            assert!(text.contains(want), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        }
    }
}
