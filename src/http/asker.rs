//! Asker: whose requests are answered on a connection.

use std::net::SocketAddr;

use hyper::Request;

use super::forwarded::Arrival;
use crate::backend::ClientInfo;
use crate::log::Subject;
use crate::net::address::PeerAddr;

/// Who connected, and our address that it came to (`None` for a Unix socket).
pub type Ends = (PeerAddr, Option<SocketAddr>);

/// The client of a connection.
#[derive(Clone, Debug)]
pub struct Asker {
    /// What its log lines say of it.
    pub subject: Subject,
    /// Our address that it came to.
    pub local: Option<SocketAddr>,
}

impl Asker {
    /// What its backend may know of it: what part of its path led there, how its request came, what
    /// subprotocol was chosen, and the name it has proved.
    pub fn describe<'a, B>(
        &self,
        request: &'a Request<B>,
        script: &'a str,
        arrival: &Arrival,
        subprotocol: Option<&'a str>,
        user: Option<&'a str>,
    ) -> ClientInfo<'a> {
        ClientInfo {
            id: self.subject.id,
            method: request.method(),
            uri: request.uri(),
            script,
            headers: request.headers(),
            peer: self.subject.client,
            forwarded_for: self.subject.forwarded_for,
            local: self.local,
            secure: arrival.secure,
            subprotocol,
            user,
        }
    }
}
