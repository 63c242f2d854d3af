//! Counters: how many sessions are open and who asks how often, apart from the limits to that.
//!
//! The counters belong to the server and count whether there is a limit or not; the limits are in the
//! configuration, and are compared when a client asks. So a reload that changes a limit, introduces it
//! or removes it knows everyone who is there.
//!
//! The counters of a route are found by its rule (host, path, subprotocols). A route whose rule changes
//! is another route, and its own counters start at zero. Sessions of the old one, and of a route that
//! vanished, go on counting in the whole: for `--max-sessions`, and for the `--max-sessions-per-ip` of
//! all routes that have none of their own. If the old rule comes back while they are open, so do its
//! counters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::address_counts::{AddressCounts, Group};
use super::rate::RateLimiter;
use super::rule::Rule;
use crate::registry::Permits;
use crate::sync::lock;

/// What a server counts as long as it runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions by address and route. CGI requests are those of [`Group::WHOLE`].
    pub sessions: Arc<AddressCounts>,
    /// Handshakes on all routes without a `--connect-rate` of their own.
    pub rate: Arc<RateLimiter>,
    /// Wrong credentials, where requests themselves are not limited.
    pub guesses: Arc<RateLimiter>,
    routes: Mutex<RouteTable>,
}

/// What is counted of one route.
#[derive(Debug)]
pub struct RouteCounters {
    /// Its sessions in [`Counters::sessions`].
    pub group: Group,
    /// Its sessions.
    pub sessions: Arc<Permits>,
    /// Its handshakes, as long as it has a `--connect-rate` of its own.
    pub rate: Arc<RateLimiter>,
    /// Whether it had one under the last configuration that took effect; `None`: it is in none yet.
    had_own_rate: Mutex<Option<bool>>,
}

#[derive(Debug, Default)]
struct RouteTable {
    by_rule: HashMap<Rule, Arc<RouteCounters>>,
    last: Group,
}

impl Counters {
    /// The counters of the route with this rule.
    pub fn route(&self, rule: &Rule) -> Arc<RouteCounters> {
        let mut routes = lock(&self.routes);
        if let Some(known) = routes.by_rule.get(rule) {
            return known.clone();
        }
        let group = routes.last.next();
        routes.last = group;
        let (sessions, rate) = (Arc::default(), Arc::default());
        let new = RouteCounters { group, sessions, rate, had_own_rate: Mutex::default() };
        let new = Arc::new(new);
        routes.by_rule.insert(rule.clone(), new.clone());
        new
    }

    /// All groups of sessions, those of routes that are no more included; but for `own`, which are
    /// counted by themselves.
    pub fn groups(&self, own: &[Group]) -> Arc<[Group]> {
        let routes = lock(&self.routes);
        let known = routes.by_rule.values().map(|route| route.group);
        [Group::WHOLE].into_iter().chain(known.filter(|group| !own.contains(group))).collect()
    }

    /// Forgets the routes that no configuration has any more, once their last session has ended.
    pub fn forget(&self) {
        let is_in_use = |route: &mut Arc<RouteCounters>| {
            Arc::strong_count(route) > 1 || route.sessions.given() > 0
        };
        lock(&self.routes).by_rule.retain(|_, route| is_in_use(route));
    }

    /// From now on the handshakes of `route` are counted by themselves, or with those of the others. Who
    /// has asked often under the old configuration has asked often under the new one.
    pub fn separate_rate(&self, route: &RouteCounters, is_own: bool, now: Instant) {
        match (lock(&route.had_own_rate).replace(is_own), is_own) {
            (Some(false), true) => route.rate.adopt(&self.rate, now),
            (Some(true), false) => self.rate.adopt(&route.rate, now),
            _ => {}
        }
    }
}
