//! Process: a program that runs, in a process group of its own, and how the group is ended.

use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use async_channel::Sender;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process_group, pidfd_open,
    test_kill_process_group, waitpgid,
};

use super::census;
use super::end::ProgramEnd;
use crate::clock::{Deadline, timeout};
use crate::limits;
use crate::net::readiness::Source;
use crate::sync::lock;

/// How often a group is looked at whose program has exited: nobody tells when its last process has.
const LOOK: Duration = Duration::from_millis(20);

/// What follows the end of stdin, each if the last was of no use.
const LADDER: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::KILL];

/// The groups that live.
static GROUPS: LazyLock<Mutex<Groups>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Groups {
    live: HashSet<Pid>,
    /// How many programs are being started, which are children already, perhaps, and not among those.
    starting: usize,
    /// Whether [`kill_all`] was called.
    ended: bool,
}

/// A program that is being started.
struct Starting;

impl Starting {
    fn begin() -> Self {
        lock(&GROUPS).starting += 1;
        Starting
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        lock(&GROUPS).starting -= 1;
    }
}

/// A running program, or what is left of its group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its process group's number too.
    pid: Pid,
    end: Option<ProgramEnd>,
    /// Who is told of its end, once.
    told: Sender<ProgramEnd>,
    // Dropped in this order, as in every stream.
    _pidfd: OwnedFd,
    exit: Source,
}

/// Kills what lives of all programs. For the last moment of this process: none can start any more.
pub fn kill_all() {
    let mut groups = lock(&GROUPS);
    groups.ended = true;
    for group in &groups.live {
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

/// Calls `reap` for a child of ours that is no program, or may be none: `true` says that it is certain. Gives
/// what that gives, and for a program `true`. No program can be started or reaped meanwhile.
pub fn unless_program(child: Pid, reap: impl FnOnce(bool) -> bool) -> bool {
    let groups = lock(&GROUPS);
    groups.live.contains(&child) || reap(groups.starting == 0)
}

/// Whether the kernel tells of exits.
///
/// # Errors
/// As of `pidfd_open(2)`.
pub fn check() -> io::Result<()> {
    Ok(pidfd_open(getpid(), PidfdFlags::empty()).map(drop)?)
}

impl Process {
    /// Starts a program, and waits until it is loaded. Its end is told to `told`.
    ///
    /// # Errors
    /// As of `fork(2)`, `execve(2)` and `pidfd_open(2)`.
    pub fn start(mut command: Command, told: Sender<ProgramEnd>) -> io::Result<Self> {
        // Dropped after the lock that is taken below.
        let _starting = Starting::begin();
        let mut child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        // Just after it was loaded, as nothing in between is safe. It may have gone already.
        let _ = limits::pass_on(pid);
        let mut groups = lock(&GROUPS);
        let watched = watch(pid);
        if groups.ended || watched.is_err() {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
        }
        let (pidfd, exit) = watched?;
        groups.live.insert(pid);
        Ok(Process { child, pid, end: None, told, _pidfd: pidfd, exit })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How the program itself ended, if it has.
    pub fn how(&self) -> Option<ProgramEnd> {
        self.end
    }

    /// Waits for the program itself to exit.
    pub async fn exited(&mut self) {
        while !self.is_gone() && self.end.is_none() {
            poll_fn(|cx| self.exit.poll_readable(cx)).await;
        }
    }

    /// Waits until nobody of its group is left.
    pub async fn gone(&mut self) {
        self.exited().await;
        while !self.is_gone() {
            Deadline::after(LOOK).await;
        }
    }

    /// Ends it and its group, whose stdin has ended: after each `grace` a harsher signal. Whether
    /// that was of use.
    pub async fn end(&mut self, grace: Duration) -> bool {
        for signal in LADDER {
            if timeout(grace, self.gone()).await.is_ok() || !self.is_alive().await {
                return true;
            }
            tracing::debug!(pid = self.pid(), ?signal, "ending a program");
            let _ = kill_process_group(self.pid, signal);
        }
        timeout(grace, self.gone()).await.is_ok() || !self.is_alive().await
    }

    /// Whether any of its group does more than wait for whoever inherits it to reap it, which in a
    /// container may take for ever.
    async fn is_alive(&self) -> bool {
        self.end.is_none() || census::is_alive(self.pid()).await
    }

    /// Reaps the program if it has exited, and tells so; whether its whole group is gone.
    ///
    /// Under the lock from the one to the other: once both are, the group's number is anybody's,
    /// and must not be signalled. As long as one of the group lives, it is nobody else's.
    fn is_gone(&mut self) -> bool {
        let mut groups = lock(&GROUPS);
        if self.end.is_none() {
            // It fails if we were started with SIGCHLD ignored; then the kernel keeps the status.
            let status = self.child.try_wait().unwrap_or_else(|_| Some(ExitStatus::default()));
            let Some(status) = status else { return false };
            self.end = Some(status.into());
            let _ = self.told.try_send(status.into());
        }
        // In a container we may be the process that inherits orphans, and has to reap them.
        while let Ok(Some(_)) = waitpgid(self.pid, WaitOptions::NOHANG) {}
        let is_gone = test_kill_process_group(self.pid) == Err(Errno::SRCH);
        if is_gone {
            groups.live.remove(&self.pid);
        }
        is_gone
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        lock(&GROUPS).live.remove(&self.pid);
    }
}

fn watch(pid: Pid) -> io::Result<(OwnedFd, Source)> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let exit = Source::new(&pidfd, false)?;
    Ok((pidfd, exit))
}
