//! OpenConnections: counts connections from `accept` to their end, and turns away those above the limits.
//!
//! All kinds count: sessions, connections without a request, those with TLS, those to be redirected. Silent
//! ones never get as far as the limits of sessions.

use std::mem;
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

/// Why a connection is closed without an answer before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedFor {
    /// Its number is above `--max-connections`.
    OverAll,
    /// Its address has more than `--max-connections-per-ip`.
    OverAddress,
    /// Its PROXY header is missing, malformed, or not from a trusted proxy; the text says which.
    NoHeader(&'static str),
}

/// Connections that were closed without an answer, and are not logged yet.
#[derive(Debug, Default)]
struct Unreported {
    excess: Excess,
    unnamed: Unnamed,
    /// Whether a task is there that will log them.
    is_reporting: bool,
}

/// Those that were too many.
#[derive(Debug, Default)]
struct Excess {
    over_all: u64,
    over_address: u64,
    last: Option<PeerAddr>,
}

/// Those without a PROXY header that counts.
#[derive(Debug, Default)]
struct Unnamed {
    connections: u64,
    last: Option<(PeerAddr, &'static str)>,
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
            PeerAddr::Ip(_) => Some(self.admit_address(peer, limits, trusted)?),
        };
        let Some(open) = self.open.admit(limits.max) else {
            self.report(peer, ClosedFor::OverAll);
            return None;
        };
        Some(ConnectionPermit { _open: open, _of_address: of_address })
    }

    /// Counts a connection of this client's address; so is done for the one that a PROXY header names, besides the
    /// proxy's own. `None` as of [`admit`](Self::admit), or if it has no address.
    pub fn admit_address(
        self: &Arc<Self>,
        client: PeerAddr,
        limits: ConnectionLimits,
        trusted: &TrustedProxies,
    ) -> Option<AddressPermit> {
        let prefix = AddressPrefix::from(client.socket_addr()?.ip());
        // A proxy has one address for all of its clients.
        let most = limits.max_per_ip.filter(|_| !trusted.trusts(client));
        let limit = most.map(|most| (most, &[Group::WHOLE][..]));
        let permit = self.by_address.admit(prefix, Group::WHOLE, limit);
        if permit.is_none() {
            self.report(client, ClosedFor::OverAddress);
        }
        permit
    }

    /// Has the log report a connection that is closed without an answer.
    pub fn report(self: &Arc<Self>, peer: PeerAddr, why: ClosedFor) {
        let mut unreported = lock(&self.unreported);
        unreported.add(peer, why);
        if !mem::replace(&mut unreported.is_reporting, true) {
            drop(unreported);
            task::spawn(self.clone().log_unreported());
        }
    }

    /// Logs those that were closed, once in a while, until there are no more.
    async fn log_unreported(self: Arc<Self>) {
        while let Some((excess, unnamed)) = self.take_unreported() {
            if let Some(last) = excess.last {
                tracing::warn!(
                    over_max_connections = excess.over_all,
                    over_max_connections_per_ip = excess.over_address,
                    last = %last,
                    "closed connections at once: too many are open"
                );
            }
            if let Some((last, why)) = unnamed.last {
                tracing::warn!(
                    connections = unnamed.connections, last = %last, why,
                    "closed connections: no PROXY header that counts"
                );
            }
            Deadline::after(BETWEEN_REPORTS).await;
        }
    }

    /// Those that are to be logged; if there are none, the next one begins a task of its own.
    fn take_unreported(&self) -> Option<(Excess, Unnamed)> {
        let mut unreported = lock(&self.unreported);
        let excess = mem::take(&mut unreported.excess);
        let unnamed = mem::take(&mut unreported.unnamed);
        unreported.is_reporting = excess.last.is_some() || unnamed.last.is_some();
        unreported.is_reporting.then_some((excess, unnamed))
    }
}

impl Unreported {
    fn add(&mut self, peer: PeerAddr, why: ClosedFor) {
        let Unreported { excess, unnamed, .. } = self;
        match why {
            ClosedFor::OverAll => excess.over_all += 1,
            ClosedFor::OverAddress => excess.over_address += 1,
            ClosedFor::NoHeader(why) => {
                unnamed.connections += 1;
                unnamed.last = Some((peer, why));
                return;
            }
        }
        excess.last = Some(peer);
    }
}
