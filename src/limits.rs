//! Limits: how many files this process may open, and those that it starts.

use std::sync::OnceLock;

use rustix::io;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// What held before [`raise`].
static INHERITED: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit of open files to the hard one: every session takes two or more, and the soft
/// one is often 1,024.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // Up to the hard one is always allowed.
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok() {
        let _ = INHERITED.set(limit);
    }
}

/// How many files may be open; `None`: any number.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Gives a process that was just started the limit that was given to us: some close every descriptor
/// that they might have, and there may be a thousand million; others can't wait for one beyond 1,023
/// (`select(2)`).
///
/// # Errors
/// As of `prlimit(2)`.
pub fn pass_on(pid: Pid) -> io::Result<()> {
    let Some(limit) = INHERITED.get() else { return Ok(()) };
    prlimit(Some(pid), Resource::Nofile, *limit).map(drop)
}
