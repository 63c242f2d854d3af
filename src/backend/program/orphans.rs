//! Orphans: processes whose parent has ended and that became our children by that, as the kernel arranges
//! for the first process of a container (PID 1) and for a subreaper. Nobody but us can reap them, and a dead
//! one that nobody reaps holds its number, of which there are not many in a container.

use std::io;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures::{FutureExt, StreamExt};
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitOptions, child_subreaper, getpid, waitid, waitpid,
};

use super::census::{self, Stat};
use super::process;
use crate::clock::Deadline;
use crate::task;
use crate::threads::PROCESSES;

/// The pause between two looks: many processes that end together are one look's work.
const PAUSE: Duration = Duration::from_millis(200);

/// Reaps orphans from now on, if they become our children.
///
/// # Errors
/// If signals can't be watched.
pub fn reap() -> io::Result<()> {
    let is_reaper = getpid() == Pid::INIT || matches!(child_subreaper(), Ok(Some(_)));
    if !is_reaper {
        return Ok(());
    }
    if !census::is_ours() {
        tracing::warn!("can't reap orphaned processes: /proc is not that of this container");
        return Ok(());
    }
    let mut exits = Signals::new([Signal::Child])?;
    task::spawn(async move {
        // Some may have ended before.
        let mut is_done = false;
        loop {
            if is_done && exits.next().await.is_none() {
                return;
            }
            Deadline::after(PAUSE).await;
            while exits.next().now_or_never().is_some() {}
            is_done = PROCESSES.run(look).await;
        }
    });
    Ok(())
}

/// Reaps the orphans that are dead; whether it could be told of all dead children whether they are orphans.
fn look() -> bool {
    let dead = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if !matches!(waitid(WaitId::All, dead), Ok(Some(_))) {
        return true;
    }
    let us = getpid().as_raw_nonzero().get();
    let Some(own) = Stat::read(us) else { return true };
    let mut is_done = true;
    for pid in census::dead_children(us) {
        let Some(pid) = Pid::from_raw(pid) else { continue };
        is_done &= process::unless_program(pid, |is_certain| {
            // What is started here is in our session and can't leave it: it leads a process group.
            let session = Stat::read(pid.as_raw_nonzero().get()).map(|stat| stat.session);
            let is_orphan = is_certain || session.is_some_and(|session| session != own.session);
            if is_orphan {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
            is_orphan
        });
    }
    is_done
}
