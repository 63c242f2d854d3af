//! Routes, opened: each with its backend, its guard and its share of sessions.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;

use super::gate::forwarded::Arrival;
use super::gate::guard::{Guard, GuardConfig};
use super::gate::rule::{Fit, Rule};
use super::refusal::Refusal;
use crate::backend::{Backend, Connector};
use crate::error::StartError;
use crate::registry::Permits;
use crate::session::SessionConfig;

/// A backend, for whom it is, and what holds for its sessions.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// Which requests it is for.
    pub rule: Rule,
    /// Where their sessions are relayed to.
    pub backend: Backend,
    /// Who is let in.
    pub guard: GuardConfig,
    /// What is settled before the 101.
    pub handshake: HandshakeConfig,
    /// What holds after it.
    pub session: Arc<SessionConfig>,
    /// Its sessions at a time, if they are counted apart from all others.
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
    /// What they are relayed to.
    pub connector: Connector,
    /// Who is let in.
    pub guard: Guard,
    /// What is settled before the 101.
    pub handshake: HandshakeConfig,
    /// What holds after it.
    pub session: Arc<SessionConfig>,
    /// Its sessions, if they are counted apart from all others.
    pub permits: Option<Arc<Permits>>,
    max_sessions: Option<NonZeroU32>,
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

impl Routes {
    /// Opens what the routes name. What they have in common with `shared`, or with the route of the
    /// same rule in `old`, is not opened again: an address is counted once, whichever route it
    /// takes, and goes on being counted when the configuration changes.
    ///
    /// # Errors
    /// What can't be used.
    pub fn open(
        configs: &[RouteConfig],
        shared: &Guard,
        old: Option<&Routes>,
    ) -> Result<Self, StartError> {
        let open = |config: &RouteConfig| {
            let old = old.and_then(|old| old.0.iter().find(|route| route.rule == config.rule));
            let known: Vec<&Guard> =
                [shared].into_iter().chain(old.map(|route| &route.guard)).collect();
            let known_permits = old.and_then(|route| route.permits.clone());
            let permits = config
                .max_sessions
                .map(|most| known_permits.unwrap_or_else(|| Permits::new(most.get() as usize)));
            Ok(Arc::new(Route {
                rule: config.rule.clone(),
                connector: Connector::new(config.backend.clone())?,
                guard: Guard::open(&config.guard, &known)?,
                handshake: config.handshake.clone(),
                session: config.session.clone(),
                permits,
                max_sessions: config.max_sessions,
            }))
        };
        configs.iter().map(open).collect::<Result<_, _>>().map(Routes)
    }

    /// From now on these limits hold. Not before all is open: those who are counted are counted under
    /// the old configuration too, of which nothing may change if this one can't be used.
    pub fn take_over(&self) {
        for route in &self.0 {
            if let (Some(permits), Some(most)) = (&route.permits, route.max_sessions) {
                permits.set_most(most.get() as usize);
            }
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

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.0.iter()
    }
}
