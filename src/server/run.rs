//! Server: binds, accepts, gives each connection a task of its own, and stops in good order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::join_all;

use super::certificates;
use super::config::ServerConfig;
use super::open_connections::OpenConnections;
use super::reload::{Reloader, Reloading};
use super::state::State;
use crate::clock::timeout;
use crate::error::StartError;
use crate::http::{self, Context};
use crate::net::address::{Ends, ListenAddr, LocalAddr, PeerAddr};
use crate::net::listener::Listener;
use crate::net::lookup;
use crate::net::readiness;
use crate::net::stream::ByteStream;
use crate::net::tls::CertSource;
use crate::registry::{Registration, Registry};
use crate::sync::Current;
use crate::task::{self, JoinHandle};
use crate::text::reason;
use crate::threads;

/// A bound relay.
///
/// ```no_run
/// # use wsrelay::{options, server::Server};
/// # let args = options::Args { port: Some("0".into()), to: Some("localhost:7777".into()), ..Default::default() };
/// let server = Server::bind(options::config(&args)?)?;
/// println!("listening on {}", server.local_addrs()[0]);
/// wsrelay::task::block_on(server.run(std::future::pending()));
/// # Ok::<(), wsrelay::error::StartError>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    redirect: Option<Redirect>,
    state: Arc<Current<State>>,
    http: Arc<Current<Context>>,
    registry: Arc<Registry>,
    reloading: Arc<Reloading>,
    connections: Arc<OpenConnections>,
}

/// A listener without TLS that sends browsers to one with it.
#[derive(Debug)]
struct Redirect {
    listener: Listener,
    to: LocalAddr,
}

impl Server {
    /// Binds every address, and opens what the configuration names.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be bound or opened, and what to do about it.
    pub fn bind(config: ServerConfig) -> Result<Self, StartError> {
        threads::start().and_then(|()| lookup::start()).map_err(|e| {
            let why = reason(&e);
            let advice = "there are too many processes, raise the limit with ulimit -u";
            StartError::Environment(format!("can't start threads: {why}: {advice}"))
        })?;
        readiness::start()
            .map_err(|e| StartError::Environment(format!("can't watch sockets: {}", reason(&e))))?;
        let listeners = config.listen.iter().map(|addr| bind(addr, "--port"));
        let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
        let redirect = match config.redirect_port {
            Some(port) => {
                let mut addrs = listeners.iter().map(Listener::local_addr);
                let to = addrs.find(|addr| addr.connectable().is_some()).cloned();
                let to = to.expect("checked with the options: TLS is spoken at a port");
                let listener = bind(&ListenAddr::Everywhere(port), "--redirect-port")?;
                Some(Redirect { listener, to })
            }
            None => None,
        };
        let registry = Registry::new();
        let reloading = Arc::new(Reloading::new(&config));
        let state = State::open(config, registry.clone(), None)?;
        state.http.take_over();
        let http = Arc::new(Current::new(state.http.clone()));
        let state = Arc::new(Current::new(Arc::new(state)));
        let connections = Arc::default();
        Ok(Server { listeners, redirect, state, http, registry, reloading, connections })
    }

    /// Opens what the configuration names as [`bind`](Server::bind) does, and closes it again: nothing is
    /// bound, started, asked or written.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be used here and now, and what to do about it.
    pub fn check(mut config: ServerConfig) -> Result<(), StartError> {
        // To open it is to make an account's key, as whoever checks, who may be another than who serves.
        config.tls.take_if(|tls| matches!(tls.source, CertSource::Acme(_)));
        State::open(config, Registry::new(), None).map(drop)
    }

    /// The addresses bound, with the ports that the kernel chose.
    pub fn local_addrs(&self) -> Vec<LocalAddr> {
        self.listeners.iter().map(|listener| listener.local_addr().clone()).collect()
    }

    /// Whether TLS is spoken there.
    pub fn is_secure(&self) -> bool {
        self.state.get().acceptor.is_some()
    }

    /// What tells whoever waits for it that the server can be connected to: a line for each address.
    pub fn greeting(&self) -> String {
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        let addrs = self.listeners.iter().map(Listener::local_addr);
        let listening = addrs.map(|addr| format!("listening on {}\n", addr.url(scheme)));
        let redirecting = self.redirect.iter().map(|Redirect { listener, to }| {
            let from = listener.local_addr().url("http");
            format!("redirecting {from} to {}\n", to.url("https"))
        });
        listening.chain(redirecting).collect()
    }

    /// What reads again what may have changed.
    pub fn reloader(&self) -> Reloader {
        Reloader {
            state: self.state.clone(),
            http: self.http.clone(),
            registry: self.registry.clone(),
            reloading: self.reloading.clone(),
        }
    }

    /// Serves until `shutdown` completes, then closes every session with 1001 and waits for them,
    /// at most `--shutdown-timeout`. To be awaited to its end: the listeners live in tasks of their own.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        // Tasks, as whoever calls us may run on a thread of his own, and each connection would go from
        // there to the executor's.
        let entrance = Entrance {
            connections: self.connections,
            state: self.state.clone(),
            http: self.http,
            registry: self.registry.clone(),
        };
        let mut accepting: Vec<_> = self
            .listeners
            .into_iter()
            .map(|listener| accept(listener, entrance.clone(), http::serve))
            .map(task::spawn)
            .collect();
        if let Some(Redirect { listener, to }) = self.redirect {
            let port = to.connectable().map_or(443, |addr| addr.port());
            let serve = move |io, ends, current: Arc<Current<Context>>, registration| {
                http::redirect::serve(io, ends, port, current.get(), registration)
            };
            accepting.push(task::spawn(accept(listener, entrance, serve)));
        }
        if self.state.get().acceptor.is_some() {
            accepting.push(task::spawn(certificates::watch(self.state.clone())));
        }
        shutdown.await;
        // The listeners go with their tasks: from then on connections are refused by the kernel.
        join_all(accepting.into_iter().map(JoinHandle::cancel)).await;
        let sessions = self.registry.permits().given();
        tracing::info!(sessions, "stopping");
        self.registry.stop_all();
        let limit = self.state.get().shutdown_timeout;
        if timeout(limit, self.registry.all_gone()).await.is_err() {
            let sessions = self.registry.permits().given();
            tracing::warn!(
                sessions,
                "stopped with sessions still open: --shutdown-timeout is over"
            );
        }
    }
}

/// Binds an address; `option` is the one that gives a port.
fn bind(addr: &ListenAddr, option: &str) -> Result<Listener, StartError> {
    Listener::bind(addr).map_err(|error| match addr {
        // The usual advice is about ports.
        ListenAddr::Unix(_) => {
            StartError::Environment(format!("can't listen on {addr}: {}", reason(&error)))
        }
        _ => StartError::cannot_listen(addr, option, &error),
    })
}

/// What each connection passes before it is served, at whatever listener.
#[derive(Clone)]
struct Entrance {
    connections: Arc<OpenConnections>,
    state: Arc<Current<State>>,
    http: Arc<Current<Context>>,
    registry: Arc<Registry>,
}

/// Does nothing but accept and spawn, so that no client ever waits for another.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    mut listener: Listener,
    Entrance { connections, state, http, registry }: Entrance,
    serve: impl Fn(ByteStream, Ends, Arc<Current<Context>>, Registration) -> F,
) {
    let local = listener.local_addr().connectable();
    loop {
        let (io, peer) = listener.accept().await;
        let now = state.get();
        let trusted = &now.http.config().trusted;
        let Some(permit) = connections.admit(peer, now.connections, trusted) else { continue };
        let registration = registry.register(peer.socket_addr());
        let id = registration.card.id;
        let served = serve(io, (peer, local), http.clone(), registration);
        task::spawn(contain(id, peer, permit, served));
    }
}

/// Runs a connection's task, whose panic ends itself only. It gives back the permit in any case.
///
/// Not an async function, whose future would hold the other twice: as an argument and as it runs.
fn contain(
    id: u64,
    client: PeerAddr,
    permit: impl Send,
    served: impl Future<Output = ()>,
) -> impl Future<Output = ()> {
    AssertUnwindSafe(served).catch_unwind().map(move |outcome| {
        let _permit = permit;
        if outcome.is_err() {
            tracing::error!(id, %client, "session ended by a bug in wsrelay, please report it");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_takes_its_own_connection_off_the_books_and_nothing_else() {
        let registry = Registry::new();
        let (doomed, other) = (registry.register(None), registry.register(None));
        let permit = registry.permits().admit(1);
        let doomed = async move {
            let _held = doomed;
            task::yield_now().await;
            panic!("as a test of what contains it");
        };
        task::block_on(contain(1, PeerAddr::Unix, permit, doomed));
        assert_eq!(registry.permits().given(), 0);
        registry.stop_all();
        assert!(registry.all_gone().now_or_never().is_none());
        drop(other);
        task::block_on(registry.all_gone());
    }
}
