//! Reaper: reaps orphans, processes whose parent has exited. The first process of a container (PID 1) and a subreaper
//! become their parent, and only the parent can reap them. A zombie keeps its process ID, of which a container may have
//! few.

use std::io;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures::{FutureExt, StreamExt};
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitOptions, child_subreaper, getpid, waitid, waitpid,
};

use super::process_group;
use super::process_table::{self, ProcessStat};
use crate::clock::Deadline;
use crate::task;
use crate::threads::PROCESSES;

/// The pause before each reading of the process table: processes that end together are reaped together.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts the task that reaps orphans, if they become children of this process.
///
/// # Errors
/// If signals can't be watched.
pub fn reap_orphans() -> io::Result<()> {
    let is_reaper = getpid() == Pid::INIT || matches!(child_subreaper(), Ok(Some(_)));
    if !is_reaper {
        return Ok(());
    }
    if !process_table::is_ours() {
        tracing::warn!("can't reap orphaned processes: /proc is not that of this container");
        return Ok(());
    }
    let mut exits = Signals::new([Signal::Child])?;
    task::spawn(async move {
        // Some may have exited before.
        let mut is_done = false;
        loop {
            if is_done && exits.next().await.is_none() {
                return;
            }
            Deadline::after(PAUSE).await;
            while exits.next().now_or_never().is_some() {}
            is_done = PROCESSES.run(reap).await;
        }
    });
    Ok(())
}

/// Reaps the orphans that have exited. Returns false if one of our dead children may be either an orphan or a program.
fn reap() -> bool {
    let dead = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if !matches!(waitid(WaitId::All, dead), Ok(Some(_))) {
        return true;
    }
    let us = getpid().as_raw_nonzero().get();
    let Some(own) = ProcessStat::read(us) else { return true };
    let mut is_done = true;
    for pid in process_table::dead_children(us) {
        let Some(pid) = Pid::from_raw(pid) else { continue };
        is_done &= process_group::unless_program(pid, |is_certain| {
            // Programs that are started here are in our session and can't leave it, as leaders of process groups.
            let session = ProcessStat::read(pid.as_raw_nonzero().get()).map(|stat| stat.session);
            let is_orphan = is_certain || session.is_some_and(|session| session != own.session);
            if is_orphan {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
            is_orphan
        });
    }
    is_done
}
