//! OpenError: why there is no connection to a backend.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::text::reason;

/// Errors that say that wsrelay itself lacks something.
const OURS: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];

/// Why a backend could not be reached.
#[derive(Debug)]
pub enum OpenError {
    /// The path can't be passed to a program: it has a NUL, or a `%` without two hex digits.
    BadPath,
    /// The path names no program.
    NotFound,
    /// No token of the request names a server; the text says why.
    NoTarget(&'static str),
    /// The path names a file that can't be started; the text names it.
    Forbidden(String),
    /// It refused, reset, its name has no address, or it can't be started; the text names it.
    Unreachable(String),
    /// It did not answer in time.
    TimedOut(Duration),
    /// wsrelay is out of descriptors or memory, which says nothing about the backend.
    Exhausted(String),
}

impl OpenError {
    /// The error of connecting to a server of this name within `limit`.
    pub(super) fn of_server(error: &io::Error, name: impl Display, limit: Duration) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => OpenError::TimedOut(limit),
            _ => OpenError::new(error, || format!("backend {name}: {}", reason(error))),
        }
    }

    /// The error with the text of `explain`, unless it is our own.
    pub fn new(error: &io::Error, explain: impl FnOnce() -> String) -> Self {
        match error.raw_os_error() {
            Some(code) if OURS.iter().any(|errno| errno.raw_os_error() == code) => {
                OpenError::Exhausted(reason(error))
            }
            _ => OpenError::Unreachable(explain()),
        }
    }
}
