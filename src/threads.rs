//! Threads: those on which work waits for disks, for passwords to be hashed, and for programs to be loaded.
//! Each kind of work has threads of its own among them, so that one that hangs can't stop another.
//!
//! Names are looked up elsewhere: [`net::lookup`](crate::net::lookup).

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use async_lock::{Semaphore, SemaphoreGuard};
use blocking::unblock;

use crate::sync::lock;

/// Reading static files.
pub static FILES: BlockingPool = BlockingPool::new(8);

/// Finding programs in a directory.
pub static DIRECTORIES: BlockingPool = BlockingPool::new(3);

/// Starting programs: a thousand that start at once take no longer than on the hundred and more threads that
/// would have been started for them.
pub static PROGRAMS: BlockingPool = BlockingPool::new(6);

/// Looking at all processes, for those that end programs.
pub static PROCESSES: BlockingPool = BlockingPool::new(1);

/// Hashing passwords, of all files of users together.
pub static PASSWORDS: BlockingPool = BlockingPool::new(4);

/// Reading the configuration again, and all that it names.
pub static RELOADS: BlockingPool = BlockingPool::new(1);

/// Reading certificates again, and keeping those that an authority has given.
pub static CERTIFICATES: BlockingPool = BlockingPool::new(3);

/// All of them.
static POOLS: [&BlockingPool; 7] =
    [&FILES, &DIRECTORIES, &PROGRAMS, &PROCESSES, &PASSWORDS, &RELOADS, &CERTIFICATES];

/// The threads of one kind of work.
pub struct BlockingPool {
    threads: usize,
    free: Semaphore,
}

impl BlockingPool {
    /// A pool of so many threads.
    pub const fn new(threads: usize) -> Self {
        BlockingPool { threads, free: Semaphore::new(threads) }
    }

    /// Does this work once one of the threads is free. Work that has begun takes its thread until it is done,
    /// also if whoever waits for it gives up.
    pub async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let taken: SemaphoreGuard<'static> = self.free.acquire().await;
        let work = unblock(move || {
            let _taken = taken;
            work()
        });
        work.await
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// How many threads there are in all.
fn threads() -> NonZeroUsize {
    let all = POOLS.iter().map(|pool| pool.threads).sum();
    NonZeroUsize::new(all).unwrap_or(NonZeroUsize::MIN)
}

/// Starts all of them, once and for good.
///
/// `blocking` starts its threads when they are needed, and where the kernel refuses one it tries again
/// without end, under its lock: with as many processes as there may be, which programs come to, every
/// session stood still for ever. Of a pool that is full it starts none.
///
/// # Errors
/// As of `pthread_create(3)`.
pub fn start() -> io::Result<()> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = lock(&STARTED);
    if !*started {
        // It would not tell that there can't be so many.
        try_out()?;
        fill();
        *started = true;
    }
    Ok(())
}

/// Whether there can be so many at a time.
fn try_out() -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = lock(&gate);
        (0..threads().get()).try_for_each(|_| {
            thread::Builder::new().spawn_scoped(scope, || drop(lock(&gate))).map(drop)
        })
    })
}

/// Makes the pool grow to its full size, by work that ends only when so many are at it.
fn fill() {
    blocking::set_max_blocking_threads(threads());
    let all = Arc::new(Barrier::new(threads().get() + 1));
    for _ in 0..threads().get() {
        let all = all.clone();
        unblock(move || all.wait()).detach();
    }
    all.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::timeout;
    use crate::task::{block_on, spawn};
    use futures::FutureExt;
    use futures::future::join_all;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Work that has begun and hangs, as on a disk that does not answer, and what ends it. Nobody waits
    /// for it.
    fn hang(pool: &'static BlockingPool) -> Sender<()> {
        let (end, ended): (_, Receiver<()>) = channel();
        let (begin, begun) = channel();
        let work = pool.run(move || {
            begin.send(()).unwrap();
            let _ = ended.recv();
        });
        drop(spawn(work));
        begun.recv_timeout(DEADLINE).expect("a thread is free");
        end
    }

    #[test]
    fn no_pool_can_take_the_threads_of_another() {
        start().unwrap();
        for hanging in POOLS {
            let hung: Vec<_> = (0..hanging.threads).map(|_| hang(hanging)).collect();
            let others = POOLS.into_iter().filter(|pool| !std::ptr::eq(*pool, hanging));
            let others = others.flat_map(|pool| (0..pool.threads).map(|_| pool.run(|| 7)));
            let done = block_on(timeout(DEADLINE, join_all(others))).expect("they have threads");
            assert!(done.iter().all(|n| *n == 7));
            drop(hung);
        }
    }

    #[test]
    fn work_that_is_given_up_keeps_its_thread_until_it_ends() {
        let pool: &'static BlockingPool = Box::leak(Box::new(BlockingPool::new(2)));
        let hung = [hang(pool), hang(pool)];
        let mut next = Box::pin(pool.run(|| 7));
        assert!(block_on(timeout(Duration::from_millis(20), &mut next)).is_err());
        let [first, _second] = hung;
        drop(first);
        assert_eq!(block_on(timeout(DEADLINE, next)), Ok(7));
    }

    #[test]
    fn work_that_panics_gives_its_thread_back() {
        let pool: &'static BlockingPool = Box::leak(Box::new(BlockingPool::new(1)));
        let panics = std::panic::AssertUnwindSafe(pool.run(|| panic!("as a test")));
        assert!(block_on(panics.catch_unwind()).is_err());
        assert_eq!(block_on(timeout(DEADLINE, pool.run(|| 7))), Ok(7));
    }
}
