//! ProgramEnd: how a program ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a program ended its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// It closed its stdout and goes on running.
    ClosedOutput,
}

impl From<ExitStatus> for ProgramEnd {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => ProgramEnd::Exited(code),
            (None, Some(signal)) => ProgramEnd::Killed(signal),
            (None, None) => ProgramEnd::ClosedOutput,
        }
    }
}

impl fmt::Display for ProgramEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramEnd::Exited(0) => f.write_str("program exited"),
            ProgramEnd::Exited(status) => write!(f, "program exited with status {status}"),
            ProgramEnd::Killed(signal) => write!(f, "program killed by signal {signal}"),
            ProgramEnd::ClosedOutput => f.write_str("program closed its output"),
        }
    }
}
