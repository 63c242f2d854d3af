//! The clock that all deadlines share. Ten thousand sessions have as many deadlines, seconds away and
//! seldom reached; the runtime's timer is set for the nearest one only.
//!
//! A timer of async-io costs an entry in its heap, a write to an eventfd that wakes the thread of its
//! reactor, and a `timerfd_settime`, for each opened session. Here a deadline that is not the nearest
//! costs one insertion into a map.
//!
//! A thread can have a clock of its own that only moves when it is told to: a [`ManualClock`], for simulations.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_io::Timer;
use atomic_waker::AtomicWaker;
use futures::future::{Either, poll_fn, select};

use crate::sync::lock;

/// The resolution: deadlines within one tick complete together, up to one tick late and never early.
pub const TICK: Duration = Duration::from_millis(5);

/// The tick of a deadline that never comes.
const NEVER: u64 = u64::MAX;

/// A future that is ready once a moment has passed, up to 5 ms late.
#[derive(Debug)]
pub struct Deadline {
    tick: u64,
    /// Its number among those that wait, and its waker; `None` before the first poll.
    registration: Option<(u64, Waker)>,
}

/// The error of work that took longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl From<TimedOut> for io::Error {
    fn from(TimedOut: TimedOut) -> Self {
        io::ErrorKind::TimedOut.into()
    }
}

/// The clock of the thread that made it, until it is dropped: [`now`] and all deadlines of this thread go by it, and
/// it stands still but for [`advance`](Self::advance). It begins at the same tick each time, so that what is done twice
/// is the same twice.
#[derive(Debug)]
pub struct ManualClock {
    clock: &'static Clock,
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

thread_local! {
    /// The clock that the thread has in place of the process's, and the time that it shows.
    static MANUAL: Cell<Option<(&'static Clock, Instant)>> = const { Cell::new(None) };
}

#[derive(Debug)]
struct Clock {
    start: Instant,
    /// The last tick whose deadlines were woken.
    passed: AtomicU64,
    waiting: Mutex<Wakers>,
    driver: AtomicWaker,
}

#[derive(Debug)]
struct Wakers {
    /// By tick and number.
    wakers: BTreeMap<(u64, u64), Waker>,
    next_number: u64,
    /// The tick for which the driver waits.
    armed: u64,
}

impl Deadline {
    /// A deadline that does not come until a moment is [set](Self::set).
    pub fn never() -> Self {
        Deadline { tick: NEVER, registration: None }
    }

    /// The deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        match now().checked_add(limit) {
            Some(at) => Deadline::at(at),
            None => Deadline::never(),
        }
    }

    /// The deadline at this moment.
    pub fn at(at: Instant) -> Self {
        Deadline { tick: clock().tick_after(at), registration: None }
    }

    /// Moves the deadline to this moment. It must be polled again, as its waker is no longer registered.
    pub fn set(&mut self, at: Instant) {
        self.leave();
        self.tick = clock().tick_after(at);
    }

    fn leave(&mut self) {
        if let Some((number, _)) = self.registration.take() {
            lock(&clock().waiting).wakers.remove(&(self.tick, number));
        }
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.tick == NEVER {
            return Poll::Pending;
        }
        // Neither locks nor reads the time, as sessions poll this at each of their wake-ups.
        if clock().passed.load(Ordering::Acquire) >= self.tick {
            self.leave();
            return Poll::Ready(());
        }
        if self.registration.as_ref().is_none_or(|(_, waker)| !waker.will_wake(cx.waker())) {
            self.leave();
            match clock().register(self.tick, cx.waker()) {
                Some(number) => self.registration = Some((number, cx.waker().clone())),
                None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Runs `work` for `limit` at most.
///
/// # Errors
/// [`TimedOut`]; `work` is dropped then.
pub async fn timeout<F: Future>(limit: Duration, work: F) -> Result<F::Output, TimedOut> {
    match select(pin!(work), Deadline::after(limit)).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right(_) => Err(TimedOut),
    }
}

/// The present moment.
#[inline]
pub fn now() -> Instant {
    MANUAL.get().map_or_else(Instant::now, |(_, now)| now)
}

impl ManualClock {
    /// Gives this thread a clock of its own. Deadlines must not outlive it.
    ///
    /// # Panics
    /// If the thread has one already.
    #[expect(clippy::new_without_default, reason = "it changes what the thread's deadlines go by")]
    pub fn new() -> Self {
        assert!(MANUAL.get().is_none(), "the thread has a manual clock already");
        // A deadline may refer to it for as long as it likes. A simulation makes one a thread.
        let clock: &'static Clock = Box::leak(Box::new(Clock::new()));
        MANUAL.set(Some((clock, clock.start)));
        ManualClock { clock, _not_send: PhantomData }
    }

    /// The time since the clock was made.
    pub fn elapsed(&self) -> Duration {
        now() - self.clock.start
    }

    /// The time, as of [`elapsed`](Self::elapsed), of the next deadline that a task waits for.
    pub fn next(&self) -> Option<Duration> {
        let armed = lock(&self.clock.waiting).wakers.first_key_value().map(|((tick, _), _)| *tick);
        armed.map(|tick| self.clock.moment(tick) - self.clock.start)
    }

    /// Moves the clock, and wakes the tasks whose deadlines have passed.
    pub fn advance(&mut self, by: Duration) {
        let now = now() + by;
        MANUAL.set(Some((self.clock, now)));
        self.clock.wake_due(now);
    }

    /// How many tasks wait for deadlines.
    pub fn waiting(&self) -> usize {
        lock(&self.clock.waiting).wakers.len()
    }
}

impl Drop for ManualClock {
    fn drop(&mut self) {
        MANUAL.set(None);
    }
}

/// The clock of this thread's deadlines: the process's as a rule, which starts at the first call.
#[inline]
fn clock() -> &'static Clock {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    if let Some((clock, _)) = MANUAL.get() {
        return clock;
    }
    CLOCK.get_or_init(|| {
        crate::task::spawn(drive());
        Clock::new()
    })
}

async fn drive() {
    let clock = clock();
    let mut timer = Timer::never();
    poll_fn(|cx| {
        clock.driver.register(cx.waker());
        loop {
            let next = clock.wake_due(Instant::now());
            if next == NEVER {
                return Poll::Pending;
            }
            timer.set_at(clock.moment(next));
            if Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::<()>::Pending;
            }
        }
    })
    .await;
}

impl Clock {
    fn new() -> Self {
        Clock {
            start: Instant::now(),
            passed: AtomicU64::new(0),
            waiting: Mutex::new(Wakers { wakers: BTreeMap::new(), next_number: 0, armed: NEVER }),
            driver: AtomicWaker::new(),
        }
    }

    /// The first tick, from 1, that is not before `at`; [`NEVER`] if that is centuries away.
    fn tick_after(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_nanos();
        match u64::try_from(since) {
            Ok(nanos) => nanos.div_ceil(TICK.as_nanos() as u64).max(1),
            Err(_) => NEVER,
        }
    }

    fn moment(&self, tick: u64) -> Instant {
        self.start + Duration::from_nanos((TICK.as_nanos() as u64).saturating_mul(tick))
    }

    /// Registers `waker` to be woken at `tick`; gives its number, or `None` if the tick has passed meanwhile.
    fn register(&self, tick: u64, waker: &Waker) -> Option<u64> {
        let mut waiting = lock(&self.waiting);
        // Read under the lock, as the driver changes it under the lock.
        if self.passed.load(Ordering::Acquire) >= tick {
            return None;
        }
        waiting.next_number += 1;
        let number = waiting.next_number;
        waiting.wakers.insert((tick, number), waker.clone());
        if tick < waiting.armed {
            waiting.armed = tick;
            drop(waiting);
            self.driver.wake();
        }
        Some(number)
    }

    /// Wakes all tasks whose tick is not after `now`; gives the next tick.
    fn wake_due(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos();
        let passed = u64::try_from(since).unwrap_or(NEVER - 1);
        let mut waiting = lock(&self.waiting);
        self.passed.store(passed, Ordering::Release);
        let later = waiting.wakers.split_off(&(passed + 1, 0));
        let due = std::mem::replace(&mut waiting.wakers, later);
        waiting.armed = waiting.wakers.first_key_value().map_or(NEVER, |((tick, _), _)| *tick);
        let next = waiting.armed;
        // A woken task may want the lock.
        drop(waiting);
        due.into_values().for_each(Waker::wake);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::block_on;
    use futures::FutureExt;
    use futures::future::join_all;
    use std::sync::Arc;
    use std::task::Wake;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn deadlines_are_never_early() {
        let start = Instant::now();
        let waits = [40, 0, 20, 20, 7].map(|ms| async move {
            Deadline::at(start + ms * MS).await;
            assert!(start.elapsed() >= ms * MS, "{ms} ms came after {:?}", start.elapsed());
        });
        block_on(join_all(waits));
    }

    /// A waker that records its number.
    struct Recorder(u32, Arc<Mutex<Vec<u32>>>);

    impl Wake for Recorder {
        fn wake(self: Arc<Self>) {
            lock(&self.1).push(self.0);
        }
    }

    #[test]
    fn deadlines_are_woken_in_order_however_late() {
        let start = Instant::now();
        let clock = Clock { start, ..Clock::new() };
        let woken = Arc::new(Mutex::default());
        for ms in [40, 0, 20, 21, 7, 100] {
            let waker = Arc::new(Recorder(ms, Arc::clone(&woken))).into();
            assert!(clock.register(clock.tick_after(start + ms * MS), &waker).is_some());
        }
        let wake = |after: u32| {
            let next = clock.wake_due(start + after * MS);
            (std::mem::take(&mut *lock(&woken)), next)
        };
        // The first tick is 5 ms after the start.
        assert_eq!(wake(4), (vec![], 1));
        assert_eq!(wake(39), (vec![0, 7, 20, 21], 8));
        assert_eq!(wake(40), (vec![40], 20));
        assert_eq!(wake(1000), (vec![100], NEVER));
        assert!(clock.register(20, Waker::noop()).is_none(), "it has passed");
    }

    #[test]
    fn a_nearer_deadline_is_not_held_up_by_a_farther_one() {
        let far = Deadline::after(Duration::from_secs(3600));
        let near = async {
            Deadline::after(10 * MS).await;
            // By now the driver waits for the far one.
            Deadline::after(10 * MS).await;
        };
        assert!(matches!(block_on(select(far, pin!(near))), Either::Right(_)));
    }

    /// As for a certificate that is valid for millennia.
    #[test]
    fn a_deadline_that_is_centuries_away_stops_no_other() {
        let year = Duration::from_secs(365 * 24 * 3600);
        for years in [100, 584, 585, 700, 100_000] {
            let far = Deadline::after(years * year);
            let near = Deadline::after(10 * MS);
            assert!(matches!(block_on(select(far, near)), Either::Right(_)), "{years}");
        }
    }

    #[test]
    fn a_deadline_can_be_moved_either_way() {
        let mut deadline = Deadline::never();
        assert!((&mut deadline).now_or_never().is_none());
        for (first, then) in [(10_000, 20), (20, 60)] {
            let start = Instant::now();
            deadline.set(start + first * MS);
            assert!((&mut deadline).now_or_never().is_none());
            deadline.set(start + then * MS);
            block_on(&mut deadline);
            assert!(start.elapsed() >= then * MS && start.elapsed() < Duration::from_secs(5));
        }
    }

    #[test]
    fn the_last_task_that_polled_is_woken() {
        let deadline = Deadline::after(20 * MS);
        let mut deadline = Box::pin(deadline);
        assert!((&mut deadline).now_or_never().is_none());
        block_on(crate::task::spawn(deadline));
    }

    #[test]
    fn dropped_and_moved_deadlines_leave_nothing() {
        let held = || lock(&clock().waiting).wakers.keys().filter(|(tick, _)| *tick > FAR).count();
        const FAR: u64 = 1_000_000_000;
        let mut deadlines: Vec<_> =
            (0..10).map(|n| Deadline::after((FAR as u32 + 1 + n) * TICK)).collect();
        assert!(deadlines.iter_mut().all(|deadline| deadline.now_or_never().is_none()));
        assert_eq!(held(), 10);
        deadlines[0].set(Instant::now());
        assert_eq!(held(), 9);
        drop(deadlines);
        assert_eq!(held(), 0);
    }

    #[test]
    fn work_is_limited_in_time() {
        let slow = std::future::pending::<()>();
        assert_eq!(block_on(timeout(10 * MS, slow)), Err(TimedOut));
        assert_eq!(block_on(timeout(10 * MS, async { 7 })), Ok(7));
        assert_eq!(block_on(timeout(Duration::MAX, async { 7 })), Ok(7));
    }

    #[test]
    fn a_manual_clock_moves_when_it_is_told_to() {
        let mut clock = ManualClock::new();
        let start = now();
        let mut deadlines = [50, 20].map(|ms| Deadline::after(ms * MS));
        assert_eq!(clock.next(), None, "nobody has polled them");
        let mut ready = || deadlines.each_mut().map(|deadline| deadline.now_or_never().is_some());
        assert_eq!(ready(), [false, false]);
        assert_eq!((clock.next(), clock.waiting()), (Some(20 * MS), 2));
        clock.advance(20 * MS);
        assert_eq!((now() - start, clock.elapsed()), (20 * MS, 20 * MS));
        assert_eq!(ready(), [false, true]);
        assert_eq!(block_on(timeout(MS, async { 7 })), Ok(7));
        clock.advance(3600 * 1000 * MS);
        assert_eq!((ready(), clock.waiting()), ([true, true], 0));
        drop(clock);
        assert!(now() - start < Duration::from_secs(60), "the process's clock again");
    }
}
