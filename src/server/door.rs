//! Door: a listener, what its connections pass, and the service that they reach.
//!
//! ```text
//!  listener ─▶ entrance ─▶ service ─┬─ Relay     http::serve
//!                                   └─ Redirect  http::redirect::serve
//! ```
//!
//! A service of another kind is a function of an [`Arrived`], in a file of its own, a [`Service`] and its line in
//! [`Door::open`]; [`Server`](super::Server) binds its listener.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};

use super::entrance::{Entered, Entrance};
use super::shared::Shared;
use crate::http::{self, Arrived};
use crate::net::address::PeerAddr;
use crate::net::listener::Listener;
use crate::registry::Card;
use crate::task::{self, JoinHandle};

/// A listener and what becomes of its connections.
#[derive(Debug)]
pub struct Door {
    /// What accepts its connections.
    pub listener: Listener,
    /// Whether TLS is spoken here, if the server has a certificate.
    pub has_tls: bool,
    /// What serves them.
    pub service: Service,
}

/// What is served at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// WebSocket sessions, programs, files and pages.
    Relay,
    /// Redirects to TLS, which is spoken at this address.
    Redirect {
        /// The address of ours, of which clients are told the port.
        to: SocketAddr,
    },
}

impl Door {
    /// Accepts connections until the task is cancelled; the listener goes with it.
    ///
    /// A task in any case, as the caller may run on a thread of its own, and each connection would go from
    /// there to the executor's.
    pub fn open(self, shared: Arc<Shared>) -> JoinHandle<()> {
        let Door { listener, has_tls, service } = self;
        let http = shared.http.clone();
        let entrance = Entrance::new(listener.local_addr().clone(), has_tls, shared);
        match service {
            Service::Relay => task::spawn(accept(listener, entrance, move |arrived| {
                http::serve(arrived, http.clone())
            })),
            Service::Redirect { to } => task::spawn(accept(listener, entrance, move |arrived| {
                http::redirect::serve(arrived, to.port(), http.get())
            })),
        }
    }
}

/// Connections accepted in a row before other tasks get their turn: a flood of them must not hold up sessions.
const ACCEPTED_IN_A_ROW: usize = 64;

/// Does nothing but accept and spawn, so that no client ever waits for another.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    mut listener: Listener,
    entrance: Entrance,
    serve: impl Fn(Arrived) -> F + Clone + Send + 'static,
) {
    let mut in_a_row = 0;
    loop {
        let (io, addr) = listener.accept().await;
        in_a_row = (in_a_row + 1) % ACCEPTED_IN_A_ROW;
        if in_a_row == 0 {
            task::yield_now().await;
        }
        let Some((card, permit, entered)) = entrance.enter(io, addr) else { continue };
        match entered {
            Entered::Arrived(arrived) => task::spawn(contain(card, permit, serve(arrived))),
            Entered::Arriving(arriving) => {
                task::spawn(contain(card, permit, serve_arriving(arriving, serve.clone())))
            }
            Entered::Proxied(arriving) => {
                let serve = serve.clone();
                let serve = move |(arrived, of_address)| serve(arrived).map(|()| drop(of_address));
                task::spawn(contain(card, permit, serve_arriving(arriving, serve)))
            }
        };
    }
}

/// Serves a connection once it has arrived. Not an async function, whose future would hold `serve` to the end.
fn serve_arriving<A, F: Future<Output = ()>>(
    arriving: BoxFuture<'static, Option<A>>,
    serve: impl FnOnce(A) -> F,
) -> impl Future<Output = ()> {
    arriving.then(|arrived| OptionFuture::from(arrived.map(serve))).map(drop)
}

/// Runs a connection's task, whose panic ends itself only. It gives back the permit in any case.
///
/// Not an async function, whose future would hold the other twice: as an argument and as it runs.
fn contain(
    card: Arc<Card>,
    permit: impl Send,
    served: impl Future<Output = ()>,
) -> impl Future<Output = ()> {
    AssertUnwindSafe(served).catch_unwind().map(move |outcome| {
        let _permit = permit;
        if outcome.is_err() {
            let (id, client) = (card.id, PeerAddr::from(card.client));
            tracing::error!(id, %client, "session ended by a bug in wsrelay, please report it");
        }
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use futures::future::pending;

    use super::*;
    use crate::net::address::LocalAddr;
    use crate::net::plain::Plain;
    use crate::options::{self, Args};
    use crate::registry::Registry;

    #[test]
    fn a_panic_ends_its_own_connection_and_nothing_else() {
        let registry = Registry::new();
        let (doomed, other) = (registry.register(None), registry.register(None));
        let permit = registry.permits().admit(1);
        let card = doomed.card.clone();
        let doomed = async move {
            let _held = doomed;
            task::yield_now().await;
            panic!("as a test of what contains it");
        };
        task::block_on(contain(card, permit, doomed));
        assert_eq!(registry.permits().given(), 0);
        registry.stop_all();
        assert!(registry.all_gone().now_or_never().is_none());
        drop(other);
        task::block_on(registry.all_gone());
    }

    /// It lasts as long as its session does, so that what is held only before that is boxed.
    #[test]
    fn the_future_of_a_connection_is_small() {
        let (port, to) = (Some("0".into()), Some("localhost:7".into()));
        let config = options::config(&Args { port, to, ..Args::default() }).unwrap();
        let shared = Shared::open(config).unwrap();
        let entrance = Entrance::new(LocalAddr::Unix("".into()), true, shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, addr) = listener.accept().unwrap();
        let io = Plain::tcp(socket).unwrap();
        let (card, permit, entered) = entrance.enter(io, addr.into()).unwrap();
        let Entered::Arrived(arrived) = entered else { panic!("there is no TLS") };
        let serve = |arrived| http::serve(arrived, shared.http.clone());
        let arriving = size_of_val(&serve_arriving(pending().boxed(), serve));
        let served = serve(arrived);
        let sizes = (arriving, size_of_val(&served), size_of_val(&contain(card, permit, served)));
        assert!(sizes.0 <= 128 && sizes.1 <= 120 && sizes.2 <= 168, "{sizes:?}");
    }
}
