//! What was typed: the command line as argh reads it, before anything is checked.

use argh::{ArgsInfo, FromArgs};

/// Lets the fields of a struct be asked for by the keys of their options.
macro_rules! by_key {
    ($(#[$($meta:tt)*])* pub struct $name:ident {
        $($(#[$($of_field:tt)*])* pub $field:ident: $type:ident $(<$inner:ident>)?,)*
    }) => {
        $(#[$($meta)*])*
        pub struct $name { $($(#[$($of_field)*])* pub $field: $type $(<$inner>)?,)* }

        impl $name {
            /// The values given for an option, without its dashes; of a switch, `true`.
            pub fn given(&self, key: &str) -> Vec<&str> {
                match &*key.replace('-', "_") {
                    $(stringify!($field) => self.$field.values(),)*
                    _ => Vec::new(),
                }
            }
        }
    };
}

/// A field, whatever its type.
trait Values {
    /// What was given.
    fn values(&self) -> Vec<&str>;
}

impl Values for bool {
    fn values(&self) -> Vec<&str> {
        if *self { vec!["true"] } else { Vec::new() }
    }
}

impl Values for Option<String> {
    fn values(&self) -> Vec<&str> {
        self.iter().map(String::as_str).collect()
    }
}

impl Values for Vec<String> {
    fn values(&self) -> Vec<&str> {
        self.iter().map(String::as_str).collect()
    }
}

by_key! {
/// The options of relaying. The table has what argh does not know of them. The help shows a text's first
/// sentence, and all of it with `--help all`.
#[derive(FromArgs, ArgsInfo, Clone, Debug, Default)]
// argh shows these texts as they stand, brackets of IPv6 addresses and all.
#[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]
pub struct Args {
    /// port to listen on, on all interfaces, IPv4 and IPv6. Other machines can connect, too; for this machine
    /// only, use --listen 127.0.0.1:8082. 0 picks a free port.
    #[argh(option, arg_name = "n")]
    pub port: Option<String>,

    /// address to listen on, such as 127.0.0.1:8082. Also [::1]:8082 (IPv6),
    /// unix:/path and unix:@name (abstract).
    #[argh(option, arg_name = "addr")]
    pub listen: Vec<String>,

    /// the backend: HOST:PORT, unix:/path, tls://HOST:PORT. An IPv6 address needs brackets: [::1]:7777,
    /// [fe80::1%eth0]:7777. unix:@name is an abstract Unix socket.
    #[argh(option, arg_name = "addr")]
    pub to: Option<String>,

    /// another backend for a path: /chat=localhost:7777. It also takes all paths below that
    /// path. If several routes match, the longest path is used. --to takes all other paths; without --to
    /// they get 404.
    #[argh(option, arg_name = "path=addr")]
    pub route: Vec<String>,

    /// file with a backend for each token, one `token: host:port` a line, or a directory of such files. A client sends
    /// its token as ?token= or as the path. The file is read again when it changes.
    #[argh(option, arg_name = "path")]
    pub target_file: Option<String>,

    /// how long the backend may take to accept a connection.
    #[argh(option, arg_name = "time")]
    pub connect_timeout: Option<String>,

    /// pEM file with the authorities that may sign the certificate of a tls:// backend.
    #[argh(option, arg_name = "file")]
    pub backend_ca: Option<String>,

    /// begin each connection to the backend with the header of the PROXY protocol, which names the client: v1 or v2.
    /// The backend must expect it.
    #[argh(option, arg_name = "version")]
    pub proxy_protocol: Option<String>,

    /// line to send to the backend before all that the client says. Facts about the client stand in braces:
    /// "HELLO {ip} {user}".
    #[argh(option, arg_name = "line")]
    pub hello: Vec<String>,

    /// line to send to the backend when the client has left, with facts in braces as in --hello: "QUIT
    /// :{reason*}".
    #[argh(option, arg_name = "line")]
    pub goodbye: Vec<String>,

    /// look up the name of each client's address, for {host} in lines such as --hello and for programs. A name counts only
    /// if it has the address, too. The look-up may take --connect-timeout; without a name it is the address.
    #[argh(switch)]
    pub resolve_clients: bool,

    /// program to start for each session. It reads the client's lines from stdin and writes lines to
    /// stdout. It comes last, after --, with its arguments.
    #[argh(positional, arg_name = "program", hidden_help)]
    pub program: Vec<String>,

    /// directory of programs: the path names one of them. That program is started for each session. The rest
    /// of the path is its PATH_INFO.
    #[argh(option, arg_name = "dir")]
    pub program_dir: Option<String>,

    /// environment variables that programs get besides those of CGI.
    #[argh(option, arg_name = "names")]
    pub pass_env: Option<String>,

    /// time between the steps that end a program: its stdin is closed, then SIGINT, SIGTERM and SIGKILL
    /// are sent.
    #[argh(option, arg_name = "time")]
    pub kill_grace: Option<String>,

    /// end of line for the backend: lf, crlf, cr or nul. Lines from the backend end in a newline; with
    /// cr also in a lone carriage return, with nul only in NUL.
    #[argh(option, arg_name = "eol")]
    pub eol: Option<String>,

    /// let messages keep the end of line that the backend sent.
    #[argh(switch)]
    pub keep_eol: bool,

    /// newlines inside a message: split (into several lines), space (replace each by a space) or reject
    /// (close with 1008).
    #[argh(option, arg_name = "how")]
    pub newlines: Option<String>,

    /// charset of the backend, such as koi8-r. All charsets that browsers know are possible, and the code pages of
    /// DOS: windows-1252, iso-8859-2, shift_jis, cp437. Messages are always UTF-8. With --binary, messages
    /// from the backend are text then.
    #[argh(option, arg_name = "label")]
    pub charset: Option<String>,

    /// charset of the backend's lines that are not valid UTF-8. All other lines are UTF-8, and so is what the backend
    /// gets.
    #[argh(option, arg_name = "label")]
    pub charset_fallback: Option<String>,

    /// longest line and longest message. A longer one closes the session with 1009.
    #[argh(option, arg_name = "size")]
    pub max_line: Option<String>,

    /// lines of one session towards the backend: 10/s:20 lets 20 through at once, and then 10 a second. The others
    /// wait; none is lost. Without :20, as many as the number, and at least five, go through at once.
    #[argh(option, arg_name = "rate")]
    pub rate: Option<String>,

    /// send an unfinished line (a prompt) after this time. With 0 it waits for its end.
    #[argh(option, arg_name = "time")]
    pub flush_after: Option<String>,

    /// the backend speaks telnet: its commands are taken out of the lines and answered, and its prompts are
    /// sent at once.
    #[argh(switch)]
    pub telnet: bool,

    /// relay bytes, not lines. Messages go to the backend as they are; each read from the backend becomes
    /// one binary message.
    #[argh(switch)]
    pub binary: bool,

    /// relay each line as a binary message, its bytes as the backend sent them. For clients that offer no
    /// subprotocol.
    #[argh(switch)]
    pub binary_lines: bool,

    /// subprotocols that clients may speak. The first one that a client offers and that is among them is chosen. Without
    /// this option it is the first that can be kept. Names that say what the client speaks (text.ircv3.net, binary, mqtt,
    /// v12.stomp …) decide about lines or bytes for its session. name=raw, =text or =binary-lines says it for another
    /// name.
    #[argh(option, arg_name = "names")]
    pub subprotocol: Option<String>,

    /// serve the files of this directory.
    #[argh(option, arg_name = "dir")]
    pub static_dir: Option<String>,

    /// answer plain HTTP requests by the CGI/1.1 programs in this directory. If a path has a
    /// program and a file, the program answers.
    #[argh(option, arg_name = "dir")]
    pub cgi_dir: Option<String>,

    /// how long a CGI program may be silent.
    #[argh(option, arg_name = "time")]
    pub cgi_timeout: Option<String>,

    /// add this header to all responses: "Name: value".
    #[argh(option, arg_name = "header")]
    pub header: Vec<String>,

    /// add this header to responses to WebSocket handshakes.
    #[argh(option, arg_name = "header")]
    pub header_ws: Vec<String>,

    /// add this header to responses to other requests.
    #[argh(option, arg_name = "header")]
    pub header_http: Vec<String>,

    /// for development: serve a page to talk to the backend. Every path that has no file shows it.
    #[argh(switch)]
    pub dev_console: bool,

    /// web pages that may connect: https://example.org. Other forms: https://*.example.org,
    /// http://localhost:*, example.org, file://, null, *.
    #[argh(option, arg_name = "list")]
    pub origin: Vec<String>,

    /// allow pages of the requested host and port only, besides those of --origin.
    #[argh(switch)]
    pub same_origin: bool,

    /// refuse requests without Origin. Browsers always send it; most other programs do not, but can send any.
    #[argh(switch)]
    pub origin_required: bool,

    /// require a name and password of this file. It has one name:hash a line, as htpasswd -B writes it. Clients
    /// send them by HTTP Basic. SIGHUP reads the file again.
    #[argh(option, arg_name = "file")]
    pub auth_file: Option<String>,

    /// require a token of this file. It has one token a line, as name:token or token. Clients send it as
    /// Authorization: Bearer, subprotocol bearer.TOKEN, cookie token or ?token=. SIGHUP reads the file again.
    #[argh(option, arg_name = "file")]
    pub token_file: Option<String>,

    /// require the password or token for pages too.
    #[argh(switch)]
    pub auth_static: bool,

    /// proxies whose word about their clients is believed: 127.0.0.1, 10.0.0.0/8, unix. They give it by
    /// --forwarded-header or --accept-proxy.
    #[argh(option, arg_name = "list")]
    pub trust_proxy: Option<String>,

    /// the one header by which these proxies name the client. x-forwarded-for comes with X-Forwarded-Host, -Proto and
    /// -Port; forwarded is that of RFC 7239; any other, such as x-real-ip or cf-connecting-ip, has one address. All
    /// other such headers are removed from requests.
    #[argh(option, arg_name = "name")]
    pub forwarded_header: Option<String>,

    /// require the header of the PROXY protocol, v1 or v2, at the beginning of each TCP connection. It names the
    /// client. Only the proxies of --trust-proxy may send it.
    #[argh(switch)]
    pub accept_proxy: bool,

    /// connections at a time, sessions included. Counted from accept; further connections are closed without
    /// an answer.
    #[argh(option, arg_name = "n")]
    pub max_connections: Option<String>,

    /// connections at a time of one client address, sessions included. Further connections are closed without
    /// an answer. An IPv6 address counts as its /64 network. The proxies of --trust-proxy have no such limit.
    #[argh(option, arg_name = "n")]
    pub max_connections_per_ip: Option<String>,

    /// sessions at a time. Further clients get 503.
    #[argh(option, arg_name = "n")]
    pub max_sessions: Option<String>,

    /// sessions at a time of one client address. Further clients get 429. An IPv6 address counts as its /64
    /// network.
    #[argh(option, arg_name = "n")]
    pub max_sessions_per_ip: Option<String>,

    /// handshakes of one client address: 5/s or 100/m. Further clients get 429. As many as the number, and at
    /// least five, may come at once; 5/s:20 allows 20.
    #[argh(option, arg_name = "rate")]
    pub connect_rate: Option<String>,

    /// how to refuse clients when the backend or capacity is missing: http (429, 502, 503 or 504) or close
    /// (accept the handshake, then close with 1013). With close a page's script can read the reason.
    #[argh(option, arg_name = "how")]
    pub refuse: Option<String>,

    /// message to a client whose backend or capacity is missing, before it is closed with 1013, with facts in braces as in
    /// --hello: "ERROR :{reason*}".
    #[argh(option, arg_name = "line")]
    pub refusal: Option<String>,

    /// what to do with slow readers: wait or drop. With wait the backend has to wait too; with drop a
    /// client is closed when its queue is full.
    #[argh(option, arg_name = "how")]
    pub slow_client: Option<String>,

    /// queue of each client with --slow-client drop.
    #[argh(option, arg_name = "size")]
    pub queue: Option<String>,

    /// close a client that reads nothing for this long while data waits for it.
    #[argh(option, arg_name = "time")]
    pub write_timeout: Option<String>,

    /// ping a client after this much silence.
    #[argh(option, arg_name = "time")]
    pub ping_interval: Option<String>,

    /// close a client that is silent for this long after a ping.
    #[argh(option, arg_name = "time")]
    pub ping_timeout: Option<String>,

    /// close a session after this long without data. With 0 it stays open.
    #[argh(option, arg_name = "time")]
    pub idle_timeout: Option<String>,

    /// how long a client may take for its request, TLS included.
    #[argh(option, arg_name = "time")]
    pub handshake_timeout: Option<String>,

    /// how long either side may take to close.
    #[argh(option, arg_name = "time")]
    pub close_timeout: Option<String>,

    /// how long sessions may take to end after SIGTERM or SIGINT.
    #[argh(option, arg_name = "time")]
    pub shutdown_timeout: Option<String>,

    /// speak TLS, with the certificate of this PEM file. The file also holds the intermediate
    /// certificates. It is read again when it changes, and at SIGHUP.
    #[argh(option, arg_name = "file")]
    pub tls_cert: Option<String>,

    /// private key of that certificate, as PEM.
    #[argh(option, arg_name = "file")]
    pub tls_key: Option<String>,

    /// require client certificates, signed by an authority in this PEM file.
    #[argh(option, arg_name = "file")]
    pub tls_client_ca: Option<String>,

    /// redirect plain HTTP requests on this port, of all interfaces, to https.
    #[argh(option, arg_name = "n")]
    pub redirect_port: Option<String>,

    /// get a certificate for this name, and renew it. A public IP address is possible, too. Let's Encrypt issues
    /// it, and you agree to its terms of service. Port 443 of the name must lead to wsrelay. Several names share
    /// one certificate.
    #[argh(option, arg_name = "name")]
    pub acme_domain: Vec<String>,

    /// directory that keeps that certificate. wsrelay uses it again after a restart. The directory is created
    /// if it does not exist.
    #[argh(option, arg_name = "dir")]
    pub acme_cache: Option<String>,

    /// mail address that the authority may write to.
    #[argh(option, arg_name = "addr")]
    pub acme_email: Option<String>,

    /// aCME directory of the authority, an https URL.
    #[argh(option, arg_name = "url")]
    pub acme_directory: Option<String>,

    /// pEM file with the authorities that may sign the certificate of that directory.
    #[argh(option, arg_name = "file")]
    pub acme_ca: Option<String>,

    /// how much to log: error, warn, info, debug or trace.
    #[argh(option, arg_name = "level")]
    pub log_level: Option<String>,

    /// format of the log, which goes to stderr: text or json.
    #[argh(option, arg_name = "how")]
    pub log_format: Option<String>,

    /// log every message, in both directions. For debugging: the log then has what users
    /// write.
    #[argh(switch)]
    pub trace: bool,

    /// record each session into a file of this directory: lines as JSON lines, bytes (--binary) as asciicast v2. The
    /// directory must exist. wsrelay replay says what the backend said again.
    #[argh(option, arg_name = "dir")]
    pub record: Option<String>,

    /// size of all recordings in that directory. The oldest ones that have ended are removed.
    #[argh(option, arg_name = "size")]
    pub record_max: Option<String>,

    /// read options from this TOML file. Its keys are the options without dashes. Command-line options
    /// override the file.
    #[argh(option, arg_name = "file")]
    pub config: Option<String>,

    /// print the version.
    #[argh(switch)]
    pub version: bool,
}
}

impl Args {
    /// Whether only pages of the host connected to may connect, besides those of --origin. Where somebody has to
    /// prove who they are it is the default: a browser sends cookies, known passwords and certificates along
    /// whatever page asks it to connect.
    pub fn is_same_origin(&self) -> bool {
        let asks =
            self.auth_file.is_some() || self.token_file.is_some() || self.tls_client_ca.is_some();
        self.same_origin || asks && self.origin.is_empty()
    }

    /// Whether it is said where the lines go that no route takes.
    pub fn has_target(&self) -> bool {
        self.to.is_some()
            || self.target_file.is_some()
            || self.program_dir.is_some()
            || !self.program.is_empty()
    }
}
