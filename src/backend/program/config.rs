//! Config: the programs that a backend starts, and their settings.

use std::path::PathBuf;
use std::time::Duration;

/// A program, and how it is started and ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its name or path; not empty.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The names of variables of our own environment that are passed on to it.
    pub pass_env: Vec<String>,
    /// The time that it has after each step of ending it: the end of its stdin, SIGINT, SIGTERM.
    pub kill_grace: Duration,
}

/// A directory of programs, and how they are started and ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgramDir {
    /// The directory.
    pub dir: PathBuf,
    /// The names of variables of our own environment that are passed on to them.
    pub pass_env: Vec<String>,
    /// The time that one has after each step of ending it: the end of its stdin, SIGINT, SIGTERM.
    pub kill_grace: Duration,
}

impl Program {
    /// Its name as typed, without arguments: they may be secret, and this is shown to clients.
    pub fn name(&self) -> &str {
        &self.command
    }
}
