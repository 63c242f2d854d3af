//! Guard: who is let in, decided before anything is dialled: origin, pace, credentials, share.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::auth::{Auth, User};
use super::fairness::{Household, Pace, Place, Shares};
use super::forwarded::{Arrival, TrustedProxies};
use super::origin::OriginRules;
use super::refusal::Refusal;
use crate::config::GuardConfig;
use crate::error::StartError;
use crate::net::address::PeerAddr;
use crate::sync::lock;

/// The rules and what they need to remember.
#[derive(Debug)]
pub struct Guard {
    trusted: TrustedProxies,
    origins: OriginRules,
    pace: Option<Pace>,
    auth: Option<Auth>,
    auth_static: bool,
    shares: Option<Arc<Shares>>,
    reloading: Mutex<()>,
}

/// Who was let in.
#[derive(Debug)]
pub struct Guest {
    /// By what name, if one was asked for.
    pub user: User,
    /// Among the sessions of its address, if those are counted.
    pub place: Option<Place>,
}

impl Guard {
    /// Reads the files that the rules name.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be read, or which line is wrong.
    pub fn open(config: &GuardConfig) -> Result<Self, StartError> {
        Ok(Guard {
            trusted: config.trusted.clone(),
            origins: config.origins.clone(),
            pace: config.connect_rate.map(Pace::new),
            auth: Auth::open(config.auth_file.as_ref(), config.token_file.as_ref())?,
            auth_static: config.auth_static,
            shares: config.max_sessions_per_ip.map(Shares::new),
            reloading: Mutex::default(),
        })
    }

    /// How a request of this peer came, as far as it can be believed.
    pub fn arrival(&self, headers: &HeaderMap, peer: PeerAddr) -> Arrival {
        self.trusted.arrival(headers, peer)
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
    ) -> Result<Guest, Refusal> {
        let origin = self.origins.check(headers, arrival);
        origin.map_err(|why| Refusal::new(StatusCode::FORBIDDEN, why))?;
        let household = arrival.client.map(Household::from);
        if let (Some(pace), Some(household)) = (&self.pace, household) {
            let asked = pace.ask(household, Instant::now());
            asked.map_err(|wait| Refusal::too_often(household, wait))?;
        }
        let user = match &self.auth {
            Some(auth) => auth.check(headers, query).await?,
            None => None,
        };
        let place = match (&self.shares, household) {
            (Some(shares), Some(household)) => {
                let place = shares.take(household);
                let refusal = || Refusal::too_many_sessions_of(household, shares.most());
                Some(place.ok_or_else(refusal)?)
            }
            _ => None,
        };
        Ok(Guest { user, place })
    }

    /// Whether a page may be read.
    ///
    /// # Errors
    /// The refusal: 401 or 503.
    pub async fn check_page(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<(), Refusal> {
        match &self.auth {
            Some(auth) if self.auth_static => auth.check(headers, query).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Reads the files again; false if there are none.
    pub fn reload(&self) -> bool {
        // One after the other, so that the last one asked for is the one that counts.
        let _turn = lock(&self.reloading);
        self.auth.iter().for_each(Auth::reload);
        self.auth.is_some()
    }
}
