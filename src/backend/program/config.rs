//! Config: what programs a backend starts, and with what.

use std::path::PathBuf;
use std::time::Duration;

/// A program and what it is started with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its name or path; not empty.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The names of our own environment's variables that it gets too.
    pub pass_env: Vec<String>,
    /// How long each step of ending it waits for it: the end of its stdin, SIGINT, SIGTERM.
    pub kill_grace: Duration,
}

/// A directory of programs, and what they are started with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProgramDir {
    /// The directory.
    pub dir: PathBuf,
    /// The names of our own environment's variables that they get too.
    pub pass_env: Vec<String>,
    /// How long each step of ending one waits for it: the end of its stdin, SIGINT, SIGTERM.
    pub kill_grace: Duration,
}

impl Program {
    /// As it was typed, without its arguments: they may hold secrets, and this is shown to clients.
    pub fn name(&self) -> &str {
        &self.command
    }
}
