//! Up: the direction from the client to the backend. It encodes all messages that are there and writes them with one
//! call.

use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::endpoint::{Endpoint, Received};
use super::greeting::{Goodbye, Greeting};
use super::outgoing::Outgoing;
use super::pace::Pace;
use super::reason::CloseReason;
use super::stats::Stats;
use crate::clock;
use crate::framing::{Batch, Encoder, Mark, Payload, Stage};
use crate::net::scratch::{self, BATCHES};
use crate::net::stream::ByteStream;
use crate::registry::Direction;
use crate::text::reason;

/// Bytes that may wait for the backend before we stop reading the client.
const ENOUGH: usize = 64 * 1024;

/// Replies (pongs) that may wait for a client that does not read before we stop reading it too.
const ENOUGH_REPLIES: usize = 64 * 1024;

/// The state of this direction.
#[derive(Debug)]
pub struct Up {
    encoder: Encoder,
    /// The protocol between the encoder and the backend, both ways.
    pub stage: Option<Box<dyn Stage>>,
    /// The lines for the backend at the end.
    goodbye: Option<Box<Goodbye>>,
    /// Lines that wait for their time, with `--rate`.
    pace: Option<Box<Pace>>,
    /// Bytes that wait for the backend. After a failed write, reading from the backend goes on: it may have sent its
    /// last lines before it left.
    out: Outgoing,
    /// Whether the client is not read from, as too much waits.
    pub paused: bool,
    /// Whether TCP keepalive is on for the backend's connection.
    pub has_keepalive: bool,
    /// The time since which the backend has taken none of the bytes that wait, after the client ended its stream.
    pub stuck_since: Option<Instant>,
}

enum Gathered {
    /// The client has no more for now.
    Everything,
    /// There is no room for more.
    Enough,
    /// The client sends no more.
    End(CloseReason),
}

impl Up {
    /// Makes lines of messages with `encoder`, which pass at a `pace` and through `stage`. The hello of `greeting` waits first.
    pub fn new(
        encoder: Encoder,
        pace: Option<Box<Pace>>,
        stage: Option<Box<dyn Stage>>,
        greeting: Greeting,
    ) -> Self {
        let Greeting { hello, goodbye } = greeting;
        let out = Outgoing::default();
        let mut up = Up {
            encoder,
            stage,
            goodbye,
            pace,
            out,
            paused: false,
            has_keepalive: false,
            stuck_since: None,
        };
        up.say(&hello);
        up
    }

    /// Appends what the session's client has left to say: the goodbye, once.
    pub fn leave(&mut self, reason: &CloseReason) {
        if let Some(goodbye) = self.goodbye.take() {
            let lines = goodbye.lines(reason);
            match &mut self.pace {
                Some(pace) if pace.len() > 0 => pace.end_with(lines),
                _ => self.say(&lines),
            }
        }
    }

    /// Appends lines of our own, which count as nobody's.
    fn say(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let buf = self.out.buf();
        let before = buf.len();
        buf.extend_from_slice(lines);
        self.stage.iter_mut().for_each(|stage| stage.up(buf, before));
    }

    /// Relays all that can be relayed; ready when the client has ended the session. What waits then has still to be
    /// [sent](Self::poll_send).
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Endpoint,
        backend: &mut ByteStream,
        stats: &mut Stats,
    ) -> Poll<CloseReason> {
        for _ in 0..BATCHES {
            let gathered = self.gather(cx, client, stats);
            self.paused = matches!(gathered, Gathered::Enough);
            if let Gathered::End(reason) = gathered {
                return Poll::Ready(reason);
            }
            self.release(stats);
            let _ = self.poll_send(cx, backend);
            if !self.paused {
                return Poll::Pending;
            }
            let _ = client.poll_drain(cx);
            if self.poll_broken(cx, backend).is_ready() {
                continue;
            }
            // There may be room again although the backend has not taken all.
            if self.waiting() >= ENOUGH || client.wire().replies() >= ENOUGH_REPLIES {
                return Poll::Pending;
            }
        }
        // There is more, but other sessions get their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn gather(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Endpoint,
        stats: &mut Stats,
    ) -> Gathered {
        // Only replies count, not the lines that wait with them: a client that does not read for a while may go on
        // sending.
        while self.waiting() < ENOUGH && client.wire().replies() < ENOUGH_REPLIES {
            match client.poll_messages(cx, &mut |messages| self.take(messages, stats)) {
                Poll::Pending => return Gathered::Everything,
                Poll::Ready(None) => {}
                Poll::Ready(Some(reason)) => return Gathered::End(reason),
            }
        }
        Gathered::Enough
    }

    /// Takes the messages that were received before a pause and wait to be read, whatever waits for the backend: up
    /// to one read. Returns the client's end if that is among them.
    pub fn take_received(
        &mut self,
        client: &mut Endpoint,
        stats: &mut Stats,
    ) -> Option<CloseReason> {
        client.wire().hold(true);
        let cx = &mut Context::from_waker(Waker::noop());
        let end = loop {
            match client.poll_messages(cx, &mut |messages| self.take(messages, stats)) {
                Poll::Pending => break None,
                Poll::Ready(None) => {}
                Poll::Ready(end) => break end,
            }
        };
        client.wire().hold(false);
        end
    }

    fn take(&mut self, messages: Received<'_>, stats: &mut Stats) -> Result<(), CloseReason> {
        match messages {
            Received::One(payload) => self.encode(payload, stats),
            Received::Batch(batch) => self.encode_batch(batch, stats),
        }
    }

    fn encode_batch(&mut self, batch: Batch<'_>, stats: &mut Stats) -> Result<(), CloseReason> {
        let is_looked_at = self.stage.as_ref().is_some_and(|stage| stage.takes_messages());
        if !stats.is_watched() && !is_looked_at {
            let (encoder, buf) = self.encoder();
            let before = buf.len();
            if let Some(lines) = encoder.encode_batch(batch, buf) {
                self.pass(before, lines, stats);
                return Ok(());
            }
        }
        batch.messages().try_for_each(|text| self.encode(Payload::Text(text), stats))
    }

    fn encode(&mut self, payload: Payload<'_>, stats: &mut Stats) -> Result<(), CloseReason> {
        stats.see(Direction::Up, &payload);
        if self.take_for_stage(payload, stats) {
            return Ok(());
        }
        let (encoder, buf) = self.encoder();
        let before = buf.len();
        let lines = encoder.encode(payload, buf).map_err(CloseReason::Framing)?;
        self.pass(before, lines, stats);
        if self.encoder.replaced() > 0 {
            stats.replaced(Direction::Up, self.encoder.replaced());
        }
        Ok(())
    }

    /// Whether the stage takes a message as its own. It is no line, and does not wait for the time of one.
    fn take_for_stage(&mut self, payload: Payload<'_>, stats: &mut Stats) -> bool {
        let Some(stage) = self.stage.as_mut().filter(|stage| stage.takes_messages()) else {
            return false;
        };
        let buf = self.out.buf();
        let before = buf.len();
        let is_taken = stage.take(payload, buf);
        if is_taken {
            stats.dropped(stage.dropped());
            stats.count(Direction::Up, 1, buf.len() - before);
        }
        is_taken
    }

    /// The encoder, and the buffer that it appends lines to.
    fn encoder(&mut self) -> (&mut Encoder, &mut Vec<u8>) {
        let buf = match &mut self.pace {
            Some(pace) => pace.buf(),
            None => self.out.buf(),
        };
        (&mut self.encoder, buf)
    }

    /// Takes lines that were appended to that buffer from `before` on.
    fn pass(&mut self, before: usize, lines: u64, stats: &mut Stats) {
        if self.pace.is_some() {
            // They are counted when they leave. That they came is data too.
            stats.count(Direction::Up, 0, 0);
            return;
        }
        self.send_lines(before, lines, stats);
    }

    /// Passes lines, which begin at `before` of what waits for the backend, through the stage, and counts them.
    fn send_lines(&mut self, before: usize, lines: u64, stats: &mut Stats) {
        let buf = self.out.buf();
        self.stage.iter_mut().for_each(|stage| stage.up(buf, before));
        stats.count(Direction::Up, lines, buf.len() - before);
    }

    /// Moves the lines whose time has come to what waits for the backend. Nobody waits for the time of lines whose
    /// backend has gone.
    pub fn release(&mut self, stats: &mut Stats) {
        let Some(pace) = self.pace.as_mut().filter(|pace| pace.len() > 0) else { return };
        if self.out.broken().is_some() {
            pace.lift();
        }
        let buf = self.out.buf();
        let before = buf.len();
        let lines = pace.take_due(clock::now(), buf);
        let last = pace.take_last();
        if lines > 0 {
            self.send_lines(before, lines, stats);
        }
        self.say(&last);
    }

    /// When the next line may leave, if any waits for its time.
    pub fn next_line(&self) -> Option<Instant> {
        self.pace.as_ref().and_then(|pace| pace.next())
    }

    /// Whether lines may have to wait for their time.
    pub fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Lets all lines leave at the next [`release`](Self::release), whatever the rate.
    pub fn lift_rate(&mut self) {
        self.pace.iter_mut().for_each(|pace| pace.lift());
    }

    /// Whether the backend has taken everything but lines whose time has not come.
    pub fn awaits_turn(&self) -> bool {
        self.out.len() == 0 && self.next_line().is_some()
    }

    /// Bytes that wait for the backend or for their time.
    fn waiting(&self) -> usize {
        self.out.len() + self.pace.as_ref().map_or(0, |pace| pace.len())
    }

    /// Passes a read of the backend's through the stage, whose answers join what waits for the backend if there
    /// is room for them. Returns what is left and what happens within it; `None` without a stage.
    pub fn pass_down(&mut self, chunk: &[u8], stats: &mut Stats) -> Option<(Vec<u8>, Vec<Mark>)> {
        let stage = self.stage.as_mut()?;
        let (mut rest, mut marks) = (scratch::take_spare(), Vec::new());
        let has_room = self.out.len() < ENOUGH;
        let buf = self.out.buf();
        let before = buf.len();
        stage.down(chunk, &mut rest, &mut marks, buf);
        if !has_room {
            buf.truncate(before);
        }
        stats.dropped(stage.dropped());
        Some((rest, marks))
    }

    /// The time at which the stage wants to speak.
    pub fn stage_deadline(&self) -> Option<Instant> {
        self.stage.as_ref().and_then(|stage| stage.deadline())
    }

    /// Lets the stage speak, as its time has come.
    pub fn stage_due(&mut self) {
        self.stage.iter_mut().for_each(|stage| stage.due(self.out.buf()));
    }

    /// Ready when the backend may be read from. With a stage that answers, one that takes none of the answers may not, unless it
    /// has ended its stream: then what comes before the end is the last, and is relayed without answers.
    pub fn poll_room(&mut self, cx: &mut Context<'_>, backend: &mut ByteStream) -> Poll<()> {
        let answers = self.stage.as_ref().is_some_and(|stage| stage.answers());
        if !answers || self.out.len() < ENOUGH || self.poll_send(cx, backend).is_ready() {
            return Poll::Ready(());
        }
        // It wakes the session at the end of the stream too.
        let _ = backend.poll_reset(cx);
        if self.out.len() < ENOUGH || backend.is_ended() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready, once, when the backend has reset its connection while lines wait for their time: nothing is written
    /// meanwhile that would find out.
    fn poll_broken(&mut self, cx: &mut Context<'_>, backend: &ByteStream) -> Poll<()> {
        if self.next_line().is_none() || self.out.broken().is_some() {
            return Poll::Pending;
        }
        backend.poll_reset(cx).map(|error| self.out.give_up(error))
    }

    /// Writes what was [released](Self::release); ready when all of that is written.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, backend: &mut ByteStream) -> Poll<()> {
        self.out.poll_send(cx, backend)
    }

    /// Notes whether the client has ended its stream behind what waits; asked at each of the session's
    /// wake-ups.
    pub fn note_end(&mut self, is_ended: bool) {
        if !(is_ended && self.paused && self.out.len() > 0) {
            self.stuck_since = None;
        } else if self.take_progress() || self.stuck_since.is_none() {
            self.stuck_since = Some(clock::now());
        }
    }

    /// Whether the backend has taken anything since this was last asked.
    pub fn take_progress(&mut self) -> bool {
        self.out.take_progress()
    }

    /// The actual reason for the backend's end. The kernel reports an error once: if a write got it, the read sees
    /// only the end of the stream.
    pub fn explain(&self, end: CloseReason) -> CloseReason {
        match (end, self.out.broken()) {
            // A broken pipe follows an ordinary end.
            (CloseReason::BackendClosed, Some(error))
                if error.kind() != io::ErrorKind::BrokenPipe =>
            {
                CloseReason::BackendFailed(reason(error))
            }
            (end, _) => end,
        }
    }
}
