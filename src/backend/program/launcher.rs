//! Launcher: starts programs with pipes for stdin, stdout and stderr, and with the facts about the client in their
//! environment.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::supervisor::{ProcessHandle, ProgramPermits};
use super::{environment, process_group};
use crate::backend::ClientFacts;
use crate::net::pipes::{PipeSource, Pipes};
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::text::reason;
use crate::threads::PROGRAMS;

/// Starts programs: the settings that do not depend on which.
#[derive(Clone, Debug, PartialEq)]
pub struct Launcher {
    /// Variables of our own environment.
    passed: Arc<[(OsString, OsString)]>,
    grace: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub struct RunningProgram {
    /// Its stdin and stdout.
    pub io: ByteStream,
    /// Its process.
    pub process: ProcessHandle,
}

impl Launcher {
    /// Reads the variables of these names from our environment.
    ///
    /// # Errors
    /// A sentence, if the kernel can't report exits.
    pub fn new(pass_env: &[String], grace: Duration) -> Result<Self, String> {
        // Linux has pidfds since 5.3.
        process_group::check().map_err(|e| format!("can't watch processes: {}", reason(&e)))?;
        let passed = pass_env.iter().filter_map(|name| Some((name.into(), env::var_os(name)?)));
        Ok(Launcher { passed: passed.collect(), grace })
    }

    /// The command for the program at `path`, with the facts about its client as variables.
    pub fn command(&self, path: &Path, client: &ClientFacts<'_>) -> Command {
        let mut command = Command::new(path);
        command.env_clear().envs(self.passed.iter().map(|(name, value)| (name, value)));
        command.envs(environment::of(client));
        command
    }

    /// Starts a program on one of the threads for that, which waits until the program is loaded. If nobody waits
    /// for it any more by then, it is ended.
    ///
    /// # Errors
    /// As of `pipe(2)`, `fork(2)` and `execve(2)`.
    pub async fn run(
        &self,
        command: Command,
        id: u64,
        permits: ProgramPermits,
    ) -> io::Result<RunningProgram> {
        let grace = self.grace;
        PROGRAMS.run(move || launch(command, id, grace, permits)).await
    }
}

fn launch(
    mut command: Command,
    id: u64,
    grace: Duration,
    permits: ProgramPermits,
) -> io::Result<RunningProgram> {
    // Pipes, not sockets: programs open /dev/stdin, which fails on a socket.
    let (stdin, input) = io::pipe()?;
    let (output, stdout) = io::pipe()?;
    let (errors, stderr) = io::pipe()?;
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let (output, errors) = (PipeSource::new(output)?, PipeSource::new(errors)?);
    let cutter = output.cutter();
    let io = ByteStream::plain(Plain::pipes(Pipes::new(output, input)?));
    let process = ProcessHandle::start(command, errors, cutter, id, grace, permits)?;
    Ok(RunningProgram { io, process })
}

/// The text that says why a program of this name could not be started, and what to do about it.
pub fn explain(name: &str, error: &io::Error) -> String {
    let advice = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => ": it, or the interpreter that its first line names, is not there",
        Some(Errno::ACCESS) => ": make it executable with chmod +x",
        Some(Errno::NOEXEC) => ": a script has to begin with a line such as #!/bin/sh",
        Some(Errno::AGAIN) => ": too many processes, raise the limit with ulimit -u",
        _ => "",
    };
    format!("can't start {name}: {}{advice}", reason(error))
}
