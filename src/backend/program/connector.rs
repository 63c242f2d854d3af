//! ProgramConnector: starts one program, the same for all clients.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::Program;
use super::launcher::{Launcher, RunningProgram, explain};
use super::supervisor::ProgramPermits;
use crate::backend::{BackendIo, ClientFacts, OpenError};
use crate::clock::{TimedOut, timeout};
use crate::text::reason;

/// Starts a program for each session, found when the configuration was opened.
#[derive(Debug, PartialEq)]
pub struct ProgramConnector {
    program: Program,
    /// Where it was found.
    path: PathBuf,
    launcher: Launcher,
}

impl ProgramConnector {
    /// Finds the program.
    ///
    /// # Errors
    /// A sentence that says what to type.
    pub fn new(program: &Program) -> Result<Self, String> {
        let path = find(&program.command)?;
        let launcher = Launcher::new(&program.pass_env, program.kill_grace)?;
        Ok(ProgramConnector { program: program.clone(), path, launcher })
    }

    /// Starts it for a client within `limit`. `permits` are given back when it is gone.
    ///
    /// # Errors
    /// [`OpenError`], which names it.
    pub async fn open(
        &self,
        client: &ClientFacts<'_>,
        limit: Duration,
        permits: ProgramPermits,
    ) -> Result<BackendIo, OpenError> {
        let started = timeout(limit, self.start(client, permits)).await;
        let running = started.map_err(|TimedOut| OpenError::TimedOut(limit))?;
        let running = running
            .map_err(|error| OpenError::new(&error, || explain(self.program.name(), &error)))?;
        Ok(BackendIo::process(running, None))
    }

    async fn start(
        &self,
        client: &ClientFacts<'_>,
        permits: ProgramPermits,
    ) -> io::Result<RunningProgram> {
        let mut command = self.launcher.command(&self.path, client);
        command.arg0(&self.program.command).args(&self.program.args);
        self.launcher.run(command, client.id, permits).await
    }
}

/// Finds the path of a program, as a shell does.
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
    use std::sync::Arc;

    /// A running shell, and its process ID.
    fn start(script: &str) -> (RunningProgram, u32) {
        let program = Program {
            command: "sh".into(),
            args: vec!["-c".into(), format!("echo $$; {script}")],
            pass_env: vec!["PATH".into()],
            kill_grace: Duration::from_millis(20),
        };
        let request = Request::get("/").body(()).unwrap();
        let client = ClientFacts::of(&request);
        let mut running =
            block_on(ProgramConnector::new(&program).unwrap().start(&client, Arc::new(())))
                .unwrap();
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            assert_eq!(block_on(running.io.read(&mut byte)).unwrap(), 1, "after {line:?}");
            line.push(byte[0].into());
        }
        (running, line.trim().parse().unwrap())
    }

    /// Waits until a child of ours has exited and is reaped.
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
