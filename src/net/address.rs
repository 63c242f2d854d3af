//! Addresses: what is listened on, as it is typed and printed, and a peer's.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::host_port::{BadAddress, Usual, join, split_host_port};
use super::lookup;

/// How long a start, a check or a reload waits for the address of a name. The system's resolver gives up a name
/// server after 5 s, and asks it, or the next one, again (resolv.conf(5)).
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// The address that is suggested: every interface, as `:8082` and `*:8082` mean elsewhere.
const USUAL: Usual = Usual { host: "::", port: 8082 };

/// An address to listen on, of `--listen` or `--port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// Every interface, IPv4 and IPv6, on this port (`--port`).
    Everywhere(u16),
    /// Exactly this address.
    Exact(SocketAddr),
    /// A Unix socket at this path, or of this name (`@name`).
    Unix(PathBuf),
}

impl ListenAddr {
    /// Reads `127.0.0.1:8082`, `[::]:8082`, `localhost:8082`, `unix:/path` or `unix:@name`.
    ///
    /// # Errors
    /// What is wrong, and what to type.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if let Some(path) = unix_path(text) {
            return path.map(ListenAddr::Unix);
        }
        if let Ok(addr) = text.parse() {
            return Ok(ListenAddr::Exact(addr));
        }
        let (host, port) = split_host_port(text, USUAL)?;
        let unusable = |why| BadAddress { why, instead: join("127.0.0.1", port) };
        let found = lookup::wait(host, LOOKUP_LIMIT).map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => {
                format!("{host:?} was not resolved within {} s", LOOKUP_LIMIT.as_secs())
            }
            _ => format!("{host:?}: {e}"),
        });
        let found = found.map_err(unusable)?;
        // The first of several addresses is used, as other servers do.
        let mut addr =
            *found.first().ok_or_else(|| unusable(format!("{host:?} has no address")))?;
        addr.set_port(port);
        Ok(ListenAddr::Exact(addr))
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddr::Everywhere(port) => write!(f, "port {port}"),
            ListenAddr::Exact(addr) => write!(f, "{addr}"),
            ListenAddr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address that is listened on, as it is printed: `ws://127.0.0.1:8082`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddr {
    /// A TCP address with the port the kernel gave.
    Tcp(SocketAddr),
    /// The path of a Unix socket, or its name (`@name`).
    Unix(PathBuf),
}

impl LocalAddr {
    /// The address to connect to from this machine: loopback in place of "every interface".
    pub fn connectable(&self) -> Option<SocketAddr> {
        match self {
            LocalAddr::Tcp(addr) if addr.ip().is_unspecified() => {
                // An IPv6 wildcard socket accepts IPv4 too, and 127.0.0.1 is better known than ::1.
                Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), addr.port()))
            }
            LocalAddr::Tcp(addr) => Some(*addr),
            LocalAddr::Unix(_) => None,
        }
    }
}

impl LocalAddr {
    /// The URL to connect to from this machine, with this scheme; for a Unix socket its path.
    pub fn url(&self, scheme: &str) -> String {
        match (self, self.connectable()) {
            (LocalAddr::Unix(path), _) => format!("unix:{}", path.display()),
            (_, Some(addr)) => format!("{scheme}://{addr}"),
            (_, None) => String::new(),
        }
    }
}

impl fmt::Display for LocalAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url("ws"))
    }
}

/// The address of the peer of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddr {
    /// An IP address and port; IPv4 is never shown in its IPv6-mapped form.
    Ip(SocketAddr),
    /// A process on this machine, through our Unix socket.
    Unix,
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        PeerAddr::Ip(canonical(addr))
    }
}

impl From<Option<SocketAddr>> for PeerAddr {
    fn from(addr: Option<SocketAddr>) -> Self {
        addr.map_or(PeerAddr::Unix, PeerAddr::from)
    }
}

impl PeerAddr {
    /// The address and port; `None` for a process on this machine.
    pub fn socket_addr(self) -> Option<SocketAddr> {
        match self {
            PeerAddr::Ip(addr) => Some(addr),
            PeerAddr::Unix => None,
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddr::Ip(addr) => addr.fmt(f),
            PeerAddr::Unix => f.write_str("unix"),
        }
    }
}

/// The same address, IPv4 not in its IPv6-mapped form.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Reads `unix:/path` or `unix:@name`; `None`: it is no such address.
///
/// # Errors
/// What is wrong, and what to type.
pub fn unix_path(text: &str) -> Option<Result<PathBuf, BadAddress>> {
    // sockaddr_un holds 108 bytes with the closing NUL (unix(7)).
    const LONGEST: usize = 107;
    let wrong = |why: String, path| Some(Err(BadAddress { why, instead: format!("unix:{path}") }));
    let Some(path) = text.strip_prefix("unix:") else {
        let is_path = text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
        return is_path
            .then(|| wrong("the path of a Unix socket stands behind unix:".into(), text))?;
    };
    match path.len() {
        0 => wrong("unix: needs a path".into(), "/run/wsrelay.sock"),
        1 if path == "@" => wrong("unix:@ needs a name".into(), "@wsrelay"),
        1..=LONGEST => Some(Ok(Path::new(path).to_path_buf())),
        n => wrong(
            format!("the path of a Unix socket can have {LONGEST} bytes, this one has {n}"),
            "/run/wsrelay.sock",
        ),
    }
}

/// Whether a Unix socket has a name and no file: `@name` (unix(7), abstract).
pub fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"@")
}

/// The path as the system calls take it: an abstract name begins with a NUL there.
pub fn system_path(path: &Path) -> Cow<'_, Path> {
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => PathBuf::from(OsString::from_vec([b"\0", name].concat())).into(),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_says_what_to_type() {
        for (text, instead) in [
            ("8082", "[::]:8082"),
            (":8082", "[::]:8082"),
            ("*:80", "[::]:80"),
            ("127.0.0.1", "127.0.0.1:8082"),
            ("::1", "[::1]:8082"),
            ("http://localhost:80/", "localhost:80"),
            ("unix:", "unix:/run/wsrelay.sock"),
            ("unix:@", "unix:@wsrelay"),
            ("/run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(ListenAddr::parse(text).unwrap_err().instead, instead, "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(200));
        assert_eq!(ListenAddr::parse(&long).unwrap_err().instead, "unix:/run/wsrelay.sock");
    }

    #[test]
    fn everywhere_is_shown_as_loopback() {
        let shown = |text: &str| LocalAddr::Tcp(text.parse().unwrap()).to_string();
        assert_eq!(shown("[::]:8082"), "ws://127.0.0.1:8082");
        assert_eq!(shown("0.0.0.0:8082"), "ws://127.0.0.1:8082");
        assert_eq!(shown("[::1]:8082"), "ws://[::1]:8082");
        assert_eq!(shown("192.0.2.1:80"), "ws://192.0.2.1:80");
    }

    #[test]
    fn mapped_peers_are_shown_as_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:5000".parse().unwrap();
        assert_eq!(PeerAddr::from(mapped).to_string(), "192.0.2.7:5000");
    }
}
