//! Server: binds its doors, opens them, and stops in good order.

use std::future::Future;
use std::sync::Arc;

use futures::future::join_all;

use super::certificates;
use super::config::ServerConfig;
use super::door::{Door, Service};
use super::reload::Reloader;
use super::shared::Shared;
use super::state::ServerState;
use crate::clock::timeout;
use crate::error::StartError;
use crate::net::address::{ListenAddr, LocalAddr};
use crate::net::listener::Listener;
use crate::net::lookup;
use crate::net::readiness;
use crate::net::tls::CertSource;
use crate::registry::Registry;
use crate::task::{self, JoinHandle};
use crate::text::reason;
use crate::threads;

/// A server that is bound, and accepts nothing yet.
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
    doors: Vec<Door>,
    shared: Arc<Shared>,
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
        let relay = |listener| Door { listener, has_tls: true, service: Service::Relay };
        let mut doors: Vec<_> = listeners.into_iter().map(relay).collect();
        if let Some(port) = config.redirect_port {
            let mut addrs = doors.iter().map(|door| door.listener.local_addr());
            let to = addrs.find_map(LocalAddr::connectable);
            let to = to.expect("checked with the options: TLS is spoken at a port");
            let listener = bind(&ListenAddr::Everywhere(port), "--redirect-port")?;
            doors.push(Door { listener, has_tls: false, service: Service::Redirect { to } });
        }
        Ok(Server { doors, shared: Shared::open(config)? })
    }

    /// Opens what the configuration names as [`bind`](Server::bind) does, and closes it again: nothing is
    /// bound, started, asked or written.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be used here and now, and what to do about it.
    pub fn check(mut config: ServerConfig) -> Result<(), StartError> {
        // Opening it makes an account's key, which would belong to the user who checks, not to the one who serves.
        config.tls.take_if(|tls| matches!(tls.source, CertSource::Acme(_)));
        ServerState::open(config, Registry::new(), None).map(drop)
    }

    /// The addresses that are relayed from, with the ports that the kernel chose.
    pub fn local_addrs(&self) -> Vec<LocalAddr> {
        let relays = self.doors.iter().filter(|door| door.service == Service::Relay);
        relays.map(|door| door.listener.local_addr().clone()).collect()
    }

    /// Whether TLS is spoken at these addresses.
    pub fn is_secure(&self) -> bool {
        self.shared.state.get().acceptor.is_some()
    }

    /// The addresses that can be connected to now, a line each, for whoever waits for the start.
    pub fn greeting(&self) -> String {
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        let line = |Door { listener, service, .. }: &Door| match service {
            Service::Relay => format!("listening on {}\n", listener.local_addr().url(scheme)),
            Service::Redirect { to } => {
                let from = listener.local_addr().url("http");
                format!("redirecting {from} to {}\n", LocalAddr::Tcp(*to).url("https"))
            }
        };
        self.doors.iter().map(line).collect()
    }

    /// What replaces the configuration and reads files again.
    pub fn reloader(&self) -> Reloader {
        Reloader(self.shared.clone())
    }

    /// Serves until `shutdown` completes, then closes every session with 1001 and waits for them,
    /// at most `--shutdown-timeout`. To be awaited to its end: the listeners live in tasks of their own.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Server { doors, shared } = self;
        let mut tasks: Vec<_> = doors.into_iter().map(|door| door.open(shared.clone())).collect();
        if shared.state.get().acceptor.is_some() {
            tasks.push(task::spawn(certificates::watch(shared.clone())));
        }
        shutdown.await;
        // The listeners go with their tasks: from then on connections are refused by the kernel.
        join_all(tasks.into_iter().map(JoinHandle::cancel)).await;
        let sessions = || shared.registry.permits().given();
        tracing::info!(sessions = sessions(), "stopping");
        shared.registry.stop_all();
        let limit = shared.state.get().shutdown_timeout;
        if timeout(limit, shared.registry.all_gone()).await.is_err() {
            tracing::warn!(
                sessions = sessions(),
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
