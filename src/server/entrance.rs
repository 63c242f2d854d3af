//! Entrance: what an accepted connection passes before a service has it.
//!
//! ```text
//!  accepted socket ─▶ OpenConnections ─▶ Registry ─┬───────────────────────────▶ Arrived
//!                       │ one too many: closed     └─▶ Arriving: TLS handshake ─▶
//! ```
//!
//! What a client has to send first is read by the future that is `Arriving`, within `--handshake-timeout`. A PROXY
//! protocol header is to be read there, before TLS begins: the client that it names is that of
//! the `Peer`.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::open_connections::ConnectionPermit;
use super::shared::Shared;
use super::tls_handshake;
use crate::http::{Arrived, Peer};
use crate::net::address::PeerAddr;
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::registry::Card;

/// The entrance of one listener.
#[derive(Debug)]
pub struct Entrance {
    /// Our address that they connect to; `None` for a Unix socket.
    local: Option<SocketAddr>,
    /// Whether TLS is spoken, if the server has a certificate.
    has_tls: bool,
    shared: Arc<Shared>,
}

/// How far a connection with a permit is from its service.
pub enum Entered {
    /// Nothing is to be read before a service has it.
    Arrived(Arrived),
    /// It is to be read from first; `None`: that failed, and was logged and answered.
    Arriving(BoxFuture<'static, Option<Arrived>>),
}

impl Entrance {
    /// For a listener with this address.
    pub fn new(local: Option<SocketAddr>, has_tls: bool, shared: Arc<Shared>) -> Self {
        Entrance { local, has_tls, shared }
    }

    /// Lets a connection from `addr` in; `None`: there are too many, and it is closed.
    pub fn enter(
        &self,
        io: Plain,
        addr: PeerAddr,
    ) -> Option<(Arc<Card>, ConnectionPermit, Entered)> {
        let state = self.shared.state.get();
        let http = state.http.config();
        let permit = self.shared.connections.admit(addr, state.connections, &http.trusted)?;
        let registration = self.shared.registry.register(addr.socket_addr());
        let card = registration.card.clone();
        let peer = Peer { id: card.id, addr, local: self.local, tls: None };
        let left = http.handshake_timeout;
        let entered = match state.acceptor.as_ref().filter(|_| self.has_tls) {
            None => {
                let io = ByteStream::plain(io);
                Entered::Arrived(Arrived { io, peer, left, registration })
            }
            Some(acceptor) => {
                let arriving = Arrived { io, peer, left, registration };
                Entered::Arriving(tls_handshake::accept(arriving, acceptor.clone()))
            }
        };
        Some((card, permit, entered))
    }
}
