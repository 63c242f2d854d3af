//! Tap: what passes through a session is counted here, and shown if the operator asks for it.

use std::sync::Arc;
use std::time::Instant;

use crate::framing::Payload;
use crate::registry::{Card, Direction};
use crate::text::printable;

/// What a session's data passes by.
#[derive(Debug)]
pub struct Tap {
    card: Arc<Card>,
    /// Whether payloads are logged (`--trace`).
    trace: bool,
    /// Whether anybody asks for [`last_data`](Self::last_data): the clock is not free.
    clocked: bool,
    last_data: Instant,
}

impl Tap {
    /// Counts on the card of a session.
    pub fn new(card: Arc<Card>, trace: bool, clocked: bool) -> Self {
        Tap { card, trace, clocked, last_data: Instant::now() }
    }

    /// The session's card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Whether messages are shown, so that they have to come one by one.
    pub fn is_tracing(&self) -> bool {
        self.trace
    }

    /// Shows a message, if the operator asked for that.
    #[inline]
    pub fn see(&self, direction: Direction, payload: &Payload<'_>) {
        if self.trace {
            self.show(direction, payload);
        }
    }

    #[cold]
    fn show(&self, direction: Direction, payload: &Payload<'_>) {
        let id = self.card.id;
        match (direction, payload) {
            (Direction::Up, Payload::Text(text)) => {
                tracing::info!(id, up = &*printable(text), "trace");
            }
            (Direction::Up, Payload::Binary(bytes)) => {
                tracing::info!(id, up = %bytes.escape_ascii(), "trace");
            }
            (Direction::Down, Payload::Text(text)) => {
                tracing::info!(id, down = &*printable(text), "trace");
            }
            (Direction::Down, Payload::Binary(bytes)) => {
                tracing::info!(id, down = %bytes.escape_ascii(), "trace");
            }
        }
    }

    /// Counts what one batch brought.
    pub fn count(&mut self, direction: Direction, lines: u64, bytes: usize) {
        self.card.traffic.add(direction, lines, bytes as u64);
        if self.clocked {
            self.last_data = Instant::now();
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

    /// When data last passed either way; the session's start unless clocked.
    pub fn last_data(&self) -> Instant {
        self.last_data
    }
}
