//! Readiness: which sockets can be read or written, reported by one edge-triggered epoll for all
//! sessions.
//!
//! async-io arms a socket for one event at a time, so that each message costs an `epoll_ctl`
//! besides its `recv` and `send`. Here a socket is armed once for its whole life, in an epoll of
//! our own; that epoll is the one thing that async-io's reactor waits for.
//!
//! ```text
//!   sockets ──(edge-triggered)──▶ our epoll ──(one Async)──▶ async-io's reactor ──▶ driver task
//!                                                             sessions' wakers ◀──────┘
//! ```

mod state;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_io::Async;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use slab::Slab;

use self::state::{CUT, ENDED, FAILED, HUNG_UP, READ, SourceState, URGENT, WRITE};
use crate::clock::Deadline;
use crate::sync::lock;

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// The number of events from which on the next ones are looked for without waiting: more have come by the time that the
/// woken tasks have run.
const BUSY: usize = 8;

/// Between two attempts to wait, when the kernel refuses.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket's registration, for as long as it lives. The socket itself is closed by its owner,
/// which takes it out of the epoll.
#[derive(Debug)]
pub struct Source {
    state: Arc<SourceState>,
    key: usize,
}

/// Reports a socket's reset to those who do not hold the socket. It shares the reader's waker: both
/// belong to one task.
#[derive(Debug)]
pub struct SourceResetWatch {
    state: Arc<SourceState>,
    bits: u8,
}

/// Ends a stream from elsewhere, for the one case that the kernel never reports: a process is gone,
/// but it has left its end of a pipe to another.
#[derive(Debug)]
pub struct Cutter(Arc<SourceState>);

#[derive(Debug)]
struct Driver {
    epoll: Async<OwnedFd>,
    sources: Mutex<Sources>,
}

/// All sockets that are watched.
#[derive(Debug, Default)]
struct Sources {
    states: Slab<Arc<SourceState>>,
    next_id: u32,
}

impl Sources {
    fn insert(&mut self, bits: u8) -> Source {
        let slot = self.states.vacant_entry();
        let key = slot.key();
        self.next_id = self.next_id.wrapping_add(1);
        let id = u64::from(self.next_id) << 32 | key as u64;
        let state = Arc::new(SourceState::new(id, bits));
        slot.insert(state.clone());
        Source { state, key }
    }

    fn find(&self, id: u64) -> Option<&SourceState> {
        let state = self.states.get((id & u64::from(u32::MAX)) as usize)?;
        (state.id == id).then_some(state)
    }
}

impl Source {
    /// Watches a non-blocking socket, or whatever else can be polled. `ready` says whether reads and
    /// writes are worth a try at once, which they are not while a connection is being made.
    ///
    /// # Errors
    /// As of `epoll_ctl(2)`.
    pub fn new(socket: impl AsFd, ready: bool) -> io::Result<Self> {
        let driver = driver()?;
        let source = lock(&driver.sources).insert(if ready { READ | WRITE } else { 0 });
        let data = EventFlags::IN | EventFlags::PRI | EventFlags::OUT;
        let events = data | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&driver.epoll, socket, EventData::new_u64(source.state.id), events)?;
        Ok(source)
    }

    /// Takes a socket out of the epoll that another process has too: closing it here would leave it there.
    pub fn remove(&self, socket: impl AsFd) {
        if let Ok(driver) = driver() {
            let _ = epoll::delete(&driver.epoll, socket);
        }
    }

    /// Runs `take`, of which each call takes one thing, when it is worth a try, until it does not block.
    ///
    /// # Errors
    /// As of `take`, except `WouldBlock` and `Interrupted`.
    pub fn poll_take_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_readable(cx));
            let is_ended = self.is_ended();
            match take() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if is_ended {
                        self.not_ended();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => self.still_readable(),
                done => {
                    self.still_readable();
                    return Poll::Ready(done);
                }
            }
        }
    }

    /// Runs `read` when it is worth a try, until it does not block.
    ///
    /// # Errors
    /// As of `read`, except `WouldBlock` and `Interrupted`.
    pub fn poll_read_with(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_readable(cx));
            // Asked before the read: what was written between the read and the cut is still to come.
            let is_cut = self.is_cut();
            // Asked before the read too: an end that comes after it must not be forgotten.
            let is_ended = self.is_ended();
            match read(buf) {
                Ok(n) => {
                    // Zero is the end of the stream, and stays so however often it is asked for. Urgent data cuts reads.
                    if n == buf.len() || n == 0 || self.state.has(URGENT) {
                        self.still_readable();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if is_cut {
                        return Poll::Ready(Ok(0));
                    }
                    if is_ended {
                        self.not_ended();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => self.still_readable(),
                Err(e) => {
                    self.still_readable();
                    return Poll::Ready(Err(e));
                }
            }
        }
    }

    /// Runs `write` until it does not block.
    ///
    /// # Errors
    /// As of `write`, except `WouldBlock` and `Interrupted`.
    pub fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done),
            }
            ready!(self.poll_writable(cx));
        }
    }

    /// Ready when a read is worth a try. It uses the readiness up: a reader that leaves bytes behind
    /// reports so with [`still_readable`](Self::still_readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.poll_readable(cx)
    }

    /// Ready when a write is worth a try. It uses the readiness up.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.poll_writable(cx)
    }

    /// Whether the peer has ended its stream, or the connection failed.
    pub fn is_ended(&self) -> bool {
        self.state.has(ENDED)
    }

    /// Reports the socket's reset elsewhere. A hang-up is one too if `or_hang_up`: with TCP it is, as
    /// long as we have not ended our own direction; a Unix socket that is closed hangs up as well, and
    /// its last bytes are still there.
    pub fn reset_watch(&self, or_hang_up: bool) -> SourceResetWatch {
        SourceResetWatch { state: self.state.clone(), bits: reset_bits(or_hang_up) }
    }

    /// Ready when the connection was reset, as [`reset_watch`](Self::reset_watch) says.
    pub fn poll_reset(&self, cx: &mut Context<'_>, or_hang_up: bool) -> Poll<()> {
        self.state.poll_any(reset_bits(or_hang_up), cx)
    }

    /// There is more to read.
    pub fn still_readable(&self) {
        self.state.set(READ);
    }

    /// A read would have had to wait: whatever was reported, the stream is not at its end. The kernel
    /// does not report the one and then the other; if it ever did, the reader would turn in a circle.
    fn not_ended(&self) {
        self.state.clear(ENDED);
    }

    /// Whether the stream was [cut](Cutter::cut): a read that would have to wait is at its end.
    fn is_cut(&self) -> bool {
        self.state.has(CUT)
    }

    /// A handle that can cut this stream.
    pub fn cutter(&self) -> Cutter {
        Cutter(self.state.clone())
    }
}

fn reset_bits(or_hang_up: bool) -> u8 {
    if or_hang_up { FAILED | HUNG_UP } else { FAILED }
}

impl SourceResetWatch {
    /// Ready when the connection was reset, whether or not anybody reads from it.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.poll_any(self.bits, cx)
    }
}

impl Cutter {
    /// Ends the stream behind what is there already.
    pub fn cut(&self) {
        self.0.cut();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Ok(driver) = driver() {
            lock(&driver.sources).states.remove(self.key);
        }
    }
}

/// Starts what every socket needs, so that a failure is one of the start.
///
/// # Errors
/// As of `epoll_create1(2)`.
pub fn start() -> io::Result<()> {
    driver().map(drop)
}

/// The one driver, started when it is first asked for.
fn driver() -> io::Result<&'static Driver> {
    static DRIVER: OnceLock<Result<Driver, io::ErrorKind>> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|e| e.kind())?;
        let epoll = Async::new(epoll).map_err(|e| e.kind())?;
        crate::task::spawn(drive());
        Ok(Driver { epoll, sources: Mutex::default() })
    });
    driver.as_ref().map_err(|kind| (*kind).into())
}

async fn drive() {
    let Ok(driver) = driver() else { return };
    // Two may wait for each event, a reader and a writer.
    let mut woken = Vec::with_capacity(2 * BATCH);
    let mut events = 0;
    loop {
        if events >= BUSY {
            // The tasks that were woken run first. A relay that is busy so does without async-io, which would arm the
            // epoll anew each time, and whose own thread would look after it whenever this one does not for 50 µs.
            crate::task::yield_now().await;
        } else if let Err(error) = driver.epoll.readable().await {
            // Short of memory, perhaps. Every session depends on this task, so it never gives up.
            tracing::error!(%error, "can't wait for sockets, will try again");
            Deadline::after(PAUSE).await;
        }
        events = driver.dispatch(&mut woken);
    }
}

impl Driver {
    /// Passes on the events that the kernel has now; returns their number. `woken` is empty before and after.
    fn dispatch(&self, woken: &mut Vec<Waker>) -> usize {
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; BATCH];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, Some(&now)) else { return 0 };
        let number = events.len();
        let sources = lock(&self.sources);
        for event in events {
            if let Some(state) = sources.find(event.data.u64()) {
                state.record(event.flags, woken);
            }
        }
        // Waking runs the runtime's code, and may drop a task with its sources, which want the lock.
        drop(sources);
        woken.drain(..).for_each(Waker::wake);
        number
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
