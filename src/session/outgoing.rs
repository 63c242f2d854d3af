//! Outgoing: bytes that wait to leave through a socket, in either direction.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::net::scratch;
use crate::net::stream::Outlet;

/// What waits for one peer, in order, and leaves in as few writes as it takes.
///
/// A session that has nothing to say holds no buffer: one is lent by the thread, and goes back when
/// all has left. Only with a peer that takes nothing does it stay, cut to what waits.
#[derive(Debug, Default)]
pub struct Outgoing {
    buf: Vec<u8>,
    /// How much of `buf` has left already.
    sent: usize,
    /// How a write failed. What is queued from then on vanishes: it has nowhere to go.
    broken: Option<io::Error>,
    /// Whether the peer has taken anything since [`take_progress`](Self::take_progress).
    progress: bool,
}

impl Outgoing {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.buf.len() - self.sent
    }

    /// What waits.
    #[cfg(test)]
    pub fn waiting(&self) -> &[u8] {
        &self.buf[self.sent..]
    }

    /// The buffer, to append to.
    #[inline]
    pub fn buf(&mut self) -> &mut Vec<u8> {
        if self.buf.capacity() == 0 {
            self.buf = scratch::take_spare();
        }
        &mut self.buf
    }

    /// How a write failed, if one did.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// Whether the peer has taken anything since this was last asked.
    pub fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Writes what waits; ready when nothing does any more, be it as there is nobody to take it. What
    /// the stream itself holds back waits too.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, io: &mut impl Outlet) -> Poll<()> {
        while self.sent < self.buf.len() && self.broken.is_none() {
            match Pin::new(&mut *io).poll_write(cx, &self.buf[self.sent..]) {
                Poll::Ready(Ok(0)) => self.broken = Some(io::ErrorKind::BrokenPipe.into()),
                Poll::Ready(Ok(n)) => {
                    self.sent += n;
                    self.progress = true;
                }
                Poll::Ready(Err(error)) => self.broken = Some(error),
                Poll::Pending => {
                    self.compact();
                    return Poll::Pending;
                }
            }
        }
        self.sent = 0;
        if self.buf.capacity() > 0 {
            scratch::give_spare(std::mem::take(&mut self.buf));
        }
        if self.broken.is_none() {
            match Pin::new(&mut *io).poll_flush(cx) {
                Poll::Ready(flushed) => self.broken = flushed.err(),
                Poll::Pending => {
                    self.progress |= io.take_moved();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Gives back the room of what has left, or all of a buffer that was lent for far more than what
    /// waits; each only once it is so large a part that a byte is seldom moved.
    fn compact(&mut self) {
        if self.len() < self.buf.capacity() / 4 {
            let waits = self.buf[self.sent..].to_vec();
            scratch::give_spare(std::mem::replace(&mut self.buf, waits));
            self.sent = 0;
        } else if self.sent > self.buf.len() / 2 {
            self.buf.drain(..self.sent);
            self.sent = 0;
        }
    }
}
