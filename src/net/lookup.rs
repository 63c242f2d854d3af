//! Look-ups: which addresses a name has. The system's resolver may wait for a name server for a long
//! time and can't be interrupted, so each name is looked up once for all that wait for it, on a thread
//! that does nothing else.
//!
//! ```text
//!  resolve ─┬─ known for less than a second ─────────────────────────────▶ addresses
//!           ├─ being looked up, or queued: wait with the others ─┐             ▲
//!           └─ neither: queue ─▶ thread (1 to 64) ─ getaddrinfo(3) ────────────┘
//! ```

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures::channel::oneshot;
use futures::future::{FutureExt, Shared, WeakShared, select};

use crate::sync::lock;

/// How long addresses are kept. Long enough that a thousand browsers that come back together make one
/// query; short enough that a change of address is not noticed as a delay.
const HOLDS: Duration = Duration::from_secs(1);

/// The limit of threads, and so of names that are looked up at a time. Further names wait for one of
/// these threads; only this many names that all hang could stop the others.
const MOST: usize = 64;

/// The threads that stay when there is nothing to look up. At the limit of processes no other may start.
const KEPT: usize = 1;

/// The addresses of a name, in the system's order, with port 0.
pub type Addresses = Arc<[SocketAddr]>;

/// A function that looks a name up, as `getaddrinfo(3)` does.
type LookUp = dyn Fn(&str) -> io::Result<Addresses> + Send + Sync;

type LookupResult = Result<Addresses, LookupError>;

/// The look-up of a name, for one of the tasks that wait for it. It is cancelled if there is no thread for it.
type Pending = Shared<oneshot::Receiver<LookupResult>>;

/// Why there are no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookupError {
    Unknown,
    NoThread,
}

/// The look-ups of a process.
struct Lookups {
    state: Mutex<LookupState>,
    /// Notified when a name is queued.
    queued: Condvar,
    /// Looks a name up, for as long as it takes.
    look_up: Box<LookUp>,
    most: usize,
}

#[derive(Default)]
struct LookupState {
    names: HashMap<Arc<str>, Name>,
    queue: VecDeque<QueuedName>,
    threads: usize,
    /// The number of threads that wait for a name.
    idle: usize,
}

/// The state of a name.
enum Name {
    /// It is queued, or being looked up. A thread that looks it up keeps this alive, so that the look-up
    /// serves those that come after all that waited have given up.
    Pending(WeakShared<oneshot::Receiver<LookupResult>>),
    Known(Addresses, Instant),
}

/// A name in the queue.
struct QueuedName {
    name: Arc<str>,
    answer: oneshot::Sender<LookupResult>,
}

static LOOKUPS: LazyLock<Lookups> = LazyLock::new(|| Lookups::new(MOST, system));

fn system(name: &str) -> io::Result<Addresses> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

/// Starts the thread that always runs.
///
/// # Errors
/// As of `pthread_create(3)`.
pub fn start() -> io::Result<()> {
    LOOKUPS.start()
}

/// Every address of a name. It may take as long as the system's resolver does; a caller that stops
/// waiting does not stop the look-up.
///
/// # Errors
/// If the name does not resolve, which is not kept, or if no thread can be started.
pub async fn resolve(name: &str) -> io::Result<Addresses> {
    LOOKUPS.resolve(name).await
}

/// Every address of a name, for a caller that can't await, within `limit`. It needs no executor.
///
/// # Errors
/// As of [`resolve`], and [`TimedOut`](io::ErrorKind::TimedOut).
pub fn wait(name: &str, limit: Duration) -> io::Result<Addresses> {
    block_on(LOOKUPS.resolve(name), limit)
}

/// Forgets addresses of which none accepted a connection: the next session looks the name up again.
pub fn forget(name: &str, addrs: &Addresses) {
    LOOKUPS.forget(name, addrs);
}

impl Lookups {
    fn new(
        most: usize,
        look_up: impl Fn(&str) -> io::Result<Addresses> + Send + Sync + 'static,
    ) -> Self {
        let (state, queued) = (Mutex::default(), Condvar::new());
        Lookups { state, queued, look_up: Box::new(look_up), most }
    }

    fn start(&'static self) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.threads >= KEPT {
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        self.start_thread()
    }

    async fn resolve(&'static self, name: &str) -> io::Result<Addresses> {
        let pending = match self.ask(name) {
            Ok(addrs) => return Ok(addrs),
            Err(pending) => pending,
        };
        Ok(pending.await.unwrap_or(Err(LookupError::NoThread))?)
    }

    /// The addresses if they are known, otherwise the look-up, which is started if there is none.
    fn ask(&'static self, name: &str) -> Result<Addresses, Pending> {
        let mut state = lock(&self.state);
        if let Some(Name::Known(addrs, since)) = state.names.get(name)
            && since.elapsed() < HOLDS
        {
            return Ok(addrs.clone());
        }
        if let Some(pending) = state.pending(name) {
            return Err(pending);
        }
        state.tidy();
        let name: Arc<str> = name.into();
        let (answer, pending) = oneshot::channel();
        let pending = pending.shared();
        let weak = pending.downgrade().expect("it was not polled yet");
        state.names.insert(name.clone(), Name::Pending(weak));
        state.queue.push_back(QueuedName { name, answer });
        self.assign_queue(state);
        Err(pending)
    }

    /// Wakes a thread for the queue, or starts one.
    fn assign_queue(&'static self, mut state: MutexGuard<'_, LookupState>) {
        if state.queue.len() <= state.idle {
            self.queued.notify_one();
            return;
        }
        if state.threads >= self.most {
            return;
        }
        state.threads += 1;
        drop(state);
        // If it fails and there are others, the name waits for one of them.
        let _ = self.start_thread();
    }

    /// Starts a thread that is counted already.
    fn start_thread(&'static self) -> io::Result<()> {
        let thread = thread::Builder::new().name("lookup".into());
        let started = thread.spawn(move || self.work()).map(drop);
        started.inspect_err(|_| self.not_started())
    }

    /// Takes back the count of a thread that could not be started. Without any thread the queue is dropped, as
    /// nothing would ever empty it.
    fn not_started(&self) {
        let mut state = lock(&self.state);
        state.threads -= 1;
        let lost = match state.threads {
            0 => std::mem::take(&mut state.queue),
            _ => VecDeque::new(),
        };
        drop(state);
        // Wakes the tasks that wait for them.
        drop(lost);
    }

    /// Looks up queued names, until there are more threads than are kept.
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            let Some(QueuedName { name, answer }) = state.queue.pop_front() else {
                if state.threads > KEPT {
                    state.threads -= 1;
                    return;
                }
                state.idle += 1;
                state = self.queued.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            let Some(held) = state.pending(&name) else {
                // No task waits for it any more.
                state.names.remove(&name);
                continue;
            };
            drop(state);
            let outcome = (self.look_up)(&name).map_err(|_| LookupError::Unknown);
            state = lock(&self.state);
            match &outcome {
                Ok(addrs) => {
                    state.names.insert(name, Name::Known(addrs.clone(), Instant::now()));
                }
                Err(_) => drop(state.names.remove(&name)),
            }
            drop(state);
            let _ = answer.send(outcome);
            drop(held);
            state = lock(&self.state);
        }
    }

    fn forget(&self, name: &str, addrs: &Addresses) {
        let mut state = lock(&self.state);
        // Other addresses may be known by now.
        if let Some(Name::Known(known, _)) = state.names.get(name)
            && Arc::ptr_eq(known, addrs)
        {
            state.names.remove(name);
        }
    }
}

impl LookupState {
    /// The look-up of a name, if it is under way, or queued and a task waits for it.
    fn pending(&self, name: &str) -> Option<Pending> {
        match self.names.get(name) {
            Some(Name::Pending(pending)) => pending.upgrade(),
            _ => None,
        }
    }

    /// Drops entries that are of no use any more. Otherwise each reload could leave names behind.
    fn tidy(&mut self) {
        self.queue.retain(|queued| !queued.answer.is_canceled());
        self.names.retain(|_, name| match name {
            Name::Pending(pending) => pending.upgrade().is_some(),
            Name::Known(_, since) => since.elapsed() < HOLDS,
        });
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LookupError::Unknown => "the name does not resolve",
            LookupError::NoThread => "the name can't be looked up: no thread can be started",
        })
    }
}

impl std::error::Error for LookupError {}

impl From<LookupError> for io::Error {
    fn from(error: LookupError) -> Self {
        io::Error::other(error)
    }
}

/// Runs a look-up on this thread, within `limit`.
fn block_on<T>(work: impl Future<Output = io::Result<T>>, limit: Duration) -> io::Result<T> {
    let timed_out = async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    async_io::block_on(select(pin!(work), pin!(timed_out))).factor_first().0
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
