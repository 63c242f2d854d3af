//! How a session ends: each side gets what came before, and its end.

use super::Known;
use crate::peer::End;
use crate::spec::{Cause, ServerFrame};
use crate::story::Side;
use crate::trace::Failure;

/// Both ends of a session.
pub fn check(known: &Known<'_>) -> Result<(), Failure> {
    backend(known)?;
    client(known)?;
    close(known)?;
    promptly(known)
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
    let is_by_client = known.up.fatal.is_some_and(|fatal| fatal.is(known.cause));
    let kept = known.cause == Cause::ClientGone
        && trace.reset_of(Side::Client).is_none_or(|(_, keeps)| keeps);
    let read = match is_by_client || kept {
        // A reset loses what had not arrived.
        true => known.moments().last().map_or(0, |moment| moment.client.delivered),
        false => known.before().0.read,
    };
    let due = known.up.until(read).bytes;
    let got = trace.backend_received.len();
    if got < due {
        return lost(format!("the backend has {got} of {due} bytes"));
    }
    if !known.moments()[known.seen].backend_is_ended {
        let what = format!("in moment {} the backend has no FIN", known.seen);
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
        (false, false) => {
            known.first.checked_sub(1).map_or(0, |before| known.down.due_until(before))
        }
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
    let Some(expected) = known.cause.close(known.rules().max_line) else { return Ok(()) };
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
    let takes = known.takes(Side::Client) && known.takes(Side::Backend);
    if !answers || !takes {
        return Ok(());
    }
    let over = trace.over.as_ref().map_or(usize::MAX, |(moment, _)| *moment);
    if over > known.seen {
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
