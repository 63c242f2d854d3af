//! Guard: decides who may connect: by origin, rate, credentials, and sessions of the address.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header;

use super::address_counts::{AddressCounts, AddressPermit, Group};
use super::auth::{Auth, AuthFiles, Credentials, Guesses, Identity};
use super::counters::{Counters, RouteCounters};
use super::forwarded::Arrival;
use super::origin::OriginRules;
use super::rate::RateLimiter;
use crate::error::StartError;
use crate::http::refusal::Refusal;
use crate::net::address_prefix::AddressPrefix;
use crate::rate::Rate;

/// Who may connect. The default is everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardConfig {
    /// The web pages that may connect.
    pub origins: OriginRules,
    /// The file of users and passwords.
    pub auth_file: Option<PathBuf>,
    /// The file of tokens.
    pub token_file: Option<PathBuf>,
    /// Whether pages need credentials too.
    pub auth_static: bool,
    /// The largest number of sessions of one address.
    pub max_sessions_per_ip: Option<NonZeroU32>,
    /// The largest rate of handshakes of one address.
    pub connect_rate: Option<Rate>,
}

/// The rules with their opened files and their counters.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    auth: Option<Auth>,
    limits: GuardCounters,
}

/// The counters that a guard compares with its limits.
#[derive(Debug)]
pub struct GuardCounters {
    sessions: Arc<AddressCounts>,
    /// The group that its sessions are counted in.
    group: Group,
    /// The groups whose sessions are added up for the limit of an address.
    together: Arc<[Group]>,
    rate: Arc<RateLimiter>,
    guesses: Arc<RateLimiter>,
}

/// A client that may connect.
#[derive(Debug)]
pub struct Admitted {
    /// The identity that it has proved, where credentials are needed.
    pub identity: Option<Identity>,
    /// Its permit among the sessions of its address; `None` without an address.
    pub permit: Option<AddressPermit>,
}

impl GuardCounters {
    /// The counters for what belongs to no route. `together` are the groups whose sessions are added up.
    pub fn of_whole(counters: &Counters, together: &Arc<[Group]>) -> Self {
        GuardCounters {
            sessions: counters.sessions.clone(),
            group: Group::WHOLE,
            together: together.clone(),
            rate: counters.rate.clone(),
            guesses: counters.guesses.clone(),
        }
    }

    /// The counters of a route. A limit that equals the server's is counted over all such routes, another one by
    /// itself.
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
    /// Opens the files of the rules, unless they are open already.
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

    /// Decides on a handshake. The cheapest checks come first.
    ///
    /// # Errors
    /// The refusal: 403, 429, 401 or 503.
    pub async fn check(
        &self,
        credentials: Credentials<'_>,
        arrival: &Arrival,
    ) -> Result<Admitted, Refusal> {
        let origin = self.config.origins.check(credentials.headers, arrival);
        origin.map_err(|why| Refusal::new(StatusCode::FORBIDDEN, why))?;
        let prefix = arrival.client.map(AddressPrefix::from);
        if let (Some(rate), Some(prefix)) = (self.config.connect_rate, prefix) {
            let asked = self.limits.rate.ask(rate, prefix, Instant::now());
            asked.map_err(|wait| Refusal::too_often(prefix, wait))?;
        }
        let identity = match &self.auth {
            // Boxed, as few have it.
            Some(auth) => Some(Box::pin(auth.check(credentials, None)).await?),
            None => None,
        };
        self.admit(identity, prefix)
    }

    /// Decides whether a request may start a CGI program. A program has effects, so that credentials are needed
    /// wherever there are any, and an Origin has to be an allowed one. A page may need many such answers, so that only
    /// wrong credentials are rate-limited.
    ///
    /// # Errors
    /// The refusal: 403, 401, 429 or 503.
    pub async fn check_program(
        &self,
        credentials: Credentials<'_>,
        arrival: &Arrival,
    ) -> Result<Admitted, Refusal> {
        if credentials.headers.contains_key(header::ORIGIN) {
            let origin = self.config.origins.check(credentials.headers, arrival);
            origin.map_err(|why| Refusal::new(StatusCode::FORBIDDEN, why))?;
        }
        let prefix = arrival.client.map(AddressPrefix::from);
        let identity = match &self.auth {
            Some(auth) => Some(self.guess(auth, credentials, prefix).await?),
            None => None,
        };
        self.admit(identity, prefix)
    }

    /// Checks the credentials of a request that is not rate-limited itself; the rate of wrong ones is limited.
    async fn guess(
        &self,
        auth: &Auth,
        credentials: Credentials<'_>,
        prefix: Option<AddressPrefix>,
    ) -> Result<Identity, Refusal> {
        let limited = self.config.connect_rate.zip(prefix).filter(|_| auth.is_tried(credentials));
        let limiter = &self.limits.guesses;
        let guesses = limited.map(|(rate, prefix)| Guesses { limiter, rate, prefix });
        // Before the queue of passwords: a client that is refused should not wait.
        guesses.as_ref().map_or(Ok(()), Guesses::check)?;
        auth.check(credentials, guesses).await
    }

    /// Gives a permit among the sessions of the prefix.
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

    /// Decides whether a page may be read.
    ///
    /// # Errors
    /// The refusal: 401, 429 or 503.
    pub async fn check_page(
        &self,
        credentials: Credentials<'_>,
        arrival: &Arrival,
    ) -> Result<(), Refusal> {
        match &self.auth {
            Some(auth) if self.config.auth_static => {
                let prefix = arrival.client.map(AddressPrefix::from);
                self.guess(auth, credentials, prefix).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}
