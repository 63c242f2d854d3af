//! Routes: each with its backend, its guard and its counters.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;

use super::gate::address_counts::Group;
use super::gate::auth::AuthFiles;
use super::gate::counters::{Counters, RouteCounters};
use super::gate::forwarded::Arrival;
use super::gate::guard::{Guard, GuardConfig, GuardCounters};
use super::gate::rule::{Fit, Rule};
use super::refusal::Refusal;
use super::subprotocols::Subprotocols;
use crate::backend::{Backends, Pool, ProxyProtocol, Target};
use crate::error::StartError;
use crate::record::{Recorder, Recorders};
use crate::session::SessionConfig;

/// The configuration of a route: its rule, its backend and its options.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// The requests that it applies to.
    pub rule: Rule,
    /// The backend.
    pub backend: Target,
    /// The header that each connection to it begins with.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who may connect.
    pub guard: GuardConfig,
    /// The options of the opening handshake.
    pub handshake: HandshakeConfig,
    /// The options of the session.
    pub session: Arc<SessionConfig>,
    /// The directory that its sessions are recorded into.
    pub record: Option<PathBuf>,
    /// Its own limit of sessions, if it has one.
    pub max_sessions: Option<NonZeroU32>,
}

/// The options of the opening handshake.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// The subprotocols that can be chosen.
    pub subprotocols: Subprotocols,
    /// How clients are refused for lack of a backend or capacity.
    pub refuse: Refuse,
    /// The time limit for connecting to the backend.
    pub connect_timeout: Duration,
    /// When the client's name is looked up, within the same limit.
    pub resolve_clients: ResolveClients,
}

/// When a client's name is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveClients {
    /// Never, or nobody is told it.
    Never,
    /// While the backend is connected to.
    WhileConnecting,
    /// Before a program is started, which gets it in its environment.
    First,
}

/// How clients are refused for lack of a backend or capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// With an HTTP status.
    Http,
    /// With a completed handshake and a Close 1013.
    Close,
}

/// An opened route.
#[derive(Debug)]
pub struct Route {
    rule: Rule,
    /// The path of its rule.
    pub path: Arc<str>,
    /// Its backend.
    pub pool: Pool,
    /// Whether a token of the request chooses the server.
    is_by_token: bool,
    /// Who may connect.
    pub guard: Guard,
    /// The options of the opening handshake.
    pub handshake: HandshakeConfig,
    /// The options of the session.
    pub session: Arc<SessionConfig>,
    /// What records its sessions.
    pub recorder: Option<Arc<Recorder>>,
    /// Its counters.
    pub counters: Arc<RouteCounters>,
    /// The largest number of its sessions.
    pub max_sessions: usize,
}

/// All routes, the most specific first.
#[derive(Debug)]
pub struct Routes(Vec<Arc<Route>>);

/// The route of a request.
#[derive(Debug)]
pub struct Found<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The length of the part of the raw path that the rule matched, in bytes.
    pub covered: usize,
}

/// The groups of sessions that the server's `--max-sessions-per-ip` counts together: all but those of routes with
/// another limit.
pub fn counted_together(
    configs: &[RouteConfig],
    whole: &GuardConfig,
    counters: &Counters,
) -> Arc<[Group]> {
    let is_own =
        |config: &&RouteConfig| config.guard.max_sessions_per_ip != whole.max_sessions_per_ip;
    let (own, others): (Vec<_>, Vec<_>) = configs.iter().partition(is_own);
    let group = |config: &RouteConfig| counters.route(&config.rule).group;
    // Those that are new have to be known, too.
    others.into_iter().map(group).for_each(drop);
    let own: Vec<_> = own.into_iter().map(group).collect();
    counters.groups(&own)
}

impl Routes {
    /// Opens the routes. `whole` is the server's own guard.
    ///
    /// # Errors
    /// If a file or program can't be used.
    pub fn open(
        configs: &[RouteConfig],
        whole: &GuardConfig,
        counters: &Counters,
        together: &Arc<[Group]>,
        backends: &mut Backends,
        files: &mut AuthFiles,
        recorders: &mut Recorders,
    ) -> Result<Self, StartError> {
        let open = |config: &RouteConfig| {
            let counted = counters.route(&config.rule);
            let limits =
                GuardCounters::of_route(&config.guard, whole, counters, &counted, together);
            Ok(Arc::new(Route {
                rule: config.rule.clone(),
                path: config.rule.path.to_string().into(),
                is_by_token: config.backend.is_by_token(),
                pool: Pool::new(&config.backend, config.proxy_protocol, backends)?,
                guard: Guard::open(&config.guard, limits, files)?,
                handshake: config.handshake.clone(),
                session: config.session.clone(),
                recorder: config.record.as_ref().map(|dir| recorders.get(dir)).transpose()?,
                counters: counted,
                max_sessions: config.max_sessions.map_or(usize::MAX, |most| most.get() as usize),
            }))
        };
        configs.iter().map(open).collect::<Result<_, _>>().map(Routes)
    }

    /// Applies the rate limits of these routes. Only after everything is open: a configuration that can't be used must
    /// not change the old one.
    pub fn take_over(&self, counters: &Counters) {
        let now = Instant::now();
        for route in &self.0 {
            let is_own = route.guard.has_own_rate(&route.counters);
            counters.separate_rate(&route.counters, is_own, now);
        }
    }

    /// Finds the most specific route for a handshake, by its host, raw path and offered subprotocols.
    ///
    /// # Errors
    /// 404, if there is none.
    pub fn find(
        &self,
        arrival: &Arrival,
        path: &str,
        offers: &[String],
    ) -> Result<Found<'_>, Refusal> {
        let mut missed = None;
        for route in &self.0 {
            match route.rule.fit(arrival.host.as_ref(), path, offers) {
                Fit::Yes(covered) => return Ok(Found { route, covered }),
                Fit::ButForSubprotocol => missed = missed.or(route.rule.subprotocols.as_deref()),
                Fit::No => {}
            }
        }
        let why = match missed {
            Some(names) => format!("offer the subprotocol {} here", names.join(" or ")),
            None => "there is nothing at this path".into(),
        };
        Err(Refusal::new(StatusCode::NOT_FOUND, why))
    }

    /// The length of the part of this raw path that is no secret, if the rest may be a token. It is that of the route,
    /// of all that may be the request's: one that is refused may have none yet.
    pub fn open_part(&self, path: &str) -> Option<usize> {
        let by_token = self.0.iter().filter(|route| route.is_by_token);
        let covered = by_token.filter_map(|route| Some((route, route.rule.path.covers(path)?)));
        let open = covered.filter(|(route, covered)| {
            // One with a host of its own comes before others with longer paths.
            route.rule.host.is_some() || !self.goes_further(path, *covered)
        });
        open.map(|(_, covered)| covered).min()
    }

    /// Whether a route for all hosts and clients covers more of a raw path than this number of bytes.
    fn goes_further(&self, path: &str, than: usize) -> bool {
        self.0.iter().any(|route| {
            let rule = &route.rule;
            let is_for_all = rule.host.is_none() && rule.subprotocols.is_none();
            is_for_all && rule.path.covers(path).is_some_and(|covered| covered > than)
        })
    }

    /// Whether there is a route for this raw path.
    pub fn has(&self, arrival: &Arrival, path: &str) -> bool {
        let fit = |route: &Arc<Route>| route.rule.fit(arrival.host.as_ref(), path, &[]);
        self.0.iter().any(|route| fit(route) != Fit::No)
    }
}
