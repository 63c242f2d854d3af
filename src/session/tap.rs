//! Tap: what passes through a session is counted here, and shown if the operator asks for it.

use std::time::Instant;

use crate::framing::Payload;
use crate::text::printable;

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to backend.
    Up,
    /// Backend to client.
    Down,
}

/// What has passed, on the backend's side: lines (in raw mode messages) and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines written for the backend.
    pub lines_up: u64,
    /// Bytes written for the backend, ends of lines included.
    pub bytes_up: u64,
    /// Messages made of the backend's lines.
    pub lines_down: u64,
    /// Bytes read from the backend.
    pub bytes_down: u64,
    /// Characters or bytes that could not be converted, going up.
    pub replaced_up: u64,
    /// The same, going down.
    pub replaced_down: u64,
}

/// A session's counters.
#[derive(Debug)]
pub struct Tap {
    id: u64,
    /// Whether payloads are logged (`--trace`).
    trace: bool,
    /// Whether anybody asks for [`last_data`](Self::last_data): the clock is not free.
    clocked: bool,
    last_data: Instant,
    counts: Counts,
}

impl Tap {
    /// Counters at zero, for session `id`.
    pub fn new(id: u64, trace: bool, clocked: bool) -> Self {
        Tap { id, trace, clocked, last_data: Instant::now(), counts: Counts::default() }
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
        let id = self.id;
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
        let (all_lines, all_bytes) = match direction {
            Direction::Up => (&mut self.counts.lines_up, &mut self.counts.bytes_up),
            Direction::Down => (&mut self.counts.lines_down, &mut self.counts.bytes_down),
        };
        *all_lines += lines;
        *all_bytes += bytes as u64;
        if self.clocked {
            self.last_data = Instant::now();
        }
    }

    /// Notes how many conversions have failed so far; the first in a session is logged.
    pub fn replaced(&mut self, direction: Direction, total: u64) {
        let (known, what) = match direction {
            Direction::Up => (
                &mut self.counts.replaced_up,
                "a character does not exist in the backend's charset, sent ? instead",
            ),
            Direction::Down => (
                &mut self.counts.replaced_down,
                "the backend sent bytes that are not in its charset, U+FFFD shown instead (see --charset)",
            ),
        };
        if *known == 0 {
            tracing::warn!(id = self.id, "{what}");
        }
        *known = total;
    }

    /// When data last passed either way; the session's start unless clocked.
    pub fn last_data(&self) -> Instant {
        self.last_data
    }

    /// What has passed.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
