//! Keeper: one task a process, which logs what it complains of, and sees it to its end.

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
use super::process::Process;
use super::stderr;
use crate::clock::timeout;
use crate::net::pipes::PipeSource;
use crate::net::readiness::Cutter;
use crate::task;

/// What a program was started for, such as a place among the sessions: it is held until the program is
/// gone, whoever else lets go of it before.
pub type Held = Arc<dyn Any + Send + Sync>;

/// A session's hold on its process. When it is dropped, the process is ended all the same: a
/// session that panics, or never begins, leaves none behind.
#[derive(Debug)]
pub struct Keeping {
    grace: Duration,
    /// Closed when the session is done with the process.
    done: Sender<()>,
    exit: Receiver<ProgramEnd>,
    /// Closed when the process is gone.
    gone: Receiver<()>,
}

/// What the keeper's task holds.
struct Keeper {
    process: Process,
    id: u64,
    grace: Duration,
    done: Receiver<()>,
    gone: Sender<()>,
    /// The ends of the streams that somebody who has left the group may still hold.
    cutters: [Cutter; 2],
    held: Held,
}

impl Keeping {
    /// Starts a program, and the task that keeps it. `output` is what ends its stdout, `id` the
    /// session's number, and `held` what is let go of when it is gone.
    ///
    /// # Errors
    /// As of `fork(2)`, `execve(2)` and `pidfd_open(2)`.
    pub fn start(
        command: Command,
        errors: PipeSource,
        output: Cutter,
        id: u64,
        grace: Duration,
        held: Held,
    ) -> io::Result<Self> {
        let (told, exit) = bounded(1);
        let process = Process::start(command, told)?;
        let ((done_sender, done), (gone, gone_receiver)) = (bounded(1), bounded(1));
        let cutters = [output, errors.cutter()];
        let keeper = Keeper { process, id, grace, done, gone, cutters, held };
        task::spawn(join(stderr::log(errors, id), keeper.keep()));
        Ok(Keeping { grace, done: done_sender, exit, gone: gone_receiver })
    }

    /// How the process ended, after it has ended its stream. One that has not exited soon after
    /// that has only closed it.
    pub fn exit(&self) -> impl Future<Output = ProgramEnd> + use<> {
        let (exit, grace) = (self.exit.clone(), self.grace);
        async move {
            match timeout(grace, exit.recv()).await {
                Ok(Ok(end)) => end,
                _ => ProgramEnd::ClosedOutput,
            }
        }
    }

    /// Ends the process, whose stdin has ended, and waits until it is gone; `discard` takes what
    /// it says meanwhile.
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

impl Keeper {
    async fn keep(self) {
        let Keeper { mut process, id, grace, done, gone, cutters, held } = self;
        let _ = select(pin!(process.exited()), pin!(done.recv())).await;
        // Who of its group outlives the program is ended like a program that outlives its session.
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
        drop(held);
        drop(gone);
        if !is_gone {
            // It stays to be reaped.
            process.exited().await;
        }
    }
}
