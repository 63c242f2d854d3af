//! ServerState: what a configuration came to, open and ready for connections.

use std::sync::Arc;
use std::time::Duration;

use super::config::{ConnectionLimits, ServerConfig};
use crate::error::StartError;
use crate::http::Context;
use crate::net::tls::{Acceptor, TlsConfig};
use crate::registry::Registry;

/// What holds for connections that are accepted now. Their requests go by the `Context` of that moment.
#[derive(Debug)]
pub struct ServerState {
    /// Whether each TCP connection begins with a PROXY header.
    pub accept_proxy: bool,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// How long sessions may take to end once the server stops.
    pub shutdown_timeout: Duration,
    /// What makes TLS streams; `None` without TLS.
    pub acceptor: Option<Arc<Acceptor>>,
    /// What is served.
    pub http: Arc<Context>,
}

impl ServerState {
    /// Opens what the configuration names. What `old` has open already, and counts, is kept.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be used here and now, and what to do about it.
    pub fn open(
        config: ServerConfig,
        registry: Arc<Registry>,
        old: Option<&ServerState>,
    ) -> Result<Self, StartError> {
        let ServerConfig { tls, accept_proxy, connections, shutdown_timeout, http, .. } = config;
        let http = Context::new(http, registry, old.map(|old| &*old.http))?;
        // Last, as it may make files: the account's key of ACME.
        let acceptor = match old {
            None => tls.as_ref().map(Acceptor::open).transpose()?.map(Arc::new),
            Some(old) => old.acceptor_for(tls.as_ref())?,
        };
        let http = Arc::new(http.with_acceptor(acceptor.clone()));
        Ok(ServerState { accept_proxy, connections, shutdown_timeout, acceptor, http })
    }

    /// What makes TLS streams under a new configuration. A reload can't switch TLS on or off: the addresses were
    /// announced with it or without.
    fn acceptor_for(&self, new: Option<&TlsConfig>) -> Result<Option<Arc<Acceptor>>, StartError> {
        match (&self.acceptor, new) {
            (Some(old), Some(new)) if !old.is_of(new) => {
                Ok(Some(Arc::new(Acceptor::succeed(old, new)?)))
            }
            (old, _) => Ok(old.clone()),
        }
    }

    /// Reads all files again that the configuration names, and opens the directory of pages; false if
    /// there are none. What can't be used changes nothing, and is logged.
    pub fn reload_files(&self) -> bool {
        let any = self.http.reload_files();
        self.acceptor.iter().for_each(|acceptor| acceptor.reload());
        any || self.acceptor.is_some()
    }
}
