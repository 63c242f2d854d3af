//! About: what some options need to be of use. Pure.

use super::args::Args;

/// What an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// It is of use by itself.
    Anything,
    /// Lines, which `--binary` does without.
    Lines,
    /// Lines for the backend, of messages or our own.
    LineEnds,
    /// What shows the name of a client.
    ClientName,
    /// Clients that are refused with a message of WebSocket.
    RefuseClose,
    /// A charset: lines have one, bytes only if it is given.
    Charset,
    /// Programs, of sessions or of requests.
    Programs,
    /// A backend that is a server.
    Server,
    /// A backend that speaks TLS.
    TlsBackend,
    /// The queue of a client that does not keep up.
    Queue,
    /// Recordings of sessions.
    Recordings,
    /// The programs of `--cgi-dir`.
    Cgi,
    /// A proxy that is trusted.
    TrustedProxy,
    /// Passwords or tokens.
    Passwords,
    /// A certificate, wherever it comes from.
    Certificate,
    /// A certificate that is given.
    CertificateFile,
    /// A certificate that is ordered.
    Acme,
}

impl About {
    /// Whether it is there.
    pub fn is_there(self, args: &Args) -> bool {
        match self {
            About::Anything => true,
            About::Lines => !args.binary,
            About::LineEnds => {
                !args.binary
                    || !args.hello.is_empty()
                    || !args.goodbye.is_empty()
                    || args.refusal.is_some()
            }
            About::ClientName => {
                let mut lines = args.hello.iter().chain(&args.goodbye).chain(&args.refusal);
                lines.any(|line| line.contains("{host")) || About::Programs.is_there(args)
            }
            About::RefuseClose => {
                args.refuse.as_ref().is_some_and(|how| how.eq_ignore_ascii_case("close"))
            }
            About::Charset => !args.binary || args.charset.is_some(),
            About::Programs => {
                !args.program.is_empty() || args.program_dir.is_some() || args.cgi_dir.is_some()
            }
            About::Server => {
                args.to.is_some() || args.target_file.is_some() || !args.route.is_empty()
            }
            About::TlsBackend => {
                let is_tls = |to: &String| to.starts_with("tls://");
                args.to.as_ref().is_some_and(is_tls) || args.target_file.is_some()
            }
            About::Queue => {
                args.slow_client.as_ref().is_some_and(|how| how.eq_ignore_ascii_case("drop"))
            }
            About::Recordings => args.record.is_some(),
            About::Cgi => args.cgi_dir.is_some(),
            About::TrustedProxy => args.trust_proxy.is_some(),
            About::Passwords => args.auth_file.is_some() || args.token_file.is_some(),
            About::Certificate => args.tls_cert.is_some() || !args.acme_domain.is_empty(),
            About::CertificateFile => args.tls_cert.is_some(),
            About::Acme => !args.acme_domain.is_empty(),
        }
    }

    /// The option that it hangs on, and what to say behind the name of one that is of no use without it.
    pub fn missing(self) -> (&'static str, &'static str) {
        match self {
            About::Anything | About::Charset => unreachable!("it is of use wherever it is given"),
            About::Lines | About::LineEnds => {
                ("binary", "is about lines, and --binary knows none: drop one")
            }
            About::ClientName => (
                "hello",
                "is about {host} in lines for the backend, and about programs: add --hello \
                 'CLIENT {host}', or drop it",
            ),
            About::RefuseClose => {
                ("refuse", "is a message before a Close: add --refuse close, or drop {option}")
            }
            About::Programs => ("to", "is about programs, and --to starts none: drop one"),
            About::Server => {
                ("program", "is about servers, not programs: type --to ADDR, or drop it")
            }
            About::TlsBackend => (
                "to",
                "checks the certificate of a TLS backend: type --to tls://HOST:PORT, or drop it",
            ),
            About::Queue => {
                ("slow-client", "is the queue of --slow-client drop: add that, or drop {option}")
            }
            About::Recordings => ("record", "is about recordings: add --record DIR, or drop it"),
            About::Cgi => ("cgi-dir", "is about the programs of --cgi-dir: add that, or drop it"),
            About::TrustedProxy => (
                "trust-proxy",
                "takes the word of trusted proxies only: add their addresses, as in --trust-proxy 10.0.0.1",
            ),
            About::Passwords => {
                ("auth-file", "asks for a password: add --auth-file or --token-file")
            }
            About::Certificate => {
                ("tls-cert", "needs a certificate: add --tls-cert FILE, or --acme-domain NAME")
            }
            About::CertificateFile => ("tls-cert", "needs a certificate: add --tls-cert FILE"),
            About::Acme => (
                "acme-domain",
                "is about certificates that --acme-domain asks for: add --acme-domain \
                 relay.example.org, or drop {option}",
            ),
        }
    }
}
