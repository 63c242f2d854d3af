//! Supervisor: the task of a process, which logs its stderr, ends it and reaps it.

use std::any::Any;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use futures::future::{join, select};

use super::end::ProgramEnd;
use super::process_group::ProcessGroup;
use super::stderr;
use crate::clock::timeout;
use crate::net::pipes::PipeSource;
use crate::net::readiness::Cutter;
use crate::task;

/// The permits of the session or request for which a program runs. They are given back when the program is gone,
/// whatever else has dropped them before.
pub type ProgramPermits = Arc<dyn Any + Send + Sync>;

/// A handle to a running process. When it is dropped, the process is ended: a session that panics, or never begins,
/// leaves none behind.
#[derive(Debug)]
pub struct ProcessHandle {
    grace: Duration,
    /// Closed when the session needs the process no more.
    done: Sender<()>,
    exit: Receiver<ProgramEnd>,
    /// Closed when the process is gone.
    gone: Receiver<()>,
}

/// The state of the task.
struct Supervisor {
    process: ProcessGroup,
    id: u64,
    grace: Duration,
    done: Receiver<()>,
    gone: Sender<()>,
    /// End stdout and stderr, which processes that have left the group may still have open.
    cutters: [Cutter; 2],
    permits: ProgramPermits,
}

impl ProcessHandle {
    /// Starts a program and its supervisor. `output` ends its stdout; `id` is the session's number.
    ///
    /// # Errors
    /// As of `fork(2)`, `execve(2)` and `pidfd_open(2)`.
    pub fn start(
        command: Command,
        errors: PipeSource,
        output: Cutter,
        id: u64,
        grace: Duration,
        permits: ProgramPermits,
    ) -> io::Result<Self> {
        let (ended, exit) = bounded(1);
        let process = ProcessGroup::start(command, ended)?;
        let ((done_sender, done), (gone, gone_receiver)) = (bounded(1), bounded(1));
        let cutters = [output, errors.cutter()];
        let supervisor = Supervisor { process, id, grace, done, gone, cutters, permits };
        task::spawn(join(stderr::log(errors, id), supervisor.run()));
        Ok(ProcessHandle { grace, done: done_sender, exit, gone: gone_receiver })
    }

    /// How the process ended, if its stdout has ended. A process that does not exit soon after that has only closed
    /// it.
    pub fn exit(&self) -> impl Future<Output = ProgramEnd> + use<> {
        let (exit, grace) = (self.exit.clone(), self.grace);
        async move {
            match timeout(grace, exit.recv()).await {
                Ok(Ok(end)) => end,
                _ => ProgramEnd::ClosedOutput,
            }
        }
    }

    /// Ends the process, whose stdin has ended, and waits until it is gone; meanwhile `discard` reads its output.
    pub async fn end(self, discard: impl Future<Output = ()>) {
        drop(self.done);
        let gone = async {
            let _ = self.gone.recv().await;
        };
        let discard = async {
            discard.await;
            pending::<()>().await
        };
        select(pin!(gone), pin!(discard)).await;
    }
}

impl Supervisor {
    async fn run(self) {
        let Supervisor { mut process, id, grace, done, gone, cutters, permits } = self;
        let _ = select(pin!(process.exited()), pin!(done.recv())).await;
        // Processes of its group that outlive the program are ended like a program that outlives its session.
        let is_gone = process.end(grace).await;
        let pid = process.pid();
        match process.how() {
            Some(ProgramEnd::Exited(0)) => tracing::debug!(id, pid, "program exited"),
            Some(how) => tracing::info!(id, pid, "{how}"),
            None => tracing::warn!(id, pid, "program does not end, not even by SIGKILL"),
        }
        for cutter in cutters {
            cutter.cut();
        }
        drop(permits);
        drop(gone);
        if !is_gone {
            // It has to be reaped, whenever it exits.
            process.exited().await;
        }
    }
}
