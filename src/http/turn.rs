//! Turn: whether what hyper writes is a response of ours. It answers by itself what its parser refuses, with
//! a status and no word; we do so in its place, see `malformed`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::body::Body;

const NOBODYS: u8 = 0;
const OURS: u8 = 1;
const LEAVING: u8 = 2;

/// Whose turn to write it is on one connection. One task alone moves it.
#[derive(Clone, Debug, Default)]
pub struct Turn(Arc<AtomicU8>);

impl Turn {
    /// A request has come, and will be answered.
    pub fn begin(&self) {
        self.0.store(OURS, Ordering::Relaxed);
    }

    /// All that was to be written has left.
    pub fn flushed(&self) {
        let _ = self.0.compare_exchange(LEAVING, NOBODYS, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether nothing of ours is to be written.
    pub fn is_nobodys(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NOBODYS
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
        self.turn.0.store(LEAVING, Ordering::Relaxed);
    }
}
