//! scale.md: every figure of the curves, and how it was measured.

use super::figures::{Panel, Point};
use crate::{
    peers::REFERENCE,
    report::{Report, cell, thousands},
    workloads::ECHO,
};
use std::fmt::Write;

pub fn markdown(report: &Report, panels: &[Panel]) -> String {
    let mut text = format!(
        "# Cost as work grows\n\n\
         - Date: {}\n- Machine: {}\n- Kernel: {}\n- {}; {} open files a process\n\
         - {} round(s), {} s measured in each run; {:.0} s in all\n\n\
         ![The curves](scale.svg)\n\n\
         CPU is the time of the relay, user and system; it has the work of TCP in it that the kernel does on loopback \
         when the relay sends, the receiver's too. A line counts once for each way: an echoed line is one up and one \
         down. Shown are the median and the least of all rounds. `÷ {REFERENCE}` compares the medians with those of \
         HAProxy in TCP mode, which relays bytes and knows no WebSocket. In each run every line was proved to have \
         arrived once, in order and unchanged; a run that could not prove it counts for nothing, and a point without a \
         run that counts is shown as missing (–).\n\n",
        report.date,
        report.machine,
        report.kernel,
        report.cpus,
        report.files,
        report.rounds,
        ECHO.secs(report.quick),
        report.seconds
    );
    for peer in &report.peers {
        let version = peer.absent.as_deref().unwrap_or(&peer.version);
        let _ = writeln!(text, "- {}: {}, `{}`", peer.name, version, peer.command);
    }
    for panel in panels {
        let _ = write!(text, "\n## {}\n\n{}\n", panel.title, panel.text);
        for curve in &panel.curves {
            let _ = write!(text, "\n{}, {}:\n\n", panel.y, curve.label);
            table(panel, &curve.points, &mut text);
        }
    }
    text
}

fn table(panel: &Panel, points: &[Point], text: &mut String) {
    let mut heads = vec![panel.x.to_owned()];
    for peer in &panel.peers {
        heads.extend([peer.to_string(), "least".into()]);
        if *peer != REFERENCE && panel.peers.contains(&REFERENCE) {
            heads.push(format!("÷ {REFERENCE}"));
        }
    }
    let _ = writeln!(text, "| {} | check |", heads.join(" | "));
    let _ = writeln!(text, "|{} --- |", " ---: |".repeat(heads.len()));
    for point in points {
        let mut cells = vec![thousands(point.x as f64, 0)];
        for (at, (peer, cost)) in panel.peers.iter().zip(&point.costs).enumerate() {
            cells.extend([significant(cost.median), significant(cost.least)]);
            if *peer != REFERENCE && panel.peers.contains(&REFERENCE) {
                let ratio = point.ratio(&panel.peers, at);
                cells.push(ratio.map_or("–".into(), |ratio| format!("{ratio:.2}×")));
            }
        }
        let remarks = panel.peers.iter().zip(&point.costs);
        let remarks =
            remarks.filter_map(|(peer, cost)| Some(format!("{peer}: {}", cost.remark.as_deref()?)));
        let check = remarks.collect::<Vec<_>>().join("; ");
        let check = if check.is_empty() { "ok".into() } else { cell(&check) };
        let _ = writeln!(text, "| {} | {check} |", cells.join(" | "));
    }
}

/// Three digits, and more only before the point.
pub fn significant(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".into() };
    let digits = if value > 0.0 { 2 - value.log10().floor() as i32 } else { 0 };
    thousands(value, digits.clamp(0, 4) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::figures::{Cost, Curve};

    #[test]
    fn three_digits_tell() {
        let shown = [0.012345, 0.5, 1.2345, 12.345, 123.45, 1234.5, 0.0]
            .map(|value| significant(Some(value)));
        assert_eq!(shown, ["0.0123", "0.500", "1.23", "12.3", "123", "1,234", "0"]);
        assert_eq!(significant(None), "–");
    }

    #[test]
    fn a_missing_point_has_a_row_that_says_so() {
        let good = Cost { median: Some(2.0), least: Some(1.0), remark: None };
        let missing = Cost { remark: Some("**failed 3 of 3**: a|b".into()), ..Cost::default() };
        let point = Point { x: 9500, workload: "", costs: vec![missing, good] };
        let curves = vec![Curve { label: "", points: Vec::new() }];
        let panel = Panel {
            title: "",
            x: "sessions",
            y: "",
            text: "",
            peers: vec!["wsrelay", REFERENCE],
            curves,
        };
        let mut text = String::new();
        table(&panel, &[point], &mut text);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "| sessions | wsrelay | least | ÷ haproxy | haproxy | least | check |");
        let last = "| 9,500 | – | – | – | 2.00 | 1.00 | wsrelay: **failed 3 of 3**: a\\|b |";
        assert_eq!(rows[2], last);
    }
}
