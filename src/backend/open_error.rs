//! OpenError: why there is no connection to a backend.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::text::reason;

/// What says that it is we who lack something.
const OURS: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];

/// Why a backend could not be reached.
#[derive(Debug)]
pub enum OpenError {
    /// No program can be told the path: it has a NUL, or a `%` without two hex digits.
    BadPath,
    /// The path names no program.
    NotFound,
    /// The path names a file that can't be started; the text names it.
    Forbidden(String),
    /// It refused, reset, has no address, or can't be started; the text names it.
    Unreachable(String),
    /// It did not answer in time.
    TimedOut(Duration),
    /// We ourselves are out of descriptors or memory: it says nothing about the backend.
    Exhausted(String),
}

impl OpenError {
    /// What an error comes to that a server gave within `limit`.
    pub(super) fn of_server(error: &io::Error, name: impl Display, limit: Duration) -> Self {
        OpenError::within(limit, error, || format!("backend {name}: {}", reason(error)))
    }

    /// As [`OpenError::new`], but for an error that says that `limit` has passed.
    pub(super) fn within(
        limit: Duration,
        error: &io::Error,
        explain: impl FnOnce() -> String,
    ) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => OpenError::TimedOut(limit),
            _ => OpenError::new(error, explain),
        }
    }

    /// What an error comes to; it is as `explain` says, unless it is ours.
    pub fn new(error: &io::Error, explain: impl FnOnce() -> String) -> Self {
        match error.raw_os_error() {
            Some(code) if OURS.iter().any(|errno| errno.raw_os_error() == code) => {
                OpenError::Exhausted(reason(error))
            }
            _ => OpenError::Unreachable(explain()),
        }
    }
}
