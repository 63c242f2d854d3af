//! The exchange with a program: the request's body goes up to it while its response comes down.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures::io::{AsyncRead, AsyncWrite};
use http_body::Body;
use hyper::body::Incoming;

use super::head::{self, Head};
use super::program_guard::{ProgramGuard, RequestRecord};
use crate::backend::program::RunningProgram;
use crate::clock::Deadline;
use crate::net::scratch::{self, BATCHES};
use crate::net::stream::ByteStream;
use crate::task::yield_now;

/// Why there is no response, or no more of it.
pub enum ExchangeError {
    /// No byte passed in either direction for this long.
    TimedOut(Duration),
    /// The program's output is no valid response; the text says why.
    InvalidResponse(&'static str),
    /// The rest of the request could not be read.
    Client(hyper::Error),
}

/// A request and its program. Dropping it ends the program and logs that.
pub struct Exchange {
    /// The program's stdin and stdout.
    pub io: ByteStream,
    request: RequestBody,
    idle: IdleTimer,
    /// Ends the program when dropped.
    pub guard: ProgramGuard,
}

/// The request's body on its way to the program.
struct RequestBody {
    /// `None` once all of it has come, or the program reads no more.
    body: Option<Incoming>,
    /// Bytes that have come from the client and have not been written to the program.
    chunk: Bytes,
    /// How many bytes have been written to the program.
    bytes: u64,
}

/// The limit on how long no byte may pass.
struct IdleTimer {
    limit: Duration,
    last: Instant,
    timer: Deadline,
}

impl Exchange {
    /// Starts an exchange that fails once no byte has passed for `limit`.
    pub fn new(
        running: RunningProgram,
        body: Incoming,
        limit: Duration,
        record: RequestRecord,
    ) -> Self {
        let RunningProgram { io, process } = running;
        let request = RequestBody { body: Some(body), chunk: Bytes::new(), bytes: 0 };
        let idle = IdleTimer { limit, last: Instant::now(), timer: Deadline::after(limit) };
        let guard = ProgramGuard::new(process, record);
        Exchange { io, request, idle, guard }
    }

    /// Reads the head of the response, and the bytes of the body that came with it.
    ///
    /// # Errors
    /// Why there is no head.
    pub async fn head(&mut self) -> Result<(Head, Bytes), ExchangeError> {
        // hyper sends `100 Continue` (RFC 9110, section 10.1.1) when the body is first read, but not once
        // there is a response; and a program may write its response before it reads.
        poll_fn(|cx| Poll::Ready(self.request.poll(cx, &mut self.io)))
            .await
            .map_err(ExchangeError::Client)?;
        yield_now().await;
        let mut bytes = Vec::new();
        loop {
            let seen = bytes.len();
            let n = poll_fn(|cx| self.poll(cx, |chunk| bytes.extend_from_slice(chunk))).await?;
            match head::end(&bytes, seen) {
                Some(end) if end <= head::MAX_HEAD => {
                    let head =
                        head::parse(&bytes[..end]).map_err(ExchangeError::InvalidResponse)?;
                    return Ok((head, Bytes::from(bytes).split_off(end)));
                }
                None if n == 0 => {
                    return Err(ExchangeError::InvalidResponse(match bytes.is_empty() {
                        true => "it said nothing",
                        false => "its head does not end",
                    }));
                }
                None if bytes.len() <= head::MAX_HEAD => {}
                _ => return Err(ExchangeError::InvalidResponse("its head is longer than 16 KiB")),
            }
        }
    }

    /// Moves bytes in both directions. Gives those of the response to `take`, and is ready with their
    /// number, which is 0 at the end.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<Result<usize, ExchangeError>> {
        let sent = self.request.poll(cx, &mut self.io).map_err(ExchangeError::Client)?;
        let io = &mut self.io;
        let down = scratch::with(|chunk| {
            let read = Pin::new(io).poll_read(cx, chunk);
            // Reading a pipe does not fail; if it did, that would be its end.
            read.map(|n| n.unwrap_or(0)).map(|n| {
                take(&chunk[..n]);
                n
            })
        });
        if let Poll::Ready(n) = down {
            self.guard.bytes_down += n as u64;
        }
        self.guard.bytes_up = self.request.bytes;
        if sent || down.is_ready() {
            self.idle.last = Instant::now();
        }
        match down {
            Poll::Ready(n) => Poll::Ready(Ok(n)),
            Poll::Pending => {
                self.idle.poll(cx).map(|()| Err(ExchangeError::TimedOut(self.idle.limit)))
            }
        }
    }

    /// Ready when a program whose response is complete can be ended: it has read all of the body, or
    /// reads no more, or has closed its output, or has read nothing of the body for the limit of time.
    /// What it still writes is dropped.
    ///
    /// # Errors
    /// [`ExchangeError::Client`].
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        for _ in 0..BATCHES {
            if self.request.poll(cx, &mut self.io).map_err(ExchangeError::Client)? {
                self.idle.last = Instant::now();
            }
            self.guard.bytes_up = self.request.bytes;
            if self.request.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            match scratch::with(|chunk| Pin::new(&mut self.io).poll_read(cx, chunk)) {
                Poll::Pending => return self.idle.poll(cx).map(Ok),
                Poll::Ready(Ok(n)) if n > 0 => self.guard.bytes_down += n as u64,
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
        // There is more, but other tasks get their turn first.
        cx.waker().wake_by_ref();
        self.idle.poll(cx).map(Ok)
    }
}

impl RequestBody {
    /// Writes what the program takes now; tells whether that was anything.
    fn poll(&mut self, cx: &mut Context<'_>, io: &mut ByteStream) -> Result<bool, hyper::Error> {
        let mut sent = false;
        for _ in 0..BATCHES {
            if self.chunk.is_empty() {
                let Some(body) = &mut self.body else { return Ok(sent) };
                match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => return Ok(sent),
                    Poll::Ready(Some(frame)) => {
                        // CGI has no trailers.
                        self.chunk = frame?.into_data().unwrap_or_default();
                        sent = true;
                    }
                    Poll::Ready(None) => {
                        self.end(cx, io);
                        return Ok(true);
                    }
                }
            }
            match Pin::new(&mut *io).poll_write(cx, &self.chunk) {
                Poll::Pending => return Ok(sent),
                Poll::Ready(Ok(n)) => {
                    self.chunk.advance(n);
                    self.bytes += n as u64;
                    sent = true;
                }
                // The program has closed its stdin: it needs no more of the body.
                Poll::Ready(Err(_)) => {
                    self.chunk.clear();
                    self.end(cx, io);
                    return Ok(sent);
                }
            }
        }
        // There is more, but other tasks get their turn first.
        cx.waker().wake_by_ref();
        Ok(sent)
    }

    fn end(&mut self, cx: &mut Context<'_>, io: &mut ByteStream) {
        self.body = None;
        // Closing a pipe needs no waiting.
        let _ = Pin::new(io).poll_close(cx);
    }
}

impl IdleTimer {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(Pin::new(&mut self.timer).poll(cx));
            let over = self.last + self.limit;
            if Instant::now() >= over {
                return Poll::Ready(());
            }
            self.timer.set(over);
        }
    }
}
