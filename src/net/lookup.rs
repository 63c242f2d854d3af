//! Look-ups: which addresses a name has, and which name an address has. The system's resolver may wait for a name server for a long
//! time and can't be interrupted, so each is looked up once for all that wait for it, on a thread
//! that does nothing else.
//!
//! ```text
//!  resolve ─┬─ known for less than a second ─────────────────────────────▶ addresses
//!           ├─ being looked up, or queued: wait with the others ─┐             ▲
//!           └─ neither: queue ─▶ thread (1 to 64) ─ getaddrinfo(3) ────────────┘
//! ```
//!
//! Clients' names come by `getnameinfo(3)` in the same way, on threads of their own.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
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

/// How long the name of a client's address is kept. Browsers connect again and again, and names seldom change.
const CLIENT_HOLDS: Duration = Duration::from_secs(60);

/// The limit of threads for clients' names, apart from those for backends: anybody may have an address whose name
/// server is silent.
const MOST_CLIENTS: usize = 32;

/// The names of clients that are kept, at most.
const KNOWN_CLIENTS: usize = 1024;

/// As many names may always be kept, whether or not they are of use.
const FEW: usize = 16;

/// Bytes of a name, at most (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;

/// The threads that stay when there is nothing to look up. At the limit of processes no other may start.
const KEPT: usize = 1;

/// The addresses of a name, in the system's order, with port 0.
pub type Addresses = Arc<[SocketAddr]>;

/// The name of an address; `None` if it has none.
type ClientName = Option<Arc<str>>;

/// A function that looks a name up, as `getaddrinfo(3)` does.
type LookUp<T> = dyn Fn(&str) -> io::Result<T> + Send + Sync;

type LookupResult<T> = Result<T, LookupError>;

/// The look-up of a name, for one of the tasks that wait for it. It is cancelled if there is no thread for it.
type Pending<T> = Shared<oneshot::Receiver<LookupResult<T>>>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookupError {
    Unknown,
    NoThread,
}

/// The look-ups of one kind of a process.
struct Lookups<T> {
    state: Mutex<LookupState<T>>,
    /// Notified when a name is queued.
    queued: Condvar,
    /// Looks a name up, for as long as it takes.
    look_up: Box<LookUp<T>>,
    /// The most threads.
    most: usize,
    kept: Kept,
}

/// What is kept of answers.
#[derive(Clone, Copy)]
struct Kept {
    /// How long.
    holds: Duration,
    /// How many, at most.
    most: usize,
}

struct LookupState<T> {
    names: HashMap<Arc<str>, Name<T>>,
    queue: VecDeque<QueuedName<T>>,
    threads: usize,
    /// The number of threads that wait for a name.
    idle: usize,
    /// The number of names at which entries are looked for that are of no use any more.
    tidy_at: usize,
}

/// The state of a name.
enum Name<T> {
    /// It is queued, or being looked up. A thread that looks it up keeps this alive, so that the look-up
    /// serves those that come after all that waited have given up.
    Pending(WeakShared<oneshot::Receiver<LookupResult<T>>>),
    Known(T, Instant),
}

/// A name in the queue.
struct QueuedName<T> {
    name: Arc<str>,
    answer: oneshot::Sender<LookupResult<T>>,
}

/// Those of backends, whose names stand in the configuration.
static LOOKUPS: LazyLock<Lookups<Addresses>> =
    LazyLock::new(|| Lookups::new(MOST, Kept { holds: HOLDS, most: usize::MAX }, system));

/// Those of clients, by their addresses.
static CLIENTS: LazyLock<Lookups<ClientName>> = LazyLock::new(|| {
    let kept = Kept { holds: CLIENT_HOLDS, most: KNOWN_CLIENTS };
    let name = |ip: &str| {
        let reverse = |ip: &IpAddr| dns_lookup::lookup_addr(ip).ok();
        Ok(confirmed_name(ip.parse().ok(), reverse, |name| system(name).ok()))
    };
    Lookups::new(MOST_CLIENTS, kept, name)
});

fn system(name: &str) -> io::Result<Addresses> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

/// The name of an address, if the name has the address too: whoever owns an address can give it any name.
fn confirmed_name(
    ip: Option<IpAddr>,
    reverse: impl FnOnce(&IpAddr) -> Option<String>,
    forward: impl FnOnce(&str) -> Option<Addresses>,
) -> ClientName {
    let ip = ip?;
    let name = reverse(&ip)?;
    let name = host_name(&name)?;
    forward(name)?.iter().any(|addr| addr.ip().to_canonical() == ip).then(|| name.into())
}

/// A name that a host may have (RFC 1123, section 2.1), without the dot that may end it; `None` for anything else, such
/// as a number that would be taken for an address.
fn host_name(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_plain);
    let last = name.rsplit('.').next()?;
    let fits = name.len() <= LONGEST_NAME && name.split('.').all(is_label);
    (fits && last.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(name)
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

/// The name of a client's address that has this address too. It may take as long as the system's resolver does.
pub async fn client_name(ip: IpAddr) -> Option<Arc<str>> {
    CLIENTS.resolve(&ip.to_string()).await.ok().flatten()
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

impl<T: Clone + Send + Sync + 'static> Lookups<T> {
    fn new(
        most: usize,
        kept: Kept,
        look_up: impl Fn(&str) -> io::Result<T> + Send + Sync + 'static,
    ) -> Self {
        let state = LookupState {
            names: HashMap::new(),
            queue: VecDeque::new(),
            threads: 0,
            idle: 0,
            tidy_at: 0,
        };
        let (state, queued) = (Mutex::new(state), Condvar::new());
        Lookups { state, queued, look_up: Box::new(look_up), most, kept }
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

    async fn resolve(&'static self, name: &str) -> io::Result<T> {
        let pending = match self.ask(name) {
            Ok(known) => return Ok(known),
            Err(pending) => pending,
        };
        Ok(pending.await.unwrap_or(Err(LookupError::NoThread))?)
    }

    /// The answer if it is known, otherwise the look-up, which is started if there is none.
    fn ask(&'static self, name: &str) -> Result<T, Pending<T>> {
        let mut state = lock(&self.state);
        if let Some(Name::Known(known, since)) = state.names.get(name)
            && since.elapsed() < self.kept.holds
        {
            return Ok(known.clone());
        }
        if let Some(pending) = state.pending(name) {
            return Err(pending);
        }
        if state.names.len() >= state.tidy_at {
            state.tidy(self.kept);
        }
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
    fn assign_queue(&'static self, mut state: MutexGuard<'_, LookupState<T>>) {
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
                Ok(found) => {
                    state.names.insert(name, Name::Known(found.clone(), Instant::now()));
                }
                Err(_) => drop(state.names.remove(&name)),
            }
            drop(state);
            let _ = answer.send(outcome);
            drop(held);
            state = lock(&self.state);
        }
    }
}

impl Lookups<Addresses> {
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

impl<T: Clone> LookupState<T> {
    /// The look-up of a name, if it is under way, or queued and a task waits for it.
    fn pending(&self, name: &str) -> Option<Pending<T>> {
        match self.names.get(name) {
            Some(Name::Pending(pending)) => pending.upgrade(),
            _ => None,
        }
    }

    /// Drops entries that are of no use any more, or too many. Otherwise each reload could leave names behind, and each
    /// client. All are looked at, so it is done again only when there are twice as many, or one too many.
    fn tidy(&mut self, kept: Kept) {
        self.queue.retain(|queued| !queued.answer.is_canceled());
        self.names.retain(|_, name| match name {
            Name::Pending(pending) => pending.upgrade().is_some(),
            Name::Known(_, since) => since.elapsed() < kept.holds,
        });
        if self.names.len() >= kept.most {
            self.names.retain(|_, name| matches!(name, Name::Pending(_)));
        }
        let twice = 2 * self.names.len().max(FEW);
        self.tidy_at = if self.names.len() < kept.most { twice.min(kept.most) } else { twice };
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
