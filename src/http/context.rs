//! Context: what a configuration came to, open and ready for connections.

use std::sync::Arc;

use super::auth::Auth;
use super::cgi::Cgi;
use super::exposed;
use super::guard::Guard;
use super::routes::Routes;
use super::site::Site;
use crate::config::Config;
use crate::error::StartError;
use crate::net::tls::Acceptor;
use crate::registry::Registry;

/// What all connections share that came under the same configuration.
#[derive(Debug)]
pub struct Context {
    pub(super) config: Config,
    pub(super) routes: Routes,
    pub(super) cgi: Option<Cgi>,
    pub(super) site: Site,
    /// That of pages.
    pub(super) guard: Guard,
    pub(super) tls: Option<Arc<Acceptor>>,
    pub(super) registry: Arc<Registry>,
}

impl Context {
    /// Opens what the configuration names. What `old` has open already, and counts, is kept.
    ///
    /// # Errors
    /// If `--static-dir`, `--cgi-dir`, `--auth-file`, `--token-file` or a file of TLS can't be used, or
    /// lies where everybody can read it; or if there is no such program.
    pub fn new(
        config: Config,
        registry: Arc<Registry>,
        old: Option<&Context>,
    ) -> Result<Self, StartError> {
        exposed::check(&config)?;
        let cgi = config.pages.cgi.as_ref().map(Cgi::open).transpose()?;
        let site = Site::open(&config.pages)?;
        let known = old.map(|old| &old.guard);
        let guard = Guard::open(&config.guard, known.as_slice())?;
        let routes = Routes::open(&config.routes, &guard, old.map(|old| &old.routes))?;
        let tls = match old {
            None => config.tls.as_ref().map(Acceptor::open).transpose()?.map(Arc::new),
            Some(old) => old.tls_for(&config)?,
        };
        Ok(Context { config, routes, cgi, site, guard, tls, registry })
    }

    /// Has its limits hold from now on, for those too who came before.
    pub fn take_over(&self) {
        self.registry.permits().set_most(self.config.max_sessions);
        self.routes.take_over();
    }

    /// What makes connections encrypted ones under a new configuration. Whether TLS is spoken at all can't
    /// change: people were told so when we started.
    fn tls_for(&self, new: &Config) -> Result<Option<Arc<Acceptor>>, StartError> {
        match (&self.tls, &new.tls) {
            (Some(old), Some(new)) if !old.is_of(new) => {
                Ok(Some(Arc::new(Acceptor::succeed(old, new)?)))
            }
            (old, _) => Ok(old.clone()),
        }
    }

    /// What it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads passwords, tokens and certificates again; false if there are none.
    pub fn reload_files(&self) -> bool {
        let guards = self.routes.iter().map(|route| &route.guard).chain([&self.guard]);
        let mut all: Vec<&Arc<Auth>> = guards.filter_map(Guard::auth).collect();
        all.sort_by_key(|auth| Arc::as_ptr(auth));
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all.iter().for_each(|auth| auth.reload());
        self.tls.iter().for_each(|tls| tls.reload());
        !all.is_empty() || self.tls.is_some()
    }

    /// What makes connections encrypted ones, if they are.
    pub fn tls(&self) -> Option<&Arc<Acceptor>> {
        self.tls.as_ref()
    }
}
