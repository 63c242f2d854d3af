//! Asker: whose requests are answered on a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::{Request, StatusCode};

use super::Context;
use super::gate::auth::{Identity, User};
use super::gate::forwarded::Arrival;
use super::refusal::Refusal;
use crate::backend::ClientInfo;
use crate::http::subject::Subject;
use crate::net::address::PeerAddr;
use crate::net::tls::Facts;

/// Who connected, and our address that it came to (`None` for a Unix socket).
pub type Ends = (PeerAddr, Option<SocketAddr>);

/// The client of a connection.
#[derive(Clone, Debug)]
pub struct Asker {
    /// What its log lines say of it.
    pub subject: Subject,
    /// Our address that it came to.
    pub local: Option<SocketAddr>,
    /// What its TLS handshake came to, if there was one.
    pub tls: Option<Arc<Facts>>,
}

impl Asker {
    /// Whether its certificate is of those whose certificates are asked for now, which may be others than when
    /// it connected.
    ///
    /// # Errors
    /// 421, upon which a client may ask again on another connection (RFC 9110, section 15.5.20).
    pub fn vouched_for(&self, context: &Context) -> Result<(), Refusal> {
        match (&self.tls, &context.tls) {
            (Some(facts), Some(now)) if !now.still_vouches(facts) => {
                let why = "other client certificates are asked for since this connection began: connect again";
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, why).close())
            }
            _ => Ok(()),
        }
    }

    /// What it has proved: where a password or token had no name, that of its certificate.
    pub fn identify(&self, identity: Option<Identity>) -> Identity {
        let Identity { user, scheme } = identity.unwrap_or_default();
        Identity { user: user.or_else(|| self.certified()), scheme }
    }

    /// The name that its certificate proves, if it has one.
    fn certified(&self) -> User {
        self.tls.as_ref()?.client.as_ref()?.cn.as_deref().map(Arc::from)
    }

    /// What its backend may know of it: what part of its path led there, how its request came, what
    /// subprotocol was chosen, and what it has proved.
    pub fn describe<'a, B>(
        &'a self,
        request: &'a Request<B>,
        script: &'a str,
        arrival: &Arrival,
        subprotocol: Option<&'a str>,
        identity: &'a Identity,
    ) -> ClientInfo<'a> {
        ClientInfo {
            id: self.subject.id,
            method: request.method(),
            uri: request.uri(),
            script,
            version: request.version(),
            headers: request.headers(),
            peer: self.subject.client,
            forwarded_for: self.subject.forwarded_for,
            local: self.local,
            secure: arrival.secure,
            tls: self.tls.as_deref(),
            subprotocol,
            user: identity.user.as_deref(),
            auth_scheme: identity.scheme,
        }
    }
}
