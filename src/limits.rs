//! The limit of open files (`RLIMIT_NOFILE`) of this process, and of those that it starts.

use std::sync::OnceLock;

use rustix::io;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The limit before [`raise`].
static INHERITED: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard one: every session takes two descriptors or more, and the soft limit is
/// often 1,024.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // Raising it up to the hard limit needs no privilege.
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok() {
        let _ = INHERITED.set(limit);
    }
}

/// The soft limit; `None` if there is none.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Gives a process that was just started the limit that we inherited. Some programs close every possible
/// descriptor, of which there may be a thousand million; others can't use one beyond 1,023 (`select(2)`).
///
/// # Errors
/// As of `prlimit(2)`.
pub fn pass_on(pid: Pid) -> io::Result<()> {
    let Some(limit) = INHERITED.get() else { return Ok(()) };
    prlimit(Some(pid), Resource::Nofile, *limit).map(drop)
}
