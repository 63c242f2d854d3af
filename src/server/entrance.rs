//! Entrance: what an accepted connection passes before a service has it.
//!
//! ```text
//!  accepted socket ─▶ OpenConnections ─▶ Registry ─┬──────────────────────────────────────────▶ Arrived
//!                       │ one too many: closed     └─▶ Arriving: PROXY header, TLS handshake ─▶
//! ```
//!
//! What a client has to send first is read by the future that is `Arriving`, within `--handshake-timeout`. The client
//! that a PROXY header names is the `Peer`; its address is counted from then on, as that of the connection is the proxy's.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::open_connections::{ClosedFor, ConnectionPermit};
use super::proxy_header;
use super::shared::Shared;
use super::state::ServerState;
use super::tls_handshake;
use crate::http::gate::address_counts::AddressPermit;
use crate::http::{Arrived, Peer};
use crate::net::address::{LocalAddr, PeerAddr};
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::net::tls::Acceptor;
use crate::registry::Card;

/// The entrance of one listener.
#[derive(Debug)]
pub struct Entrance {
    /// The listener's address.
    listener: LocalAddr,
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
    /// The same, with a PROXY header before anything else. The permit is that of the address which it names.
    Proxied(BoxFuture<'static, Option<(Arrived, Option<Box<AddressPermit>>)>>),
}

impl Entrance {
    /// For a listener with this address.
    pub fn new(listener: LocalAddr, has_tls: bool, shared: Arc<Shared>) -> Self {
        Entrance { listener, has_tls, shared }
    }

    /// Our address that this connection was made to; `None` for a Unix socket. Of a listener on all interfaces only the
    /// connection knows it.
    fn local_addr(&self, io: &Plain) -> Option<SocketAddr> {
        match &self.listener {
            LocalAddr::Tcp(addr) if addr.ip().is_unspecified() => {
                io.local_addr().or_else(|| self.listener.connectable())
            }
            listener => listener.connectable(),
        }
    }

    /// Lets a connection from `addr` in; `None`: there are too many, and it is closed.
    pub fn enter(
        &self,
        io: Plain,
        addr: PeerAddr,
    ) -> Option<(Arc<Card>, ConnectionPermit, Entered)> {
        let state = self.shared.state.get();
        let http = state.http.config();
        let takes_header = state.accept_proxy && addr != PeerAddr::Unix;
        if takes_header && !http.trusted.trusts(addr) {
            let why = "the address is none of --trust-proxy";
            self.shared.connections.report(addr, ClosedFor::NoHeader(why));
            return None;
        }
        let permit = self.shared.connections.admit(addr, state.connections, &http.trusted)?;
        let registration = self.shared.registry.register(addr.socket_addr());
        let card = registration.card.clone();
        let local = self.local_addr(&io);
        let peer = Peer { id: card.id, addr, local, tls: None, proxied: None };
        let arriving = Arrived { io, peer, left: http.handshake_timeout, registration };
        let acceptor = state.acceptor.as_ref().filter(|_| self.has_tls).cloned();
        let entered = match acceptor {
            acceptor if takes_header => {
                let shared = self.shared.clone();
                Entered::Proxied(Box::pin(arrive(arriving, state, shared, acceptor)))
            }
            None => Entered::Arrived(without_tls(arriving)),
            Some(acceptor) => Entered::Arriving(tls_handshake::accept(arriving, acceptor)),
        };
        Some((card, permit, entered))
    }
}

/// Reads the PROXY header, counts the client that it names, and does the TLS handshake where TLS is spoken.
async fn arrive(
    arriving: Arrived<Plain>,
    state: Arc<ServerState>,
    shared: Arc<Shared>,
    acceptor: Option<Arc<Acceptor>>,
) -> Option<(Arrived, Option<Box<AddressPermit>>)> {
    let proxy = arriving.peer.addr;
    let arriving = proxy_header::accept(arriving, &shared.connections).await?;
    let client = arriving.peer.addr;
    let permit = match client == proxy {
        true => None,
        false => {
            let (limits, trusted) = (state.connections, &state.http.config().trusted);
            let permit = shared.connections.admit_address(client, limits, trusted)?;
            Some(Box::new(permit))
        }
    };
    let arrived = match acceptor {
        None => without_tls(arriving),
        Some(acceptor) => tls_handshake::accept(arriving, acceptor).await?,
    };
    Some((arrived, permit))
}

/// The connection as it is, on which nothing comes before HTTP any more.
fn without_tls(arriving: Arrived<Plain>) -> Arrived {
    let Arrived { io, peer, left, registration } = arriving;
    Arrived { io: ByteStream::plain(io), peer, left, registration }
}
