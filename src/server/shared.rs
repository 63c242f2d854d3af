//! Shared: what all doors, connections and reloads of a server have in common.

use std::sync::{Arc, Mutex};

use super::config::ServerConfig;
use super::open_connections::OpenConnections;
use super::state::ServerState;
use crate::error::StartError;
use crate::http::Context;
use crate::net::address::ListenAddr;
use crate::registry::Registry;
use crate::sync::Current;

/// What all doors, connections and reloads of a server have in common.
#[derive(Debug)]
pub struct Shared {
    /// What holds for connections that are accepted now.
    pub state: Current<ServerState>,
    /// What holds for requests that come now.
    pub http: Arc<Current<Context>>,
    /// The connections, for those who look for them.
    pub registry: Arc<Registry>,
    /// The connections, counted.
    pub connections: Arc<OpenConnections>,
    /// What no reload changes.
    pub bound: Bound,
    /// Held by the one reload at a time, so that the last one asked for is the one that counts.
    pub reloading: Mutex<()>,
}

impl Shared {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// As of [`ServerState::open`].
    pub fn open(config: ServerConfig) -> Result<Arc<Self>, StartError> {
        let registry = Registry::new();
        let bound = Bound::of(&config);
        let state = ServerState::open(config, registry.clone(), None)?;
        state.http.take_over();
        Ok(Arc::new(Shared {
            http: Arc::new(Current::new(state.http.clone())),
            state: Current::new(Arc::new(state)),
            registry,
            connections: Arc::default(),
            bound,
            reloading: Mutex::default(),
        }))
    }
}

/// The part of a configuration that holds as long as the server runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Bound {
    listen: Vec<ListenAddr>,
    has_tls: bool,
    redirect_port: Option<u16>,
}

impl Bound {
    fn of(config: &ServerConfig) -> Self {
        let ServerConfig { listen, tls, redirect_port, .. } = config;
        Bound { listen: listen.clone(), has_tls: tls.is_some(), redirect_port: *redirect_port }
    }

    /// Whether a configuration has this part, too.
    pub fn is_of(&self, config: &ServerConfig) -> bool {
        *self == Bound::of(config)
    }
}
