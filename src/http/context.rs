//! Context: a configuration with its files and routes opened, ready for requests.

use std::sync::Arc;

use hyper::Request;

use super::config::HttpConfig;
use super::gate::auth::AuthFiles;
use super::gate::counters::Counters;
use super::gate::guard::{Guard, GuardCounters};
use super::permits::Capacity;
use super::routes::{Routes, counted_together};
use super::serve::cgi::Cgi;
use super::serve::page::Pages;
use super::serve::public_dir;
use super::serve::site::Site;
use super::subject::logged_path;
use crate::backend::Backends;
use crate::error::StartError;
use crate::net::tls::Acceptor;
use crate::record::Recorders;
use crate::registry::Registry;

/// The state that requests are answered by. Each request takes the current one, on old connections too: a client can
/// keep a connection open across a reload, and what the reload forbids must not be allowed there.
#[derive(Debug)]
pub struct Context {
    pub(super) config: HttpConfig,
    pub(super) routes: Routes,
    pub(super) pages: Pages,
    pub(super) acceptor: Option<Arc<Acceptor>>,
    pub(super) capacity: Capacity,
    counters: Arc<Counters>,
    backends: Backends,
    files: AuthFiles,
    recorders: Recorders,
}

impl Context {
    /// Opens the files and routes of a configuration. What `old` has opened or counted is kept.
    ///
    /// # Errors
    /// If `--static-dir`, `--cgi-dir`, `--auth-file`, `--token-file` or `--record` can't be used or lies in a public directory,
    /// or a program does not exist.
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
        let mut backends = Backends::after(old.map(|old| &old.backends));
        let mut files = AuthFiles::after(old.map(|old| &old.files));
        let mut recorders = Recorders::after(old.map(|old| &old.recorders));
        let together = counted_together(&config.routes, &config.guard, &counters);
        let routes = Routes::open(
            &config.routes,
            &config.guard,
            &counters,
            &together,
            &mut backends,
            &mut files,
            &mut recorders,
        )?;
        let limits = GuardCounters::of_whole(&counters, &together);
        let guard = Guard::open(&config.guard, limits, &mut files)?;
        backends.settle();
        files.settle();
        recorders.settle(config.record_max);
        let pages = Pages { cgi, site, guard };
        let capacity = Capacity { registry, max_sessions: config.max_sessions };
        Ok(Context {
            config,
            routes,
            pages,
            acceptor: None,
            capacity,
            counters,
            backends,
            files,
            recorders,
        })
    }

    /// Adds the acceptor of TLS, which checks client certificates again at each request.
    pub fn with_acceptor(self, acceptor: Option<Arc<Acceptor>>) -> Self {
        Context { acceptor, ..self }
    }

    /// Applies its rate limits, also to clients that were counted under the configuration before.
    pub fn take_over(&self) {
        self.routes.take_over(&self.counters);
    }

    /// The path of a request for the log, without the token that it may have.
    pub(super) fn logged_path<B>(&self, request: &Request<B>) -> String {
        logged_path(request, self.routes.open_part(request.uri().path()))
    }

    /// Its configuration.
    pub fn config(&self) -> &HttpConfig {
        &self.config
    }

    /// Reads all files of the configuration again, and opens the directory of pages again; false if there are none.
    /// A file that can't be used is logged and changes nothing.
    pub fn reload_files(&self) -> bool {
        let has_auth = self.files.reload();
        let has_authorities = self.backends.reload();
        // In another directory there may be what was in none before.
        let has_pages = self.pages.site.reload(|| public_dir::check(&self.config.pages));
        has_auth || has_authorities || has_pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gate::forwarded::Arrival;
    use crate::options::{self, Typed};

    fn config(line: &str) -> HttpConfig {
        let typed: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let Typed::Run(args) = options::parse(&typed).unwrap() else { panic!("{line}") };
        options::config(&args).unwrap().http
    }

    #[test]
    fn a_reload_keeps_the_backends_of_unchanged_targets() {
        let registry = Registry::new();
        let open = |line, old| Context::new(config(line), registry.clone(), old).unwrap();
        let old = open("--port 1 --route /a=h:1 --route /b=h:2 --route /c=h:1", None);
        let new = open("--port 1 --route /a=h:3 --route /d=h:2 --eol crlf", Some(&old));
        let pool = |context: &Context, path: &str| {
            let arrival = Arrival { client: None, host: None, is_host_named: false, secure: false };
            context.routes.find(&arrival, path, &[]).unwrap().route.clone()
        };
        assert!(pool(&old, "/a").pool.is(&pool(&old, "/c").pool), "two routes, one target");
        assert!(pool(&old, "/b").pool.is(&pool(&new, "/d").pool), "h:2, of another route");
        assert!(!pool(&old, "/a").pool.is(&pool(&new, "/a").pool), "h:1 became h:3");
    }
}
