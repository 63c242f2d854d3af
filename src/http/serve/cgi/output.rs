//! Output: the body of an answer, as its program writes it.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::StatusCode;

use super::exchange::{Exchange, Failure};
use super::hold::Fate;

/// The rest of an exchange, once its head is known.
pub struct Output {
    exchange: Exchange,
    /// What came with the head.
    first: Bytes,
    /// How much is to come, where that was said: it is held to.
    left: Option<u64>,
    /// The end of the body, which has the length that was said. It waits for the program to take the
    /// rest of the request, as hyper reads no more of that once the answer has ended.
    last: Option<Bytes>,
    ended: bool,
    /// What the next poll fails with.
    failing: Option<String>,
}

impl Output {
    /// The body of an answer with this status, which begins with `first`, and has so many bytes, at
    /// least one, if that was said.
    pub fn new(
        mut exchange: Exchange,
        status: StatusCode,
        first: Bytes,
        length: Option<u64>,
    ) -> Self {
        exchange.hold.fate = Fate::Begun(status);
        Output { exchange, first, left: length, last: None, ended: false, failing: None }
    }

    /// Nobody wants the body; the program may write it, and end in peace.
    pub fn discard(mut self) {
        self.complete();
        let Exchange { io, mut hold, .. } = self.exchange;
        hold.discarded = Some(io);
    }

    fn complete(&mut self) {
        self.ended = true;
        self.exchange.hold.complete();
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Failure>> {
        let mut bytes = mem::take(&mut self.first);
        if bytes.is_empty() {
            ready!(self.exchange.poll(cx, |chunk| bytes = Bytes::copy_from_slice(chunk)))?;
        }
        Poll::Ready(Ok(bytes))
    }

    /// What of these bytes belongs to the body.
    fn within(&mut self, mut bytes: Bytes) -> Bytes {
        let Some(left) = &mut self.left else { return bytes };
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        if bytes.len() > most {
            bytes.truncate(most);
            self.exchange.hold.trouble = Some("it says more than its Content-Length".into());
        }
        *left -= bytes.len() as u64;
        bytes
    }

    /// The next bytes of the body; none at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Failure>> {
        if self.last.is_none() {
            let bytes = ready!(self.poll_bytes(cx))?;
            let bytes = self.within(bytes);
            if bytes.is_empty() || self.left != Some(0) {
                return Poll::Ready(Ok(bytes));
            }
            self.last = Some(bytes);
        }
        ready!(self.exchange.poll_settled(cx))?;
        self.complete();
        Poll::Ready(Ok(self.last.take().unwrap_or_default()))
    }

    /// Fails at the next poll: before that hyper sends what it was given, which it would throw away.
    fn fail(&mut self, cx: &Context<'_>, why: String) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.failing = Some(why);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for Output {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(why) = this.failing.take() {
            this.ended = true;
            return Poll::Ready(Some(Err(io::Error::other(why))));
        }
        let trouble: String = match ready!(this.poll_piece(cx)) {
            Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Ok(_) if this.left.is_none() => {
                this.complete();
                return Poll::Ready(None);
            }
            Ok(_) => "it says less than its Content-Length".into(),
            Err(Failure::Silence(limit)) => format!("nothing more came within {limit:?}"),
            Err(Failure::NoAnswer(why)) => why.into(),
            // Not the program's fault, nor is anybody there to be told.
            Err(Failure::Client(error)) => return this.fail(cx, error.to_string()),
        };
        this.exchange.hold.trouble = Some(trouble.clone());
        this.fail(cx, trouble)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
