//! Starter: starts a program, with pipes for stdin, stdout and stderr, and in its environment what is known of
//! the client.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::keeper::{Held, Keeping};
use super::{environment, process};
use crate::backend::ClientInfo;
use crate::net::pipes::{PipeSource, Pipes};
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::text::reason;
use crate::threads::PROGRAMS;

/// What programs are started with, whichever they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Starter {
    passed: Arc<[(OsString, OsString)]>,
    grace: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// Its stdin and stdout.
    pub io: ByteStream,
    /// The hold on it.
    pub keeping: Keeping,
}

impl Starter {
    pub fn new(pass_env: &[String], grace: Duration) -> Result<Self, String> {
        // What it takes to hear of an exit, which Linux has since 5.3.
        process::check().map_err(|e| format!("can't watch processes: {}", reason(&e)))?;
        let passed = pass_env.iter().filter_map(|name| Some((name.into(), env::var_os(name)?)));
        Ok(Starter { passed: passed.collect(), grace })
    }

    /// A program that is told of its client.
    pub fn command(&self, path: &Path, client: &ClientInfo<'_>) -> Command {
        let mut command = Command::new(path);
        command.env_clear().envs(self.passed.iter().map(|(name, value)| (name, value)));
        command.envs(environment::of(client));
        command
    }

    /// Starts it on a thread for that: whoever starts a program waits until it is loaded. It may be
    /// started although nobody waits any more, and is ended then.
    pub async fn run(&self, command: Command, id: u64, held: Held) -> io::Result<Running> {
        let grace = self.grace;
        PROGRAMS.run(move || launch(command, id, grace, held)).await
    }
}

fn launch(mut command: Command, id: u64, grace: Duration, held: Held) -> io::Result<Running> {
    // Pipes and no sockets: programs open /dev/stdin, which a socket does not let them.
    let (stdin, input) = io::pipe()?;
    let (output, stdout) = io::pipe()?;
    let (errors, stderr) = io::pipe()?;
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let (output, errors) = (PipeSource::new(output)?, PipeSource::new(errors)?);
    let cutter = output.cutter();
    let io = ByteStream::plain(Plain::pipes(Pipes::new(output, input)?));
    let keeping = Keeping::start(command, errors, cutter, id, grace, held)?;
    Ok(Running { io, keeping })
}

/// Why a program of this name could not be started, and what to do about it.
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
