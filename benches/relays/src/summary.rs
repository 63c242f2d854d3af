//! The figures that are shown: what runs come to, and how they compare.

use crate::{
    load::{Outcome, Traffic},
    peers::{self, Peer},
    report::Report,
    stats::median,
    workloads::Workload,
};

/// A figure of one run; nothing where it makes no sense, as the CPU time of no relay.
pub type Figure = fn(&Outcome) -> Option<f64>;

/// CPU time of the relay in µs per line, each way counted.
pub fn cpu_per_line(outcome: &Outcome) -> Option<f64> {
    let lines = outcome.up + outcome.down;
    (outcome.processes > 0 && lines > 0).then(|| 1e6 * outcome.relay_cpu / lines as f64)
}

/// CPU time of the relay in µs to open a session and relay its first line both ways.
pub fn cpu_per_open(outcome: &Outcome) -> Option<f64> {
    (outcome.processes > 0 && outcome.sessions > 0)
        .then(|| 1e6 * outcome.open_cpu / outcome.sessions as f64)
}

/// CPU time of the relay in µs for a session that comes, has a line echoed, and goes.
pub fn cpu_per_session(outcome: &Outcome) -> Option<f64> {
    (outcome.processes > 0 && outcome.sessions > 0)
        .then(|| 1e6 * outcome.relay_cpu / outcome.sessions as f64)
}

/// Bytes by which the relay's memory grew for each session that came and went after the first part.
pub fn growth_per_session(outcome: &Outcome) -> Option<f64> {
    let churned = outcome.churn.as_ref()?;
    let sessions = (outcome.sessions as u64).checked_sub(churned.first_sessions)?;
    let grown = outcome.after_kib as f64 - churned.first_kib as f64;
    (outcome.processes > 0 && sessions > 0).then(|| 1024.0 * grown / sessions as f64)
}

/// The relay's share of one CPU, in percent.
pub fn cpu_percent(outcome: &Outcome) -> Option<f64> {
    (outcome.processes > 0).then(|| 100.0 * outcome.relay_cpu / outcome.secs)
}

/// Memory of the relay in KiB for each session that rests.
pub fn memory_per_session(outcome: &Outcome) -> Option<f64> {
    let grown = outcome.after_kib.saturating_sub(outcome.before_kib);
    (outcome.processes > 0 && outcome.sessions > 0).then(|| grown as f64 / outcome.sessions as f64)
}

/// The median round trip in µs.
pub fn round_trip(outcome: &Outcome) -> Option<f64> {
    outcome.times.p50
}

/// The median of a figure over the good runs of a peer.
pub fn middle(report: &Report, workload: &Workload, peer: &str, figure: Figure) -> Option<f64> {
    median(report.good(workload.name, peer).filter_map(figure))
}

/// How many times the figure of its reference a peer's is.
pub fn ratio(report: &Report, workload: &Workload, peer: &str, figure: Figure) -> Option<f64> {
    let (own, other) = (
        middle(report, workload, peer, figure)?,
        middle(report, workload, peers::reference(peer), figure)?,
    );
    (own > 0.0 && other > 0.0).then(|| own / other)
}

/// What the picture shows.
pub struct Chart {
    pub groups: Vec<Group>,
    /// Peers that could not be measured, and why.
    pub absent: Vec<String>,
}

pub struct Group {
    pub title: String,
    /// Peers, and what is shown of them.
    pub bars: Vec<(&'static str, Bar)>,
}

pub struct Bar {
    pub ratio: Option<f64>,
    /// What is to be known beside it, or instead of it.
    pub remark: Option<String>,
}

fn bar(report: &Report, workload: &Workload, peer: &Peer, figure: Figure) -> Option<Bar> {
    let all = report.runs_of(workload.name, peer.name).count();
    let runs = report.runs_of(workload.name, peer.name);
    let failed = runs.filter(|run| run.failed.is_some()).count();
    let ratio = ratio(report, workload, peer.name, figure);
    let remark = if failed > 0 {
        Some(format!("failed {failed} of {all}"))
    } else if let Some(why) = report.why_not(peer, workload) {
        Some(why)
    } else if ratio.is_some() {
        None
    } else if peer.command.is_empty() {
        // No relay costs nothing: that is no news.
        return None;
    } else {
        Some("nothing to compare with".into())
    };
    Some(Bar { ratio, remark })
}

/// What the picture shows of these peers and workloads.
pub fn chart(report: &Report, peers: &[&'static Peer], workloads: &[&'static Workload]) -> Chart {
    let mut groups = Vec::new();
    for workload in workloads {
        let figures: &[(&str, Figure)] = match (workload.traffic, workload.name) {
            (Traffic::Idle, "idle-1k") => {
                &[("CPU per opening", cpu_per_open), ("memory per session", memory_per_session)]
            }
            (Traffic::Idle, _) => &[("memory per session", memory_per_session)],
            // Its share of a CPU tells more than how many times next to nothing it is.
            (Traffic::Rest, _) => &[],
            (Traffic::Churn, _) => &[("CPU per session", cpu_per_session)],
            (_, "roundtrip") => &[("median time", round_trip), ("CPU per line", cpu_per_line)],
            _ => &[("CPU per line", cpu_per_line)],
        };
        for (what, figure) in figures {
            let bars = peers.iter().filter(|peer| {
                let is_measured = workload.is_for(peer) && !report.is_absent(peer);
                is_measured && peer.name != peers::reference(peer.name)
            });
            let bars =
                bars.filter_map(|peer| Some((peer.name, bar(report, workload, peer, *figure)?)));
            groups
                .push(Group { title: format!("{}: {what}", workload.name), bars: bars.collect() });
        }
    }
    let absent = report
        .peers
        .iter()
        .filter_map(|peer| Some(format!("{}: {}", peer.name, peer.absent.as_deref()?)));
    Chart { groups, absent: absent.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_run() {
        let outcome = Outcome {
            sessions: 10,
            open_cpu: 0.001,
            up: 400,
            down: 600,
            relay_cpu: 0.002,
            before_kib: 100,
            after_kib: 150,
            processes: 1,
            ..Outcome::default()
        };
        assert_eq!(cpu_per_line(&outcome), Some(2.0));
        assert_eq!(cpu_per_open(&outcome), Some(100.0));
        assert_eq!(memory_per_session(&outcome), Some(5.0));
        let direct = Outcome { processes: 0, ..outcome };
        assert_eq!(cpu_per_line(&direct), None);
        assert_eq!(memory_per_session(&direct), None);
    }
}
