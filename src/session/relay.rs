//! Relay: the session itself, one task that relays both directions until something ends it.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Role;
use bytes::Bytes;

use super::config::SessionConfig;
use super::down::Down;
use super::ending::{self, Parts};
use super::endpoint::Endpoint;
use super::greeting::Greeting;
use super::keepalive::{Due, Keepalive, Seen};
use super::pace::Pace;
use super::reason::CloseReason;
use super::stats::Stats;
use super::up::Up;
use crate::backend::BackendIo;
use crate::clock::{self, Deadline};
use crate::framing::Stage;
use crate::net::stream::ByteStream;
use crate::registry::{Card, Order};

/// The age at which a session turns TCP keepalive on for its backend's connection, at the latest. It takes four system
/// calls, which the opening of a session is better without; the kernel sends its first probe after 60 s of silence,
/// however late keepalive is turned on. The client's connection has it from its listener.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// The parts that a session is made of.
#[derive(Debug)]
pub struct Terms {
    /// The client, whose 101 is written.
    pub client: ByteStream,
    /// What the client sent behind its request: its first frames.
    pub early: Bytes,
    /// The open backend.
    pub backend: BackendIo,
    /// The settings of the session's route.
    pub config: Arc<SessionConfig>,
    /// The protocol between the backend's bytes and the framing, if there is one.
    pub stage: Option<Box<dyn Stage>>,
    /// What the backend is told of the client.
    pub greeting: Greeting,
    /// What others may know of it, and how they reach it.
    pub card: Arc<Card>,
}

/// One client joined to one backend connection.
///
/// ```text
///             ┌──────────────── Session: one task ────────────────┐
///   client ──▶│ Wire ─▶ plain frames ──┬▶ Encoder ─▶ [Stage] ────▶│──▶ backend
///             │      └▶ tungstenite ───┘                │ answers │
///          ◀──│ Wire ◀─ frames ◀──────── Decoder ◀─ [Stage] ◀─────│◀──
///             └────────── Keepalive (one timer) · Stats ────────────┘
/// ```
#[derive(Debug)]
pub struct Session {
    client: Endpoint,
    backend: BackendIo,
    up: Up,
    down: Down,
    keepalive: Keepalive,
    timer: Deadline,
    /// When `timer` fires; `None` if it is not set.
    armed: Option<Instant>,
    stats: Stats,
    waker: Option<Waker>,
    config: Arc<SessionConfig>,
}

impl Session {
    /// Joins a client to an open backend.
    pub fn new(terms: Terms) -> Box<Self> {
        let Terms { client, early, mut backend, config, stage, greeting, card } = terms;
        let limits = config.limits;
        if stage.as_ref().is_some_and(|stage| stage.answers()) {
            // The last byte of telnet's Synch is urgent data.
            backend.io().keep_urgent_inline();
        }
        let decoder = config.framing.decoder();
        let paced = config.rate.zip(config.framing.line_end());
        let pace = paced.map(|(rate, line_end)| Box::new(Pace::new(rate, line_end)));
        Box::new(Session {
            client: Endpoint::new(client, &early, Role::Server, config.max_line),
            backend,
            up: Up::new(config.framing.encoder(), pace, stage, greeting),
            down: Down::new(decoder, config.slow_client, limits.flush_after.is_some()),
            keepalive: Keepalive::default(),
            timer: Deadline::never(),
            armed: None,
            stats: Stats::new(card, config.sinks(), limits.idle_timeout.is_some()),
            waker: None,
            config,
        })
    }

    /// Relays until something ends it, then ends both sides.
    pub async fn run(mut self: Box<Self>) -> CloseReason {
        let reason = poll_fn(|cx| self.poll_relay(cx)).await;
        let Session { client, backend, up, stats, config, .. } = *self;
        // Boxed, as it is needed once and an idle session should not hold room for it.
        Box::pin(ending::end(Parts { client, backend, up, stats, config }, reason)).await
    }

    /// Relays what can be relayed either way; ready with the reason when the session has to end.
    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if let Poll::Ready(Order::Stop) = self.stats.card().mailbox.poll_next(cx, &mut self.waker) {
            return Poll::Ready(CloseReason::Shutdown);
        }
        let Session { client, backend, up, down, stats, .. } = self;
        if let Poll::Ready(reason) = up.poll(cx, client, backend.io(), stats) {
            return Poll::Ready(reason);
        }
        if let Poll::Ready(reason) = down.poll(cx, client, backend.io(), up, stats) {
            return Poll::Ready(up.explain(reason));
        }
        if up.stage.is_some() {
            // What the stage has answered on the way down.
            let _ = up.poll_send(cx, backend.io());
        }
        loop {
            // Pongs, pings and flushed tails leave here; lines have left already.
            if self.client.poll_drain(cx).is_pending() && self.down.overflows(&mut self.client) {
                return Poll::Ready(CloseReason::ClientTooSlow);
            }
            if let Poll::Ready(reason) = self.poll_gone(cx) {
                return Poll::Ready(reason);
            }
            match ready!(self.poll_due(cx)) {
                Due::Nothing => {}
                Due::Ping => self.client.ping(),
                Due::Stage => {
                    self.up.stage_due();
                    let _ = self.up.poll_send(cx, self.backend.io());
                }
                Due::Lines => {
                    let Session { client, backend, up, stats, .. } = self;
                    if let Poll::Ready(reason) = up.poll(cx, client, backend.io(), stats) {
                        return Poll::Ready(reason);
                    }
                }
                Due::Flush => self.down.flush_tail(&mut self.client, &mut self.stats),
                Due::Excuse => self.excuse(),
                Due::End(reason) => return Poll::Ready(reason),
            }
        }
    }

    /// Ready when the client was reset while the session does not read from it, as the backend takes nothing. The
    /// kernel reports a reset at once. The end of the client's stream starts a deadline instead: the client may have
    /// sent everything to a backend that is slow.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if !self.up.paused {
            self.up.stuck_since = None;
            return Poll::Pending;
        }
        let wire = self.client.wire();
        self.up.note_end(wire.is_ended());
        wire.poll_reset(cx).map(CloseReason::ClientGone)
    }

    /// Excuses the silence of a client that the session has not read from, as the backend takes nothing. The client
    /// may have vanished: a Ping makes the kernel find out.
    fn excuse(&mut self) {
        let wire = self.client.wire();
        wire.excuse_silence(clock::now());
        if wire.queued() == 0 {
            self.client.ping();
        }
    }

    /// Waits for the next deadline. The timer is lazy: activity only moves the deadline, and the
    /// timer is touched when it has fired, or when something is due before it would. When it fires for the first time,
    /// at the age of [`KEEPALIVE_AFTER`] at the latest, the backend gets its TCP keepalive.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let seen = Seen {
            last_read: self.client.wire().last_read(),
            last_data: self.stats.last_data(),
            stalled_since: self.client.wire().stalled_since(),
            tail_since: self.down.tail_since,
            next_line: self.up.next_line(),
            paused: self.up.paused,
            stuck_since: self.up.stuck_since,
            stage_at: self.up.stage_deadline(),
        };
        let mut next = self.keepalive.deadline(&self.config.limits, &seen);
        if !self.up.has_keepalive {
            let first = self.armed.unwrap_or_else(|| clock::now() + KEEPALIVE_AFTER);
            next = next.map_or(Some(first), |next| Some(next.min(first)));
        }
        let Some(deadline) = next else { return Poll::Pending };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.set(deadline);
            self.armed = Some(deadline);
        }
        ready!(Pin::new(&mut self.timer).poll(cx));
        self.armed = None;
        if !mem::replace(&mut self.up.has_keepalive, true) {
            self.backend.io().set_keepalive();
        }
        Poll::Ready(self.keepalive.due(&self.config.limits, clock::now(), &seen))
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
