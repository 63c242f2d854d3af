//! The process table: which process groups are alive, by one reading of `/proc` for all who ask at the same time.
//! Where a thousand programs end together, a thousand readings of thousands of processes would delay everything else
//! for seconds.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use async_lock::Mutex;
use rustix::process::getpid;

use crate::threads::PROCESSES;

/// The groups that are alive; `None` if they can't be read.
static SNAPSHOTS: LazyLock<Snapshots<Option<Arc<HashSet<i32>>>>> =
    LazyLock::new(Snapshots::default);

/// The last snapshot, and when its reading began.
#[derive(Debug)]
struct Snapshots<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Snapshots<T> {
    fn default() -> Self {
        Snapshots(Mutex::new(None))
    }
}

impl<T: Clone> Snapshots<T> {
    /// A snapshot whose reading began after this call. Calls during a reading share the next one.
    async fn fresh<F: Future<Output = T>>(&self, read: impl FnOnce() -> F) -> T {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((began, seen)) = &*last
            && *began >= asked
        {
            return seen.clone();
        }
        let began = Instant::now();
        let seen = read().await;
        *last = Some((began, seen.clone()));
        seen
    }
}

/// Whether a process group has a process that is no zombie; `true` if `/proc` can't be read.
pub async fn is_alive(group: i32) -> bool {
    let groups = SNAPSHOTS.fresh(|| PROCESSES.run(|| living_groups().map(Arc::new))).await;
    groups.is_none_or(|groups| groups.contains(&group))
}

/// The groups of all processes that are no zombies; `None` if `/proc` can't be read.
fn living_groups() -> Option<HashSet<i32>> {
    Some(all().ok()?.filter(|(_, stat)| !stat.is_zombie).map(|(_, stat)| stat.group).collect())
}

/// The zombies among the children of `parent`.
pub fn dead_children(parent: i32) -> Vec<i32> {
    let dead = |(_, stat): &(i32, ProcessStat)| stat.is_zombie && stat.parent == parent;
    all().map(|all| all.filter(dead).map(|(pid, _)| pid).collect()).unwrap_or_default()
}

/// Whether `/proc` is that of our own PID namespace.
pub fn is_ours() -> bool {
    let us = getpid().as_raw_nonzero().to_string();
    fs::read_link("/proc/self").is_ok_and(|link| link == Path::new(&us))
}

/// All processes, with their IDs.
fn all() -> io::Result<impl Iterator<Item = (i32, ProcessStat)>> {
    Ok(fs::read_dir("/proc")?.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, ProcessStat::read(pid)?))
    }))
}

/// A process, as the kernel describes it (`man 5 proc_pid_stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Whether it has exited and is not reaped yet.
    pub is_zombie: bool,
    /// The ID of its parent.
    pub parent: i32,
    /// The ID of its process group.
    pub group: i32,
    /// The ID of its session; 0 if that is of another container.
    pub session: i32,
}

impl ProcessStat {
    /// Reads that of the process with this ID; `None` if there is none.
    pub fn read(pid: i32) -> Option<Self> {
        ProcessStat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The fields behind the name, which may contain anything.
        let mut words = line.rsplit_once(") ")?.1.split(' ');
        let is_zombie = words.next()? == "Z";
        let mut number = || words.next()?.parse().ok();
        Some(ProcessStat { is_zombie, parent: number()?, group: number()?, session: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{block_on, yield_now};
    use futures::future::join_all;
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    use std::cell::Cell;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn calls_at_the_same_time_share_a_fresh_snapshot() {
        let (snapshots, readings) = (Snapshots::default(), Cell::new(0));
        let fresh = || {
            snapshots.fresh(|| async {
                readings.set(readings.get() + 1);
                let seen = readings.get();
                yield_now().await;
                seen
            })
        };
        assert_eq!(block_on(fresh()), 1);
        assert_eq!(block_on(fresh()), 2);
        let seen = block_on(join_all((0..1000).map(|_| fresh())));
        assert!(seen.iter().all(|reading| (3..=4).contains(reading)), "{seen:?}");
        assert!(readings.get() <= 4, "{} readings", readings.get());
    }

    #[test]
    fn what_the_kernel_tells() {
        let stat = |is_zombie, parent, group, session| {
            Some(ProcessStat { is_zombie, parent, group, session })
        };
        for (line, want) in [
            ("7 (cat) S 1 7 6 0 -1 4194304", stat(false, 1, 7, 6)),
            ("7 (a) Z 1 (b) Z 1 7 0 0 -1", stat(true, 1, 7, 0)),
            ("7 (\n) R 0 0 0 0", stat(false, 0, 0, 0)),
            ("7 (cat) S 1 7", None),
            ("", None),
        ] {
            assert_eq!(ProcessStat::parse(line), want, "{line:?}");
        }
        assert!(is_ours());
    }

    #[test]
    fn groups_that_live_are_seen() {
        let ours = rustix::process::getpgrp().as_raw_nonzero().get();
        assert!(block_on(is_alive(ours)));
        assert!(!block_on(is_alive(i32::MAX)));
    }

    /// They need no signal, whether or not they are reaped.
    #[test]
    fn zombies_do_not_live() {
        let mut child = Command::new("true").process_group(0).spawn().unwrap();
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), ended).unwrap();
        assert!(!block_on(is_alive(child.id() as i32)));
        assert!(dead_children(std::process::id() as i32).contains(&(child.id() as i32)));
        child.wait().unwrap();
    }
}
