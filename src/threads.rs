//! Threads: those on which others wait for disks, names, passwords, and programs that are being loaded.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use blocking::unblock;

use crate::sync::lock;

/// How many there are. On a disk that does not answer so many wait; a thousand programs that start at once
/// take no longer than on the hundred and more that would have been started for them.
const THREADS: NonZeroUsize = NonZeroUsize::new(16).unwrap();

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
        (0..THREADS.get()).try_for_each(|_| {
            thread::Builder::new().spawn_scoped(scope, || drop(lock(&gate))).map(drop)
        })
    })
}

/// Makes the pool grow to its full size, by work that ends only when so many are at it.
fn fill() {
    blocking::set_max_blocking_threads(THREADS);
    let all = Arc::new(Barrier::new(THREADS.get() + 1));
    for _ in 0..THREADS.get() {
        let all = all.clone();
        unblock(move || all.wait()).detach();
    }
    all.wait();
}
