//! Addresses as people type them: where to listen, and who a peer is.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lookup;

/// How long a start, a check or a reload waits for the address of a name. The system's resolver gives up a name
/// server after 5 s, and asks it, or the next one, again (resolv.conf(5)).
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// What `--listen` and `--port` stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// Every interface, IPv4 and IPv6, on this port (`--port`).
    Everywhere(u16),
    /// Exactly this address.
    Exact(SocketAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

impl ListenAddr {
    /// Reads `127.0.0.1:8082`, `[::]:8082`, `localhost:8082` or `unix:/path`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to type.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(ListenAddr::Unix);
        }
        if let Ok(addr) = text.parse() {
            return Ok(ListenAddr::Exact(addr));
        }
        let (host, port) = split_host_port(text)?;
        let found = lookup::wait(host, LOOKUP_LIMIT).map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => {
                format!("{host:?} was not resolved within {} s", LOOKUP_LIMIT.as_secs())
            }
            _ => format!("{host:?}: {e}"),
        })?;
        // Of several addresses the first is meant, as with every other server's listen option.
        let mut addr = *found.first().ok_or_else(|| format!("{host:?} has no address"))?;
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
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl LocalAddr {
    /// The address to connect to from this machine: loopback in place of "every interface".
    pub fn connectable(&self) -> Option<SocketAddr> {
        match self {
            LocalAddr::Tcp(addr) if addr.ip().is_unspecified() => {
                // An IPv6 wildcard socket takes IPv4 too, and 127.0.0.1 is what people know.
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

/// Who is at the other end of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddr {
    /// An IP address and port; IPv4 is never shown in its IPv6-mapped form.
    Ip(SocketAddr),
    /// A process on this machine, through our Unix socket.
    Unix,
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        PeerAddr::Ip(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
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

/// Splits `host:port`, `[v6]:port` into the host without brackets and the port.
///
/// # Errors
/// A sentence that says what is missing.
pub fn split_host_port(text: &str) -> Result<(&str, u16), String> {
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(format!("an address is no URL: leave out {scheme}://"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} has no port"))?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let inner = rest.strip_suffix(']').filter(|v6| v6.parse::<Ipv6Addr>().is_ok());
            inner.ok_or_else(|| format!("{host:?} is not an IPv6 address in brackets"))?
        }
        None if host.contains(':') => {
            return Err(format!("an IPv6 address needs brackets: [{host}]:{port}"));
        }
        None => host,
    };
    if host.is_empty() {
        return Err(format!("{text:?} has no host name"));
    }
    if host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(format!("{host:?} is not a host name"));
    }
    match port.parse() {
        Ok(port) => Ok((host, port)),
        Err(_) => Err(format!("{port:?} is not a port number (0 to 65535)")),
    }
}

/// Reads the path behind `unix:`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn unix_path(path: &str) -> Result<PathBuf, String> {
    // sockaddr_un holds 108 bytes with the closing NUL (unix(7)).
    const LONGEST: usize = 107;
    match path.len() {
        0 => Err("unix: needs a path, such as unix:/run/wsrelay.sock".into()),
        1..=LONGEST => Ok(Path::new(path).to_path_buf()),
        n => Err(format!("the path of a Unix socket can have {LONGEST} bytes, this one has {n}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port() {
        type Row<'a> = (&'a str, Result<(&'a str, u16), &'a str>);
        let table: &[Row<'_>] = &[
            ("localhost:7777", Ok(("localhost", 7777))),
            ("127.0.0.1:1", Ok(("127.0.0.1", 1))),
            ("[::1]:7777", Ok(("::1", 7777))),
            ("localhost", Err("has no port")),
            (":7777", Err("has no host")),
            ("::1:7777", Err("needs brackets: [::1]:7777")),
            ("[localhost]:1", Err("not an IPv6 address")),
            ("host:http", Err("not a port number")),
            ("host:65536", Err("not a port number")),
            ("http://host:80", Err("leave out http://")),
            ("tcp://[::1]:80", Err("leave out tcp://")),
            ("ws://localhost", Err("leave out ws://")),
            ("a b:80", Err("not a host name")),
        ];
        for (text, want) in table {
            match (split_host_port(text), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, *want),
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
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
