//! ProcessGroup: a running program in a process group of its own, and how the group is ended.

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

use super::end::ProgramEnd;
use super::process_table;
use crate::clock::{Deadline, timeout};
use crate::limits;
use crate::net::readiness::Source;
use crate::sync::lock;

/// The interval of checks for a group whose program has exited: the kernel does not report the exit of the last
/// process of a group.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The signals after the end of stdin, each sent if the group survives the one before.
const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::KILL];

/// The groups of all programs.
static GROUPS: LazyLock<Mutex<Groups>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Groups {
    live: HashSet<Pid>,
    /// The number of programs that are being started: they may be children already, and are not in `live`.
    starting: usize,
    /// Whether [`kill_all`] was called: nothing is started any more.
    ended: bool,
}

/// A guard for as long as a program is being started.
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

/// A running program, or the processes of its group that have outlived it.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
    /// The process group has the same number.
    pid: Pid,
    end: Option<ProgramEnd>,
    /// Gets its end, once.
    ended: Sender<ProgramEnd>,
    // Dropped in this order, as in every stream.
    _pidfd: OwnedFd,
    exit: Source,
}

/// Kills all programs, and their groups. It is called last in this process: no program can start afterwards.
pub fn kill_all() {
    let mut groups = lock(&GROUPS);
    groups.ended = true;
    for group in &groups.live {
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

/// Calls `reap` for a child of ours unless it is a known program, with `true` if it certainly is none, and with
/// `false` if it may be one that is being started. Returns what `reap` returns, and `true` for a program. No program
/// is started or reaped meanwhile.
pub fn unless_program(child: Pid, reap: impl FnOnce(bool) -> bool) -> bool {
    let groups = lock(&GROUPS);
    groups.live.contains(&child) || reap(groups.starting == 0)
}

/// Checks that the kernel reports exits.
///
/// # Errors
/// As of `pidfd_open(2)`.
pub fn check() -> io::Result<()> {
    Ok(pidfd_open(getpid(), PidfdFlags::empty()).map(drop)?)
}

impl ProcessGroup {
    /// Starts a program, and waits until it is loaded. Its end is sent to `ended`.
    ///
    /// # Errors
    /// As of `fork(2)`, `execve(2)` and `pidfd_open(2)`.
    pub fn start(mut command: Command, ended: Sender<ProgramEnd>) -> io::Result<Self> {
        // Dropped after the guard of the lock below.
        let _starting = Starting::begin();
        let mut child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        // After it was loaded, as between fork and exec little is safe. It may have exited already.
        let _ = limits::pass_on(pid);
        let mut groups = lock(&GROUPS);
        let watched = watch(pid);
        if groups.ended || watched.is_err() {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
        }
        let (pidfd, exit) = watched?;
        groups.live.insert(pid);
        Ok(ProcessGroup { child, pid, end: None, ended, _pidfd: pidfd, exit })
    }

    /// Its process ID.
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

    /// Waits until no process of its group is left.
    pub async fn gone(&mut self) {
        self.exited().await;
        while !self.is_gone() {
            Deadline::after(CHECK_INTERVAL).await;
        }
    }

    /// Ends it and its group after the end of its stdin: a stronger signal after each `grace`. Returns whether they
    /// have ended.
    pub async fn end(&mut self, grace: Duration) -> bool {
        for signal in SIGNALS {
            if timeout(grace, self.gone()).await.is_ok() || !self.is_alive().await {
                return true;
            }
            tracing::debug!(pid = self.pid(), ?signal, "ending a program");
            let _ = kill_process_group(self.pid, signal);
        }
        timeout(grace, self.gone()).await.is_ok() || !self.is_alive().await
    }

    /// Whether its group has a process that is no zombie. In a container zombies may never be reaped by the process
    /// that inherits them.
    async fn is_alive(&self) -> bool {
        self.end.is_none() || process_table::is_alive(self.pid()).await
    }

    /// Reaps the program if it has exited, and sends its end. Returns whether its whole group is gone.
    ///
    /// The lock is held from the one to the other: once the program is reaped and its group gone, the kernel may give
    /// the group's number to others, which must not be signalled. It does not while a process of the group exists.
    fn is_gone(&mut self) -> bool {
        let mut groups = lock(&GROUPS);
        if self.end.is_none() {
            // It fails if wsrelay was started with SIGCHLD ignored: the kernel reports no status then.
            let status = self.child.try_wait().unwrap_or_else(|_| Some(ExitStatus::default()));
            let Some(status) = status else { return false };
            self.end = Some(status.into());
            let _ = self.ended.try_send(status.into());
        }
        // As PID 1 of a container we inherit orphans, and have to reap them.
        while let Ok(Some(_)) = waitpgid(self.pid, WaitOptions::NOHANG) {}
        let is_gone = test_kill_process_group(self.pid) == Err(Errno::SRCH);
        if is_gone {
            groups.live.remove(&self.pid);
        }
        is_gone
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        lock(&GROUPS).live.remove(&self.pid);
    }
}

fn watch(pid: Pid) -> io::Result<(OwnedFd, Source)> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let exit = Source::new(&pidfd, false)?;
    Ok((pidfd, exit))
}
