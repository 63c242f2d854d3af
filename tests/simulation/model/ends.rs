//! How a session ends: each side gets what came before, and its end.

use super::Known;
use super::upward::Fatal;
use crate::peer::End;
use crate::spec::{Cause, ExpectedClose, Reason, ServerFrame};
use crate::story::{Setup, Side, TICK};
use crate::trace::{Failure, Moment, What};

/// Both ends of a session.
pub fn check(known: &Known<'_>) -> Result<(), Failure> {
    backend(known)?;
    client(known)?;
    close(known)?;
    promptly(known)?;
    for side in [Side::Client, Side::Backend] {
        not_early(known, side)?;
        not_late(known, side)?;
    }
    awaits_close(known)
}

fn lost(what: String) -> Result<(), Failure> {
    Err(Failure::new("lost", what))
}

/// All that was accepted from the client reaches the backend before our FIN.
fn backend(known: &Known<'_>) -> Result<(), Failure> {
    let trace = known.trace;
    if trace.reset_of(Side::Backend).is_some() {
        return Ok(());
    }
    if trace.backend_end != Some(End::Fin) {
        return Err(Failure::new("no end", format!("the backend sees {:?}", trace.backend_end)));
    }
    if !known.takes(Side::Backend) {
        return Ok(());
    }
    let due = known.up.until(known.accepted()).bytes;
    let got = trace.backend_received.len();
    if got < due {
        return lost(format!("the backend has {got} of {due} bytes"));
    }
    let delivered = known.delivered();
    if known.reads(Side::Backend) && !known.moments()[delivered].backend_is_ended {
        let what = format!("in moment {delivered} the backend has no FIN");
        return Err(Failure::new("late FIN", what));
    }
    Ok(())
}

/// All that came from the backend before the end reaches the client.
fn client(known: &Known<'_>) -> Result<(), Failure> {
    let trace = known.trace;
    if trace.reset_of(Side::Client).is_some() {
        return Ok(());
    }
    if trace.client_end != Some(End::Fin) {
        return Err(Failure::new("no end", format!("the client sees {:?}", trace.client_end)));
    }
    if !known.takes(Side::Client) {
        return Ok(());
    }
    if trace.cut_frame {
        return lost("the client's stream ends in the middle of a frame".into());
    }
    let reset = trace.reset_of(Side::Backend);
    let is_whole = match known.cause {
        Cause::BackendEnd => reset.is_none(),
        Cause::BackendReset => reset.is_some_and(|(_, keeps)| keeps),
        Cause::LineTooLong => true,
        _ => false,
    };
    let due = match (is_whole, known.down.is_raw) {
        (true, true) => known.down.bytes.len(),
        (true, false) => known.down.messages.len(),
        (false, true) => known.before().1.read,
        (false, false) => known.due_before(),
    };
    let got = known.got.until(usize::MAX).messages;
    if got < due {
        return lost(format!("the client has {got} of {due} messages"));
    }
    Ok(())
}

/// The Close says why.
fn close(known: &Known<'_>) -> Result<(), Failure> {
    let closes = known.trace.got.iter().filter_map(|got| match &got.frame {
        ServerFrame::Close(close) => Some(close),
        _ => None,
    });
    let expected = match known.cause.close(known.rules().max_line) {
        Some(expected) => expected,
        None if known.trace.reset_of(Side::Client).is_some() => return Ok(()),
        // It may still read: a Close is always sent.
        None => ExpectedClose { code: Some(1000), reason: Reason::Any },
    };
    // Frames behind a Close are refused where they are parsed.
    match { closes }.next() {
        Some(close) => {
            let close = close.as_ref().map(|(code, reason)| (*code, reason.as_str()));
            if !expected.is(close) {
                let what = format!("{close:?} in place of {expected:?}");
                return Err(Failure::new("wrong Close", what));
            }
        }
        None if known.takes(Side::Client) => {
            return Err(Failure::new("no Close", format!("after {:?}", known.cause)));
        }
        None => {}
    }
    Ok(())
}

/// Where both peers do their part, the session is over at once, and nothing is left unread: a reset would follow.
fn promptly(known: &Known<'_>) -> Result<(), Failure> {
    let (setup, trace) = (known.setup, known.trace);
    let is_held = trace.moments[known.first..].iter().any(|moment| moment.is_held);
    let has_reset = !trace.resets.is_empty();
    let answers = setup.answers_close && setup.answers_fin && !is_held && !has_reset;
    let reads = known.reads(Side::Client) && known.reads(Side::Backend);
    if !answers || !reads {
        return Ok(());
    }
    let over = trace.over.as_ref().map_or(usize::MAX, |(moment, _)| *moment);
    if over > known.delivered() {
        let what = format!("in moment {over}, although both did their part in {}", known.seen);
        return Err(Failure::new("ends slowly", what));
    }
    let moment = &trace.moments[over];
    for (side, flow) in [(Side::Client, moment.client), (Side::Backend, moment.backend)] {
        if flow.read < flow.delivered {
            let what = format!("{} bytes of the {side}", flow.delivered - flow.read);
            return Err(Failure::new("left unread", what));
        }
    }
    Ok(())
}

/// The relay closes a connection once the peer has ended it too, or has been given its time.
fn not_early(known: &Known<'_>, side: Side) -> Result<(), Failure> {
    let (Some(first), Some(over)) = (known.ending().first(), known.ending().last()) else {
        return Ok(());
    };
    let given = over.at - first.at;
    let is_fair = over.has_fin(side)
        || known.trace.reset_of(side).is_some()
        || given >= known.patience(side).min(known.setup.close_timeout);
    if is_fair {
        return Ok(());
    }
    let what = format!("after {given} ms the {side} has not ended its stream");
    Err(Failure::new("closed early", what))
}

/// The relay does not wait longer for a peer that does nothing than it may, once it has done with the other one.
fn not_late(known: &Known<'_>, side: Side) -> Result<(), Failure> {
    let other = match side {
        Side::Client => Side::Backend,
        Side::Backend => Side::Client,
    };
    let has_reset =
        |moment: usize, side| known.trace.reset_of(side).is_some_and(|(reset, _)| reset <= moment);
    let is_done = |(number, moment): &(usize, &Moment)| {
        has_reset(*number, other) || (moment.is_ended(other) && moment.has_fin(other))
    };
    let over = known.ending().last().map_or(0, |over| over.at);
    let mut ending = known.moments().iter().enumerate().skip(known.seen);
    let Some((_, done)) = ending.find(is_done) else { return Ok(()) };
    let state = |moment: &Moment| {
        (*moment.flow(side), moment.has_fin(side), moment.is_ended(side), moment.is_over)
    };
    let changes = known.moments().windows(2).filter(|pair| state(&pair[0]) != state(&pair[1]));
    let before = changes.filter(|pair| !pair[1].is_over).map(|pair| pair[1].at);
    let last = before.max().unwrap_or(0).max(done.at);
    // A backend that has taken something is given its time once more.
    let patience = match side {
        Side::Client => known.patience(side).max(known.setup.close_timeout),
        Side::Backend => {
            2 * known.patience(side) + known.setup.rate.map_or(0, |rate| 1000 / rate.count)
        }
    };
    // Answers of a stage and lines of the relay's own are not seen here.
    let Setup { stage, hello, goodbye, .. } = known.setup;
    let is_unknown = known.trace.jumps || ((*stage || *hello || *goodbye) && side == Side::Backend);
    if is_unknown || over <= last + patience + TICK {
        return Ok(());
    }
    let what = format!("{} ms after the {side} did something for the last time", over - last);
    Err(Failure::new("closed late", what))
}

/// The relay's end of stream waits for the client's Close, where one may come.
fn awaits_close(known: &Known<'_>) -> Result<(), Failure> {
    let trace = known.trace;
    let is_awaited = matches!(
        known.cause,
        Cause::BackendEnd
            | Cause::BackendReset
            | Cause::LineTooLong
            | Cause::TooSlow
            | Cause::PingTimeout
            | Cause::Idle
            | Cause::Stop
    );
    // Behind what can't be relayed nothing is understood.
    let is_other = |fatal: Fatal| !matches!(fatal.cause, Cause::ClientClose(_));
    if !is_awaited || known.up.fatal.is_some_and(is_other) || trace.reset_of(Side::Client).is_some()
    {
        return Ok(());
    }
    let Some(end) = known.ending().iter().find(|moment| moment.client_is_ended) else {
        return Ok(());
    };
    let close = trace.sent.iter().find(|sent| matches!(sent.what, What::Close(_)));
    let has_come = close.is_some_and(|close| end.client.read >= close.end);
    let given = end.at - known.ending()[0].at;
    let limit = known.patience(Side::Client).min(known.setup.close_timeout);
    if has_come || end.client_has_fin || given >= limit {
        return Ok(());
    }
    Err(Failure::new("Close not awaited", format!("the client had {given} ms to answer")))
}
