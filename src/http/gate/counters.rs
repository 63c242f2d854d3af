//! Counters: the open sessions and the rates of handshakes, apart from the limits.
//!
//! The counters belong to the server and count whether there is a limit or not; the limits are in the
//! configuration, and are compared at each request. So a reload that changes a limit, introduces it or removes it
//! knows everyone who is connected.
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

/// The counters of a server, which outlive its configurations.
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

/// The counters of one route.
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

    /// All groups of sessions but `own`, which are counted by themselves. Groups of removed routes are among them.
    pub fn groups(&self, own: &[Group]) -> Arc<[Group]> {
        let routes = lock(&self.routes);
        let known = routes.by_rule.values().map(|route| route.group);
        [Group::WHOLE].into_iter().chain(known.filter(|group| !own.contains(group))).collect()
    }

    /// Forgets routes that no configuration has any more and whose sessions have ended.
    pub fn forget(&self) {
        let is_in_use = |route: &mut Arc<RouteCounters>| {
            Arc::strong_count(route) > 1 || route.sessions.given() > 0
        };
        lock(&self.routes).by_rule.retain(|_, route| is_in_use(route));
    }

    /// Counts the handshakes of `route` by themselves, or with those of other routes, from now on. The handshakes of the
    /// last minutes are carried over.
    pub fn separate_rate(&self, route: &RouteCounters, is_own: bool, now: Instant) {
        match (lock(&route.had_own_rate).replace(is_own), is_own) {
            (Some(false), true) => route.rate.adopt(&self.rate, now),
            (Some(true), false) => self.rate.adopt(&route.rate, now),
            _ => {}
        }
    }
}
