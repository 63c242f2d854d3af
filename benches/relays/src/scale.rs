//! `--scale`: what a line, a byte and a session cost as sessions, line sizes and hearers grow by orders of magnitude.

mod curves;
mod figures;
mod picture;
mod tables;

use crate::{peers::Peer, report::Report, workloads::ECHO};
use serde::Serialize;
use std::{error::Error, fs, path::Path};

pub use curves::workloads;

/// Those measured unless others are asked for: wsrelay, and the least that any relay can cost.
pub const PEERS: &str = "wsrelay,haproxy";

pub const ROUNDS: usize = 3;

/// All of scale.json.
#[derive(Serialize)]
struct Scale<'a> {
    panels: &'a [figures::Panel],
    #[serde(flatten)]
    report: &'a Report,
}

/// Writes scale.json, scale.md and scale.svg to `out`, and the tables to stdout.
pub fn write(report: &Report, peers: &[&'static Peer], out: &Path) -> Result<(), Box<dyn Error>> {
    let panels = figures::panels(report, peers);
    let all = Scale { panels: &panels, report };
    fs::write(out.join("scale.json"), serde_json::to_string_pretty(&all)? + "\n")?;
    let text = tables::markdown(report, &panels);
    fs::write(out.join("scale.md"), &text)?;
    fs::write(out.join("scale.svg"), picture::draw(&panels, &notes(report))?)?;
    print!("{text}");
    Ok(())
}

/// On what it was measured, in short lines.
fn notes(report: &Report) -> Vec<String> {
    let versions =
        report.peers.iter().map(|peer| peer.absent.clone().unwrap_or(peer.version.clone()));
    let about = [
        format!("{} rounds of {} s each, {}", report.rounds, ECHO.secs(report.quick), report.date),
        report.machine.clone(),
        report.kernel.clone(),
        report.cpus.clone(),
    ];
    versions.chain(about).collect()
}
