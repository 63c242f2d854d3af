//! Reloader: replaces the configuration, and reads files again, while the server runs.

use std::sync::Arc;

use super::config::ServerConfig;
use super::shared::Shared;
use super::state::ServerState;
use crate::error::StartError;
use crate::sync::lock;

/// Replaces the configuration and reads files again, and logs how that went. It may take as long as the disk.
#[derive(Clone, Debug)]
pub struct Reloader(pub(super) Arc<Shared>);

impl Reloader {
    /// Takes over the configuration that `load` comes to, read from `file`; one that is wrong, or
    /// names what can't be used, changes nothing. All files that the
    /// configuration names are read again in any case.
    pub fn reload(&self, file: &str, load: impl FnOnce() -> Result<ServerConfig, StartError>) {
        let Reloader(shared) = self;
        let _turn = lock(&shared.reloading);
        let old = shared.state.get();
        let new = load().and_then(|config| {
            let is_bound_so = shared.bound.is_of(&config);
            Ok((is_bound_so, ServerState::open(config, shared.registry.clone(), Some(&old))?))
        });
        let state = match new {
            Ok((is_bound_so, new)) => {
                if !is_bound_so {
                    tracing::warn!(
                        "port and listen (and redirect-port, and whether TLS is spoken) can't change \
                         while wsrelay runs: restart it"
                    );
                }
                let new = Arc::new(new);
                new.http.take_over();
                // First, so that no certificate which the new acceptor takes is judged by the old rules.
                shared.http.set(new.http.clone());
                shared.state.set(new.clone());
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
        let Reloader(shared) = self;
        let _turn = lock(&shared.reloading);
        if !shared.state.get().reload_files() {
            tracing::info!("SIGHUP: there is nothing to reload");
        }
    }
}
