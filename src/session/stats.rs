//! Stats: what passes through a session is counted here, and shown if the operator asks for it.

use std::sync::Arc;
use std::time::Instant;

use super::sink::Sinks;
use crate::clock;
use crate::framing::Payload;
use crate::registry::{Card, Direction};

/// A session's counters, which are on its card, and its sinks.
#[derive(Debug)]
pub struct Stats {
    card: Arc<Card>,
    sinks: Sinks,
    /// Whether [`last_data`](Self::last_data) is needed: reading the clock costs time.
    clocked: bool,
    last_data: Instant,
}

impl Stats {
    /// Counts on the card of a session, and shows its messages in `sinks`.
    pub fn new(card: Arc<Card>, sinks: Sinks, clocked: bool) -> Self {
        Stats { card, sinks, clocked, last_data: clock::now() }
    }

    /// The session's card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Shows a message, if the operator asked for that.
    #[inline]
    pub fn see(&self, direction: Direction, payload: &Payload<'_>) {
        self.sinks.see(self.card.id, direction, payload);
    }

    /// Whether messages are shown, so that they have to come one by one.
    pub fn is_watched(&self) -> bool {
        self.sinks.any()
    }

    /// Counts what one batch brought.
    pub fn count(&mut self, direction: Direction, lines: u64, bytes: usize) {
        self.card.traffic.add(direction, lines, bytes as u64);
        if self.clocked {
            self.last_data = clock::now();
        }
    }

    /// Notes how many conversions have failed so far; the first in a session is logged.
    pub fn replaced(&mut self, direction: Direction, total: u64) {
        if self.card.traffic.set_replaced(direction, total) == 0 {
            let what = match direction {
                Direction::Up => {
                    "a character does not exist in the backend's charset, sent ? instead"
                }
                Direction::Down => {
                    "the backend sent bytes that are not in its charset, U+FFFD shown instead (see --charset)"
                }
            };
            tracing::warn!(id = self.card.id, "{what}");
        }
    }

    /// Notes how much of the stage's protocol was dropped so far; the first in a session is logged.
    pub fn dropped(&mut self, total: u64) {
        if total > 0 && self.card.traffic.set_dropped(total) == 0 {
            let what = "telnet beyond a limit was dropped: a subnegotiation of more than 64 KiB or \
                        without its end, or GMCP that the backend does not agree to";
            tracing::warn!(id = self.card.id, "{what}");
        }
    }

    /// When data last passed either way; the session's start unless clocked.
    pub fn last_data(&self) -> Instant {
        self.last_data
    }
}
