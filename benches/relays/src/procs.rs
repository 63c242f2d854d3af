//! What a process and its descendants cost: CPU time and memory, from /proc.

use std::{collections::HashMap, fs};

/// Clock ticks in a second: what Linux tells programs, on every architecture that it runs on today.
const TICKS: f64 = 100.0;

/// `root` and all its living descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok())
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

/// CPU seconds, user and system, of `pids` and of their children that are gone.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    let of = |pid: u32| {
        let fields = stat(pid).unwrap_or_default();
        let ticks = |at: usize| {
            fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0) / TICKS
        };
        // The scheduler counts in nanoseconds, but forgets threads that have ended; `stat` forgets nothing, but tells it in
        // whole ticks. Neither ever says too much.
        (ticks(11) + ticks(12)).max(scheduled_seconds(pid)) + ticks(13) + ticks(14)
    };
    pids.iter().map(|&pid| of(pid)).sum()
}

/// CPU seconds of a process's living threads.
fn scheduled_seconds(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// The fields of `/proc/PID/stat` after the command's name, which may itself have spaces and brackets: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Memory of `pids` in KiB. A page shared by n processes counts a nth in each, so that the sum is true.
pub fn memory_kib(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    pids.iter().filter_map(of).sum()
}

/// CPU seconds that all CPUs together were busy since the machine started.
pub fn machine_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_whitespace().flat_map(str::parse).collect();
    match ticks[..] {
        [user, nice, system, _idle, _iowait, irq, softirq, ..] => {
            (user + nice + system + irq + softirq) / TICKS
        }
        _ => 0.0,
    }
}

/// Whether somebody listens on this TCP port: asked of the kernel, as a connection would be a session.
pub fn is_listening(port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let text = fs::read_to_string(table).unwrap_or_default();
        text.lines().skip(1).any(|line| listens(line, port))
    })
}

fn listens(line: &str, port: u16) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let (local, state) = (fields.next(), fields.nth(1));
    state == Some("0A") && local.is_some_and(|local| local.ends_with(&format!(":{port:04X}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_costs() {
        let own = [std::process::id()];
        let before = cpu_seconds(&own);
        let begin = std::time::Instant::now();
        while begin.elapsed().as_millis() < 30 {}
        assert!(cpu_seconds(&own) > before);
        assert!(memory_kib(&own) > 100);
        assert!(machine_seconds() > 0.0);
        assert!(tree(own[0]).contains(&own[0]));
    }

    #[test]
    fn a_listening_port_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listening(port));
        drop(listener);
        assert!(!is_listening(port));
    }
}
