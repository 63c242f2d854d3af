//! Census: which process groups have anybody alive, by one look at all processes for all who ask at
//! once. Where a thousand programs end together, a thousand looks at thousands of processes would hold
//! up everybody else for seconds.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use async_lock::Mutex;

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

/// The groups of all processes that are no zombies (`man 5 proc_pid_stat`); `None` if the kernel does
/// not tell.
fn look() -> Option<HashSet<i32>> {
    let all = fs::read_dir("/proc").ok()?;
    let stats = all.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let groups = stats.filter_map(|stat| {
        // Behind the name, which may hold anything: state, parent, group.
        let mut words = stat.rsplit_once(") ")?.1.split(' ');
        let is_zombie = words.next()? == "Z";
        let group = words.nth(1)?.parse().ok()?;
        (!is_zombie).then_some(group)
    });
    Some(groups.collect())
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
        child.wait().unwrap();
    }
}
