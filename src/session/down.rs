//! Down: the direction from the backend to the client. It decodes all that one read brings, queues a frame for each
//! line, and sends them with one call.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::io::AsyncRead;

use super::config::SlowClient;
use super::endpoint::Endpoint;
use super::reason::CloseReason;
use super::stats::Stats;
use super::up::Up;
use crate::clock;
use crate::framing::{Decoder, Event, FramingError, Mark, Payload};
use crate::net::scratch::{self, BATCHES};
use crate::net::stream::ByteStream;
use crate::registry::Direction;
use crate::text::reason;

/// The state of this direction: an unfinished line, if any.
#[derive(Debug)]
pub struct Down {
    decoder: Decoder,
    slow_client: SlowClient,
    /// Whether tails are flushed: the clock is read only then.
    flushes: bool,
    /// The time since which an unterminated tail has waited.
    pub tail_since: Option<Instant>,
}

impl Down {
    /// Makes messages of lines with `decoder`.
    pub fn new(decoder: Decoder, slow_client: SlowClient, flushes: bool) -> Self {
        Down { decoder, slow_client, flushes, tail_since: None }
    }

    /// Relays all that can be relayed; ready when the backend has ended the session, or the client does not keep up.
    /// All that came before the end is queued then.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Endpoint,
        backend: &mut ByteStream,
        up: &mut Up,
        stats: &mut Stats,
    ) -> Poll<CloseReason> {
        for _ in 0..BATCHES {
            if up.poll_room(cx, backend).is_pending() {
                return Poll::Pending;
            }
            let sent = client.poll_drain(cx);
            if sent.is_pending() {
                match self.slow_client {
                    SlowClient::Wait => return Poll::Pending,
                    SlowClient::Drop { .. } if self.overflows(client) => {
                        return Poll::Ready(CloseReason::ClientTooSlow);
                    }
                    SlowClient::Drop { .. } => {}
                }
            }
            let read = scratch::with(|chunk| {
                let read = Pin::new(&mut *backend).poll_read(cx, chunk);
                read.map_ok(|n| self.take(&chunk[..n], client, up, stats).map(|()| n))
            });
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Ok(0))) => {
                    self.finish(client, stats);
                    return Poll::Ready(CloseReason::BackendClosed);
                }
                Poll::Ready(Ok(Ok(_))) => {}
                Poll::Ready(Ok(Err(error))) => return Poll::Ready(CloseReason::Framing(error)),
                Poll::Ready(Err(error)) => {
                    self.finish(client, stats);
                    return Poll::Ready(CloseReason::BackendFailed(reason(&error)));
                }
            }
        }
        // There is more, but other sessions get their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether more waits for the client than its queue may hold.
    pub fn overflows(&self, client: &mut Endpoint) -> bool {
        matches!(self.slow_client, SlowClient::Drop { queue } if client.wire().queued() > queue)
    }

    /// Takes what one read brought.
    fn take(
        &mut self,
        chunk: &[u8],
        client: &mut Endpoint,
        up: &mut Up,
        stats: &mut Stats,
    ) -> Result<(), FramingError> {
        let Some((rest, marks)) = up.pass_down(chunk, stats) else {
            return self.decode(chunk, chunk.len(), client, stats);
        };
        let outcome = self.decode_marked(&rest, marks, chunk.len(), client, stats);
        scratch::give_spare(rest);
        outcome
    }

    /// Makes messages of what a stage has left of so many `bytes`, and of what happens within it.
    fn decode_marked(
        &mut self,
        rest: &[u8],
        marks: Vec<Mark>,
        bytes: usize,
        client: &mut Endpoint,
        stats: &mut Stats,
    ) -> Result<(), FramingError> {
        stats.count(Direction::Down, 0, bytes);
        let mut done = 0;
        for Mark { at, event } in marks {
            self.decode(&rest[done..at], 0, client, stats)?;
            done = at;
            match event {
                Event::Prompt => self.end_prompt(client, stats),
                Event::Message(text) => {
                    Self::queue_tail(Some(Payload::Text(&text)), client, stats);
                }
            }
        }
        self.decode(&rest[done..], 0, client, stats)
    }

    /// Makes messages of `chunk`, for which so many `bytes` were read.
    fn decode(
        &mut self,
        chunk: &[u8],
        bytes: usize,
        client: &mut Endpoint,
        stats: &mut Stats,
    ) -> Result<(), FramingError> {
        let mut lines = 0;
        // A header of two bytes replaces an end of line of one or two.
        let mut queue = client.queue(chunk.len() + chunk.len() / 32 + 16);
        let mut messages = self.decoder.push(chunk);
        let outcome = loop {
            match messages.next() {
                Ok(Some(payload)) => {
                    stats.see(Direction::Down, &payload);
                    queue.push(payload);
                    lines += 1;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(messages);
        stats.count(Direction::Down, lines, bytes);
        self.look_back(lines, stats);
        outcome
    }

    /// Notes what was replaced, and whether a tail waits.
    fn look_back(&mut self, lines: u64, stats: &mut Stats) {
        if self.decoder.replaced() > 0 {
            stats.replaced(Direction::Down, self.decoder.replaced());
        }
        if self.flushes {
            self.tail_since = match self.tail_since {
                // It is the same tail.
                Some(since) if lines == 0 => Some(since),
                _ => self.decoder.has_tail().then(clock::now),
            };
        }
    }

    /// Sends the unterminated tail as a message of its own: it is a prompt.
    fn end_prompt(&mut self, client: &mut Endpoint, stats: &mut Stats) {
        self.tail_since = None;
        let tail = self.decoder.end_prompt();
        Self::queue_tail(tail, client, stats);
    }

    /// Sends the unterminated tail as a message of its own: `--flush-after` has passed.
    pub fn flush_tail(&mut self, client: &mut Endpoint, stats: &mut Stats) {
        self.tail_since = None;
        let tail = self.decoder.flush();
        Self::queue_tail(tail, client, stats);
    }

    /// Delivers the unterminated tail as the last message.
    fn finish(&mut self, client: &mut Endpoint, stats: &mut Stats) {
        let tail = self.decoder.finish();
        Self::queue_tail(tail, client, stats);
        self.look_back(1, stats);
    }

    fn queue_tail(tail: Option<Payload<'_>>, client: &mut Endpoint, stats: &mut Stats) {
        if let Some(payload) = tail {
            stats.see(Direction::Down, &payload);
            stats.count(Direction::Down, 1, 0);
            client.queue(0).push(payload);
        }
    }
}
