//! Permits: what a session, or a program that answers a request, holds while it lives.

use std::sync::Arc;

use super::gate::address_counts::AddressPermit;
use super::refusal::Refusal;
use crate::registry::{Permit, Permits, Registry};

/// What is given before a backend is connected to, and given back when the session ends: with a program, when that
/// is gone.
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

/// How many sessions there may be in all.
#[derive(Debug)]
pub struct Capacity {
    /// Where they are counted.
    pub registry: Arc<Registry>,
    /// How many there may be.
    pub max_sessions: usize,
}

impl Capacity {
    /// A permit for one more.
    ///
    /// # Errors
    /// 503, if there are as many as there may be.
    pub fn admit(&self) -> Result<Permit, Refusal> {
        admit(self.registry.permits(), self.max_sessions)
    }
}

/// A permit to be one of at most `most` sessions.
///
/// # Errors
/// 503, if there are as many.
pub fn admit(permits: &Arc<Permits>, most: usize) -> Result<Permit, Refusal> {
    permits.admit(most).ok_or_else(|| Refusal::too_many_sessions(most))
}
