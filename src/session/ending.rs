//! Ending: each side gets what waits for it and its own kind of end, and time to take them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use futures::future::join;

use super::config::SessionConfig;
use super::endpoint::Endpoint;
use super::reason::{CloseReason, EndedBy};
use super::stats::Stats;
use super::up::Up;
use crate::backend::BackendIo;
use crate::clock::{self, Deadline, timeout};
use crate::net::scratch::{self, BATCHES};
use crate::net::stream::ByteStream;
use crate::registry::Order;

/// Bytes that are read of a client behind what can't be understood, before it takes what waits for it: what it may have
/// begun to send, and not a flood without end.
const MOST_DISCARDED: usize = 16 << 20;

/// The parts of a session that its end needs.
#[derive(Debug)]
pub struct Parts {
    /// The client, with what waits for it.
    pub client: Endpoint,
    /// The backend.
    pub backend: BackendIo,
    /// What waits for the backend.
    pub up: Up,
    /// The counters.
    pub stats: Stats,
    /// What holds for the session.
    pub config: Arc<SessionConfig>,
}

/// Ends a session: the client gets what waits for it and a Close, the backend gets what waits for
/// it and our FIN; both at the same time, so that neither waits for the other. Returns the reason that the client
/// got.
pub async fn end(mut parts: Parts, mut reason: CloseReason) -> CloseReason {
    let mut has_failed = matches!(reason, CloseReason::BackendFailed(_));
    if parts.up.paused {
        (reason, has_failed) = take_rest(&mut parts, reason, has_failed).await;
    }
    if reason.outcome().by != EndedBy::Backend {
        parts.up.leave(&reason);
    }
    if let Some(stage) = &mut parts.up.stage {
        stage.ended(reason.outcome().by.as_str());
    }
    let Parts { mut client, backend, up, stats, config } = parts;
    let settled = settle(&backend, reason);
    let (reason, ()) = join(
        async {
            let reason = meanwhile(&mut client, settled).await;
            // A client that reads gets all that the backend sent before its end, however long that takes. One that
            // is closed because it does not read gets --close-timeout.
            let patience = match (reason.outcome().by, config.limits.write_timeout) {
                (EndedBy::Backend, Some(limit)) => limit,
                _ => config.close_timeout,
            };
            end_client(client, &reason, patience, config.close_timeout).await;
            reason
        },
        end_backend(backend, up, stats, has_failed, config.close_timeout),
    )
    .await;
    reason
}

/// Takes what a session has received and not read, as it was paused. Returns the actual reason, and whether the backend
/// has failed.
async fn take_rest(
    parts: &mut Parts,
    reason: CloseReason,
    has_failed: bool,
) -> (CloseReason, bool) {
    if !matches!(reason, CloseReason::ClientGone(_)) {
        let Parts { client, up, stats, .. } = parts;
        return (up.take_received(client, stats).unwrap_or(reason), has_failed);
    }
    match relay_rest(parts).await {
        // The first reason says more.
        Some(CloseReason::ClientGone(_)) => (reason, has_failed),
        Some(last) => (last, has_failed),
        None => (reason, true),
    }
}

/// Relays what a client sent before it was reset and the kernel still holds, as long as the backend takes any of it.
/// Returns the client's end, or `None` if the backend did not take it all.
async fn relay_rest(parts: &mut Parts) -> Option<CloseReason> {
    let Parts { client, backend, up, stats, config } = parts;
    let relay = |cx: &mut Context<'_>, backend: &mut BackendIo, up: &mut Up, stats: &mut Stats| {
        up.poll(cx, client, backend.io(), stats)
    };
    while_taken(backend, up, stats, config.close_timeout, relay).await
}

/// Polls `send` until it is ready, and again whenever a line's time has come, as long as the backend takes any of what
/// waits. `None` if it does not take it all.
async fn while_taken<T>(
    backend: &mut BackendIo,
    up: &mut Up,
    stats: &mut Stats,
    close_timeout: Duration,
    mut send: impl FnMut(&mut Context<'_>, &mut BackendIo, &mut Up, &mut Stats) -> Poll<T>,
) -> Option<T> {
    let mut turn = Turn::default();
    loop {
        up.take_progress();
        let sent = poll_fn(|cx| {
            turn.watch(cx, backend, up, stats);
            loop {
                let sent = send(cx, backend, up, stats);
                if sent.is_ready() || turn.poll_next(cx, up).is_pending() {
                    return sent;
                }
            }
        });
        if let Ok(sent) = timeout(close_timeout, sent).await {
            return Some(sent);
        }
        if !up.take_progress() && !up.awaits_turn() {
            return None;
        }
    }
}

/// The time of the lines that `--rate` holds back at the end of a session.
#[derive(Debug)]
struct Turn {
    timer: Deadline,
    /// When `timer` fires.
    at: Option<Instant>,
    waker: Option<Waker>,
}

impl Default for Turn {
    fn default() -> Self {
        Turn { timer: Deadline::never(), at: None, waker: None }
    }
}

impl Turn {
    /// Discards what the backend sends, as an echo server that can't write does not read either. All lines may leave
    /// once the backend has ended its stream or wsrelay stops; not as the client has left, or leaving would be a way
    /// to send faster.
    fn watch(&mut self, cx: &mut Context<'_>, backend: &mut BackendIo, up: &mut Up, stats: &Stats) {
        let ended = scratch::poll_discard(cx, backend.io());
        if up.is_paced() {
            let stop = stats.card().mailbox.poll_next(cx, &mut self.waker);
            if ended.is_ready() || stop == Poll::Ready(Order::Stop) {
                up.lift_rate();
            }
        }
    }

    /// Ready when the next line may leave.
    fn poll_next(&mut self, cx: &mut Context<'_>, up: &Up) -> Poll<()> {
        let Some(next) = up.next_line() else { return Poll::Pending };
        if self.at.replace(next) != Some(next) {
            self.timer.set(next);
        }
        Pin::new(&mut self.timer).poll(cx)
    }
}

/// The reason, with the exit status of a program, which is known shortly after the end of its output.
fn settle(backend: &BackendIo, reason: CloseReason) -> impl Future<Output = CloseReason> + use<> {
    let exit = match reason {
        CloseReason::BackendClosed => backend.exit(),
        _ => None,
    };
    async move {
        match exit {
            Some(exit) => CloseReason::ProgramEnded(exit.await),
            None => reason,
        }
    }
}

/// Awaits `work`, and sends what waits for the client while it lasts.
async fn meanwhile<T>(client: &mut Endpoint, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let done = work.as_mut().poll(cx);
        if done.is_pending() {
            let _ = client.poll_drain(cx);
        }
        done
    })
    .await
}

/// Completes a handshake only to close it: `--refuse close`. A page's script can read a close
/// reason, but never an HTTP status. What is `said` before comes as if the backend had said it.
pub async fn refuse(
    io: ByteStream,
    early: &[u8],
    said: &[u8],
    why: &str,
    SessionConfig { framing, close_timeout, .. }: &SessionConfig,
) {
    let close_timeout = *close_timeout;
    let mut client = Endpoint::new(io, early, Role::Server, 0);
    let mut decoder = framing.decoder();
    let mut messages = decoder.push(said);
    while let Ok(Some(payload)) = messages.next() {
        client.queue(0).push(payload);
    }
    // 1013 Try Again Later (IANA's registry of close codes).
    client.close_with(CloseCode::Again, why);
    finish_client(client, true, close_timeout, close_timeout).await;
}

async fn end_client(
    mut client: Endpoint,
    reason: &CloseReason,
    patience: Duration,
    close_timeout: Duration,
) {
    client.close(reason);
    finish_client(client, reason.outcome().expects_close, patience, close_timeout).await;
}

/// Delivers what waits, then awaits the client's Close and its FIN. `patience` is how long the
/// client may take nothing at all while bytes wait for it.
async fn finish_client(
    mut client: Endpoint,
    mut expects_close: bool,
    patience: Duration,
    close_timeout: Duration,
) {
    let mut discards = MOST_DISCARDED;
    // The time of a client that takes nothing already begins anew: it has not seen the Close yet.
    let began = clock::now();
    loop {
        let stall = client.wire().stalled_since().map_or_else(clock::now, |at| at.max(began));
        let left = (stall + patience).saturating_duration_since(clock::now());
        let deliver =
            poll_fn(|cx| poll_deliver(cx, &mut client, &mut expects_close, &mut discards));
        if timeout(left, deliver).await.is_ok() {
            break;
        }
        let progress = client.wire().stalled_since().is_none_or(|since| since > stall);
        if !progress {
            return;
        }
    }
    let goodbye = async {
        if expects_close {
            poll_fn(|cx| poll_close_reply(cx, &mut client)).await;
        }
        // The server closes first (RFC 6455, section 7.1.1), and the client answers with its FIN.
        client.wire().leave().await;
    };
    let _ = timeout(close_timeout, goodbye).await;
}

/// Ready when nothing waits for the client. Until then its pings are not answered, as a Close is queued, but its end
/// is noticed. What can't be understood any more is read too, up to `discards` bytes: a client that can't write may not
/// read either.
fn poll_deliver(
    cx: &mut Context<'_>,
    client: &mut Endpoint,
    expects_close: &mut bool,
    discards: &mut usize,
) -> Poll<()> {
    if *expects_close && poll_close_reply(cx, client).is_ready() {
        *expects_close = false;
    }
    if !*expects_close {
        let _ = client.wire().poll_discard(cx, discards);
    }
    client.poll_drain(cx)
}

/// Reads and drops messages up to the client's Close or its end.
fn poll_close_reply(cx: &mut Context<'_>, client: &mut Endpoint) -> Poll<()> {
    for _ in 0..BATCHES {
        match client.poll_messages(cx, &mut |_| Ok(())) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(_)) => return Poll::Ready(()),
            Poll::Ready(None) => {}
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

async fn end_backend(
    mut backend: BackendIo,
    mut up: Up,
    mut stats: Stats,
    has_failed: bool,
    close_timeout: Duration,
) {
    if !has_failed && deliver_rest(&mut backend, &mut up, &mut stats, close_timeout).await {
        backend.finish(close_timeout).await;
    } else {
        backend.abandon().await;
    }
}

/// Writes all that was received, as long as the backend takes any of it. Returns whether it took all.
async fn deliver_rest(
    backend: &mut BackendIo,
    up: &mut Up,
    stats: &mut Stats,
    close_timeout: Duration,
) -> bool {
    let write = |cx: &mut Context<'_>, backend: &mut BackendIo, up: &mut Up, stats: &mut Stats| {
        up.release(stats);
        let sent = up.poll_send(cx, backend.io());
        if up.next_line().is_some() { Poll::Pending } else { sent }
    };
    while_taken(backend, up, stats, close_timeout, write).await.is_some()
}
