//! Context: what a configuration came to, open and ready for connections.

use std::sync::Arc;

use super::config::HttpConfig;
use super::gate::counters::Counters;
use super::gate::guard::{Guard, Limits};
use super::named_files::NamedFiles;
use super::permits::Capacity;
use super::routes::{Routes, counted_together};
use super::serve::cgi::Cgi;
use super::serve::page::Pages;
use super::serve::public_dir;
use super::serve::site::Site;
use crate::error::StartError;
use crate::net::tls::Acceptor;
use crate::registry::Registry;

/// What holds for requests that come now, on whatever connection: one that was opened before a reload must be
/// no way round what the reload forbids, and a client can keep it open for as long as it likes.
#[derive(Debug)]
pub struct Context {
    pub(super) config: HttpConfig,
    pub(super) routes: Routes,
    pub(super) pages: Pages,
    pub(super) acceptor: Option<Arc<Acceptor>>,
    pub(super) capacity: Capacity,
    counters: Arc<Counters>,
    files: NamedFiles,
}

impl Context {
    /// Opens what the configuration names. What `old` has open already, and counts, is kept.
    ///
    /// # Errors
    /// If `--static-dir`, `--cgi-dir`, `--auth-file`, `--token-file` can't be used, or
    /// lies where everybody can read it; or if there is no such program.
    pub fn new(
        config: HttpConfig,
        registry: Arc<Registry>,
        old: Option<&Context>,
    ) -> Result<Self, StartError> {
        public_dir::check(&config.pages)?;
        let cgi = config.pages.cgi.as_ref().map(Cgi::open).transpose()?;
        let site = Site::open(&config.pages, old.map(|old| &old.pages.site))?;
        let counters = old.map(|old| old.counters.clone()).unwrap_or_default();
        counters.forget();
        let mut files = NamedFiles::after(old.map(|old| &old.files));
        let together = counted_together(&config.routes, &config.guard, &counters);
        let routes = Routes::open(&config.routes, &config.guard, &counters, &together, &mut files)?;
        let limits = Limits::of_whole(&counters, &together);
        let guard = Guard::open(&config.guard, limits, &mut files.auth)?;
        files.settle();
        let pages = Pages { cgi, site, guard };
        let capacity = Capacity { registry, max_sessions: config.max_sessions };
        Ok(Context { config, routes, pages, acceptor: None, capacity, counters, files })
    }

    /// The same where TLS is spoken: by `acceptor` certificates of clients are judged again at each request.
    pub fn with_acceptor(self, acceptor: Option<Arc<Acceptor>>) -> Self {
        Context { acceptor, ..self }
    }

    /// Has its rates hold from now on, for those too who have asked before.
    pub fn take_over(&self) {
        self.routes.take_over(&self.counters);
    }

    /// What it was made of.
    pub fn config(&self) -> &HttpConfig {
        &self.config
    }

    /// Reads all files again that the configuration names, and opens the directory of pages; false if
    /// there are none. What can't be used changes nothing, and is logged.
    pub fn reload_files(&self) -> bool {
        let any = self.files.reload();
        // In another directory there may be what was in none before.
        let has_pages = self.pages.site.reload(|| public_dir::check(&self.config.pages));
        any || has_pages
    }
}
