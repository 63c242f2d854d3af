//! Programs as backends, and their processes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Client, DEADLINE, Relay, relay};

/// Starts wsrelay in front of a shell script, with these options.
pub fn relay_sh(script: &str, options: &[&str]) -> Relay {
    relay(&[options, &["--", "sh", "-c", script]].concat())
}

/// Writes an executable shell script, by another process: a child that another thread starts inherits
/// the open file, and the script could not be started then ("text file busy").
pub fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let write = "{ printf '#!/bin/sh\\n'; cat; } >\"$0\" && chmod +x \"$0\"";
    let mut command = Command::new("sh");
    let mut child =
        command.args(["-c", write]).arg(path).stdin(Stdio::piped()).spawn().expect("sh starts");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The kernel's data of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proc {
    pub state: char,
    pub parent: u32,
    pub group: u32,
}

/// Reads a process; `None` if there is none of that number.
pub fn find(pid: u32) -> Option<Proc> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain any character.
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    Some(Proc {
        state: words.next()?.chars().next()?,
        parent: words.next()?.parse().ok()?,
        group: words.next()?.parse().ok()?,
    })
}

/// The children of a process, zombies included.
pub fn children(pid: u32) -> BTreeMap<u32, Proc> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|child| Some((child, find(child)?)))
        .filter(|(_, found)| found.parent == pid)
        .collect()
}

/// Waits until a process has ended; it may still be a zombie.
pub fn wait_dead(pid: u32) {
    wait_until("the process is dead", || find(pid).is_none_or(|found| found.state == 'Z'));
}

/// Waits until a relay has no children, zombies included.
pub fn wait_childless(relay: &Relay) {
    wait_until("the relay has no children", || children(relay.pid()).is_empty());
}

/// Waits for a condition that no event signals.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Waits for something that no event signals, and returns it.
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Client {
    /// The next message, which is the number of a running process.
    pub fn recv_pid(&mut self) -> u32 {
        let pid = self.recv().parse().expect("a number");
        assert!(find(pid).is_some(), "{pid} does not live");
        pid
    }
}
