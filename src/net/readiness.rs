//! Readiness: which sockets can be read or written, told by one edge-triggered epoll for all
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

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_io::Async;
use atomic_waker::AtomicWaker;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use slab::Slab;

use crate::clock::Deadline;
use crate::sync::lock;

/// Events taken from the kernel at once.
const BATCH: usize = 256;

/// Between two attempts to wait, when the kernel refuses.
const PAUSE: Duration = Duration::from_millis(100);

/// A read may bring bytes.
const READ: u8 = 1;
/// A write may be taken.
const WRITE: u8 = 2;
/// The peer has ended its stream: no further event will come, so reads are always worth a try.
const ENDED: u8 = 4;

/// The stream was cut: what is there can be read, and nothing more is waited for.
const CUT: u8 = 8;

/// The kernel has an error to tell: a connection that was reset, or given up by it.
const FAILED: u8 = 16;

/// Neither direction can carry anything more, but for what was received already.
const HUNG_UP: u8 = 32;

/// A socket's registration, for as long as it lives. The socket itself is closed by its owner,
/// which takes it out of the epoll.
#[derive(Debug)]
pub struct Source {
    entry: Arc<Entry>,
    key: usize,
}

/// Tells of a socket's reset to those who do not hold the socket. It shares the reader's place to wait:
/// both belong to one task.
#[derive(Debug)]
pub struct ResetWatch {
    entry: Arc<Entry>,
    signs: u8,
}

/// Ends a stream from elsewhere, for the one case that the kernel never tells of: a process is gone,
/// but it has left its end of a pipe to somebody.
#[derive(Debug)]
pub struct Cutter(Arc<Entry>);

#[derive(Debug, Default)]
struct Entry {
    /// Unlike its key in the table, never used again: the kernel may still have an event at hand
    /// for a socket that is closed, and the end of one must not be taken for that of another.
    id: u64,
    state: AtomicU8,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

#[derive(Debug)]
struct Driver {
    epoll: Async<OwnedFd>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: Slab<Arc<Entry>>,
    next_id: u32,
}

impl Table {
    fn insert(&mut self, state: u8) -> Source {
        let slot = self.entries.vacant_entry();
        let key = slot.key();
        self.next_id = self.next_id.wrapping_add(1);
        let id = u64::from(self.next_id) << 32 | key as u64;
        let entry = Arc::new(Entry { id, state: AtomicU8::new(state), ..Entry::default() });
        slot.insert(entry.clone());
        Source { entry, key }
    }

    fn find(&self, id: u64) -> Option<&Entry> {
        let entry = self.entries.get((id & u64::from(u32::MAX)) as usize)?;
        (entry.id == id).then_some(entry)
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
        let source = lock(&driver.table).insert(if ready { READ | WRITE } else { 0 });
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&driver.epoll, socket, EventData::new_u64(source.entry.id), events)?;
        Ok(source)
    }

    /// Ready when a read is worth a try. It uses the readiness up: whoever has not read all there
    /// is says so by [`still_readable`](Self::still_readable).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.entry.poll(READ, &self.entry.reader, cx)
    }

    /// Ready when a write is worth a try, likewise.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.entry.poll(WRITE, &self.entry.writer, cx)
    }

    /// Whether the peer has ended its stream, or the connection failed.
    pub fn is_ended(&self) -> bool {
        self.entry.state.load(Ordering::Acquire) & ENDED != 0
    }

    /// What tells of a reset. A hang-up is one too if `or_hang_up`: with TCP it is, as long as we have not
    /// ended our own direction; a Unix socket that is closed hangs up as well, and its last words
    /// are still there.
    pub fn reset_watch(&self, or_hang_up: bool) -> ResetWatch {
        ResetWatch { entry: self.entry.clone(), signs: reset_signs(or_hang_up) }
    }

    /// Ready when the connection was reset, as [`reset_watch`](Self::reset_watch) says.
    pub fn poll_reset(&self, cx: &mut Context<'_>, or_hang_up: bool) -> Poll<()> {
        self.entry.poll_any(reset_signs(or_hang_up), cx)
    }

    /// There is more to read.
    pub fn still_readable(&self) {
        self.entry.state.fetch_or(READ, Ordering::AcqRel);
    }

    /// A read would have had to wait: whatever was told, it is not at its end. The kernel does not
    /// say the one and then the other; if it ever did, the reader would turn in a circle.
    pub fn not_ended(&self) {
        self.entry.state.fetch_and(!ENDED, Ordering::AcqRel);
    }

    /// Whether the stream was [cut](Cutter::cut): a read that would have to wait is at its end.
    pub fn is_cut(&self) -> bool {
        self.entry.state.load(Ordering::Acquire) & CUT != 0
    }

    /// Who can cut this stream.
    pub fn cutter(&self) -> Cutter {
        Cutter(self.entry.clone())
    }
}

fn reset_signs(or_hang_up: bool) -> u8 {
    if or_hang_up { FAILED | HUNG_UP } else { FAILED }
}

impl ResetWatch {
    /// Ready when the connection was reset, whether or not anybody reads from it.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.entry.poll_any(self.signs, cx)
    }
}

impl Cutter {
    /// Ends the stream behind what is there already.
    pub fn cut(&self) {
        self.0.state.fetch_or(CUT | ENDED | READ, Ordering::AcqRel);
        self.0.reader.wake();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Ok(driver) = driver() {
            lock(&driver.table).entries.remove(self.key);
        }
    }
}

impl Entry {
    fn poll(&self, what: u8, waker: &AtomicWaker, cx: &mut Context<'_>) -> Poll<()> {
        // Used up before the system call, never after: an event that comes in between stays.
        if self.take(what) {
            return Poll::Ready(());
        }
        waker.register(cx.waker());
        if self.take(what) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when any of `signs` is there; they stay.
    fn poll_any(&self, signs: u8, cx: &mut Context<'_>) -> Poll<()> {
        let is_there = || self.state.load(Ordering::Acquire) & signs != 0;
        if is_there() {
            return Poll::Ready(());
        }
        self.reader.register(cx.waker());
        if is_there() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&self, what: u8) -> bool {
        let lasting = if what == READ { ENDED | CUT } else { 0 };
        let state = self.state.load(Ordering::Acquire);
        state & lasting != 0
            || state & what != 0 && self.state.fetch_and(!what, Ordering::AcqRel) & what != 0
    }

    /// Notes what happened, and adds those who wait for it to `woken`.
    fn note(&self, events: EventFlags, woken: &mut Vec<Waker>) {
        let mut state = 0;
        if events.contains(EventFlags::ERR) {
            state |= FAILED;
        }
        if events.contains(EventFlags::HUP) {
            state |= HUNG_UP;
        }
        if events.intersects(EventFlags::RDHUP | EventFlags::HUP) {
            state |= ENDED | READ;
        }
        if events.intersects(EventFlags::IN | EventFlags::ERR) {
            state |= READ;
        }
        if events.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            state |= WRITE;
        }
        // Nobody waits for what was there already. A session that does not read is woken by the first
        // bytes that come meanwhile, and then by the end.
        let new = state & !self.state.fetch_or(state, Ordering::AcqRel);
        if new & !WRITE != 0 {
            woken.extend(self.reader.take());
        }
        if new & WRITE != 0 {
            woken.extend(self.writer.take());
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
        Ok(Driver { epoll, table: Mutex::default() })
    });
    driver.as_ref().map_err(|kind| (*kind).into())
}

async fn drive() {
    let Ok(driver) = driver() else { return };
    // Two may wait for each event, a reader and a writer.
    let mut woken = Vec::with_capacity(2 * BATCH);
    loop {
        if let Err(error) = driver.epoll.readable().await {
            // Short of memory, perhaps. Every session hangs on this task, so it never gives up.
            tracing::error!(%error, "can't wait for sockets, will try again");
            Deadline::after(PAUSE).await;
        }
        driver.tell_all(&mut woken);
    }
}

impl Driver {
    /// Passes on what the kernel has to tell now. `woken` is empty before and after.
    fn tell_all(&self, woken: &mut Vec<Waker>) {
        let mut room = [const { MaybeUninit::<epoll::Event>::uninit() }; BATCH];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, Some(&now)) else { return };
        let table = lock(&self.table);
        for event in events {
            if let Some(entry) = table.find(event.data.u64()) {
                entry.note(event.flags, woken);
            }
        }
        // Waking runs the runtime's code, and may drop a task with its sources, which want the lock.
        drop(table);
        woken.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Sender, channel};
    use std::task::Wake;

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, theirs)
    }

    /// Drops a source when it is woken, as a runtime does that drops a cancelled task.
    struct DropsSource(Mutex<Option<Source>>, Mutex<Sender<()>>);

    impl Wake for DropsSource {
        fn wake(self: Arc<Self>) {
            drop(lock(&self.0).take());
            lock(&self.1).send(()).unwrap();
        }
    }

    #[test]
    fn whoever_is_woken_may_drop_a_source() {
        let ((ours, mut theirs), (other, _its_peer)) = (pair(), pair());
        let source = Source::new(&ours, false).unwrap();
        let dropped = Source::new(&other, false).unwrap();
        let (sender, woken) = channel();
        let waker = DropsSource(Mutex::new(Some(dropped)), Mutex::new(sender));
        let waker = Arc::new(waker).into();
        assert!(source.poll_readable(&mut Context::from_waker(&waker)).is_pending());
        theirs.write_all(b"x").unwrap();
        woken.recv_timeout(Duration::from_secs(10)).expect("it is woken, and gets the lock");
        // Others are still served.
        crate::task::block_on(std::future::poll_fn(|cx| source.poll_readable(cx)));
    }
}
