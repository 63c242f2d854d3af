//! HttpConfig: what is served to whom, checked and opened nowhere yet.

use std::path::PathBuf;
use std::time::Duration;

use super::extra::ExtraHeaders;
use super::gate::forwarded::TrustedProxies;
use super::gate::guard::GuardConfig;
use super::routes::RouteConfig;
use crate::backend::program::ProgramDir;

/// What holds for the requests of all connections.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where sessions are relayed to, the most particular first; not empty, and no two for the same.
    pub routes: Vec<RouteConfig>,
    /// What is served to plain HTTP requests.
    pub pages: PagesConfig,
    /// Who may read pages. Routes have guards of their own.
    pub guard: GuardConfig,
    /// Whose `X-Forwarded-…` is believed.
    pub trusted: TrustedProxies,
    /// What responses say besides.
    pub extra_headers: ExtraHeaders,
    /// How long a client may take to make a request; for the first one from `accept` on.
    pub handshake_timeout: Duration,
    /// How long a plain HTTP client may take nothing of its response.
    pub response_timeout: Duration,
    /// Sessions at a time.
    pub max_sessions: usize,
}

/// What is served to requests that are no WebSocket handshakes.
#[derive(Clone, Debug, Default)]
pub struct PagesConfig {
    /// The programs that answer, before anything else.
    pub cgi: Option<CgiConfig>,
    /// The directory whose files are served.
    pub dir: Option<PathBuf>,
    /// The paths that must not lie in that directory.
    pub private: Vec<Private>,
    /// Files built into the program, for what the directory does not have. The first that fits is
    /// served.
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
    /// Where they are.
    pub programs: ProgramDir,
    /// How long one may keep silent.
    pub timeout: Duration,
}
