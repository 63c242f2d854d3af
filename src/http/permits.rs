//! Permits: limit the number of sessions, and of programs that answer requests.

use std::sync::Arc;

use super::gate::address_counts::AddressPermit;
use super::refusal::Refusal;
use crate::registry::{Permit, Permits, Registry};

/// The permits of one session, taken before its backend is connected and given back when it ends, or when its program
/// has exited.
#[derive(Debug)]
pub struct SessionPermits {
    _whole: Permit,
    _route: Option<Permit>,
    _address: Option<AddressPermit>,
}

impl SessionPermits {
    /// A permit among all sessions, one among those of its route (none where a program answers a request), and one
    /// among those of its address, if it has one.
    pub fn new(whole: Permit, route: Option<Permit>, address: Option<AddressPermit>) -> Arc<Self> {
        Arc::new(SessionPermits { _whole: whole, _route: route, _address: address })
    }
}

/// The limit of sessions of the whole server.
#[derive(Debug)]
pub struct Capacity {
    /// Counts the sessions.
    pub registry: Arc<Registry>,
    /// The largest number.
    pub max_sessions: usize,
}

impl Capacity {
    /// Gives a permit for one more session.
    ///
    /// # Errors
    /// 503, if the limit is reached.
    pub fn admit(&self) -> Result<Permit, Refusal> {
        admit(self.registry.permits(), self.max_sessions)
    }
}

/// Gives a permit for one of at most `most` sessions.
///
/// # Errors
/// 503, if the limit is reached.
pub fn admit(permits: &Arc<Permits>, most: usize) -> Result<Permit, Refusal> {
    permits.admit(most).ok_or_else(|| Refusal::too_many_sessions(most))
}
