//! Handoff: carries an accepted handshake from the answer to its request to the connection.
//!
//! The connection leaves hyper once a handshake is accepted, and hyper returns the stream only:
//!
//! ```text
//!  connection ─▶ http1: hyper ─▶ answer ─▶ upgrade
//!      │ ▲                                   │ put
//!      │ └─────────── take ◀── Handoff ◀─────┘
//!      └─▶ 101 ─▶ session
//! ```

use std::sync::{Arc, Mutex};

use super::permits::SessionPermits;
use crate::backend::BackendIo;
use crate::framing::Stage;
use crate::record::Recorder;
use crate::registry::SessionCard;
use crate::session::{Greeting, SessionConfig};
use crate::sync::lock;

/// An accepted handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The 101, as it is to be written.
    pub head: Vec<u8>,
    /// What follows it.
    pub joined: Joined,
}

/// What follows the 101.
#[derive(Debug)]
pub enum Joined {
    /// A session with this backend.
    Session(Box<Ready>),
    /// A Close: `--refuse close`.
    Refused(Refused),
}

/// A client whose handshake is completed only to close it.
#[derive(Debug)]
pub struct Refused {
    /// The reason in the Close.
    pub why: String,
    /// What it is told before, as its backend would say it; empty: nothing.
    pub said: Vec<u8>,
    /// The settings of the session that it would have had.
    pub session: Arc<SessionConfig>,
}

/// All parts of a session but its client.
#[derive(Debug)]
pub struct Ready {
    /// The open backend.
    pub backend: BackendIo,
    /// The protocol that it speaks, if it is one.
    pub stage: Option<Box<dyn Stage>>,
    /// What it is told of the client.
    pub greeting: Greeting,
    /// Its permits.
    pub permits: Arc<SessionPermits>,
    /// Its entry in the registry.
    pub card: SessionCard,
    /// Its settings.
    pub session: Arc<SessionConfig>,
    /// What records it.
    pub recorder: Option<Arc<Recorder>>,
}

/// A slot for one accepted handshake. It is locked once or twice in a connection's life, always by its own task.
#[derive(Clone, Debug, Default)]
pub struct Handoff(Arc<Mutex<Option<Accepted>>>);

impl Handoff {
    /// Puts an accepted handshake in.
    pub fn put(&self, accepted: Accepted) {
        *lock(&self.0) = Some(accepted);
    }

    /// Takes the accepted handshake out, if there is one.
    pub fn take(&self) -> Option<Accepted> {
        lock(&self.0).take()
    }
}
