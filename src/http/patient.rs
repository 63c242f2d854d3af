//! Patient: a stream that waits for a reader only so long, while HTTP is spoken.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use hyper::rt;

use super::turn::Turn;
use crate::clock::Deadline;
use crate::net::scratch;
use crate::net::stream::{ByteStream, Outlet};

/// Fails with `TimedOut` when the peer has taken nothing for `limit`: somebody who asks for a
/// large file and never reads it holds no connection for ever.
#[derive(Debug)]
pub struct Patient {
    io: ByteStream,
    limit: Duration,
    stalled: Option<Deadline>,
    turn: Turn,
}

impl Patient {
    /// Watches over the writes to `io`.
    pub fn new(io: ByteStream, limit: Duration, turn: Turn) -> Self {
        Patient { io, limit, stalled: None, turn }
    }

    /// The stream alone.
    pub fn into_inner(self) -> ByteStream {
        self.io
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

/// By way of the thread's buffer, as hyper's is not initialised: to zero its 8 KiB for a request of
/// 200 bytes costs more than to copy those.
impl rt::Read for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        scratch::with(|chunk| {
            let room = buf.remaining().min(chunk.len());
            let n = ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk[..room]))?;
            if n == 0 && self.turn.hides_client_end() {
                // hyper reads again once the answer is sent.
                return Poll::Pending;
            }
            buf.put_slice(&chunk[..n]);
            Poll::Ready(Ok(()))
        })
    }
}

impl rt::Write for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.turn.is_nobodys() {
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
        if self.turn.is_nobodys() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A response that was written may be held back still, where it is encrypted.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_flush(cx);
        if done.is_ready() {
            self.stalled = None;
            self.turn.flushed();
        }
        self.watch(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}
