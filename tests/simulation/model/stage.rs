//! A session with a stage, seen without it: the trace as it would be if the backend did not speak the stage's protocol.

use super::BUFFER;
use super::upward::Upward;
use crate::spec::stage::{Parts, parts};
use crate::story::Side;
use crate::trace::{Failure, Trace};

/// Bytes of one answer.
const ANSWER: usize = 2;

/// What the backend has sent and received, its socket's rest at a reset included.
fn taken_apart(trace: &Trace) -> (Parts, Parts) {
    let received = [&trace.backend_received[..], &trace.backend_lost].concat();
    (parts(&trace.backend_sent), parts(&received))
}

/// The trace without the stage's protocol.
///
/// # Errors
/// An answer inside a line.
pub fn without(trace: &Trace, up: &Upward, line_end: Option<u8>) -> Result<Trace, Failure> {
    let (sent, received) = taken_apart(trace);
    // With a rate the lines of one message may leave one by one.
    let is_line_end = |place: &usize| {
        up.ends_at(*place) || line_end.is_some() && up.bytes.get(place - 1).copied() == line_end
    };
    if let Some(place) = received.places.iter().find(|place| !is_line_end(place)) {
        return Err(Failure::new("wrong answer", format!("inside a line, at byte {place}")));
    }
    let at = |parts: &Parts, bytes: usize| parts.until[bytes.min(parts.until.len() - 1)].0;
    let mut inner = trace.clone();
    for moment in &mut inner.moments {
        let flow = &mut moment.backend;
        (flow.delivered, flow.read) = (at(&sent, flow.delivered), at(&sent, flow.read));
        (flow.put, flow.taken) = (at(&received, flow.put), at(&received, flow.taken));
    }
    let taken = at(&received, trace.backend_received.len());
    inner.backend_received = received.rest[..taken].to_vec();
    inner.backend_sent = sent.rest;
    Ok(inner)
}

/// Each command is answered once, in order, and at once if the backend reads; until the session may have ended.
pub fn check_answers(trace: &Trace, ends: usize) -> Result<(), Failure> {
    let (sent, received) = taken_apart(trace);
    if !sent.commands.starts_with(&received.commands) {
        return Err(Failure::new("wrong answer", format!("{received:?}")));
    }
    if trace.reset_of(Side::Backend).is_some() {
        return Ok(());
    }
    for moment in &trace.moments[..ends] {
        let asked = sent.until[moment.backend.read].1;
        let answered = received.until[moment.backend.put].1;
        let waits = (asked - answered) * ANSWER;
        if moment.backend_reads && waits > 0 {
            return Err(Failure::new(
                "late",
                format!("{waits} bytes of answers at {} ms", moment.at),
            ));
        }
        // Those of one read, besides what may wait.
        if waits > BUFFER + BUFFER + ANSWER {
            return Err(Failure::new("unbounded", format!("{waits} bytes of answers wait")));
        }
    }
    Ok(())
}
