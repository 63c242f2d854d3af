//! HttpConfig: the configuration of HTTP, checked but with nothing opened yet.

use std::path::PathBuf;
use std::time::Duration;

use super::extra::ExtraHeaders;
use super::gate::forwarded::TrustedProxies;
use super::gate::guard::GuardConfig;
use super::routes::RouteConfig;
use crate::backend::program::ProgramDir;

/// The configuration that applies to all requests.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The routes, the most specific first; not empty, and no two with the same rule.
    pub routes: Vec<RouteConfig>,
    /// The answers to plain HTTP requests.
    pub pages: PagesConfig,
    /// The rules for pages. Each route has its own.
    pub guard: GuardConfig,
    /// The proxies whose word about their clients is trusted.
    pub trusted: TrustedProxies,
    /// The operator's own headers.
    pub extra_headers: ExtraHeaders,
    /// The time limit for sending a request; for the first one from `accept` on.
    pub handshake_timeout: Duration,
    /// The time within which a plain HTTP client has to read some of its response.
    pub response_timeout: Duration,
    /// The largest size of a directory of recordings, in bytes.
    pub record_max: u64,
    /// The largest number of sessions at a time.
    pub max_sessions: usize,
}

/// The answers to requests that are no WebSocket handshakes.
#[derive(Clone, Debug, Default)]
pub struct PagesConfig {
    /// The programs, which come before files.
    pub cgi: Option<CgiConfig>,
    /// The directory whose files are served.
    pub dir: Option<PathBuf>,
    /// The paths that must not lie in that directory.
    pub private: Vec<Private>,
    /// Built-in pages for paths that the directory does not have. The first match is served.
    pub builtin: Vec<&'static [super::Page]>,
}

/// A path that must not lie in the directory of pages.
#[derive(Clone, Debug)]
pub struct Private {
    /// The option that names it.
    pub option: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Whether it is a secret, which is refused there; of programs there is only a warning.
    pub is_secret: bool,
}

/// The programs that answer requests.
#[derive(Clone, Debug)]
pub struct CgiConfig {
    /// The directory of the programs.
    pub programs: ProgramDir,
    /// How long a program may send nothing.
    pub timeout: Duration,
    /// How long the name of a client is looked up for it, if it is.
    pub resolve_clients: Option<Duration>,
}
