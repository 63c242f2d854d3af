//! OpenConnections: counts connections from `accept` to their end, and turns away those above the limits.
//!
//! All kinds count: sessions, connections without a request, those with TLS, those to be redirected. Silent
//! ones never get as far as the limits of sessions.

use std::mem;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::config::ConnectionLimits;
use crate::clock::Deadline;
use crate::http::gate::address_counts::{AddressCounts, AddressPermit, Group};
use crate::http::gate::forwarded::TrustedProxies;
use crate::net::address::PeerAddr;
use crate::net::address_prefix::AddressPrefix;
use crate::registry::{Permit, Permits};
use crate::sync::lock;
use crate::task;

/// The log reports connections that were closed at once at most this often.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

/// The open connections of a server, of all its listeners together.
#[derive(Debug, Default)]
pub struct OpenConnections {
    open: Arc<Permits>,
    by_address: Arc<AddressCounts>,
    unreported: Mutex<Unreported>,
}

/// The right to be an open connection, given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _open: Permit,
    _of_address: Option<AddressPermit>,
}

/// Connections that were closed at once, and are not logged yet.
#[derive(Debug, Default)]
struct Unreported {
    over_all: u64,
    over_address: u64,
    last: Option<PeerAddr>,
    /// Whether a task is there that will log them.
    is_reporting: bool,
}

impl OpenConnections {
    /// Counts a connection that was accepted. `None`: it is one more than `limits` allow, and is to be closed at
    /// once; the log reports it.
    pub fn admit(
        self: &Arc<Self>,
        peer: PeerAddr,
        limits: ConnectionLimits,
        trusted: &TrustedProxies,
    ) -> Option<ConnectionPermit> {
        let of_address = match peer {
            PeerAddr::Unix => None,
            PeerAddr::Ip(addr) => {
                // A proxy has one address for all of its clients.
                let most = limits.max_per_ip.filter(|_| !trusted.trusts(peer));
                let Some(permit) = self.admit_address(addr.ip().into(), most) else {
                    self.refuse(peer, |unreported| unreported.over_address += 1);
                    return None;
                };
                Some(permit)
            }
        };
        let Some(open) = self.open.admit(limits.max) else {
            self.refuse(peer, |unreported| unreported.over_all += 1);
            return None;
        };
        Some(ConnectionPermit { _open: open, _of_address: of_address })
    }

    fn admit_address(
        &self,
        prefix: AddressPrefix,
        most: Option<NonZeroU32>,
    ) -> Option<AddressPermit> {
        let limit = most.map(|most| (most, &[Group::WHOLE][..]));
        self.by_address.admit(prefix, Group::WHOLE, limit)
    }

    fn refuse(self: &Arc<Self>, peer: PeerAddr, count: impl FnOnce(&mut Unreported)) {
        let mut unreported = lock(&self.unreported);
        count(&mut unreported);
        unreported.last = Some(peer);
        if !mem::replace(&mut unreported.is_reporting, true) {
            drop(unreported);
            task::spawn(self.clone().report());
        }
    }

    /// Logs those that were refused, once in a while, until there are no more.
    async fn report(self: Arc<Self>) {
        while let Some((over_all, over_address, last)) = self.take_unreported() {
            tracing::warn!(
                over_max_connections = over_all,
                over_max_connections_per_ip = over_address,
                last = %last,
                "closed connections at once: too many are open"
            );
            Deadline::after(BETWEEN_REPORTS).await;
        }
    }

    /// Those that are to be logged; if there are none, the next one begins a task of its own.
    fn take_unreported(&self) -> Option<(u64, u64, PeerAddr)> {
        let mut unreported = lock(&self.unreported);
        match unreported.last.take() {
            Some(last) => {
                let over_all = mem::take(&mut unreported.over_all);
                Some((over_all, mem::take(&mut unreported.over_address), last))
            }
            None => {
                unreported.is_reporting = false;
                None
            }
        }
    }
}
