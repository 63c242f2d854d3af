//! SessionConfig: what holds for the sessions of a route.

use std::time::Duration;

use super::keepalive::Limits;
use super::sink::{Sink, Sinks};
use crate::framing::Framing;

/// What holds for each session.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// How lines and messages become each other.
    pub framing: Framing,
    /// Longest line, in bytes, in both directions.
    pub max_line: usize,
    /// What becomes of a client that does not keep up.
    pub slow_client: SlowClient,
    /// Pings and timeouts.
    pub limits: Limits,
    /// How long either side may take to leave.
    pub close_timeout: Duration,
    /// Whether payloads are logged.
    pub trace: bool,
}

/// What becomes of a client that does not take what the backend says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowClient {
    /// The backend is not read from until the client has taken what waits.
    Wait,
    /// The backend is read from, and the client dropped when more than `queue` bytes wait.
    Drop {
        /// Bytes.
        queue: usize,
    },
}

impl SessionConfig {
    /// Where the messages of a session are shown besides.
    pub fn sinks(&self) -> Sinks {
        Sinks::from(if self.trace { vec![Sink::Log] } else { Vec::new() })
    }
}
