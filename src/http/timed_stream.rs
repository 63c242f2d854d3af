//! Timed stream: the connection as hyper sees it, with a time limit for writes.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::io::AsyncWrite;
use hyper::rt;

use super::request_state::RequestState;
use crate::clock::Deadline;
use crate::net::scratch;
use crate::net::stream::{ByteStream, Outlet};

/// What was read of a connection before hyper gets it.
#[derive(Debug, Default)]
pub enum ReadAhead {
    /// Nothing: hyper reads what comes.
    #[default]
    Nothing,
    /// These bytes, which hyper reads first.
    Bytes(Bytes),
    /// An error, which the kernel reports once.
    Failed(io::Error),
}

/// A stream that fails with `TimedOut` when the peer has read nothing for `limit`, so that a client that asks for a
/// large file and never reads it does not keep its connection for ever.
#[derive(Debug)]
pub struct TimedStream {
    io: ByteStream,
    ahead: ReadAhead,
    limit: Duration,
    stalled: Option<Deadline>,
    state: RequestState,
}

impl TimedStream {
    /// Limits the writes to `io`, of which `ahead` was read.
    pub fn new(io: ByteStream, ahead: ReadAhead, limit: Duration, state: RequestState) -> Self {
        TimedStream { io, ahead, limit, stalled: None, state }
    }

    /// The stream without its limit, and the bytes that were read ahead and not taken.
    pub fn into_inner(self) -> (ByteStream, Bytes) {
        let left = match self.ahead {
            ReadAhead::Bytes(bytes) => bytes,
            ReadAhead::Nothing | ReadAhead::Failed(_) => Bytes::new(),
        };
        (self.io, left)
    }

    /// Gives what was read ahead to hyper; `None`: there is nothing more of it.
    fn take_ahead(&mut self, buf: &mut rt::ReadBufCursor<'_>) -> Option<io::Result<()>> {
        match mem::take(&mut self.ahead) {
            ReadAhead::Nothing => None,
            ReadAhead::Failed(error) => Some(Err(error)),
            ReadAhead::Bytes(mut bytes) => {
                buf.put_slice(&bytes.split_to(bytes.len().min(buf.remaining())));
                if !bytes.is_empty() {
                    self.ahead = ReadAhead::Bytes(bytes);
                }
                Some(Ok(()))
            }
        }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.io.take_moved(done.is_ready()) {
            self.stalled = None;
        }
        if done.is_ready() {
            return done;
        }
        let limit = self.limit;
        let timer = self.stalled.get_or_insert_with(|| Deadline::after(limit));
        Pin::new(timer).poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl rt::Read for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(taken) = self.take_ahead(&mut buf) {
            return Poll::Ready(taken);
        }
        let n = ready!(scratch::poll_read_into(cx, &mut self.io, buf))?;
        if n == 0 && self.state.hides_client_end() {
            // hyper reads again once the answer is sent.
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state.is_idle() {
            return Poll::Ready(Ok(buf.len()));
        }
        let done = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.state.is_idle() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Encrypted streams may still hold what was written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_flush(cx);
        if done.is_ready() {
            self.stalled = None;
            self.state.flushed();
        }
        self.watch(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}
