//! A client that reads nothing, in the middle of a chat: what the others hear of it.

use super::{Load, Order, relay};
use crate::procs;
use std::{io, time::Instant};

/// Bytes said past the stalled client before the others are timed: more than all queues on its way hold. A slow relay is
/// given less time than it takes, but its table says how many lines the stalled client missed.
const FILL: usize = 2 * 1024 * 1024;

/// Seconds without a line that has landed from which on nobody hears anything any more.
const STANDSTILL: f64 = 2.0;

/// Bytes said as fast before the stall.
const GROW: usize = 256 * 1024;

impl Load {
    /// Times the chat for `secs`, lets its last client stop reading, and fills all queues on the way to that one. Returns
    /// the relay's memory before the stall, in KiB.
    pub(super) fn stall(&mut self, secs: f64, patience: f64) -> io::Result<u64> {
        self.ledger.timing = true;
        self.turn_until(secs, |_| false)?;
        self.ledger.timing = false;
        let calm = self.ledger.take_times();

        // Everybody's buffers are to grow before, and no line is to be on its way whose hearers include the stalled one.
        self.burst(GROW, patience)?;
        let kib = procs::memory_kib(&relay(&self.ledger.order));
        let last = self.clients.len() - 1;
        self.clients[last].set_reading(false, &self.poller)?;
        self.ledger.stall(last, calm);
        self.burst(FILL, patience)?;
        if self.ledger.in_flight == 0 {
            self.start(1);
        }
        Ok(kib)
    }

    /// Says so many bytes as fast as they are heard, unless it takes too long.
    fn burst(&mut self, bytes: usize, patience: f64) -> io::Result<()> {
        self.finish(patience)?;
        let Order { line, window, .. } = self.ledger.order;
        let all = self.ledger.sent() + bytes.div_ceil(line) as u32;
        self.start(window);
        let begin = Instant::now();
        while self.ledger.sent() < all && begin.elapsed().as_secs_f64() < patience {
            let landed = self.ledger.outcome.up;
            self.turn_until(STANDSTILL, |ledger| ledger.sent() >= all)?;
            if self.ledger.outcome.up == landed {
                self.ledger.running = false;
                return Ok(());
            }
        }
        self.finish(patience)
    }

    /// Lets the stalled client read again, until it hears what is said now or has come to its end.
    pub(super) fn resume(&mut self, kib: u64, patience: f64) -> io::Result<()> {
        let now = procs::memory_kib(&relay(&self.ledger.order));
        if let Some(stall) = &mut self.ledger.outcome.stall {
            stall.held_kib = now.saturating_sub(kib);
        }
        self.ledger.resume();
        let last = self.clients.len() - 1;
        self.clients[last].set_reading(true, &self.poller)?;
        self.turn_until(patience, |ledger| {
            ledger
                .outcome
                .stall
                .as_ref()
                .is_some_and(|stall| stall.caught_up || stall.ended.is_some())
        })
    }
}
