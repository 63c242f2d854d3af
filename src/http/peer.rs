//! Peer: the other end of a connection, before it has sent a request.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::{Request, StatusCode};

use super::gate::auth::{Identity, User};
use super::gate::forwarded::Arrival;
use super::gate::host::HostPort;
use super::refusal::Refusal;
use super::request_state::RequestState;
use super::subject::Subject;
use crate::backend::ClientFacts;
use crate::net::address::PeerAddr;
use crate::net::proxy::ProxyHeader;
use crate::net::tls::{Acceptor, Facts};

/// The other end of a connection: its addresses and the result of its TLS handshake.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The connection's number in this process.
    pub id: u64,
    /// Who connected.
    pub addr: PeerAddr,
    /// Our address that it connected to, or that of the proxy which names it; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// The result of its TLS handshake, if there was one.
    pub tls: Option<Arc<Facts>>,
    /// What its PROXY header says besides addresses, if it says anything.
    pub proxied: Option<Arc<ProxyHeader>>,
}

/// A request's origin, and the state of its answer.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The connection's other end.
    pub peer: &'a Peer,
    /// Who sent the request, as trusted proxies report it.
    pub arrival: &'a Arrival,
    /// The subject of its log lines.
    pub subject: &'a Subject,
    /// Its path, as it is logged.
    pub path: &'a str,
    /// How far its answer is.
    pub state: &'a RequestState,
}

impl Peer {
    /// Whether it speaks TLS, with us or with the proxy that names it.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.proxied.as_ref().is_some_and(|header| header.has_tls)
    }

    /// The host that it asks for, if it is a proxy that says so in place of the request: in a health check.
    pub fn authority(&self) -> Option<HostPort> {
        HostPort::parse(self.proxied.as_ref()?.authority.as_deref()?)
    }

    /// The subject of the connection's log lines.
    pub fn subject(&self) -> Subject {
        Subject { id: self.id, client: self.addr, forwarded_for: None, user: None }
    }

    /// Checks its certificate against the authorities that are trusted now (`acceptor`), which a reload may have
    /// changed since it connected.
    ///
    /// # Errors
    /// 421, which allows the client to repeat the request on another connection (RFC 9110, section 15.5.20).
    pub fn vouched_for(&self, acceptor: Option<&Acceptor>) -> Result<(), Refusal> {
        match (&self.tls, acceptor) {
            (Some(facts), Some(now)) if !now.still_vouches(facts) => {
                let why = "other client certificates are asked for since this connection began: connect again";
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, why).close())
            }
            _ => Ok(()),
        }
    }

    /// The identity that a request has proved: where its password or token has no name, that of the certificate.
    pub fn identify(&self, proved: Option<Identity>) -> Identity {
        let Identity { user, scheme } = proved.unwrap_or_default();
        Identity { user: user.or_else(|| self.certified()), scheme }
    }

    /// What a backend is told of a client. `script` is the part of the path that led to the backend.
    pub fn describe<'a, B>(
        &'a self,
        request: &'a Request<B>,
        script: &'a str,
        arrival: &'a Arrival,
        subprotocol: Option<&'a str>,
        identity: &'a Identity,
    ) -> ClientFacts<'a> {
        ClientFacts {
            id: self.id,
            method: request.method(),
            uri: request.uri(),
            script,
            version: request.version(),
            headers: request.headers(),
            peer: self.addr,
            forwarded_for: arrival.forwarded_for(self.addr),
            named_host: arrival
                .host
                .as_ref()
                .filter(|_| arrival.is_host_named)
                .map(|host| &*host.host),
            name: None,
            local: self.local,
            secure: arrival.secure,
            tls: self.tls.as_deref(),
            subprotocol,
            user: identity.user.as_deref(),
            auth_scheme: identity.scheme,
        }
    }

    /// The name in its certificate, if it has one. The proxy which names it may have verified it in our place.
    fn certified(&self) -> User {
        let own = || self.tls.as_ref()?.client.as_ref()?.cn.as_deref();
        let proxied = || self.proxied.as_ref()?.cn.as_deref();
        own().or_else(proxied).map(Arc::from)
    }
}
