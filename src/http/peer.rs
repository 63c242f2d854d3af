//! Peer: what is known of the other end of a connection before it sends a request.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::{Request, StatusCode};

use super::gate::auth::{Identity, User};
use super::gate::forwarded::Arrival;
use super::refusal::Refusal;
use super::subject::Subject;
use super::turn::Turn;
use crate::backend::ClientFacts;
use crate::net::address::PeerAddr;
use crate::net::tls::{Acceptor, Facts};

/// The other end of a connection, as its socket and its TLS handshake tell.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The connection's number in this process.
    pub id: u64,
    /// Who connected.
    pub addr: PeerAddr,
    /// Our address that it connected to; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// What its TLS handshake came to, if there was one.
    pub tls: Option<Arc<Facts>>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The connection's other end.
    pub peer: &'a Peer,
    /// How the request came.
    pub arrival: &'a Arrival,
    /// Whom log lines are about.
    pub subject: &'a Subject,
    /// The state of its answer.
    pub turn: &'a Turn,
}

impl Peer {
    /// Whom the log lines of the connection are about, before a request says more.
    pub fn subject(&self) -> Subject {
        Subject { id: self.id, client: self.addr, forwarded_for: None, user: None }
    }

    /// Whether its certificate is of those whose certificates are asked for now (`acceptor`), which may be others
    /// than when it connected.
    ///
    /// # Errors
    /// 421, upon which a client may ask again on another connection (RFC 9110, section 15.5.20).
    pub fn vouched_for(&self, acceptor: Option<&Acceptor>) -> Result<(), Refusal> {
        match (&self.tls, acceptor) {
            (Some(facts), Some(now)) if !now.still_vouches(facts) => {
                let why = "other client certificates are asked for since this connection began: connect again";
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, why).close())
            }
            _ => Ok(()),
        }
    }

    /// Who a request proves to be from: where a password or token has no name, its certificate's.
    pub fn identify(&self, proved: Option<Identity>) -> Identity {
        let Identity { user, scheme } = proved.unwrap_or_default();
        Identity { user: user.or_else(|| self.certified()), scheme }
    }

    /// What its backend may know of it: which part of the path (`script`) led there, how its request came, what
    /// subprotocol was chosen, and who it has proved to be.
    pub fn describe<'a, B>(
        &'a self,
        request: &'a Request<B>,
        script: &'a str,
        arrival: &Arrival,
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
            local: self.local,
            secure: arrival.secure,
            tls: self.tls.as_deref(),
            subprotocol,
            user: identity.user.as_deref(),
            auth_scheme: identity.scheme,
        }
    }

    /// The name that its certificate proves, if it has one.
    fn certified(&self) -> User {
        self.tls.as_ref()?.client.as_ref()?.cn.as_deref().map(Arc::from)
    }
}
