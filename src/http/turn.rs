//! Turn: whether what hyper writes is a response of ours. It answers by itself what its parser refuses, with
//! a status and no word; we do so in its place, see `malformed`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::body::Body;

const NOBODYS: u8 = 0;
const OURS: u8 = 1;
const LEAVING: u8 = 2;

/// Whose turn to write it is on one connection, and whether the client is still there. One task alone changes it.
#[derive(Clone, Debug, Default)]
pub struct Turn(Arc<State>);

#[derive(Debug, Default)]
struct State {
    phase: AtomicU8,
    has_body: AtomicBool,
    ends_with_client: AtomicBool,
    client_ended: AtomicBool,
    /// Whether something of the answer before is still to be written.
    is_behind: AtomicBool,
    is_switching: AtomicBool,
}

impl Turn {
    /// A request has come, and will be answered. `has_body`: its body may have to be read still.
    pub fn begin(&self, has_body: bool) {
        let before = self.0.phase.swap(OURS, Ordering::Relaxed);
        self.0.is_behind.store(before == LEAVING, Ordering::Relaxed);
        self.0.has_body.store(has_body, Ordering::Relaxed);
        self.0.ends_with_client.store(false, Ordering::Relaxed);
    }

    /// The answer is of use only to a client that is still there: the end of its stream ends the exchange, unless
    /// the answer is complete by then.
    pub fn ends_with_client(&self) {
        self.0.ends_with_client.store(true, Ordering::Relaxed);
    }

    /// Notes that the client has ended its stream. True if hyper must not see it before the answer is sent: it takes
    /// this for the end of the connection, but a client that sends no more may still read (RFC 9112, section 9.6).
    pub fn hides_client_end(&self) -> bool {
        self.0.client_ended.store(true, Ordering::Relaxed);
        let is_seen = self.has_body() && self.0.ends_with_client.load(Ordering::Relaxed);
        !self.is_nobodys() && !is_seen
    }

    /// Whether the client has left without its answer.
    pub fn is_abandoned(&self) -> bool {
        self.0.client_ended.load(Ordering::Relaxed)
            && self.0.ends_with_client.load(Ordering::Relaxed)
            && self.0.phase.load(Ordering::Relaxed) == OURS
    }

    /// Whether the request has a body.
    pub fn has_body(&self) -> bool {
        self.0.has_body.load(Ordering::Relaxed)
    }

    /// The request is answered with a 101, which is not for hyper to write.
    pub fn switch_protocols(&self) {
        self.0.is_switching.store(true, Ordering::Relaxed);
    }

    /// Whether the 101 can be written.
    pub fn is_switching(&self) -> bool {
        self.0.is_switching.load(Ordering::Relaxed) && !self.0.is_behind.load(Ordering::Relaxed)
    }

    /// All that was to be written has left.
    pub fn flushed(&self) {
        self.0.is_behind.store(false, Ordering::Relaxed);
        let _ =
            self.0.phase.compare_exchange(LEAVING, NOBODYS, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether nothing of ours is to be written.
    pub fn is_nobodys(&self) -> bool {
        self.0.phase.load(Ordering::Relaxed) == NOBODYS
    }
}

/// A response's body, which ends the turn when hyper has taken all of it.
#[derive(Debug)]
pub struct Tracked {
    body: Body,
    turn: Turn,
}

impl Tracked {
    /// The body of a response in this turn.
    pub fn new(body: Body, turn: Turn) -> Self {
        Tracked { body, turn }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.turn.0.phase.store(LEAVING, Ordering::Relaxed);
    }
}
