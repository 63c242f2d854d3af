//! ClientFacts: what is known about a client when its backend is opened.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, Method, Uri, Version, header};

use crate::net::address::PeerAddr;
use crate::net::tls::Facts;

/// A client's request, and where it came from. The client can choose everything except the addresses and what it has
/// proved.
#[derive(Clone, Copy, Debug)]
pub struct ClientFacts<'a> {
    /// The ID of its connection, as in the log.
    pub id: u64,
    /// The method: GET, of a WebSocket handshake.
    pub method: &'a Method,
    /// The path and query, as sent.
    pub uri: &'a Uri,
    /// The first part of the URI's raw path, which led to the route or program: "", or whole segments such as `/chat`.
    /// The rest is PATH_INFO (RFC 3875, sections 4.1.5 and 4.1.13).
    pub script: &'a str,
    /// The HTTP version.
    pub version: Version,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The other end of the connection.
    pub peer: PeerAddr,
    /// The client's address, if the peer is a trusted proxy.
    pub forwarded_for: Option<IpAddr>,
    /// Our address that the peer connected to; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// Whether the request came over TLS, ours or that of a trusted proxy.
    pub secure: bool,
    /// The facts of the TLS handshake with us, if there was one.
    pub tls: Option<&'a Facts>,
    /// The subprotocol that was chosen.
    pub subprotocol: Option<&'a str>,
    /// The name that it has proved.
    pub user: Option<&'a str>,
    /// The authentication scheme (RFC 9110, section 11.1): `Basic` or `Bearer`.
    pub auth_scheme: Option<&'static str>,
}

impl ClientFacts<'_> {
    /// The client's address: the one that a trusted proxy named, with the port 0, or the peer's. `None` for a client at
    /// our Unix socket.
    pub fn source(&self) -> Option<SocketAddr> {
        match (self.forwarded_for, self.peer) {
            // The known port is that of the proxy.
            (Some(ip), _) => Some(SocketAddr::new(ip, 0)),
            (None, PeerAddr::Ip(addr)) => Some(addr),
            (None, PeerAddr::Unix) => None,
        }
    }

    /// The host that the client asked for, without its port; `None` if there is none, or it is not valid. The target's
    /// host counts before the header (RFC 9112, section 3.2.2).
    pub fn host(&self) -> Option<String> {
        let in_header = || {
            let host = self.headers.get(header::HOST)?.to_str().ok()?;
            host.parse().ok().map(|authority: Authority| authority.host().to_owned())
        };
        let asked = self.uri.host().map(str::to_owned).or_else(in_header);
        asked.filter(|host| !host.is_empty())
    }
}

#[cfg(test)]
impl<'a> ClientFacts<'a> {
    /// The facts about a request that came through our Unix socket.
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        ClientFacts {
            id: 1,
            method: request.method(),
            uri: request.uri(),
            script: "",
            version: request.version(),
            headers: request.headers(),
            peer: PeerAddr::Unix,
            forwarded_for: None,
            local: None,
            secure: false,
            tls: None,
            subprotocol: None,
            user: None,
            auth_scheme: None,
        }
    }
}
