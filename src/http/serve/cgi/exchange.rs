//! Exchange: one request's body goes up to its program while the answer comes down.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures::io::{AsyncRead, AsyncWrite};
use http_body::Body;
use hyper::body::Incoming;

use super::head::{self, Head};
use super::hold::{Bill, Hold};
use crate::backend::program::Running;
use crate::clock::Deadline;
use crate::net::scratch::{self, BATCHES};
use crate::net::stream::ByteStream;
use crate::task::yield_now;

/// Why there is no answer, or no more of it.
pub enum Failure {
    /// Nothing passed in either direction for this long.
    Silence(Duration),
    /// What the program said is no answer; the text says why.
    NoAnswer(&'static str),
    /// The rest of the request does not come.
    Client(hyper::Error),
}

/// A request and its program. When it is dropped the program is ended, and its end is logged.
pub struct Exchange {
    /// The program's stdin and stdout.
    pub io: ByteStream,
    up: Up,
    idle: Idle,
    /// The hold on the program.
    pub hold: Hold,
}

/// The request's body on its way.
struct Up {
    /// `None` once all of it has come, or nobody reads it.
    body: Option<Incoming>,
    /// What has come, and has not gone.
    chunk: Bytes,
    bytes: u64,
}

/// Watches over the silence.
struct Idle {
    limit: Duration,
    last: Instant,
    timer: Deadline,
}

impl Exchange {
    /// Begins: nothing may pass for so long.
    pub fn new(running: Running, body: Incoming, limit: Duration, bill: Bill) -> Self {
        let Running { io, keeping } = running;
        let up = Up { body: Some(body), chunk: Bytes::new(), bytes: 0 };
        let idle = Idle { limit, last: Instant::now(), timer: Deadline::after(limit) };
        let hold = Hold::new(keeping, bill);
        Exchange { io, up, idle, hold }
    }

    /// Reads the head of the answer, and what came with it of the body.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn head(&mut self) -> Result<(Head, Bytes), Failure> {
        // A client that waits to be told to send its body (RFC 9110, section 10.1.1) is told so by hyper
        // when the body is asked for, but not once there is an answer; and the program may answer first
        // and read then.
        poll_fn(|cx| Poll::Ready(self.up.poll(cx, &mut self.io))).await.map_err(Failure::Client)?;
        yield_now().await;
        let mut bytes = Vec::new();
        loop {
            let seen = bytes.len();
            let n = poll_fn(|cx| self.poll(cx, |chunk| bytes.extend_from_slice(chunk))).await?;
            match head::end(&bytes, seen) {
                Some(end) if end <= head::MAX_HEAD => {
                    let head = head::parse(&bytes[..end]).map_err(Failure::NoAnswer)?;
                    return Ok((head, Bytes::from(bytes).split_off(end)));
                }
                None if n == 0 => {
                    return Err(Failure::NoAnswer(match bytes.is_empty() {
                        true => "it said nothing",
                        false => "its head does not end",
                    }));
                }
                None if bytes.len() <= head::MAX_HEAD => {}
                _ => return Err(Failure::NoAnswer("its head is longer than 16 KiB")),
            }
        }
    }

    /// Moves what it can in both directions; ready with what `take` was given, 0 bytes at the end.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<Result<usize, Failure>> {
        let sent = self.up.poll(cx, &mut self.io).map_err(Failure::Client)?;
        let io = &mut self.io;
        let down = scratch::with(|chunk| {
            let read = Pin::new(io).poll_read(cx, chunk);
            // A pipe does not fail; if it did there would be no more of it.
            read.map(|n| n.unwrap_or(0)).map(|n| {
                take(&chunk[..n]);
                n
            })
        });
        if let Poll::Ready(n) = down {
            self.hold.bytes_down += n as u64;
        }
        self.hold.bytes_up = self.up.bytes;
        if sent || down.is_ready() {
            self.idle.last = Instant::now();
        }
        match down {
            Poll::Ready(n) => Poll::Ready(Ok(n)),
            Poll::Pending => self.idle.poll(cx).map(|()| Err(Failure::Silence(self.idle.limit))),
        }
    }

    /// Ready when a program that has said all of its answer may be left: it has got all of the body, or
    /// reads no more, or has ended its output, or nothing of the body has passed for as long as nothing
    /// may. What it still says is thrown away.
    ///
    /// # Errors
    /// [`Failure::Client`].
    pub fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        for _ in 0..BATCHES {
            if self.up.poll(cx, &mut self.io).map_err(Failure::Client)? {
                self.idle.last = Instant::now();
            }
            self.hold.bytes_up = self.up.bytes;
            if self.up.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            match scratch::with(|chunk| Pin::new(&mut self.io).poll_read(cx, chunk)) {
                Poll::Pending => return self.idle.poll(cx).map(Ok),
                Poll::Ready(Ok(n)) if n > 0 => self.hold.bytes_down += n as u64,
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
        // More is there, but others want their turn.
        cx.waker().wake_by_ref();
        self.idle.poll(cx).map(Ok)
    }
}

impl Up {
    /// Sends what it can; whether that was anything.
    fn poll(&mut self, cx: &mut Context<'_>, io: &mut ByteStream) -> Result<bool, hyper::Error> {
        let mut sent = false;
        for _ in 0..BATCHES {
            if self.chunk.is_empty() {
                let Some(body) = &mut self.body else { return Ok(sent) };
                match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => return Ok(sent),
                    Poll::Ready(Some(frame)) => {
                        // Trailers are for nobody.
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
                // Who reads no more has read enough.
                Poll::Ready(Err(_)) => {
                    self.chunk.clear();
                    self.end(cx, io);
                    return Ok(sent);
                }
            }
        }
        // More is there, but others want their turn.
        cx.waker().wake_by_ref();
        Ok(sent)
    }

    fn end(&mut self, cx: &mut Context<'_>, io: &mut ByteStream) {
        self.body = None;
        // A pipe is closed at once.
        let _ = Pin::new(io).poll_close(cx);
    }
}

impl Idle {
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
