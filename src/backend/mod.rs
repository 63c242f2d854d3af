//! Backend: what a session is relayed to, and how a connection to it is opened.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_io::Async;
use async_std::future::timeout;
use async_std::net::ToSocketAddrs;

use crate::error::reason;
use crate::net::address::{split_host_port, unix_path};
use crate::net::stream::ByteStream;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A TCP server. The name is resolved anew for each session and every address tried in turn.
    Tcp {
        /// A name or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A server on a Unix socket.
    Unix(PathBuf),
}

/// An open connection to a backend.
#[derive(Debug)]
pub struct BackendIo {
    /// Both directions; half-closed by [`ByteStream::shutdown_write`].
    pub io: ByteStream,
}

/// Why a backend could not be reached.
#[derive(Debug)]
pub enum OpenError {
    /// It refused, reset, or has no address; the text names it.
    Unreachable(String),
    /// It did not answer in time.
    TimedOut(Duration),
    /// We ourselves are out of descriptors or memory: it says nothing about the backend.
    Exhausted(String),
}

impl Backend {
    /// Reads `HOST:PORT`, `[::1]:7777` or `unix:/path`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Backend::Unix);
        }
        let (host, port) = split_host_port(text)?;
        if port == 0 {
            return Err("port 0 can't be connected to".into());
        }
        Ok(Backend::Tcp { host: host.to_owned(), port })
    }

    /// Connects, within `limit` from the start of name resolution to the open connection.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn open(&self, limit: Duration) -> Result<BackendIo, OpenError> {
        let opened = match self {
            Backend::Tcp { host, port } => open_tcp(host, *port, limit).await,
            Backend::Unix(path) => match timeout(limit, Async::<UnixStream>::connect(path)).await {
                Ok(connected) => connected.map(ByteStream::unix),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        match opened {
            Ok(io) => Ok(BackendIo { io }),
            Err(e) => Err(self.explain(&e, limit)),
        }
    }

    fn explain(&self, error: &io::Error, limit: Duration) -> OpenError {
        use rustix::io::Errno;
        let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        let code = error.raw_os_error();
        if ours.iter().any(|errno| code == Some(errno.raw_os_error())) {
            return OpenError::Exhausted(reason(error));
        }
        match error.kind() {
            io::ErrorKind::TimedOut => OpenError::TimedOut(limit),
            _ => OpenError::Unreachable(format!("backend {self}: {}", reason(error))),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Backend::Tcp { host, port } => write!(f, "{host}:{port}"),
            Backend::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

async fn open_tcp(host: &str, port: u16, limit: Duration) -> io::Result<ByteStream> {
    let deadline = Instant::now() + limit;
    let addrs = match host.parse() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => resolve(host, port, limit).await?,
    };
    let mut last = io::Error::other("the name has no address");
    for (i, addr) in addrs.iter().enumerate() {
        // What time is left is shared among the addresses left: a first one that swallows packets
        // must not keep the second from its turn.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addrs.len() - i) as u32;
        match timeout(share, Async::<TcpStream>::connect(*addr)).await {
            Ok(Ok(stream)) => return Ok(ByteStream::tcp(stream)),
            Ok(Err(e)) => last = e,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Resolves on the blocking pool, as the system's resolver may take seconds.
async fn resolve(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    match timeout(limit, (host, port).to_socket_addrs()).await {
        Ok(Ok(addrs)) => Ok(addrs.collect()),
        Ok(Err(_)) => Err(io::Error::other("the name does not resolve")),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_typed() {
        for text in ["localhost:7777", "[::1]:7777", "10.0.0.1:23", "unix:/run/chat.sock"] {
            assert_eq!(Backend::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, want) in [
            ("localhost", "has no port"),
            ("localhost:0", "port 0"),
            ("unix:", "needs a path"),
            ("::1:80", "needs brackets"),
        ] {
            let got = Backend::parse(text).unwrap_err();
            assert!(got.contains(want), "{text}: {got}");
        }
    }
}
