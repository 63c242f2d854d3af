//! Guard: who is let in, decided before anything is dialled: origin, rate, credentials, sessions of the address.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

use super::address_counts::{AddressCounts, AddressPermit, Group};
use super::auth::{Auth, AuthFiles, Guesses, Identity};
use super::counters::{Counters, RouteCounters};
use super::forwarded::Arrival;
use super::origin::OriginRules;
use super::rate::{Rate, RateLimiter};
use crate::error::StartError;
use crate::http::refusal::Refusal;
use crate::net::address_prefix::AddressPrefix;

/// Who is let in. The default is everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardConfig {
    /// Which web pages may connect.
    pub origins: OriginRules,
    /// Users and passwords.
    pub auth_file: Option<PathBuf>,
    /// Tokens.
    pub token_file: Option<PathBuf>,
    /// Whether pages need credentials too.
    pub auth_static: bool,
    /// Sessions of one address at a time.
    pub max_sessions_per_ip: Option<NonZeroU32>,
    /// Handshakes of one address.
    pub connect_rate: Option<Rate>,
}

/// The rules, with the files that they name and the counters that they are held against.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    auth: Option<Auth>,
    limits: GuardCounters,
}

/// What is counted of those who ask, and where.
#[derive(Debug)]
pub struct GuardCounters {
    sessions: Arc<AddressCounts>,
    /// Where its sessions are counted.
    group: Group,
    /// With which others they count together, where an address may have so many only.
    together: Arc<[Group]>,
    rate: Arc<RateLimiter>,
    guesses: Arc<RateLimiter>,
}

/// Who was let in.
#[derive(Debug)]
pub struct Admitted {
    /// What it has proved, if that was asked for.
    pub identity: Option<Identity>,
    /// Among the sessions of its address, if it has one.
    pub permit: Option<AddressPermit>,
}

impl GuardCounters {
    /// Those of all that belongs to no route. `together` are the groups whose sessions are counted
    /// together.
    pub fn of_whole(counters: &Counters, together: &Arc<[Group]>) -> Self {
        GuardCounters {
            sessions: counters.sessions.clone(),
            group: Group::WHOLE,
            together: together.clone(),
            rate: counters.rate.clone(),
            guesses: counters.guesses.clone(),
        }
    }

    /// Those of a route: what it says as the whole does is counted over all such routes, whatever else
    /// by itself.
    pub fn of_route(
        config: &GuardConfig,
        whole: &GuardConfig,
        counters: &Counters,
        route: &RouteCounters,
        together: &Arc<[Group]>,
    ) -> Self {
        let mut limits = GuardCounters::of_whole(counters, together);
        limits.group = route.group;
        if config.max_sessions_per_ip != whole.max_sessions_per_ip {
            limits.together = [route.group].into();
        }
        if config.connect_rate != whole.connect_rate {
            limits.rate = route.rate.clone();
        }
        limits
    }
}

impl Guard {
    /// Reads the files that the rules name, but for those that are open already.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be read, or which line is wrong.
    pub fn open(
        config: &GuardConfig,
        limits: GuardCounters,
        files: &mut AuthFiles,
    ) -> Result<Self, StartError> {
        let auth = files.open(config.auth_file.as_ref(), config.token_file.as_ref())?;
        Ok(Guard { config: config.clone(), auth, limits })
    }

    /// Whether its rate is counted apart from all others.
    pub fn has_own_rate(&self, route: &RouteCounters) -> bool {
        Arc::ptr_eq(&self.limits.rate, &route.rate)
    }

    /// Whether a handshake may go on. What costs nothing is decided first.
    ///
    /// # Errors
    /// The refusal: 403, 429, 401 or 503.
    pub async fn check(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        arrival: &Arrival,
    ) -> Result<Admitted, Refusal> {
        let origin = self.config.origins.check(headers, arrival);
        origin.map_err(|why| Refusal::new(StatusCode::FORBIDDEN, why))?;
        let prefix = arrival.client.map(AddressPrefix::from);
        if let (Some(rate), Some(prefix)) = (self.config.connect_rate, prefix) {
            let asked = self.limits.rate.ask(rate, prefix, Instant::now());
            asked.map_err(|wait| Refusal::too_often(prefix, wait))?;
        }
        let identity = match &self.auth {
            Some(auth) => Some(auth.check(headers, query, None).await?),
            None => None,
        };
        self.admit(identity, prefix)
    }

    /// Whether a request may start a program that answers it. Unlike a page that does something, so
    /// that it takes credentials wherever there are any, and a page that a browser says it is from has
    /// to be one of those that may connect. A page may need many such answers: there is no rate limit but that
    /// of wrong credentials.
    ///
    /// # Errors
    /// The refusal: 403, 401, 429 or 503.
    pub async fn check_program(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        arrival: &Arrival,
    ) -> Result<Admitted, Refusal> {
        if headers.contains_key(header::ORIGIN) {
            let origin = self.config.origins.check(headers, arrival);
            origin.map_err(|why| Refusal::new(StatusCode::FORBIDDEN, why))?;
        }
        let prefix = arrival.client.map(AddressPrefix::from);
        let identity = match &self.auth {
            Some(auth) => Some(self.guess(auth, headers, query, prefix).await?),
            None => None,
        };
        self.admit(identity, prefix)
    }

    /// Credentials of a request that is not rate-limited itself: whoever was wrong too often has to wait.
    async fn guess(
        &self,
        auth: &Auth,
        headers: &HeaderMap,
        query: Option<&str>,
        prefix: Option<AddressPrefix>,
    ) -> Result<Identity, Refusal> {
        let limited =
            self.config.connect_rate.zip(prefix).filter(|_| auth.is_tried(headers, query));
        let limiter = &self.limits.guesses;
        let guesses = limited.map(|(rate, prefix)| Guesses { limiter, rate, prefix });
        // Before anything is looked at: whoever waits in vain should not wait long.
        guesses.as_ref().map_or(Ok(()), Guesses::check)?;
        auth.check(headers, query, guesses).await
    }

    /// A permit among the sessions of the prefix.
    fn admit(
        &self,
        identity: Option<Identity>,
        prefix: Option<AddressPrefix>,
    ) -> Result<Admitted, Refusal> {
        let permit = match prefix {
            Some(prefix) => {
                let GuardCounters { sessions, group, together, .. } = &self.limits;
                let most = self.config.max_sessions_per_ip;
                let permit = sessions.admit(prefix, *group, most.map(|most| (most, &**together)));
                let most = most.map_or(0, NonZeroU32::get);
                Some(permit.ok_or_else(|| Refusal::too_many_sessions_of(prefix, most))?)
            }
            None => None,
        };
        Ok(Admitted { identity, permit })
    }

    /// Whether a page may be read.
    ///
    /// # Errors
    /// The refusal: 401, 429 or 503.
    pub async fn check_page(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        arrival: &Arrival,
    ) -> Result<(), Refusal> {
        match &self.auth {
            Some(auth) if self.config.auth_static => {
                let prefix = arrival.client.map(AddressPrefix::from);
                self.guess(auth, headers, query, prefix).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}
