//! Census: which process groups have anybody alive, by one look at all processes for all who ask at
//! once. Where a thousand programs end together, a thousand looks at thousands of processes would hold
//! up everybody else for seconds.

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

/// The one of this process.
static CENSUS: LazyLock<Census<Option<Arc<HashSet<i32>>>>> = LazyLock::new(Census::default);

/// The last look, and when it began.
#[derive(Debug)]
struct Census<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Census<T> {
    fn default() -> Self {
        Census(Mutex::new(None))
    }
}

impl<T: Clone> Census<T> {
    /// What a look shows that began after we asked. Whoever asks while there is one waits for the next,
    /// together with all others.
    async fn ask<F: Future<Output = T>>(&self, look: impl FnOnce() -> F) -> T {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((began, seen)) = &*last
            && *began >= asked
        {
            return seen.clone();
        }
        let began = Instant::now();
        let seen = look().await;
        *last = Some((began, seen.clone()));
        seen
    }
}

/// Whether any of a group does more than wait to be reaped; `true` if the kernel does not tell.
pub async fn is_alive(group: i32) -> bool {
    let groups = CENSUS.ask(|| PROCESSES.run(|| look().map(Arc::new))).await;
    groups.is_none_or(|groups| groups.contains(&group))
}

/// The groups of all processes that are no zombies; `None` if the kernel does not tell.
fn look() -> Option<HashSet<i32>> {
    Some(all().ok()?.filter(|(_, stat)| !stat.is_zombie).map(|(_, stat)| stat.group).collect())
}

/// The children of `parent` that wait to be reaped.
pub fn dead_children(parent: i32) -> Vec<i32> {
    let dead = |(_, stat): &(i32, Stat)| stat.is_zombie && stat.parent == parent;
    all().map(|all| all.filter(dead).map(|(pid, _)| pid).collect()).unwrap_or_default()
}

/// Whether `/proc` has the numbers by which we know processes.
pub fn is_ours() -> bool {
    let us = getpid().as_raw_nonzero().to_string();
    fs::read_link("/proc/self").is_ok_and(|link| link == Path::new(&us))
}

/// All processes, with their numbers.
fn all() -> io::Result<impl Iterator<Item = (i32, Stat)>> {
    Ok(fs::read_dir("/proc")?.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some((pid, Stat::read(pid)?))
    }))
}

/// What the kernel tells of a process (`man 5 proc_pid_stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is dead and waits to be reaped.
    pub is_zombie: bool,
    /// The number of its parent.
    pub parent: i32,
    /// The number of its process group.
    pub group: i32,
    /// The number of its session; 0 if that is another container's.
    pub session: i32,
}

impl Stat {
    /// Of the process with this number; `None` if there is none.
    pub fn read(pid: i32) -> Option<Self> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // Behind the name, which may hold anything.
        let mut words = line.rsplit_once(") ")?.1.split(' ');
        let is_zombie = words.next()? == "Z";
        let mut number = || words.next()?.parse().ok();
        Some(Stat { is_zombie, parent: number()?, group: number()?, session: number()? })
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
    fn who_asks_at_once_shares_a_look_that_is_not_old() {
        let (census, looks) = (Census::default(), Cell::new(0));
        let ask = || {
            census.ask(|| async {
                looks.set(looks.get() + 1);
                let seen = looks.get();
                yield_now().await;
                seen
            })
        };
        assert_eq!(block_on(ask()), 1);
        assert_eq!(block_on(ask()), 2);
        let seen = block_on(join_all((0..1000).map(|_| ask())));
        assert!(seen.iter().all(|look| (3..=4).contains(look)), "{seen:?}");
        assert!(looks.get() <= 4, "{} looks", looks.get());
    }

    #[test]
    fn what_the_kernel_tells() {
        let stat =
            |is_zombie, parent, group, session| Some(Stat { is_zombie, parent, group, session });
        for (line, want) in [
            ("7 (cat) S 1 7 6 0 -1 4194304", stat(false, 1, 7, 6)),
            ("7 (a) Z 1 (b) Z 1 7 0 0 -1", stat(true, 1, 7, 0)),
            ("7 (\n) R 0 0 0 0", stat(false, 0, 0, 0)),
            ("7 (cat) S 1 7", None),
            ("", None),
        ] {
            assert_eq!(Stat::parse(line), want, "{line:?}");
        }
        assert!(is_ours());
    }

    #[test]
    fn groups_that_live_are_seen() {
        let ours = rustix::process::getpgrp().as_raw_nonzero().get();
        assert!(block_on(is_alive(ours)));
        assert!(!block_on(is_alive(i32::MAX)));
    }

    /// Nothing is left to be done about them, whether or not somebody reaps them.
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
