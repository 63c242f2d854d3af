//! Duplex: a stream inside the process. What is written to one end is read from the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
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

/// Reports a reset to those who do not hold the end itself.
#[derive(Debug)]
pub struct DuplexResetWatch(Arc<Mutex<Pipe>>);

/// One direction.
#[derive(Debug)]
struct Pipe {
    waiting: VecDeque<u8>,
    /// Bytes that may wait before a writer has to.
    capacity: usize,
    state: PipeState,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The task at the reading end, if it waits for a reset. It has a waker of its own: bytes do not wake it.
    watcher: Option<Waker>,
    /// The tasks to wake once the lock is free.
    woken: [Option<Waker>; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipeState {
    /// Bytes may come.
    Open,
    /// The writer has ended the stream behind what waits.
    Ended,
    /// The reader is gone: nothing is taken any more.
    Unread,
    /// Both ends fail, the reader behind what still waits.
    Reset,
}

impl Duplex {
    /// Both ends of a new stream. Each direction holds up to `capacity` bytes, at least one.
    pub fn pair(capacity: usize) -> (Duplex, Duplex) {
        let pipe = || {
            Arc::new(Mutex::new(Pipe {
                waiting: VecDeque::new(),
                capacity: capacity.max(1),
                state: PipeState::Open,
                reader: None,
                writer: None,
                watcher: None,
                woken: [None, None, None],
            }))
        };
        let (a, b) = (pipe(), pipe());
        (Duplex { input: a.clone(), output: b.clone() }, Duplex { input: b, output: a })
    }

    /// Resets the connection, as a TCP peer does that closes before it has read everything: what waits in
    /// both directions is lost, and both ends fail with `ConnectionReset`.
    pub fn reset(&self) {
        change(&self.output, |output| output.waiting.clear());
        self.abort();
    }

    /// Resets the connection behind what was written to this end: the other end reads that before it fails, as Linux
    /// has it when the reset comes behind data that has arrived. Its writes fail at once.
    pub fn abort(&self) {
        change(&self.input, |input| {
            input.waiting.clear();
            input.enter(PipeState::Reset);
        });
        change(&self.output, |output| output.enter(PipeState::Reset));
    }

    /// Whether the other end has ended its direction or was reset, however much is still to be read.
    pub fn is_ended(&self) -> bool {
        lock(&self.input).state != PipeState::Open
    }

    /// Ready with the error when the stream was reset, whether or not anybody reads from it. It wakes the task
    /// at the end of the stream too.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        lock(&self.input).poll_reset(cx).map(|()| io::ErrorKind::ConnectionReset.into())
    }

    /// Reports a reset while another task or value holds this end. It shares the waker of
    /// [`poll_reset`](Self::poll_reset): both belong to one task.
    pub fn reset_watch(&self) -> DuplexResetWatch {
        DuplexResetWatch(self.input.clone())
    }

    /// Bytes that were written to this end and that the other has not read, or had not when it was dropped.
    pub fn unread(&self) -> usize {
        lock(&self.output).waiting.len()
    }

    /// Bytes that wait to be read from this end.
    pub fn available(&self) -> usize {
        lock(&self.input).waiting.len()
    }
}

impl DuplexResetWatch {
    /// Ready when the stream was reset, whether or not anybody reads from it.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        lock(&self.0).poll_reset(cx)
    }
}

/// Changes one direction, and wakes the tasks that wait for it once its lock is free.
fn change<T>(pipe: &Mutex<Pipe>, work: impl FnOnce(&mut Pipe) -> T) -> T {
    let mut locked = lock(pipe);
    let outcome = work(&mut locked);
    let woken = std::mem::take(&mut locked.woken);
    drop(locked);
    woken.into_iter().flatten().for_each(Waker::wake);
    outcome
}

impl Pipe {
    /// Changes the state, unless it is a reset, and wakes all that wait.
    fn enter(&mut self, state: PipeState) {
        if self.state != PipeState::Reset {
            self.state = state;
        }
        self.woken = [self.reader.take(), self.writer.take(), self.watcher.take()];
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state == PipeState::Reset {
            return Poll::Ready(());
        }
        self.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.state == PipeState::Reset && self.waiting.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.waiting.is_empty() && self.state == PipeState::Open && !buf.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = self.waiting.read(buf)?;
        self.woken = [None, self.writer.take(), None];
        Poll::Ready(Ok(n))
    }

    fn write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.state {
            PipeState::Open => {}
            PipeState::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            PipeState::Ended | PipeState::Unread => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let before = self.waiting.len();
        for buf in bufs {
            let n = buf.len().min(self.capacity - self.waiting.len());
            self.waiting.extend(&buf[..n]);
        }
        let n = self.waiting.len() - before;
        if n == 0 && bufs.iter().any(|buf| !buf.is_empty()) {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.woken = [self.reader.take(), None, None];
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
        change(&self.output, |pipe| pipe.write(cx, &[IoSlice::new(buf)]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        change(&self.output, |pipe| pipe.write(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the stream to the other end, as `shutdown(Write)` does.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        change(&self.output, |output| match output.state {
            PipeState::Reset => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            PipeState::Open => {
                output.enter(PipeState::Ended);
                Poll::Ready(Ok(()))
            }
            PipeState::Ended | PipeState::Unread => Poll::Ready(Ok(())),
        })
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        change(&self.output, |output| {
            if output.state == PipeState::Open {
                output.enter(PipeState::Ended);
            }
        });
        change(&self.input, |input| input.enter(PipeState::Unread));
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
    fn an_abort_comes_behind_what_was_written() {
        let (mut near, mut far) = Duplex::pair(16);
        block_on(near.write_all(b"unread")).unwrap();
        block_on(far.write_all(b"last")).unwrap();
        far.abort();
        let kind = |outcome: io::Result<usize>| outcome.unwrap_err().kind();
        assert_eq!(kind(block_on(near.write(b"x"))), io::ErrorKind::ConnectionReset);
        let mut buf = [0; 16];
        assert_eq!(block_on(near.read(&mut buf)).unwrap(), 4);
        for end in [&mut near, &mut far] {
            assert_eq!(kind(block_on(end.read(&mut buf))), io::ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn what_a_dropped_end_has_written_is_still_read() {
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
    fn a_task_that_waits_is_woken() {
        let (mut near, mut far) = Duplex::pair(1);
        let writer = std::thread::spawn(move || block_on(near.write_all(b"hello")).map(|()| near));
        let mut buf = [0; 5];
        block_on(far.read_exact(&mut buf)).unwrap();
        assert_eq!(&buf, b"hello");
        drop(writer.join().unwrap().unwrap());
        assert_eq!(block_on(far.read(&mut buf)).unwrap(), 0);
    }
}
