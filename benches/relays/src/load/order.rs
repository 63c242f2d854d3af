//! What the driver orders, and what the load answers.

use crate::{tls::Certificate, wire::Wire};
use serde::{Deserialize, Serialize};

/// What the sessions do.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Each keeps `window` lines in flight, to an echo and back.
    Echo,
    /// Of all sessions `senders` have a line in flight, to an echo and back: then it is another's turn.
    Turns,
    /// The first `senders` keep `window` lines each in flight; a line has landed when every session has it.
    Chat,
    /// The same, with one line in flight; and then again while the last session reads nothing. `window` lines are in
    /// flight while the queues on the way to that one fill.
    Stalled,
    /// One way up, acknowledged now and then; `window` is counted in acknowledgements.
    Up,
    /// One way down.
    Down,
    /// `total` sessions, `sessions` at a time: each sends a line, hears its echo and ends.
    Churn,
    /// Nothing, once they are open; at last, each has a line echoed.
    Idle,
    /// The same, for so long that it is the CPU time that matters.
    Rest,
}

/// One run, as the driver orders it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub traffic: Traffic,
    pub wire: Wire,
    /// The relay's certificate, if clients speak TLS.
    pub tls: Option<Certificate>,
    pub port: u16,
    pub sessions: usize,
    /// Sessions one after another, at most.
    pub total: u64,
    pub senders: usize,
    pub window: u32,
    /// Bytes of a line.
    pub line: usize,
    /// Seconds before the measured ones, and these; where there is a `total`, the most of them.
    pub warmup: f64,
    pub secs: f64,
    /// Longest wait, in seconds, for the sessions to open and for the last lines.
    pub patience: f64,
    pub relay: Option<u32>,
    pub backend: u32,
}

/// What a run came to. A line counts once for each way through the relay: an echoed line is one up and one down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub sessions: usize,
    pub open_secs: f64,
    pub open_cpu: f64,
    pub secs: f64,
    pub up: u64,
    pub down: u64,
    /// Round trips, where a session has one line in flight; with a stalled session, from the sender to each who hears.
    #[serde(flatten)]
    pub times: Times,
    /// CPU seconds in the measured time.
    pub relay_cpu: f64,
    pub backend_cpu: f64,
    pub load_cpu: f64,
    pub others_cpu: f64,
    /// Memory of the relay before the first session, and with all of them at rest.
    pub before_kib: u64,
    pub after_kib: u64,
    pub processes: usize,
    /// WebSocket pings that were answered, and sessions that got none.
    pub pings: u64,
    pub unpinged: usize,
    /// Lines that did not come, came in the wrong place, or were not ours; sessions that failed.
    pub missing: u64,
    pub out_of_order: u64,
    pub bad_lines: u64,
    pub lost_sessions: usize,
    pub first_error: Option<String>,
    pub stall: Option<Stall>,
    pub churn: Option<Churned>,
}

/// What came of sessions one after another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Churned {
    /// Seconds while there were sessions.
    pub secs: f64,
    /// The sessions of the first part, and the relay's memory when all of them had ended.
    pub first_sessions: u64,
    pub first_kib: u64,
    /// Sessions whose close frame got no answer before the connection ended.
    pub unanswered: u64,
}

/// What a session came to that read nothing for a while. The other figures are those of that while, and of the others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stall {
    /// The others' times before it stalled.
    pub calm: Times,
    /// Memory that the relay took from then to the end of the stall.
    pub held_kib: u64,
    /// Lines that it never got, as its queue in the backend was full.
    pub skipped: u64,
    /// Whether it heard new lines once it read again.
    pub caught_up: bool,
    /// How it ended, if the relay ended it.
    pub ended: Option<String>,
}

/// Quantiles in µs; nothing where nothing was timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}
