//! The table of each workload: a row for each relay, a column for each figure.

use super::Report;
use crate::{
    load::Traffic,
    peers::Peer,
    summary::{self, Figure},
    workloads::Workload,
};
use std::fmt::Write;

/// A heading, and what stands below it for the relay of a name.
type Column<'a> = (&'a str, Box<dyn Fn(&str) -> String + 'a>);

impl Report {
    pub(super) fn table(&self, workload: &Workload, peers: &[&'static Peer], text: &mut String) {
        let columns = match workload.traffic {
            Traffic::Idle => self.idle(workload),
            Traffic::Stalled => self.stalled(workload),
            Traffic::Churn => self.churn(workload),
            Traffic::Rest => self.rest(workload),
            _ => self.lines(workload),
        };
        let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
        let _ = writeln!(
            text,
            "| relay | {} | check |\n| --- |{}",
            heads.join(" | "),
            " ---: |".repeat(heads.len()) + " --- |"
        );
        for peer in peers.iter().filter(|peer| workload.is_for(peer)) {
            let (cells, check) = match self.why_not(peer, workload) {
                Some(why) => (vec!["–".into(); columns.len()], why),
                None => (
                    columns.iter().map(|(_, cell)| cell(peer.name)).collect(),
                    self.check(workload, peer),
                ),
            };
            let _ = writeln!(text, "| {} | {} | {} |", peer.name, cells.join(" | "), cell(&check));
        }
    }

    fn figure<'a>(
        &'a self,
        workload: &'a Workload,
        head: &'a str,
        digits: usize,
        figure: Figure,
    ) -> Column<'a> {
        let cell =
            move |peer: &str| show(summary::middle(self, workload, peer, figure), digits, "");
        (head, Box::new(cell))
    }

    /// The median and, in brackets, the least of a CPU time.
    fn cost<'a>(
        &'a self,
        workload: &'a Workload,
        head: &'a str,
        digits: usize,
        figure: Figure,
    ) -> Column<'a> {
        let cell = move |peer: &str| {
            let least = self.good(workload.name, peer).filter_map(figure).min_by(f64::total_cmp);
            let usual = show(summary::middle(self, workload, peer, figure), digits, "");
            least.map_or(usual.clone(), |_| format!("{usual} ({})", show(least, digits, "")))
        };
        (head, Box::new(cell))
    }

    fn versus<'a>(&'a self, workload: &'a Workload, figure: Figure) -> Column<'a> {
        let cell = move |peer: &str| show(summary::ratio(self, workload, peer, figure), 2, "×");
        ("÷ haproxy", Box::new(cell))
    }

    fn lines<'a>(&'a self, workload: &'a Workload) -> Vec<Column<'a>> {
        let up: Figure = |outcome| Some(outcome.up as f64 / outcome.secs);
        let down: Figure = |outcome| Some(outcome.down as f64 / outcome.secs);
        let (head, rate) = if workload.traffic == Traffic::Up {
            ("lines/s up", up)
        } else {
            ("lines/s down", down)
        };
        let busy = move |peer: &str| {
            let share = |figure: Figure| show(summary::middle(self, workload, peer, figure), 2, "");
            let relay = share(|outcome| Some(outcome.relay_cpu / outcome.secs));
            let backend = share(|outcome| Some(outcome.backend_cpu / outcome.secs));
            format!(
                "{relay} / {backend} / {}",
                share(|outcome| Some(outcome.load_cpu / outcome.secs))
            )
        };
        vec![
            self.cost(workload, "CPU µs/line (least)", 3, summary::cpu_per_line),
            self.versus(workload, summary::cpu_per_line),
            self.figure(workload, head, 0, rate),
            self.figure(workload, "p50 µs", 1, summary::round_trip),
            self.figure(workload, "p99 µs", 1, |outcome| outcome.times.p99),
            ("busy", Box::new(busy)),
        ]
    }

    fn stalled<'a>(&'a self, workload: &'a Workload) -> Vec<Column<'a>> {
        let ending = move |peer: &str| {
            let stalls: Vec<_> =
                self.good(workload.name, peer).filter_map(|run| run.stall.as_ref()).collect();
            let ended = stalls.iter().find_map(|stall| stall.ended.as_deref());
            match ended {
                _ if stalls.is_empty() => "–".into(),
                Some(why) => why.to_owned(),
                None if stalls.iter().any(|stall| stall.skipped == 0) => {
                    "caught up; its queues were never full".into()
                }
                None => "caught up".into(),
            }
        };
        let calm: Figure = |outcome| outcome.stall.as_ref()?.calm.p50;
        let calm_p99: Figure = |outcome| outcome.stall.as_ref()?.calm.p99;
        let calm_max: Figure = |outcome| outcome.stall.as_ref()?.calm.max;
        vec![
            self.figure(workload, "calm p50 µs", 0, calm),
            self.figure(workload, "p99", 0, calm_p99),
            self.figure(workload, "max", 0, calm_max),
            self.figure(workload, "stalled p50 µs", 0, |outcome| outcome.times.p50),
            self.figure(workload, "p99", 0, |outcome| outcome.times.p99),
            self.figure(workload, "max", 0, |outcome| outcome.times.max),
            self.cost(workload, "CPU µs/line (least)", 3, summary::cpu_per_line),
            self.versus(workload, summary::cpu_per_line),
            self.figure(workload, "KiB held", 0, |outcome| {
                (outcome.processes > 0).then_some(outcome.stall.as_ref()?.held_kib as f64)
            }),
            self.figure(workload, "lines missed", 0, |outcome| {
                Some(outcome.stall.as_ref()?.skipped as f64)
            }),
            ("the stalled one", Box::new(ending)),
        ]
    }

    fn churn<'a>(&'a self, workload: &'a Workload) -> Vec<Column<'a>> {
        fn mib(kib: u64) -> f64 {
            kib as f64 / 1024.0
        }
        vec![
            self.figure(workload, "sessions", 0, |outcome| Some(outcome.sessions as f64)),
            self.figure(workload, "sessions/s", 0, |outcome| {
                Some(outcome.sessions as f64 / outcome.churn.as_ref()?.secs)
            }),
            self.cost(workload, "CPU µs/session (least)", 1, summary::cpu_per_session),
            self.versus(workload, summary::cpu_per_session),
            self.figure(workload, "MiB at first", 1, |outcome| {
                (outcome.processes > 0).then_some(mib(outcome.before_kib))
            }),
            self.figure(workload, "after a tenth", 1, |outcome| {
                (outcome.processes > 0).then_some(mib(outcome.churn.as_ref()?.first_kib))
            }),
            self.figure(workload, "after all", 1, |outcome| {
                (outcome.processes > 0).then_some(mib(outcome.after_kib))
            }),
            self.figure(workload, "bytes/session since", 1, summary::growth_per_session),
            self.figure(workload, "close not answered", 0, |outcome| {
                Some(outcome.churn.as_ref()?.unanswered as f64)
            }),
        ]
    }

    fn rest<'a>(&'a self, workload: &'a Workload) -> Vec<Column<'a>> {
        vec![
            self.figure(workload, "sessions", 0, |outcome| Some(outcome.sessions as f64)),
            self.cost(workload, "% of one CPU (least)", 3, summary::cpu_percent),
            self.figure(workload, "pings answered", 0, |outcome| Some(outcome.pings as f64)),
            self.figure(workload, "sessions never pinged", 0, |outcome| {
                Some(outcome.unpinged as f64)
            }),
        ]
    }

    fn idle<'a>(&'a self, workload: &'a Workload) -> Vec<Column<'a>> {
        vec![
            self.figure(workload, "sessions", 0, |outcome| Some(outcome.sessions as f64)),
            self.figure(workload, "KiB/session", 2, summary::memory_per_session),
            self.versus(workload, summary::memory_per_session),
            self.figure(workload, "total MiB", 1, |outcome| {
                (outcome.processes > 0).then_some(outcome.after_kib as f64 / 1024.0)
            }),
            self.figure(workload, "processes", 0, |outcome| Some(outcome.processes as f64)),
            self.figure(workload, "opened/s", 0, |outcome| {
                Some(outcome.sessions as f64 / outcome.open_secs)
            }),
            self.cost(workload, "CPU µs/opening (least)", 1, summary::cpu_per_open),
            self.versus(workload, summary::cpu_per_open),
        ]
    }
}

/// Text that does not break its table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn show(value: Option<f64>, digits: usize, unit: &str) -> String {
    value.map_or("–".into(), |value| thousands(value, digits) + unit)
}

const NOT_ZERO: [char; 9] = ['1', '2', '3', '4', '5', '6', '7', '8', '9'];

/// `1234567.8` as `1,234,567.8`.
pub fn thousands(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    // What is rounded to nothing has no sign.
    let text = text.strip_prefix('-').filter(|rest| !rest.contains(NOT_ZERO)).unwrap_or(&text);
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if grouped.ends_with(|last: char| last.is_ascii_digit())
            && (whole.len() - at).is_multiple_of(3)
        {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::Run,
        load::Outcome,
        peers::{PEERS, REFERENCE, REFERENCE_TLS},
        report::PeerReport,
        workloads::WORKLOADS,
    };

    fn workload(name: &str) -> &'static Workload {
        WORKLOADS.iter().find(|workload| workload.name == name).unwrap()
    }

    /// A run of a second with 1,000 lines.
    fn run(peer: &'static str, relay_cpu: f64, failed: Option<&str>) -> Run {
        let lines = Outcome {
            up: 500,
            down: 500,
            secs: 1.0,
            relay_cpu,
            processes: 1,
            ..Default::default()
        };
        let failed = failed.map(str::to_owned);
        Run { round: 0, workload: "echo", peer, seconds: 1.0, outcome: Some(lines), failed }
    }

    /// The rows of `echo`'s table, of runs of HAProxy, wsrelay and, if it is absent for a reason, wstcp.
    fn rows(runs: Vec<Run>, absent: Option<&str>) -> Vec<String> {
        let absent = absent.map(|why| PeerReport {
            name: "wstcp",
            absent: Some(why.to_owned()),
            ..PeerReport::default()
        });
        let report = Report { runs, peers: absent.into_iter().collect(), ..Report::default() };
        let shown = [REFERENCE, "wsrelay", "wstcp"];
        let peers: Vec<_> = PEERS.iter().filter(|peer| shown.contains(&peer.name)).collect();
        let mut text = String::new();
        report.table(workload("echo"), &peers, &mut text);
        text.lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn a_row_has_the_median_the_least_and_the_ratio_of_medians() {
        let costs =
            [(REFERENCE, 0.004), ("wsrelay", 0.009), ("wsrelay", 0.002), ("wsrelay", 0.003)];
        let rows = rows(costs.map(|(peer, cpu)| run(peer, cpu, None)).into(), None);
        assert!(rows[0].starts_with("| haproxy | 4.000 (4.000) | 1.00× | 500 |"), "{}", rows[0]);
        assert!(rows[1].starts_with("| wsrelay | 3.000 (2.000) | 0.75× | 500 |"), "{}", rows[1]);
        assert!(rows[1].ends_with("| ok |"));
    }

    #[test]
    fn what_failed_counts_for_nothing_and_is_shown() {
        let runs = vec![
            run(REFERENCE, 0.004, None),
            run("wsrelay", 0.001, Some("1 lines missing")),
            run("wsrelay", 0.008, None),
        ];
        let rows = rows(runs, Some("not installed | no network"));
        assert!(rows[1].starts_with("| wsrelay | 8.000 (8.000) | 2.00× |"), "{}", rows[1]);
        assert!(rows[1].ends_with("| **failed 1 of 2**: 1 lines missing |"), "{}", rows[1]);
        assert!(rows[2].ends_with("| not installed \\| no network |"), "{}", rows[2]);
    }

    #[test]
    fn those_with_tls_are_compared_with_haproxy_with_tls_and_stand_where_they_are_measured() {
        let runs = vec![
            run(REFERENCE, 0.004, None),
            run(REFERENCE_TLS, 0.008, None),
            run("wsrelay-tls", 0.006, None),
        ];
        let report = Report { runs, ..Report::default() };
        let all: Vec<_> = PEERS.iter().collect();
        let mut text = String::new();
        report.table(workload("echo"), &all, &mut text);
        assert!(text.contains("\n| haproxy-tls | 8.000 (8.000) | 1.00× |"), "{text}");
        assert!(text.contains("\n| wsrelay-tls | 6.000 (6.000) | 0.75× |"), "{text}");
        text.clear();
        report.table(workload("chat-8"), &all, &mut text);
        assert!(text.contains("\n| wsrelay |") && !text.contains("-tls |"), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(1_234_567.84, 1), "1,234,567.8");
        assert_eq!(thousands(999.0, 0), "999");
        assert_eq!(thousands(-1234.5, 1), "-1,234.5");
        assert_eq!(thousands(-123.0, 0), "-123");
        assert_eq!(thousands(-0.04, 1), "0.0");
        assert_eq!(thousands(0.1234, 3), "0.123");
        assert_eq!(show(None, 1, "×"), "–");
    }
}
