//! Reloader: replaces the configuration, and reads files again, while the server runs.

use std::sync::{Arc, Mutex};

use super::config::ServerConfig;
use super::state::State;
use crate::error::StartError;
use crate::http::Context;
use crate::net::address::ListenAddr;
use crate::registry::Registry;
use crate::sync::{Current, lock};

/// Reads again what may have changed, and logs how that went. It may take as long as the disk.
#[derive(Clone, Debug)]
pub struct Reloader {
    pub(super) state: Arc<Current<State>>,
    pub(super) http: Arc<Current<Context>>,
    pub(super) registry: Arc<Registry>,
    pub(super) reloading: Arc<Reloading>,
}

/// What all reloads of a server share.
#[derive(Debug)]
pub struct Reloading {
    /// Held by the one reload at a time, so that the last one asked for is the one that counts.
    turn: Mutex<()>,
    bound: Bound,
}

/// The part of a configuration that no reload changes.
#[derive(Debug, PartialEq, Eq)]
struct Bound {
    listen: Vec<ListenAddr>,
    has_tls: bool,
    redirect_port: Option<u16>,
}

impl Bound {
    fn of(config: &ServerConfig) -> Self {
        let ServerConfig { listen, tls, redirect_port, .. } = config;
        Bound { listen: listen.clone(), has_tls: tls.is_some(), redirect_port: *redirect_port }
    }
}

impl Reloading {
    /// For a server that was bound with this configuration.
    pub fn new(config: &ServerConfig) -> Self {
        Reloading { turn: Mutex::default(), bound: Bound::of(config) }
    }
}

impl Reloader {
    /// Takes over the configuration that `load` comes to, read from `file`; one that is wrong, or
    /// names what can't be used, changes nothing. All files that the
    /// configuration names are read again in any case.
    pub fn reload(&self, file: &str, load: impl FnOnce() -> Result<ServerConfig, StartError>) {
        let _turn = lock(&self.reloading.turn);
        let old = self.state.get();
        let new = load().and_then(|config| {
            let bound = Bound::of(&config);
            Ok((bound, State::open(config, self.registry.clone(), Some(&old))?))
        });
        let state = match new {
            Ok((bound, new)) => {
                if bound != self.reloading.bound {
                    tracing::warn!(
                        "port and listen (and redirect-port, and whether TLS is spoken) can't change \
                         while wsrelay runs: restart it"
                    );
                }
                let new = Arc::new(new);
                self.take_over(new.clone());
                tracing::info!(file, "reloaded");
                new
            }
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(file, why, "not reloaded: the old configuration is kept");
                old
            }
        };
        state.reload_files();
    }

    /// Reads all files again that the command line names, where there is no configuration file.
    pub fn reload_files(&self) {
        let _turn = lock(&self.reloading.turn);
        if !self.state.get().reload_files() {
            tracing::info!("SIGHUP: there is nothing to reload");
        }
    }

    fn take_over(&self, new: Arc<State>) {
        new.http.take_over();
        // First, so that no certificate which the new acceptor takes is judged by the old rules.
        self.http.set(new.http.clone());
        self.state.set(new);
    }
}
