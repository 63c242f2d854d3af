//! What was typed: the command line as argh reads it, before anything is checked.

use argh::{ArgsInfo, FromArgs};

/// WebSocket sessions in, lines to one ordinary TCP server out. Each client becomes a TCP
/// connection to the backend; messages become lines, and lines messages.
#[derive(FromArgs, ArgsInfo, Clone, Debug, Default)]
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

    /// the backend: HOST:PORT, [::1]:7777, unix:/path or tls://HOST:PORT
    #[argh(option, arg_name = "addr")]
    pub to: Option<String>,

    /// another backend for this path and all below it (repeatable): /chat=localhost:7777; the longest
    /// that fits counts, and --to for the rest (without it, 404)
    #[argh(option, arg_name = "path=addr")]
    pub route: Vec<String>,

    /// encrypt: the certificate of this PEM file, and those that vouch for it; it is read again when it
    /// changes, and at SIGHUP
    #[argh(option, arg_name = "file")]
    pub tls_cert: Option<String>,

    /// the certificate's key, as PEM (default: in the file of --tls-cert)
    #[argh(option, arg_name = "file")]
    pub tls_key: Option<String>,

    /// get a certificate for this name or IP address and keep it renewed, from Let's Encrypt, to whose terms you
    /// agree by that; its port 443 must lead here (repeatable, or comma-separated: one certificate for all)
    #[argh(option, arg_name = "name")]
    pub acme_domain: Vec<String>,

    /// where such a certificate outlives a restart; the directory is made if need be
    #[argh(option, arg_name = "dir")]
    pub acme_cache: Option<String>,

    /// where the authority may write to about it (default: nowhere)
    #[argh(option, arg_name = "addr")]
    pub acme_email: Option<String>,

    /// another authority than Let's Encrypt: the https URL of its ACME directory
    #[argh(option, arg_name = "url")]
    pub acme_directory: Option<String>,

    /// check that directory's own certificate against this PEM file (default: the system's authorities)
    #[argh(option, arg_name = "file")]
    pub acme_ca: Option<String>,

    /// only clients whose certificate is of an authority in this PEM file may connect
    #[argh(option, arg_name = "file")]
    pub tls_client_ca: Option<String>,

    /// send requests without TLS on this port of all interfaces to https://
    #[argh(option, arg_name = "n")]
    pub redirect_port: Option<String>,

    /// check the certificate of a tls:// backend against this PEM file (default: the system's
    /// authorities)
    #[argh(option, arg_name = "file")]
    pub backend_ca: Option<String>,

    /// relay to the programs below this directory, one process a session: the path names the program,
    /// and what follows is its PATH_INFO
    #[argh(option, arg_name = "dir")]
    pub program_dir: Option<String>,

    /// variables of the environment that a program gets, comma-separated (default PATH), besides
    /// those of CGI
    #[argh(option, arg_name = "names")]
    pub pass_env: Option<String>,

    /// ending a program takes the end of its stdin, SIGINT, SIGTERM and SIGKILL, each this long after
    /// the other (default 1s)
    #[argh(option, arg_name = "time")]
    pub kill_grace: Option<String>,

    /// answer ordinary requests by the programs below this directory (CGI/1.1), where the path names
    /// one; before --static-dir
    #[argh(option, arg_name = "dir")]
    pub cgi_dir: Option<String>,

    /// longest silence of such a program (default 30s)
    #[argh(option, arg_name = "time")]
    pub cgi_timeout: Option<String>,

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
    /// password, token or --tls-client-ca those of --same-origin)
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

    /// connections at a time, from the first moment to the last, sessions included (default: what the limit
    /// of open files allows); more are closed at once
    #[argh(option, arg_name = "n")]
    pub max_connections: Option<String>,

    /// connections at a time of one address, or IPv6 network of 64 bits, sessions included (default: no
    /// limit; those of --trust-proxy have none)
    #[argh(option, arg_name = "n")]
    pub max_connections_per_ip: Option<String>,

    /// sessions at a time (default: what the limit of open files allows); more are refused
    #[argh(option, arg_name = "n")]
    pub max_sessions: Option<String>,

    /// sessions at a time of one address, or IPv6 network of 64 bits (default: no limit)
    #[argh(option, arg_name = "n")]
    pub max_sessions_per_ip: Option<String>,

    /// handshakes of one address, such as 5/s or 100/m; as many as the number says, and at least five, may come
    /// at once (default: no limit)
    #[argh(option, arg_name = "rate")]
    pub connect_rate: Option<String>,

    /// what a client that does not keep up does to its backend: wait (default; it has to wait too)
    /// or drop (it goes on into the queue, and the client is dropped when that overflows)
    #[argh(option, arg_name = "how")]
    pub slow_client: Option<String>,

    /// the queue of --slow-client drop (default 1MiB)
    #[argh(option, arg_name = "size")]
    pub queue: Option<String>,

    /// longest wait for a request to be complete, TLS included (default 10s)
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

impl Args {
    /// Whether it is said where the lines go that no route takes.
    pub fn has_target(&self) -> bool {
        self.to.is_some() || self.program_dir.is_some() || !self.program.is_empty()
    }
}

/// The subcommands.
#[derive(FromArgs, ArgsInfo, Clone, Debug)]
#[argh(subcommand)]
pub enum Command {
    /// `wsrelay demo`
    Demo(DemoArgs),
    /// `wsrelay check`
    Check(CheckArgs),
}

/// The built-in chat: a line server, a page, and the relay between them. It prints the address to
/// open in a browser.
#[derive(FromArgs, ArgsInfo, Clone, Debug, Default)]
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
#[derive(FromArgs, ArgsInfo, Clone, Debug, Default)]
#[argh(subcommand, name = "check")]
pub struct CheckArgs {
    /// the file
    #[argh(positional, arg_name = "file")]
    pub file: String,
}
