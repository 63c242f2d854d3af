//! ClientInfo: what is known of a client when its backend is opened.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, Uri};

use crate::net::address::PeerAddr;
use crate::net::tls::Facts;

/// A client's request and where it came from. All of it but the addresses is the client's to
/// choose.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// The number of its connection, as in the log.
    pub id: u64,
    /// The method: GET.
    pub method: &'a Method,
    /// Path and query, as they were sent.
    pub uri: &'a Uri,
    /// The leading part of the URI's raw path that names the program, up to the end of a segment: ""
    /// or such as `/chat`. The rest is the program's own (RFC 3875, sections 4.1.5 and 4.1.13).
    pub script: &'a str,
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
}
