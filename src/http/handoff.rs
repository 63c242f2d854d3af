//! Handoff: what a completed handshake leads to, on its way from the request's answer to its connection.
//!
//! hyper is left once a handshake is accepted, and gives the connection back, but not what was found meanwhile:
//!
//! ```text
//!  connection ─▶ speak: hyper ─▶ answer ─▶ upgrade
//!      │ ▲                                   │ put
//!      │ └─────────── take ◀── Handoff ◀─────┘
//!      └─▶ 101 ─▶ session
//! ```

use std::sync::{Arc, Mutex};

use super::permits::SessionPermits;
use super::routes::Route;
use crate::backend::BackendIo;
use crate::registry::SessionCard;
use crate::sync::lock;

/// An accepted handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The 101, as it is to be written.
    pub head: Vec<u8>,
    /// What comes behind it.
    pub joined: Joined,
}

/// What a completed handshake leads to.
#[derive(Debug)]
pub enum Joined {
    /// A session with this backend.
    Session(Box<Ready>),
    /// A Close with this reason: `--refuse close`.
    Refused(String, Arc<Route>),
}

/// All that a session needs but its client.
#[derive(Debug)]
pub struct Ready {
    /// The open backend.
    pub backend: BackendIo,
    /// What it holds.
    pub permits: Arc<SessionPermits>,
    /// What others may know of it.
    pub card: SessionCard,
    /// What holds for it.
    pub route: Arc<Route>,
}

/// Where the answer leaves it and the connection finds it. It is locked once or twice in a connection's life,
/// by one task.
#[derive(Clone, Debug, Default)]
pub struct Handoff(Arc<Mutex<Option<Accepted>>>);

impl Handoff {
    /// Leaves what a handshake led to.
    pub fn put(&self, accepted: Accepted) {
        *lock(&self.0) = Some(accepted);
    }

    /// What a handshake led to, if there was one.
    pub fn take(&self) -> Option<Accepted> {
        lock(&self.0).take()
    }
}
