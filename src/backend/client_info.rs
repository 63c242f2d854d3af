//! ClientInfo: what is known of a client when its backend is opened.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, Uri, Version};

use crate::net::address::PeerAddr;
use crate::net::tls::Facts;

/// A client's request and where it came from. All of it but the addresses is the client's to
/// choose.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// The number of its connection, as in the log.
    pub id: u64,
    /// The method: GET, of a WebSocket handshake.
    pub method: &'a Method,
    /// Path and query, as they were sent.
    pub uri: &'a Uri,
    /// The leading part of the URI's raw path that names the program, up to the end of a segment: ""
    /// or such as `/chat`. The rest is the program's own (RFC 3875, sections 4.1.5 and 4.1.13).
    pub script: &'a str,
    /// The version of HTTP.
    pub version: Version,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// Who connected.
    pub peer: PeerAddr,
    /// Whom a trusted proxy speaks for, if the peer is one.
    pub forwarded_for: Option<IpAddr>,
    /// Our address that it connected to; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// Whether it came by TLS, ours or a trusted proxy's.
    pub secure: bool,
    /// What its handshake with us came to, if there was one.
    pub tls: Option<&'a Facts>,
    /// The subprotocol that was chosen.
    pub subprotocol: Option<&'a str>,
    /// The name it has proved.
    pub user: Option<&'a str>,
    /// How it has proved who it is (RFC 9110, section 11.1): `Basic` or `Bearer`.
    pub auth_scheme: Option<&'static str>,
}

#[cfg(test)]
impl<'a> ClientInfo<'a> {
    /// Of a request that came through our Unix socket.
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        ClientInfo {
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
