//! What the runs came to, point by point: what scale.json, the tables and the picture show.

use super::curves;
use crate::{
    peers::{Peer, REFERENCE},
    report::Report,
    stats::median,
    workloads::Workload,
};
use serde::Serialize;

#[derive(Serialize)]
pub struct Panel {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub text: &'static str,
    pub peers: Vec<&'static str>,
    pub curves: Vec<Curve>,
}

#[derive(Serialize)]
pub struct Curve {
    pub label: &'static str,
    pub points: Vec<Point>,
}

#[derive(Serialize)]
pub struct Point {
    pub x: usize,
    pub workload: &'static str,
    /// In the order of the peers.
    pub costs: Vec<Cost>,
}

/// A peer's cost at a point. Both are nothing if it has no run that counts.
#[derive(Clone, Default, Serialize)]
pub struct Cost {
    pub median: Option<f64>,
    pub least: Option<f64>,
    /// What is to be known of it: why it is missing, whether runs failed, whether there was noise.
    pub remark: Option<String>,
}

impl Point {
    /// How many times the reference's cost a peer's is.
    pub fn ratio(&self, peers: &[&str], peer: usize) -> Option<f64> {
        let reference = peers.iter().position(|name| *name == REFERENCE)?;
        let (own, other) = (self.costs[peer].median?, self.costs[reference].median?);
        (other > 0.0).then(|| own / other)
    }
}

/// The figures of all panels.
pub fn panels(report: &Report, peers: &[&'static Peer]) -> Vec<Panel> {
    let of = |panel: &curves::Panel| Panel {
        title: panel.title,
        x: panel.x,
        y: panel.y,
        text: panel.text,
        peers: peers.iter().map(|peer| peer.name).collect(),
        curves: panel.curves.iter().map(|curve| figures(report, peers, panel, curve)).collect(),
    };
    curves::panels().iter().map(of).collect()
}

fn figures(
    report: &Report,
    peers: &[&'static Peer],
    panel: &curves::Panel,
    curve: &curves::Curve,
) -> Curve {
    let points = curve.points().map(|(x, workload)| {
        let share = if panel.per_x { 1e3 / x as f64 } else { 1.0 };
        let cost = |peer: &&'static Peer| {
            let figures = report.good(workload.name, peer.name).filter_map(panel.figure);
            cost(figures.map(|figure| figure * share), remark(report, workload, peer))
        };
        Point { x, workload: workload.name, costs: peers.iter().map(cost).collect() }
    });
    Curve { label: curve.label, points: points.collect() }
}

fn cost(figures: impl Iterator<Item = f64>, remark: Option<String>) -> Cost {
    let figures: Vec<f64> = figures.collect();
    let least = figures.iter().copied().min_by(f64::total_cmp);
    Cost { median: median(figures), least, remark }
}

fn remark(report: &Report, workload: &Workload, peer: &Peer) -> Option<String> {
    if let Some(why) = report.why_not(peer, workload) {
        return Some(why);
    }
    if report.runs_of(workload.name, peer.name).next().is_none() {
        return Some("not asked for".into());
    }
    let check = report.check(workload, peer);
    Some(check.trim_start_matches("ok").trim_start_matches("; ").to_owned())
        .filter(|remark| !remark.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_without_a_good_run_is_missing_and_says_why() {
        let missing = cost([].into_iter(), Some("failed".into()));
        assert_eq!((missing.median, missing.least), (None, None));
        assert_eq!(missing.remark.as_deref(), Some("failed"));
        let good = cost([5.0, 2.0, 3.0].into_iter(), None);
        assert_eq!((good.median, good.least), (Some(3.0), Some(2.0)));
        let point = Point { x: 1, workload: "", costs: vec![missing, good.clone(), good] };
        assert_eq!(point.ratio(&["a", REFERENCE, "b"], 0), None);
        assert_eq!(point.ratio(&["a", REFERENCE, "b"], 2), Some(1.0));
        assert_eq!(point.ratio(&["a", "b", "c"], 2), None, "no reference");
    }
}
