//! What is measured: panels of curves of points, each a workload that differs from its neighbour in one number.

use crate::{
    load::{Outcome, Traffic},
    summary::{self, Figure},
    workloads::{CHAT, ECHO, IDLE, Workload},
};
use std::sync::LazyLock;

pub struct Panel {
    pub title: &'static str,
    /// What grows, what it costs, and how that was measured.
    pub x: &'static str,
    pub y: &'static str,
    pub text: &'static str,
    pub figure: Figure,
    /// Whether the figure is shown for each one of what grows, in thousandths.
    pub per_x: bool,
    pub curves: &'static [Curve],
}

pub struct Curve {
    pub label: &'static str,
    xs: &'static [usize],
    workload: fn(usize) -> Workload,
}

impl Curve {
    /// What grows, and the workload there.
    pub fn points(&self) -> impl Iterator<Item = (usize, &'static Workload)> {
        let find = |x| workloads().iter().find(|known| is_same(known, &(self.workload)(x)));
        self.xs.iter().map(move |&x| (x, find(x).expect("every point is on the list")))
    }
}

/// A relayed session takes two of a process's 20,000 descriptors.
const SESSIONS: &[usize] = &[1, 3, 10, 30, 100, 300, 1_000, 3_000, 9_500];
const HEARERS: &[usize] = &[1, 3, 10, 30, 100, 300, 1_000, 3_000, 9_000];
const KIB: usize = 1024;
const SIZES: &[usize] =
    &[1, 4, 16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB];

/// The most lines and bytes that a session has in flight where lines are sent in batches.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 * KIB;

const BY_SIZE: &[Curve] = &[
    Curve { label: "line by line", xs: SIZES, workload: |line| by_size(line, 1) },
    Curve {
        label: "in batches",
        xs: SIZES,
        workload: |line| by_size(line, (BATCH_BYTES / line).clamp(1, BATCH)),
    },
];

const PANELS: &[Panel] = &[
    Panel {
        title: "CPU by sessions",
        x: "sessions",
        y: "CPU µs per line",
        text: "Echo of lines of 64 bytes. So many lines are in flight in all: when one is back, the session that has been \
            silent longest sends the next. With 1 in flight the relay never finds two lines to do at once, however many \
            sessions there are, so that what rises is the cost of having them: of state that has left the caches since \
            its last line. It sleeps between lines, and waking up is part of the cost. With up to 64 it seldom sleeps \
            and does several at a time, equally many from 100 sessions on. With all sessions active the number grows \
            with them.",
        figure: summary::cpu_per_line,
        per_x: false,
        curves: &[
            Curve { label: "1 in flight", xs: SESSIONS, workload: |sessions| turns(sessions, 1) },
            Curve {
                label: "64 in flight",
                xs: SESSIONS,
                workload: |sessions| turns(sessions, sessions.min(64)),
            },
            Curve {
                label: "all active",
                xs: SESSIONS,
                workload: |sessions| turns(sessions, sessions),
            },
        ],
    },
    Panel {
        title: "Memory by sessions",
        x: "sessions",
        y: "KiB per session",
        text: "How much the relay's memory (PSS) grew from before the first session to when all had relayed one line each \
            way and rested, divided by the sessions. What the kernel holds for their sockets is not in it. With few \
            sessions it is what the program touches for the first time.",
        figure: summary::memory_per_session,
        per_x: false,
        curves: &[Curve {
            label: "at rest",
            xs: SESSIONS,
            workload: |sessions| Workload { sessions, fewer: false, ..IDLE },
        }],
    },
    Panel {
        title: "CPU by line size: each line",
        x: "bytes of a line",
        y: "CPU µs per line",
        text: "Echo on 8 sessions. Line by line each has 1 in flight; in batches each has as many as make 64 KiB, at most \
            64 and at least 1, so that from 64 KiB on it is the same. At most 8 MiB are in flight in all.",
        figure: summary::cpu_per_line,
        per_x: false,
        curves: BY_SIZE,
    },
    Panel {
        title: "CPU by line size: each byte",
        x: "bytes of a line",
        y: "CPU ns per byte",
        text: "The same runs, divided by the bytes of a line, its end not counted.",
        figure: summary::cpu_per_line,
        per_x: true,
        curves: BY_SIZE,
    },
    Panel {
        title: "CPU by hearers",
        x: "sessions that hear a line",
        y: "CPU µs per delivered line",
        text: "A chat: one session sends a line of 64 bytes, all hear it, and then it sends the next.",
        figure: |outcome: &Outcome| {
            let measured = outcome.processes > 0 && outcome.down > 0;
            measured.then(|| 1e6 * outcome.relay_cpu / outcome.down as f64)
        },
        per_x: false,
        curves: &[Curve {
            label: "1 sender",
            xs: HEARERS,
            workload: |sessions| Workload { sessions, fewer: false, ..CHAT },
        }],
    },
];

pub fn panels() -> &'static [Panel] {
    PANELS
}

fn turns(sessions: usize, senders: usize) -> Workload {
    Workload { traffic: Traffic::Turns, sessions, senders, fewer: false, ..ECHO }
}

fn by_size(line: usize, window: usize) -> Workload {
    Workload { sessions: 8, line, window: window as u32, ..ECHO }
}

/// Every workload of the panels once, named by what it is.
pub fn workloads() -> &'static [Workload] {
    static WORKLOADS: LazyLock<Vec<Workload>> = LazyLock::new(|| {
        let mut known: Vec<Workload> = Vec::new();
        for curve in PANELS.iter().flat_map(|panel| panel.curves) {
            for workload in curve.xs.iter().map(|&x| (curve.workload)(x)) {
                if !known.iter().any(|known| is_same(known, &workload)) {
                    known.push(named(workload));
                }
            }
        }
        known
    });
    &WORKLOADS
}

fn is_same(one: &Workload, other: &Workload) -> bool {
    let key = |of: &Workload| (of.traffic, of.sessions, of.senders, of.window, of.line);
    key(one) == key(other)
}

fn named(workload: Workload) -> Workload {
    let Workload { sessions, senders, window, line, .. } = workload;
    let (name, what) = match workload.traffic {
        Traffic::Turns => {
            (format!("turns-{senders}-of-{sessions}"), "an echo, by turns".to_owned())
        }
        Traffic::Idle => (format!("idle-{sessions}"), "sessions open and then rest".to_owned()),
        Traffic::Chat => (format!("heard-by-{sessions}"), "a chat with 1 sender".to_owned()),
        _ => (format!("lines-{window}x{line}"), "8 sessions, lines × bytes in flight".to_owned()),
    };
    // Named once, for as long as the program runs.
    Workload { name: name.leak(), what: what.leak(), ..workload }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_point_has_a_workload_of_its_own_name() {
        let names: HashSet<&str> = workloads().iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), workloads().len());
        for curve in panels().iter().flat_map(|panel| panel.curves) {
            assert!(curve.points().zip(curve.xs).all(|((x, _), expected)| x == *expected));
        }
    }

    #[test]
    fn points_of_two_curves_are_measured_once() {
        let [alone, batches] = BY_SIZE else { panic!("two curves") };
        let last = |curve: &Curve| curve.points().last().map(|(_, workload)| workload.name);
        assert_eq!(last(alone), last(batches));
        let first = |curve: &Curve| curve.points().next().map(|(_, workload)| workload.name);
        assert_ne!(first(alone), first(batches));
    }

    #[test]
    fn bytes_and_descriptors_are_bounded() {
        for workload in workloads() {
            let senders = if workload.traffic == Traffic::Echo { 8 } else { workload.senders };
            let bytes = senders * workload.window as usize * workload.line;
            assert!(bytes <= 8 * KIB * KIB, "{}", workload.name);
            assert!(2 * workload.sessions < 19_500, "{}", workload.name);
        }
    }
}
