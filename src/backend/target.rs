//! Target: what a session is relayed to, as the operator names it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::open_error::OpenError;
use super::program::{Program, ProgramDir};
use crate::net::address::{split_host_port, unix_path};
use crate::text::reason;

/// Descriptors that a client and its program take: a socket, three pipes, and what tells of its exit.
pub const PROGRAM_DESCRIPTORS: u64 = 5;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP server. A name is resolved anew, a second's sessions sharing the answer, and every
    /// address tried in turn.
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
        /// The file of the authorities that are believed; `None`: the system's.
        ca: Option<PathBuf>,
    },
    /// A server on a Unix socket.
    Unix(PathBuf),
    /// A program, one process a session.
    Program(Program),
    /// The program of this directory that the URI's path names, one process a session.
    Programs(ProgramDir),
}

impl Target {
    /// Reads `HOST:PORT`, `[::1]:7777`, `unix:/path` or `tls://HOST:PORT`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Target::Unix);
        }
        let tls = text.strip_prefix("tls://");
        let (host, port) = split_host_port(tls.unwrap_or(text))?;
        if port == 0 {
            return Err("port 0 can't be connected to".into());
        }
        let host = host.to_owned();
        Ok(match tls {
            Some(_) => Target::Tls { host, port, ca: None },
            None => Target::Tcp { host, port },
        })
    }

    /// The same with the file of `--backend-ca`, which is nothing to one without TLS.
    pub fn with_ca(self, file: Option<&str>) -> Self {
        match (self, file) {
            (Target::Tls { host, port, .. }, file) => {
                Target::Tls { host, port, ca: file.map(PathBuf::from) }
            }
            (backend, _) => backend,
        }
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Target::Tls { .. })
    }

    /// Descriptors that a session with it takes, its client's included.
    pub fn descriptors(&self) -> u64 {
        match self {
            Target::Tcp { .. } | Target::Tls { .. } | Target::Unix(_) => 2,
            Target::Program(_) | Target::Programs(_) => PROGRAM_DESCRIPTORS,
        }
    }

    /// What the log calls it: of many programs the one that was found.
    pub fn called<'a>(&'a self, program: &'a Option<Box<str>>) -> &'a dyn fmt::Display {
        match program {
            Some(name) => name,
            None => self,
        }
    }

    pub(super) fn explain(&self, error: &io::Error, limit: Duration) -> OpenError {
        if error.kind() == io::ErrorKind::TimedOut {
            return OpenError::TimedOut(limit);
        }
        OpenError::new(error, || match self {
            Target::Program(program) => program.explain(error),
            _ => format!("backend {self}: {}", reason(error)),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp { host, port } => write_host_port(f, host, *port),
            Target::Tls { host, port, .. } => {
                f.write_str("tls://")?;
                write_host_port(f, host, *port)
            }
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Program(program) => f.write_str(program.name()),
            Target::Programs(programs) => programs.dir.display().fmt(f),
        }
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    match host.contains(':') {
        true => write!(f, "[{host}]:{port}"),
        false => write!(f, "{host}:{port}"),
    }
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
            "tls://db.example:6697",
            "tls://[::1]:6697",
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, want) in [
            ("localhost", "has no port"),
            ("localhost:0", "port 0"),
            ("unix:", "needs a path"),
            ("::1:80", "needs brackets"),
            ("tls://localhost", "has no port"),
            ("tls://localhost:0", "port 0"),
            ("tls://localhost:1/", "not a port number"),
        ] {
            let got = Target::parse(text).unwrap_err();
            assert!(got.contains(want), "{text}: {got}");
        }
    }
}
