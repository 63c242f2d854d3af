//! Guard: who is let in, decided before anything is dialled: origin, rate, credentials, sessions of the address.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

use super::auth::{Auth, Guesses, Proof};
use super::forwarded::Arrival;
use super::origin::OriginRules;
use crate::error::StartError;
use crate::http::gate::address_counts::{AddressCounts, AddressPermit};
use crate::http::gate::rate::{Rate, RateLimiter};
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

/// The rules and what they need to remember.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    limiter: Option<Arc<RateLimiter>>,
    /// That of wrong credentials, where requests themselves have none.
    guesses: Option<Arc<RateLimiter>>,
    auth: Option<Arc<Auth>>,
    counts: Option<Arc<AddressCounts>>,
}

/// Who was let in.
#[derive(Debug)]
pub struct Admitted {
    /// What it has proved, if that was asked for.
    pub proof: Option<Proof>,
    /// Among the sessions of its address, if those are counted.
    pub permit: Option<AddressPermit>,
}

impl Guard {
    /// Reads the files that the rules name. Where one of `known` has the same limit or the same files,
    /// its counts and its files serve for this one too.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be read, or which line is wrong.
    pub fn open(config: &GuardConfig, known: &[&Guard]) -> Result<Self, StartError> {
        let same = |is_same: fn(&GuardConfig, &GuardConfig) -> bool| {
            known.iter().find(|guard| is_same(&guard.config, config))
        };
        let (limiter, guesses) = match same(|a, b| a.connect_rate == b.connect_rate) {
            Some(guard) => (guard.limiter.clone(), guard.guesses.clone()),
            None => {
                let limiter = || config.connect_rate.map(|rate| Arc::new(RateLimiter::new(rate)));
                (limiter(), limiter())
            }
        };
        let counts = match same(|a, b| a.max_sessions_per_ip == b.max_sessions_per_ip) {
            Some(guard) => guard.counts.clone(),
            None => config.max_sessions_per_ip.map(AddressCounts::new),
        };
        let files = |a: &GuardConfig, b: &GuardConfig| {
            (&a.auth_file, &a.token_file) == (&b.auth_file, &b.token_file)
        };
        let auth = match same(files) {
            Some(guard) => guard.auth.clone(),
            None => {
                Auth::open(config.auth_file.as_ref(), config.token_file.as_ref())?.map(Arc::new)
            }
        };
        Ok(Guard { config: config.clone(), limiter, guesses, auth, counts })
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
        if let (Some(limiter), Some(prefix)) = (&self.limiter, prefix) {
            let asked = limiter.ask(prefix, Instant::now());
            asked.map_err(|wait| Refusal::too_often(prefix, wait))?;
        }
        let proof = match &self.auth {
            Some(auth) => Some(auth.check(headers, query, None).await?),
            None => None,
        };
        self.admit(proof, prefix)
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
        let proof = match &self.auth {
            Some(auth) => Some(self.guess(auth, headers, query, prefix).await?),
            None => None,
        };
        self.admit(proof, prefix)
    }

    /// Credentials of a request that is not rate-limited itself: whoever was wrong too often has to wait.
    async fn guess(
        &self,
        auth: &Auth,
        headers: &HeaderMap,
        query: Option<&str>,
        prefix: Option<AddressPrefix>,
    ) -> Result<Proof, Refusal> {
        let limited = self.guesses.as_deref().zip(prefix).filter(|_| auth.is_tried(headers, query));
        let guesses = limited.map(|(limiter, prefix)| Guesses { limiter, prefix });
        // Before anything is looked at: whoever waits in vain should not wait long.
        guesses.as_ref().map_or(Ok(()), Guesses::check)?;
        auth.check(headers, query, guesses).await
    }

    /// A permit among the sessions of the prefix.
    fn admit(
        &self,
        proof: Option<Proof>,
        prefix: Option<AddressPrefix>,
    ) -> Result<Admitted, Refusal> {
        let permit = match (&self.counts, prefix) {
            (Some(counts), Some(prefix)) => {
                let permit = counts.admit(prefix);
                let refusal = || Refusal::too_many_sessions_of(prefix, counts.most());
                Some(permit.ok_or_else(refusal)?)
            }
            _ => None,
        };
        Ok(Admitted { proof, permit })
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

    /// The files of passwords and tokens, if there are any.
    pub fn auth(&self) -> Option<&Arc<Auth>> {
        self.auth.as_ref()
    }
}
