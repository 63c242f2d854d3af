//! Target: a backend, as the operator names it.

use std::fmt;
use std::path::PathBuf;

use super::program::{Program, ProgramDir};
use crate::net::address::unix_path;
use crate::net::host_port::{BadAddress, Usual, join, split_host_port};

/// The descriptors of a client and its program: a socket, three pipes, and a pidfd.
pub const PROGRAM_DESCRIPTORS: u64 = 5;

/// A backend, as the operator names it. What is equal is the same backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A TCP server. A name is resolved for each session (the answer is shared for a second), and its addresses are
    /// tried in turn.
    Tcp {
        /// A name or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A TCP server that speaks TLS.
    Tls {
        /// A name or an IP address without brackets; its certificate must be for it.
        host: String,
        /// The port.
        port: u16,
        /// The file of the trusted certificate authorities; `None`: those of the system.
        ca: Option<PathBuf>,
    },
    /// A server on a Unix socket, by its path or name (`@name`).
    Unix(PathBuf),
    /// The server that a token of the request names.
    File {
        /// The file of tokens and servers, or a directory of such files.
        path: PathBuf,
        /// As of TLS.
        ca: Option<PathBuf>,
    },
    /// A program, one process for each session.
    Program(Program),
    /// The program of this directory that the URI's path names, one process for each session.
    Programs(ProgramDir),
}

/// The prefix of the address of a backend with TLS.
const TLS: &str = "tls://";

/// The parts suggested where an address lacks them.
const USUAL: Usual = Usual { host: "localhost", port: 7777 };

impl Target {
    /// Reads `HOST:PORT`, `[::1]:7777`, `unix:/path`, `unix:@name` or `tls://HOST:PORT`.
    ///
    /// # Errors
    /// What is wrong, and what to type instead.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if let Some(path) = unix_path(text) {
            return path.map(Target::Unix);
        }
        let (tls, address) = match text.split_at_checked(TLS.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(TLS) => (true, rest),
            _ => (false, text),
        };
        let with_scheme = |bad: BadAddress| match tls {
            true => BadAddress { instead: format!("{TLS}{}", bad.instead), ..bad },
            false => meant_tls(text).unwrap_or(bad),
        };
        let (host, port) = split_host_port(address, USUAL).map_err(with_scheme)?;
        if port == 0 {
            let why = "port 0 can't be connected to".to_owned();
            return Err(with_scheme(BadAddress { why, instead: join(host, USUAL.port) }));
        }
        let host = host.to_owned();
        Ok(match tls {
            true => Target::Tls { host, port, ca: None },
            false => Target::Tcp { host, port },
        })
    }

    /// The same with the file of `--backend-ca`; unchanged without TLS.
    pub fn with_ca(self, file: Option<&str>) -> Self {
        match (self, file) {
            (Target::Tls { host, port, .. }, file) => {
                Target::Tls { host, port, ca: file.map(PathBuf::from) }
            }
            (Target::File { path, .. }, file) => Target::File { path, ca: file.map(PathBuf::from) },
            (backend, _) => backend,
        }
    }

    /// The file of the authorities that it trusts, if it has one.
    pub fn ca(&self) -> Option<PathBuf> {
        match self {
            Target::Tls { ca, .. } | Target::File { ca, .. } => ca.clone(),
            _ => None,
        }
    }

    /// Whether the connection uses TLS, or may do so.
    pub fn is_tls(&self) -> bool {
        matches!(self, Target::Tls { .. } | Target::File { .. })
    }

    /// Whether the path of a request may be a secret, behind that of its route.
    pub fn is_by_token(&self) -> bool {
        matches!(self, Target::File { .. })
    }

    /// Whether it is a program, or one of several.
    pub fn is_program(&self) -> bool {
        matches!(self, Target::Program(_) | Target::Programs(_))
    }

    /// The number of descriptors of a session with it, including the client's.
    pub fn descriptors(&self) -> u64 {
        match self {
            Target::Tcp { .. } | Target::Tls { .. } | Target::Unix(_) | Target::File { .. } => 2,
            Target::Program(_) | Target::Programs(_) => PROGRAM_DESCRIPTORS,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { host, port } => f.write_str(&join(host, *port)),
            Target::Tls { host, port, .. } => write!(f, "{TLS}{}", join(host, *port)),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::File { path, .. } => path.display().fmt(f),
            Target::Program(program) => f.write_str(program.name()),
            Target::Programs(programs) => programs.dir.display().fmt(f),
        }
    }
}

/// The error for an address with TLS in another notation, such as `https://host` or `tls:host:1`; `None` if it is not
/// one.
fn meant_tls(text: &str) -> Option<BadAddress> {
    let (scheme, rest) = text.split_once(':')?;
    ["tls", "ssl", "tcps", "https", "wss"].iter().find(|tls| scheme.eq_ignore_ascii_case(tls))?;
    let rest = if rest.starts_with("//") { text } else { rest };
    let address = match split_host_port(rest, USUAL) {
        Ok((host, port)) => join(host, port),
        Err(bad) => bad.instead,
    };
    let why = "a backend that speaks TLS is written tls://HOST:PORT".to_owned();
    Some(BadAddress { why, instead: format!("{TLS}{address}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_typed() {
        for text in [
            "localhost:7777",
            "[::1]:7777",
            "10.0.0.1:23",
            "unix:/run/chat.sock",
            "unix:@chat",
            "[fe80::1%eth0]:7777",
            "tls://[fe80::1%eth0]:7777",
            "tls://db.example:6697",
            "tls://[::1]:6697",
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Target::parse("TLS://a:1").unwrap().to_string(), "tls://a:1");
        assert!(!Target::parse("tls:7777").unwrap().is_tls(), "a host of that name");
    }

    #[test]
    fn what_is_wrong_says_what_to_type() {
        for (text, why, instead) in [
            ("localhost", "has no port", "localhost:7777"),
            ("localhost:0", "port 0 can't be connected to", "localhost:7777"),
            ("[::1]:0", "port 0 can't be connected to", "[::1]:7777"),
            ("[::1]", "has no port", "[::1]:7777"),
            ("unix:", "unix: needs a path", "unix:/run/wsrelay.sock"),
            ("unix:@", "unix:@ needs a name", "unix:@wsrelay"),
            ("/run/a.sock", "stands behind unix:", "unix:/run/a.sock"),
            ("./a.sock", "stands behind unix:", "unix:./a.sock"),
            ("fe80::1:80", "needs brackets", "[fe80::1]:80"),
            ("tls://localhost", "has no port", "tls://localhost:7777"),
            ("tls://localhost:0", "port 0", "tls://localhost:7777"),
            ("tls://localhost:1/", "not a port number", "tls://localhost:1"),
            ("tls://", "it is empty", "tls://localhost:7777"),
            ("tls://[::1", "the bracket is not closed", "tls://[::1]:7777"),
            ("tls:host:1", "is written tls://HOST:PORT", "tls://host:1"),
            ("https://host/", "is written tls://HOST:PORT", "tls://host:443"),
            ("ssl://host:1", "is written tls://HOST:PORT", "tls://host:1"),
            ("TLS://host", "has no port", "tls://host:7777"),
            ("tls://http://host:1", "leave out http://", "tls://host:1"),
        ] {
            let got = Target::parse(text).unwrap_err();
            assert!(got.why.contains(why) && got.instead == instead, "{text}: {got:?}");
            assert!(Target::parse(instead).is_ok(), "{instead}");
        }
    }
}
