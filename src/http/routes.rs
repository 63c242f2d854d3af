//! Routes, opened: each with its backend, its guard and its counters.

use std::num::NonZeroU32;
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
use crate::backend::{Backends, Pool, Target};
use crate::error::StartError;
use crate::session::SessionConfig;

/// A backend, for whom it is, and what holds for its sessions.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Which requests it is for.
    pub rule: Rule,
    /// Where their sessions are relayed to.
    pub backend: Target,
    /// Who is let in.
    pub guard: GuardConfig,
    /// What is settled before the 101.
    pub handshake: HandshakeConfig,
    /// What holds after it.
    pub session: Arc<SessionConfig>,
    /// Its sessions at a time, if they are limited apart from all others.
    pub max_sessions: Option<NonZeroU32>,
}

/// The rules of the opening handshake.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// Ours, in order of preference; `None`: the client's first offer is echoed.
    pub subprotocols: Option<Vec<String>>,
    /// How clients are refused for want of a backend or capacity.
    pub refuse: Refuse,
    /// How long the backend may take to answer.
    pub connect_timeout: Duration,
}

/// How clients are refused for want of a backend or capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// By an HTTP status.
    Http,
    /// By a completed handshake and a Close 1013.
    Close,
}

/// Where the sessions of a rule go, and what holds for them.
#[derive(Debug)]
pub struct Route {
    rule: Rule,
    /// The path that it is for.
    pub path: Arc<str>,
    /// What they are relayed to.
    pub pool: Pool,
    /// Who is let in.
    pub guard: Guard,
    /// What is settled before the 101.
    pub handshake: HandshakeConfig,
    /// What holds after it.
    pub session: Arc<SessionConfig>,
    /// What is counted of it.
    pub counters: Arc<RouteCounters>,
    /// How many sessions it may have.
    pub max_sessions: usize,
}

/// All routes, the most particular first.
#[derive(Debug)]
pub struct Routes(Vec<Arc<Route>>);

/// A route that was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// Which.
    pub route: &'a Arc<Route>,
    /// How many bytes of the request's raw path led there.
    pub covered: usize,
}

/// The groups of sessions that count together for the `--max-sessions-per-ip` of the whole: all but
/// those of routes that have another.
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
    /// Opens what the routes name. `whole` is the guard of all that has none of its own.
    ///
    /// # Errors
    /// What can't be used.
    pub fn open(
        configs: &[RouteConfig],
        whole: &GuardConfig,
        counters: &Counters,
        together: &Arc<[Group]>,
        backends: &mut Backends,
        files: &mut AuthFiles,
    ) -> Result<Self, StartError> {
        let open = |config: &RouteConfig| {
            let counted = counters.route(&config.rule);
            let limits =
                GuardCounters::of_route(&config.guard, whole, counters, &counted, together);
            Ok(Arc::new(Route {
                rule: config.rule.clone(),
                path: config.rule.path.to_string().into(),
                pool: Pool::new(&config.backend, backends)?,
                guard: Guard::open(&config.guard, limits, files)?,
                handshake: config.handshake.clone(),
                session: config.session.clone(),
                counters: counted,
                max_sessions: config.max_sessions.map_or(usize::MAX, |most| most.get() as usize),
            }))
        };
        configs.iter().map(open).collect::<Result<_, _>>().map(Routes)
    }

    /// From now on these rates hold. Not before all is open: if this configuration can't be used, nothing
    /// of the old one may change.
    pub fn take_over(&self, counters: &Counters) {
        let now = Instant::now();
        for route in &self.0 {
            let is_own = route.guard.has_own_rate(&route.counters);
            counters.separate_rate(&route.counters, is_own, now);
        }
    }

    /// The most particular route for a handshake that came so, to this raw path, with these
    /// subprotocols offered.
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

    /// Whether a WebSocket could be opened there.
    pub fn has(&self, arrival: &Arrival, path: &str) -> bool {
        let fit = |route: &Arc<Route>| route.rule.fit(arrival.host.as_ref(), path, &[]);
        self.0.iter().any(|route| fit(route) != Fit::No)
    }
}
