//! SourceState: what the kernel has reported of one socket, and the tasks that wait for it. It does no I/O.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;
use rustix::event::epoll::EventFlags;

/// A read may bring bytes.
pub const READ: u8 = 1;

/// A write may be taken.
pub const WRITE: u8 = 2;

/// The peer has ended its stream: no further event will come, so reads are always worth a try.
pub const ENDED: u8 = 4;

/// The stream was cut: what is there can be read, and nothing more is waited for.
pub const CUT: u8 = 8;

/// The kernel has an error to report: a connection that was reset, or given up by the kernel.
pub const FAILED: u8 = 16;

/// Neither direction can carry anything more, except what was received already.
pub const HUNG_UP: u8 = 32;

/// TCP urgent data has come: a read ends before it, however much there is.
pub const URGENT: u8 = 64;

/// The state of one socket, shared by its owner and the driver.
#[derive(Debug, Default)]
pub struct SourceState {
    /// Unlike its key in the table, never used again: the kernel may still report an event of a
    /// socket that is closed, and the end of one must not be taken for that of another.
    pub id: u64,
    bits: AtomicU8,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl SourceState {
    /// A state with these bits.
    pub fn new(id: u64, bits: u8) -> Self {
        SourceState { id, bits: AtomicU8::new(bits), ..SourceState::default() }
    }

    /// Whether any of these bits is set.
    pub fn has(&self, bits: u8) -> bool {
        self.bits.load(Ordering::Acquire) & bits != 0
    }

    /// Sets bits.
    pub fn set(&self, bits: u8) {
        self.bits.fetch_or(bits, Ordering::AcqRel);
    }

    /// Clears bits.
    pub fn clear(&self, bits: u8) {
        self.bits.fetch_and(!bits, Ordering::AcqRel);
    }

    /// Ready when a read is worth a try, which uses the readiness up.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(READ, &self.reader, cx)
    }

    /// Ready when a write is worth a try, which uses the readiness up.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(WRITE, &self.writer, cx)
    }

    fn poll(&self, bit: u8, waker: &AtomicWaker, cx: &mut Context<'_>) -> Poll<()> {
        // Used up before the system call, never after: an event that comes in between stays.
        if self.take(bit) {
            return Poll::Ready(());
        }
        waker.register(cx.waker());
        if self.take(bit) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&self, bit: u8) -> bool {
        let lasting = if bit == READ { ENDED | CUT } else { 0 };
        let bits = self.bits.load(Ordering::Acquire);
        bits & lasting != 0
            || bits & bit != 0 && self.bits.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Ready when any of these bits is set; they stay set. It wakes the reader's task.
    pub fn poll_any(&self, bits: u8, cx: &mut Context<'_>) -> Poll<()> {
        if self.has(bits) {
            return Poll::Ready(());
        }
        self.reader.register(cx.waker());
        if self.has(bits) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ends the stream behind what is there already, and wakes the reader.
    pub fn cut(&self) {
        self.set(CUT | ENDED | READ);
        self.reader.wake();
    }

    /// Records events, and adds the tasks that wait for them to `woken`.
    pub fn record(&self, events: EventFlags, woken: &mut Vec<Waker>) {
        let mut bits = 0;
        if events.contains(EventFlags::ERR) {
            bits |= FAILED;
        }
        if events.contains(EventFlags::HUP) {
            bits |= HUNG_UP;
        }
        if events.intersects(EventFlags::RDHUP | EventFlags::HUP) {
            bits |= ENDED | READ;
        }
        if events.contains(EventFlags::PRI) {
            bits |= URGENT | READ;
        }
        if events.intersects(EventFlags::IN | EventFlags::ERR) {
            bits |= READ;
        }
        if events.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            bits |= WRITE;
        }
        // Nobody waits for what was there already. A session that does not read is woken by the first
        // bytes that come meanwhile, and then by the end.
        let new = bits & !self.bits.fetch_or(bits, Ordering::AcqRel);
        if new & !WRITE != 0 {
            woken.extend(self.reader.take());
        }
        if new & WRITE != 0 {
            woken.extend(self.writer.take());
        }
    }
}
