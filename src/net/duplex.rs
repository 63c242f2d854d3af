//! Duplex: a stream inside the process. What is written to one end is read from the other.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::io::{AsyncRead, AsyncWrite};

use crate::sync::lock;

/// One end of a stream whose other end is in this process too. It behaves as a socket does: each direction
/// holds a bounded number of bytes, ends by itself, and can be reset.
///
/// Dropping an end closes both directions: what was written before is still read, and what the other end
/// writes from then on fails with a broken pipe.
#[derive(Debug)]
pub struct Duplex {
    input: Arc<Mutex<Pipe>>,
    output: Arc<Mutex<Pipe>>,
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    waiting: VecDeque<u8>,
    /// Bytes that may wait before a writer has to.
    capacity: usize,
    state: State,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Who is to be woken once the lock is free.
    woken: [Option<Waker>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes may come.
    Open,
    /// The writer has ended the stream behind what waits.
    Ended,
    /// The reader is gone: nobody takes anything.
    Unread,
    /// What waited is lost, and either end is told so.
    Reset,
}

impl Duplex {
    /// Both ends of a new stream. Each direction holds up to `capacity` bytes, at least one.
    pub fn pair(capacity: usize) -> (Duplex, Duplex) {
        let pipe = || {
            Arc::new(Mutex::new(Pipe {
                waiting: VecDeque::new(),
                capacity: capacity.max(1),
                state: State::Open,
                reader: None,
                writer: None,
                woken: [None, None],
            }))
        };
        let (a, b) = (pipe(), pipe());
        (Duplex { input: a.clone(), output: b.clone() }, Duplex { input: b, output: a })
    }

    /// Resets the connection, as a TCP peer does that closes before it has read everything: what waits in
    /// either direction is lost, and either end fails with `ConnectionReset`.
    pub fn reset(&self) {
        for pipe in [&self.input, &self.output] {
            change(pipe, |pipe| {
                pipe.waiting.clear();
                pipe.enter(State::Reset);
            });
        }
    }

    /// Bytes that were written to this end and that the other has not read.
    pub fn unread(&self) -> usize {
        lock(&self.output).waiting.len()
    }
}

/// Changes one direction, and wakes who waits for it once its lock is free.
fn change<T>(pipe: &Mutex<Pipe>, work: impl FnOnce(&mut Pipe) -> T) -> T {
    let mut held = lock(pipe);
    let outcome = work(&mut held);
    let woken = std::mem::take(&mut held.woken);
    drop(held);
    woken.into_iter().flatten().for_each(Waker::wake);
    outcome
}

impl Pipe {
    /// Changes the state; a reset is for good.
    fn enter(&mut self, state: State) {
        if self.state != State::Reset {
            self.state = state;
        }
        self.woken = [self.reader.take(), self.writer.take()];
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.state == State::Reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.waiting.is_empty() && self.state == State::Open && !buf.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = self.waiting.read(buf)?;
        self.woken = [None, self.writer.take()];
        Poll::Ready(Ok(n))
    }

    fn write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.state {
            State::Open => {}
            State::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            State::Ended | State::Unread => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let n = buf.len().min(self.capacity - self.waiting.len());
        if n == 0 && !buf.is_empty() {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.waiting.extend(&buf[..n]);
        self.woken = [self.reader.take(), None];
        Poll::Ready(Ok(n))
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        change(&self.input, |pipe| pipe.read(cx, buf))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        change(&self.output, |pipe| pipe.write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the stream to the other end, as `shutdown(Write)` does.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        change(&self.output, |output| match output.state {
            State::Reset => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            State::Open => {
                output.enter(State::Ended);
                Poll::Ready(Ok(()))
            }
            State::Ended | State::Unread => Poll::Ready(Ok(())),
        })
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        change(&self.output, |output| {
            if output.state == State::Open {
                output.enter(State::Ended);
            }
        });
        change(&self.input, |input| {
            input.waiting.clear();
            input.enter(State::Unread);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn bytes_arrive_in_order_and_wait_for_room() {
        let (mut near, mut far) = Duplex::pair(4);
        assert_eq!(block_on(near.write(b"abcdef")).unwrap(), 4);
        assert!(near.write(b"ef").now_or_never().is_none(), "there is no room");
        assert_eq!(near.unread(), 4);
        let mut buf = [0; 3];
        assert_eq!(block_on(far.read(&mut buf)).unwrap(), 3);
        assert_eq!(&buf, b"abc");
        assert_eq!(block_on(near.write(b"ef")).unwrap(), 2);
        assert_eq!(block_on(far.read(&mut buf)).unwrap(), 3);
        assert_eq!(&buf, b"def");
        assert!(far.read(&mut buf).now_or_never().is_none(), "nothing is there");
    }

    #[test]
    fn each_direction_ends_by_itself() {
        let (mut near, mut far) = Duplex::pair(16);
        block_on(near.write_all(b"last")).unwrap();
        block_on(near.close()).unwrap();
        assert_eq!(block_on(near.write(b"x")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut all = String::new();
        block_on(far.read_to_string(&mut all)).unwrap();
        assert_eq!(all, "last");
        block_on(far.write_all(b"answer")).unwrap();
        let mut buf = [0; 16];
        assert_eq!(block_on(near.read(&mut buf)).unwrap(), 6);
    }

    #[test]
    fn a_reset_reaches_both_ends_and_nothing_else_arrives() {
        let (mut near, mut far) = Duplex::pair(16);
        block_on(far.write_all(b"lost")).unwrap();
        far.reset();
        let mut buf = [0; 16];
        for end in [&mut near, &mut far] {
            let kind = |outcome: io::Result<usize>| outcome.unwrap_err().kind();
            assert_eq!(kind(block_on(end.read(&mut buf))), io::ErrorKind::ConnectionReset);
            assert_eq!(kind(block_on(end.write(b"x"))), io::ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn an_end_that_is_dropped_has_had_its_say() {
        let (mut near, mut far) = Duplex::pair(16);
        block_on(near.write_all(b"last")).unwrap();
        block_on(far.write_all(b"unread")).unwrap();
        drop(near);
        assert_eq!(block_on(far.write(b"x")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut all = String::new();
        block_on(far.read_to_string(&mut all)).unwrap();
        assert_eq!(all, "last");
    }

    #[test]
    fn who_waits_is_woken() {
        let (mut near, mut far) = Duplex::pair(1);
        let writer = std::thread::spawn(move || block_on(near.write_all(b"hello")).map(|()| near));
        let mut buf = [0; 5];
        block_on(far.read_exact(&mut buf)).unwrap();
        assert_eq!(&buf, b"hello");
        drop(writer.join().unwrap().unwrap());
        assert_eq!(block_on(far.read(&mut buf)).unwrap(), 0);
    }
}
