//! The threads for blocking work: reading disks, hashing passwords, starting programs. Each kind of work has
//! a share of its own, so that one kind that hangs can't stop another.
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

/// The threads that read static files.
pub static FILES: BlockingPool = BlockingPool::new(8);

/// The threads that look up what a request names: programs in a directory, targets in a file.
pub static DIRECTORIES: BlockingPool = BlockingPool::new(3);

/// The threads that start programs. A thousand that start at once take no longer on 6 threads than on a hundred
/// and more.
pub static PROGRAMS: BlockingPool = BlockingPool::new(6);

/// The thread that lists all processes, to end those of programs.
pub static PROCESSES: BlockingPool = BlockingPool::new(1);

/// The threads that hash passwords, for all files of users.
pub static PASSWORDS: BlockingPool = BlockingPool::new(4);

/// The thread that reads the configuration, and the files that it names, again.
pub static RELOADS: BlockingPool = BlockingPool::new(1);

/// The threads that read certificates again, and store those that an authority has issued.
pub static CERTIFICATES: BlockingPool = BlockingPool::new(3);

/// All pools.
static POOLS: [&BlockingPool; 7] =
    [&FILES, &DIRECTORIES, &PROGRAMS, &PROCESSES, &PASSWORDS, &RELOADS, &CERTIFICATES];

/// The share of threads of one kind of work.
pub struct BlockingPool {
    threads: usize,
    free: Semaphore,
}

impl BlockingPool {
    /// A pool of `threads` threads.
    pub const fn new(threads: usize) -> Self {
        BlockingPool { threads, free: Semaphore::new(threads) }
    }

    /// Runs this work once one of the threads is free. Work that has begun keeps its thread until it is done,
    /// even if the returned future is dropped.
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

/// The number of threads of all pools.
fn threads() -> NonZeroUsize {
    let all = POOLS.iter().map(|pool| pool.threads).sum();
    NonZeroUsize::new(all).unwrap_or(NonZeroUsize::MIN)
}

/// Starts all threads; later calls do nothing.
///
/// `blocking` starts threads when they are needed. If the kernel refuses one (the limit of processes, which
/// programs can exhaust) it retries without end, under its lock, which blocks every session. When its pool is
/// full, it starts none.
///
/// # Errors
/// As of `pthread_create(3)`.
pub fn start() -> io::Result<()> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = lock(&STARTED);
    if !*started {
        // `blocking` itself reports no error.
        check_possible()?;
        fill_pool();
        *started = true;
    }
    Ok(())
}

/// Checks that the kernel allows this many threads at a time.
fn check_possible() -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = lock(&gate);
        (0..threads().get()).try_for_each(|_| {
            thread::Builder::new().spawn_scoped(scope, || drop(lock(&gate))).map(drop)
        })
    })
}

/// Makes the pool grow to its full size, by as many jobs that wait for each other.
fn fill_pool() {
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

    /// Starts work that hangs, as on a disk that does not answer, until the sender is dropped.
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
    fn no_pool_takes_the_threads_of_another() {
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
    fn abandoned_work_keeps_its_thread_until_it_ends() {
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
