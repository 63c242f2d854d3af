//! Outgoing: bytes that wait to leave through a socket, in either direction.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::net::scratch;
use crate::net::stream::Outlet;

/// Bytes that wait for one peer, in order. They leave in as few writes as possible.
///
/// An idle session holds no buffer: the thread lends one, and gets it back when all is written. Only with a peer that
/// takes nothing does it stay, cut to what waits.
#[derive(Debug, Default)]
pub struct Outgoing {
    buf: Vec<u8>,
    /// How much of `buf` has left already.
    sent: usize,
    /// The error of a write. What is queued after it is dropped.
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

    /// Drops what waits, now and later: the peer has gone.
    pub fn give_up(&mut self, error: io::Error) {
        self.broken = Some(error);
    }

    /// Whether the peer has taken anything since this was last asked.
    pub fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Writes what waits; ready when nothing does any more, be it as there is nobody to take it. What
    /// the stream itself holds back waits too.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, io: &mut impl Outlet) -> Poll<()> {
        let mut taken = false;
        let sent = self.poll_out(cx, io, &mut taken);
        self.progress |= io.take_moved(taken);
        sent
    }

    /// The same; `taken` is set if the stream has taken anything.
    fn poll_out(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut impl Outlet,
        taken: &mut bool,
    ) -> Poll<()> {
        while self.sent < self.buf.len() && self.broken.is_none() {
            match Pin::new(&mut *io).poll_write(cx, &self.buf[self.sent..]) {
                Poll::Ready(Ok(0)) => self.broken = Some(io::ErrorKind::BrokenPipe.into()),
                Poll::Ready(Ok(n)) => {
                    self.sent += n;
                    *taken = true;
                }
                Poll::Ready(Err(error)) => self.broken = Some(error),
                Poll::Pending => {
                    scratch::give_spare(compact(&mut self.buf, &mut self.sent));
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
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

/// Gives back the room of the first `sent` bytes of `buf`, which have left, or returns all of a buffer that is far larger
/// than what waits; each only once it is so large a part that a byte is seldom moved.
pub(super) fn compact(buf: &mut Vec<u8>, sent: &mut usize) -> Vec<u8> {
    let mut given_back = Vec::new();
    if buf.len() - *sent < buf.capacity() / 4 {
        let waits = buf[*sent..].to_vec();
        given_back = std::mem::replace(buf, waits);
        *sent = 0;
    } else if *sent > buf.len() / 2 {
        buf.drain(..*sent);
        *sent = 0;
    }
    given_back
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::AsyncWrite;
    use futures::task::noop_waker;

    /// Takes everything, and passes on so many bytes at each flush.
    struct Slow {
        held: usize,
        passes: usize,
        moved: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.held += buf.len();
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let n = self.held.min(self.passes);
            self.held -= n;
            self.moved |= n > 0;
            if self.held == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Outlet for Slow {
        fn take_moved(&mut self, _: bool) -> bool {
            std::mem::take(&mut self.moved)
        }
    }

    #[test]
    fn what_the_stream_holds_back_has_not_left() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut slow = Slow { held: 0, passes: 0, moved: false };
        let mut out = Outgoing::default();
        let mut send = |more: &[u8], passes| {
            out.buf().extend_from_slice(more);
            slow.passes = passes;
            (out.poll_send(&mut cx, &mut slow).is_ready(), out.take_progress())
        };
        // What the stream's own buffer takes, line by line, does not hide a peer that takes nothing.
        assert_eq!(send(&[0; 5], 0), (false, false));
        assert_eq!(send(&[0; 5], 0), (false, false));
        assert_eq!(send(&[], 4), (false, true));
        assert_eq!(send(&[], 0), (false, false));
        assert_eq!(send(&[], 6), (true, true));
    }
}
