//! Request state: how far the answer to the current request of a connection is.
//!
//! hyper knows it, but tells nobody. It decides two things that hyper would do otherwise: hyper's own answer to what
//! its parser refuses, a status without text, is not written (see `malformed`), and the end of the client's stream is
//! hidden from hyper until the answer is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::body::Body;

/// No request is being answered.
const IDLE: u8 = 0;
/// A request is being answered.
const ANSWERING: u8 = 1;
/// hyper has taken the whole answer, and some of it may still be written.
const FLUSHING: u8 = 2;

/// The state of a connection's current request, shared by those who take part in its answer. All of them run in the
/// connection's task.
#[derive(Clone, Debug, Default)]
pub struct RequestState(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    phase: AtomicU8,
    has_body: AtomicBool,
    needs_client: AtomicBool,
    client_ended: AtomicBool,
    /// Whether some of the answer before may still be written.
    is_behind: AtomicBool,
    is_switching: AtomicBool,
}

impl RequestState {
    /// Notes that a request has come. `has_body`: some of its body may still have to be read.
    pub fn begin(&self, has_body: bool) {
        let before = self.0.phase.swap(ANSWERING, Relaxed);
        self.0.is_behind.store(before == FLUSHING, Relaxed);
        self.0.has_body.store(has_body, Relaxed);
        self.0.needs_client.store(false, Relaxed);
    }

    /// Notes that the answer may take long, and is void when the client ends its stream before it is complete.
    pub fn needs_client(&self) {
        self.0.needs_client.store(true, Relaxed);
    }

    /// Notes that the client has ended its stream. True if hyper must not see it before the answer is sent: it takes
    /// this for the end of the connection, but a client that sends no more may still read (RFC 9112, section 9.6).
    pub fn hides_client_end(&self) -> bool {
        self.0.client_ended.store(true, Relaxed);
        let is_seen = self.has_body() && self.0.needs_client.load(Relaxed);
        !self.is_idle() && !is_seen
    }

    /// Whether the answer is void, as the client has ended its stream.
    pub fn is_abandoned(&self) -> bool {
        self.0.client_ended.load(Relaxed)
            && self.0.needs_client.load(Relaxed)
            && self.0.phase.load(Relaxed) == ANSWERING
    }

    /// Whether the request has a body.
    pub fn has_body(&self) -> bool {
        self.0.has_body.load(Relaxed)
    }

    /// Notes that the request is answered with a 101, which hyper does not write.
    pub fn switch_protocols(&self) {
        self.0.is_switching.store(true, Relaxed);
    }

    /// Whether the 101 can be written now.
    pub fn is_switching(&self) -> bool {
        self.0.is_switching.load(Relaxed) && !self.0.is_behind.load(Relaxed)
    }

    /// Notes that all that hyper wrote so far has left.
    pub fn flushed(&self) {
        self.0.is_behind.store(false, Relaxed);
        let _ = self.0.phase.compare_exchange(FLUSHING, IDLE, Relaxed, Relaxed);
    }

    /// Whether no request is being answered.
    pub fn is_idle(&self) -> bool {
        self.0.phase.load(Relaxed) == IDLE
    }
}

/// A response's body, which notes when hyper has taken all of it.
#[derive(Debug)]
pub struct TrackedBody {
    body: Body,
    state: RequestState,
}

impl TrackedBody {
    /// The body of the response to the current request.
    pub fn new(body: Body, state: RequestState) -> Self {
        TrackedBody { body, state }
    }
}

impl http_body::Body for TrackedBody {
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

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.state.0.phase.store(FLUSHING, Relaxed);
    }
}
