//! Exchange: one request's body goes up to its program while the answer comes down.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_std::task;
use bytes::{Buf, Bytes};
use futures::io::{AsyncRead, AsyncWrite};
use http_body::{Body, Frame, SizeHint};
use hyper::StatusCode;
use hyper::body::Incoming;

use super::head::{self, Head};
use crate::backend::program::{Keeping, Running};
use crate::clock::Deadline;
use crate::http::Entry;
use crate::log::{Answer, Subject};
use crate::net::scratch::{self, BATCHES};
use crate::net::stream::ByteStream;
use crate::registry::Stay;

/// What a request's end is told with, and what it gives back once its program is gone.
pub struct Bill {
    pub subject: Subject,
    pub path: String,
    pub program: Box<str>,
    pub began: Instant,
    pub entry: Entry,
    pub stay: Stay,
}

/// Why there is no answer, or no more of it.
pub enum Failure {
    /// Nothing passed in either direction for too long.
    Silence,
    /// What the program said is no answer; the text says why.
    NoAnswer(&'static str),
    /// The rest of the request does not come.
    Client(hyper::Error),
}

/// A request and its program. When it is dropped the program is ended, and its end is logged.
pub struct Exchange {
    io: ByteStream,
    up: Up,
    idle: Idle,
    hold: Hold,
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

/// The hold on a program, and what is to be said of it. Dropping it ends the program, in a task of its
/// own: nobody who has got his answer waits for that.
struct Hold {
    running: Option<Box<(Keeping, Bill)>>,
    /// Its output that nobody wants, but that it should be able to write.
    discarded: Option<ByteStream>,
    fate: Fate,
    /// What went wrong by the program's fault.
    trouble: Option<String>,
    bytes_up: u64,
    bytes_down: u64,
}

/// What has become of an answer.
#[derive(Clone, Copy)]
enum Fate {
    /// It has no head yet.
    Waiting,
    /// It is none; the refusal says so.
    Refused,
    /// It has this status, and is on its way.
    Begun(StatusCode),
    /// All of it has been handed over.
    Complete(StatusCode),
}

impl Exchange {
    /// Begins: nothing may pass for so long.
    pub fn new(running: Running, body: Incoming, limit: Duration, bill: Bill) -> Self {
        let Running { io, keeping } = running;
        let up = Up { body: Some(body), chunk: Bytes::new(), bytes: 0 };
        let idle = Idle { limit, last: Instant::now(), timer: Deadline::after(limit) };
        let hold = Hold {
            running: Some(Box::new((keeping, bill))),
            discarded: None,
            fate: Fate::Waiting,
            trouble: None,
            bytes_up: 0,
            bytes_down: 0,
        };
        Exchange { io, up, idle, hold }
    }

    /// Gives up, as there is no answer that could be passed on. Gives back the program's name.
    pub fn refuse(mut self) -> Box<str> {
        self.hold.fate = Fate::Refused;
        self.hold.running.as_ref().map_or_else(Box::default, |running| running.1.program.clone())
    }

    /// Reads the head of the answer, and what came with it of the body.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn head(&mut self) -> Result<(Head, Bytes), Failure> {
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

    /// The rest of the answer, which begins with `first`.
    pub fn output(self, first: Bytes) -> Output {
        Output { exchange: self, first, left: None, ended: false }
    }

    /// Moves what it can in both directions; ready with what `take` was given, 0 bytes at the end.
    fn poll(
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
            Poll::Pending => self.idle.poll(cx).map(|()| Err(Failure::Silence)),
        }
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

/// The body of an answer, as its program writes it.
pub struct Output {
    exchange: Exchange,
    /// What came with the head.
    first: Bytes,
    /// How much is to come, where it was said: that is held to.
    left: Option<u64>,
    ended: bool,
}

impl Output {
    /// The answer has this status, and says that it has so many bytes.
    pub fn begin(&mut self, status: StatusCode, length: Option<u64>) {
        self.exchange.hold.fate = Fate::Begun(status);
        self.left = length;
        if length == Some(0) {
            self.complete();
        }
    }

    fn complete(&mut self) {
        self.ended = true;
        let hold = &mut self.exchange.hold;
        if let Fate::Begun(status) = hold.fate {
            hold.fate = Fate::Complete(status);
        }
    }

    /// Nobody wants the body; the program may end in peace.
    pub fn discard(mut self) {
        self.complete();
        let Exchange { io, mut hold, .. } = self.exchange;
        hold.discarded = Some(io);
    }

    /// What of these bytes belongs to the body.
    fn within(&mut self, mut bytes: Bytes) -> Bytes {
        if let Some(left) = &mut self.left {
            let most = usize::try_from(*left).unwrap_or(usize::MAX);
            if bytes.len() > most {
                bytes.truncate(most);
                self.exchange.hold.trouble = Some("it says more than its Content-Length".into());
            }
            *left -= bytes.len() as u64;
        }
        bytes
    }

    fn fail(&mut self, why: String) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.ended = true;
        self.exchange.hold.trouble = Some(why.clone());
        Poll::Ready(Some(Err(io::Error::other(why))))
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
        let mut bytes = std::mem::take(&mut this.first);
        if bytes.is_empty() {
            let polled = this.exchange.poll(cx, |chunk| bytes = Bytes::copy_from_slice(chunk));
            match ready!(polled) {
                Ok(0) if this.left.is_some() => {
                    return this.fail("it says less than its Content-Length".into());
                }
                Ok(0) => {
                    this.complete();
                    return Poll::Ready(None);
                }
                Ok(_) => {}
                Err(Failure::Silence) => {
                    let limit = this.exchange.idle.limit;
                    return this.fail(format!("nothing more came within {limit:?}"));
                }
                Err(Failure::NoAnswer(why)) => return this.fail(why.into()),
                // Nobody is there to be told.
                Err(Failure::Client(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
            }
        }
        let bytes = this.within(bytes);
        if this.left == Some(0) {
            this.complete();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let (keeping, bill) = *running;
        let (fate, trouble) = (self.fate, self.trouble.take());
        let (bytes_up, bytes_down) = (self.bytes_up, self.bytes_down);
        let discarded = self.discarded.take();
        task::spawn(async move {
            let discard = async {
                if let Some(mut io) = discarded {
                    let _ = io.shutdown_write().await;
                    poll_fn(|cx| scratch::poll_discard(cx, &mut io)).await;
                }
            };
            let lasted = bill.began.elapsed();
            let exit = keeping.exit();
            keeping.end(discard).await;
            let end = exit.await;
            // First, so that whoever reads of the end finds a place free; the stay, when all is said.
            let Bill { subject, path, program, entry, stay: _stay, .. } = bill;
            drop(entry);
            let (status, cut) = match fate {
                Fate::Refused => return,
                Fate::Waiting => (None, true),
                Fate::Begun(status) => (Some(status.as_u16()), trouble.is_none()),
                Fate::Complete(status) => (Some(status.as_u16()), false),
            };
            subject.answered(&Answer {
                path: &path,
                program: &program,
                status,
                lasted,
                bytes_up,
                bytes_down,
                end,
                trouble: trouble.as_deref(),
                cut: cut.then_some("the client took no more"),
            });
        });
    }
}
