//! The counters that the log shows: those of what has really passed.

use std::ops::RangeInclusive;

use super::Known;
use super::upward::Lines;
use crate::spec::Cause;
use crate::spec::stage::doubled;
use crate::story::Side;
use crate::trace::Failure;

/// All counters.
pub fn check(known: &Known<'_>) -> Result<(), Failure> {
    let trace = known.trace;
    let counts = trace.counts;
    let over = trace.over.as_ref().map_or(0, |(moment, _)| *moment);
    let at_end = &trace.moments[over];
    let (client, _) = known.before();
    let (least, most) = (known.up.until(client.read), known.up.until(at_end.client.read));
    let least = match known.up.fatal {
        // What came before it was relayed.
        Some(fatal) if fatal.is(known.cause) => known.up.last(),
        // What a reset client has left behind is given up with a backend that takes nothing.
        _ if known.cause == Cause::ClientGone && !known.takes(Side::Backend) => Lines::default(),
        // Lines are counted when they leave, and those that wait for their time are given up with their backend.
        _ if known.pace.is_some() && trace.reset_of(Side::Backend).is_some() => Lines::default(),
        _ => least,
    };
    let least =
        if known.pace.is_some() && !known.takes(Side::Backend) { Lines::default() } else { least };
    let size = |bytes: usize| match known.setup.stage {
        true => doubled(&known.up.bytes[..bytes]) as u64,
        false => bytes as u64,
    };
    expect("bytes up", counts.bytes_up, size(least.bytes)..=size(most.bytes))?;
    expect("lines up", counts.lines_up, least.lines..=most.lines)?;
    expect("replaced up", counts.replaced_up, least.replaced..=most.replaced)?;
    if counts.bytes_up < trace.backend_received.len() as u64 {
        return Err(Failure::new("wrong count", "the backend has more than was counted".into()));
    }
    let is_whole = known.cause == Cause::BackendEnd && trace.reset_of(Side::Backend).is_none();
    // What is read after the end is thrown away.
    let least = match is_whole {
        true => at_end.backend_bytes,
        false => known.first.checked_sub(1).map_or(0, |before| trace.moments[before].backend_bytes),
    };
    expect("bytes down", counts.bytes_down, least as u64..=at_end.backend_bytes as u64)?;
    if known.down.is_raw {
        return Ok(());
    }
    let all = known.down.messages.len() as u64;
    let least = match is_whole {
        true => all,
        false => known.due_before().max(known.got.until(usize::MAX).messages) as u64,
    };
    expect("lines down", counts.lines_down, least..=all)?;
    if is_whole {
        expect("replaced down", counts.replaced_down, known.down.replaced..=known.down.replaced)?;
    }
    Ok(())
}

fn expect(name: &str, count: u64, expected: RangeInclusive<u64>) -> Result<(), Failure> {
    if expected.contains(&count) {
        return Ok(());
    }
    Err(Failure::new("wrong count", format!("{name} is {count}, and not in {expected:?}")))
}
