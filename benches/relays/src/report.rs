//! All that was measured, on what, and the tables made of it.

mod tables;

use crate::{
    bench::{Bench, Run},
    load::{Outcome, Traffic},
    peers::{self, Peer},
    summary::{self, Figure},
    wire::Wire,
    workloads::Workload,
};
use serde::Serialize;
use std::fmt::Write;
pub use tables::{cell, thousands};

#[derive(Default, Serialize)]
pub struct Report {
    pub date: String,
    pub machine: String,
    pub kernel: String,
    pub cpus: String,
    /// Open files of a process.
    pub files: u64,
    pub rounds: usize,
    pub quick: bool,
    pub seconds: f64,
    pub peers: Vec<PeerReport>,
    pub runs: Vec<Run>,
}

#[derive(Default, Serialize)]
pub struct PeerReport {
    pub name: &'static str,
    pub version: String,
    pub command: String,
    /// How its clients get lines.
    pub clients: &'static str,
    pub most_sessions: usize,
    /// Why it was not measured.
    pub absent: Option<String>,
}

/// CPUs that programs outside the measurement took, from which on its times are doubtful.
const NOISE: f64 = 0.1;

impl Report {
    pub fn new(
        bench: &Bench,
        peers: &[&'static Peer],
        workloads: &[&Workload],
        rounds: usize,
        files: u64,
    ) -> Self {
        let most = workloads.iter().map(|workload| workload.sessions).max().unwrap_or(0);
        let peers = peers.iter().map(|peer| {
            let found = bench.places.find(peer);
            PeerReport {
                name: peer.name,
                version: match &found {
                    Ok(Some(program)) => peers::version(peer, program, &bench.places),
                    _ => "–".into(),
                },
                command: peer.command.join(" "),
                clients: match (peer.wire, peer.tls) {
                    (Wire::Tcp, false) => "lines over TCP",
                    (Wire::Tcp, true) => "lines over TLS",
                    (Wire::Lines, false) => "a message is a line",
                    (Wire::Lines, true) => "a message is a line, over TLS",
                    (Wire::Bytes, false) => "bytes, they make the lines",
                    (Wire::Bytes, true) => "bytes over TLS, they make the lines",
                },
                most_sessions: peer.most_sessions.min(most),
                absent: found.err(),
            }
        });
        let date = peers::first_line(&["date".into(), "-u".into(), "+%Y-%m-%d %H:%M UTC".into()]);
        let system = rustix::system::uname();
        Report {
            date: date.unwrap_or_default(),
            machine: machine(),
            kernel: format!(
                "{} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy()
            ),
            cpus: match bench.cpus {
                Some([relay, load]) => {
                    format!("relay on CPU {relay}, backend and clients on CPU {load}")
                }
                None => "all on one CPU, so that figures depend on each other".into(),
            },
            files,
            rounds,
            quick: bench.quick,
            seconds: 0.0,
            peers: peers.collect(),
            runs: Vec::new(),
        }
    }

    pub fn is_absent(&self, peer: &Peer) -> bool {
        self.absent(peer.name).is_some()
    }

    fn absent(&self, peer: &str) -> Option<&str> {
        self.peers.iter().find(|one| one.name == peer)?.absent.as_deref()
    }

    /// Whether a peer is there and holds as many sessions as it takes.
    pub fn can_run(&self, peer: &Peer, workload: &Workload) -> bool {
        workload.is_for(peer) && self.why_not(peer, workload).is_none()
    }

    /// Why a peer is not run with a workload.
    pub fn why_not(&self, peer: &Peer, workload: &Workload) -> Option<String> {
        if let Some(why) = self.absent(peer.name) {
            return Some(why.to_owned());
        }
        if workload.traffic == Traffic::Rest && peer.command.is_empty() {
            return Some("not run: no relay, nothing to measure".into());
        }
        if self.quick && workload.long && (peer.wire == Wire::Bytes || peer.tls) {
            return Some("not run in a quick round".into());
        }
        let most = thousands(peer.most_sessions as f64, 0);
        (!workload.fewer && peer.most_sessions < workload.sessions)
            .then(|| format!("not run: holds at most {most} sessions"))
    }

    pub fn runs_of(&self, workload: &str, peer: &str) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.workload == workload && run.peer == peer)
    }

    /// What the runs came to that proved every line.
    pub fn good(&self, workload: &str, peer: &str) -> impl Iterator<Item = &Outcome> {
        self.runs_of(workload, peer)
            .filter(|run| run.failed.is_none())
            .filter_map(|run| run.outcome.as_ref())
    }

    pub fn markdown(&self, peers: &[&'static Peer], workloads: &[&'static Workload]) -> String {
        let mut text = format!(
            "# Relays side by side\n\n\
             - Date: {}\n- Machine: {}\n- Kernel: {}\n- {}; {} open files a process\n\
             - Medians of {} round(s); {:.0} s in all\n\n\
             CPU is the time of the relay and all its children, user and system. A line counts once for each way: an echoed \
             line is one up and one down. `÷ haproxy` says how many times HAProxy's cost it is, which relays bytes and \
             knows no WebSocket; for the relays with TLS it is the cost of `haproxy-tls`. `direct` is no relay at all. Less is better. In each run every line was proved to have \
             arrived once, in order and unchanged; runs that could not prove it are shown as failed and count for nothing.\n\n\
             `busy` is the share of a CPU that relay / backend / clients took: where the relay's is not near 1, lines/s \
             say little about it. Costs of lines that come in batches fall as batches grow, and a slow relay gets larger ones: \
             only roundtrip, echo, chat-1 and chat-1k are free of that.\n\n\
             The clients of line relays take each message for a line, and anything else for a fault. Those of byte relays \
             put lines together themselves, from messages that are cut anywhere: what that costs them is not counted.\n\n",
            self.date, self.machine, self.kernel, self.cpus, self.files, self.rounds, self.seconds
        );
        text += "| relay | version | clients | command |\n| --- | --- | --- | --- |\n";
        for peer in &self.peers {
            let version = peer.absent.as_deref().unwrap_or(&peer.version);
            let command =
                if peer.command.is_empty() { "–".into() } else { format!("`{}`", peer.command) };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {command} |",
                peer.name,
                cell(version),
                peer.clients
            );
        }
        for workload in workloads {
            let length = self.length(workload);
            let _ = write!(text, "\n## {}: {}\n\n{length}\n\n", workload.name, workload.what);
            self.table(workload, peers, &mut text);
        }
        text
    }

    /// How long a workload's runs last, and how many there are.
    fn length(&self, workload: &Workload) -> String {
        let secs = workload.secs(self.quick);
        let runs = match self.rounds.min(workload.rounds) {
            1 => "one run".to_owned(),
            rounds => format!("{rounds} runs"),
        };
        match workload.total(self.quick) {
            0 => format!("{runs}, {secs} s measured"),
            total => format!(
                "{runs} of {} sessions, or as many as come in {secs} s",
                thousands(total as f64, 0)
            ),
        }
    }

    /// Whether all of a peer's runs count, and what is to be known of them.
    pub fn check(&self, workload: &Workload, peer: &Peer) -> String {
        let runs = || self.runs_of(workload.name, peer.name);
        let mut failed = runs().filter_map(|run| run.failed.as_deref());
        if let Some(why) = failed.next() {
            return format!("**failed {} of {}**: {why}", 1 + failed.count(), runs().count());
        }
        let mut words = "ok".to_owned();
        let too_short = |interval| workload.secs(self.quick) <= interval;
        if workload.traffic == Traffic::Rest && peer.pings_every.is_some_and(too_short) {
            words += "; over before its first ping";
        }
        let share: Figure = |outcome| Some(outcome.others_cpu / outcome.secs);
        if let Some(share) = summary::middle(self, workload, peer.name, share)
            && share > NOISE
        {
            let _ = write!(words, "; noise: others took {share:.2} CPUs");
        }
        words
    }
}

fn machine() -> String {
    let value = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("").to_owned();
        line.trim_start_matches([' ', '\t', ':']).trim().to_owned()
    };
    let model = value("/proc/cpuinfo", "model name");
    let memory: f64 =
        value("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let model = if model.is_empty() { std::env::consts::ARCH } else { &model };
    format!("{count} × {model}, {:.1} GiB", memory / 1024.0 / 1024.0)
}
