//! Program: a backend that is a process of its own for each session, with pipes for stdin and
//! stdout, and what is known of the client in its environment (CGI, RFC 3875).
//!
//! ```text
//!  session ──stdin──▶ process ──stdout──▶ session
//!                      │   └──stderr──▶ log, line by line
//!                      └─ exit ─▶ keeper: one task that ends and reaps it, whatever becomes of the session
//! ```

mod census;
mod directory;
mod end;
mod environment;
mod keeper;
mod orphans;
mod process;
mod stderr;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::{BackendIo, ClientInfo, OpenError};
use crate::clock::timeout;
use crate::net::pipes::{PipeSource, Pipes};
use crate::net::stream::ByteStream;
use crate::path;
use crate::text::reason;
use crate::threads::PROGRAMS;

pub use self::directory::{Found, Lookup, ProgramDir, Programs};
pub use self::end::ProgramEnd;
pub use self::keeper::{Held, Keeping};
pub use self::orphans::reap as reap_orphans;
pub use self::process::kill_all;

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

/// A program that was found, and starts for every session.
#[derive(Debug, PartialEq)]
pub struct Launcher {
    program: Program,
    path: PathBuf,
    starter: Starter,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    /// Its stdin and stdout.
    pub io: ByteStream,
    /// The hold on it.
    pub keeping: Keeping,
}

/// What programs are started with, whichever they are.
#[derive(Clone, Debug, PartialEq)]
struct Starter {
    passed: Arc<[(OsString, OsString)]>,
    grace: Duration,
}

impl Program {
    /// As it was typed, without its arguments: they may hold secrets, and this is shown to clients.
    pub fn name(&self) -> &str {
        &self.command
    }
}

/// Why a program of this name could not be started, and what to do about it.
fn explain(name: &str, error: &io::Error) -> String {
    let advice = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => ": it, or the interpreter that its first line names, is not there",
        Some(Errno::ACCESS) => ": make it executable with chmod +x",
        Some(Errno::NOEXEC) => ": a script has to begin with a line such as #!/bin/sh",
        Some(Errno::AGAIN) => ": too many processes, raise the limit with ulimit -u",
        _ => "",
    };
    format!("can't start {name}: {}{advice}", reason(error))
}

impl Launcher {
    /// Finds the program.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn new(program: &Program) -> Result<Self, String> {
        let path = find(&program.command)?;
        let starter = Starter::new(&program.pass_env, program.kill_grace)?;
        Ok(Launcher { program: program.clone(), path, starter })
    }

    /// Starts it for a client within `limit`, and holds `held` until it is gone.
    ///
    /// # Errors
    /// [`OpenError`], which names it.
    pub async fn open(
        &self,
        client: &ClientInfo<'_>,
        limit: Duration,
        held: Held,
    ) -> Result<BackendIo, OpenError> {
        if !path::is_sound(client.uri.path()) {
            return Err(OpenError::BadPath);
        }
        let started = timeout(limit, self.start(client, held)).await;
        let started = started.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match started {
            Ok(running) => Ok(BackendIo::process(running, None)),
            Err(error) => {
                Err(OpenError::within(limit, &error, || explain(self.program.name(), &error)))
            }
        }
    }

    async fn start(&self, client: &ClientInfo<'_>, held: Held) -> io::Result<Running> {
        let mut command = self.starter.command(&self.path, client);
        command.arg0(&self.program.command).args(&self.program.args);
        self.starter.run(command, client.id, held).await
    }
}

impl Starter {
    fn new(pass_env: &[String], grace: Duration) -> Result<Self, String> {
        // What it takes to hear of an exit, which Linux has since 5.3.
        process::check().map_err(|e| format!("can't watch processes: {}", reason(&e)))?;
        let passed = pass_env.iter().filter_map(|name| Some((name.into(), env::var_os(name)?)));
        Ok(Starter { passed: passed.collect(), grace })
    }

    /// A program that is told of its client.
    fn command(&self, path: &Path, client: &ClientInfo<'_>) -> Command {
        let mut command = Command::new(path);
        command.env_clear().envs(self.passed.iter().map(|(name, value)| (name, value)));
        command.envs(environment::of(client));
        command
    }

    /// Starts it on a thread for that: whoever starts a program waits until it is loaded. It may be
    /// started although nobody waits any more, and is ended then.
    async fn run(&self, command: Command, id: u64, held: Held) -> io::Result<Running> {
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
    let io = ByteStream::pipes(Pipes::new(output, input)?);
    let keeping = Keeping::start(command, errors, cutter, id, grace, held)?;
    Ok(Running { io, keeping })
}

/// The path of a program, found as a shell does.
fn find(command: &str) -> Result<PathBuf, String> {
    which::which(command).map_err(|_| {
        if !command.contains('/') {
            return format!("there is no program {command} in the PATH: type its path");
        }
        match fs::metadata(Path::new(command)) {
            Ok(found) if found.is_dir() => {
                format!("{command} is a directory: type the path of a program")
            }
            Ok(_) => format!("{command} is not executable: type chmod +x {command}"),
            Err(error) => format!("can't start {command}: {}", reason(&error)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::io::AsyncReadExt;
    use http::Request;

    /// A running shell, and its number.
    fn start(script: &str) -> (Running, u32) {
        let program = Program {
            command: "sh".into(),
            args: vec!["-c".into(), format!("echo $$; {script}")],
            pass_env: vec!["PATH".into()],
            kill_grace: Duration::from_millis(20),
        };
        let request = Request::get("/").body(()).unwrap();
        let client = ClientInfo::of(&request);
        let mut running =
            block_on(Launcher::new(&program).unwrap().start(&client, Arc::new(()))).unwrap();
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            assert_eq!(block_on(running.io.read(&mut byte)).unwrap(), 1, "after {line:?}");
            line.push(byte[0].into());
        }
        (running, line.trim().parse().unwrap())
    }

    /// Waits until a child of ours is gone, without a trace.
    fn wait_gone(pid: u32) {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while Path::new(&format!("/proc/{pid}")).exists() {
            assert!(std::time::Instant::now() < end, "{pid} lives on");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// As a session that panics does, and a client that goes before its 101 is written.
    #[test]
    fn a_connection_that_is_dropped_ends_its_program() {
        for script in ["exec cat", "trap '' INT TERM; while :; do read x; done"] {
            let (running, pid) = start(script);
            drop(running);
            wait_gone(pid);
        }
    }
}
