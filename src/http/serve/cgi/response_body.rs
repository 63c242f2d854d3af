//! The body of a response, as its program writes it.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::StatusCode;

use super::exchange::{Exchange, ExchangeError};
use super::program_guard::ResponseState;

/// The rest of an exchange, once the head of the response is known.
pub struct ResponseBody {
    exchange: Exchange,
    /// The bytes that came with the head.
    first: Bytes,
    /// The bytes of `Content-Length` that are still to come; `None` if the program gave none.
    left: Option<u64>,
    /// The last bytes of a body with a length. They wait until the program has read the rest of the
    /// request, as hyper reads no more of that once the response has ended.
    last: Option<Bytes>,
    ended: bool,
    /// What the next poll fails with.
    failing: Option<String>,
}

impl ResponseBody {
    /// The body of a response with this status. It begins with `first`, and has `length` bytes, at least
    /// one, if the program gave a length.
    pub fn new(
        mut exchange: Exchange,
        status: StatusCode,
        first: Bytes,
        length: Option<u64>,
    ) -> Self {
        exchange.guard.state = ResponseState::Started(status);
        ResponseBody { exchange, first, left: length, last: None, ended: false, failing: None }
    }

    /// Completes the response without a body. What the program still writes is read and dropped.
    pub fn discard(mut self) {
        self.complete();
        let Exchange { io, mut guard, .. } = self.exchange;
        guard.unsent = Some(io);
    }

    fn complete(&mut self) {
        self.ended = true;
        self.exchange.guard.complete();
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ExchangeError>> {
        let mut bytes = mem::take(&mut self.first);
        if bytes.is_empty() {
            ready!(self.exchange.poll(cx, |chunk| bytes = Bytes::copy_from_slice(chunk)))?;
        }
        Poll::Ready(Ok(bytes))
    }

    /// The part of these bytes that `Content-Length` allows.
    fn within(&mut self, mut bytes: Bytes) -> Bytes {
        let Some(left) = &mut self.left else { return bytes };
        let most = usize::try_from(*left).unwrap_or(usize::MAX);
        if bytes.len() > most {
            bytes.truncate(most);
            self.exchange.guard.error = Some("it says more than its Content-Length".into());
        }
        *left -= bytes.len() as u64;
        bytes
    }

    /// The next bytes of the body; none at its end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ExchangeError>> {
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

    /// Fails at the next poll, not now: hyper would drop the bytes that it has not sent yet.
    fn fail(&mut self, cx: &Context<'_>, why: String) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.failing = Some(why);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for ResponseBody {
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
        let error: String = match ready!(this.poll_piece(cx)) {
            Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Ok(_) if this.left.is_none() => {
                this.complete();
                return Poll::Ready(None);
            }
            Ok(_) => "it says less than its Content-Length".into(),
            Err(ExchangeError::TimedOut(limit)) => format!("nothing more came within {limit:?}"),
            Err(ExchangeError::InvalidResponse(why)) => why.into(),
            // The program is not at fault, so that its log line shows no error.
            Err(ExchangeError::Client(error)) => return this.fail(cx, error.to_string()),
        };
        this.exchange.guard.error = Some(error.clone());
        this.fail(cx, error)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
