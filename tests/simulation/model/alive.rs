//! While a session lives: what is there moves at once, in order, and no more waits than the bounds allow.

use super::causes::{may_pause, pongs_until};
use super::{BUFFER, Known};
use crate::spec::ServerFrame;
use crate::story::{Ms, Side};
use crate::trace::{Failure, Moment};

/// Bytes in a message of fragments beyond its payload, and of control frames between them.
const OVERHEAD: usize = 4096;

/// Every moment before the session may have ended.
pub fn check(known: &Known<'_>) -> Result<(), Failure> {
    if !known.up.bytes.starts_with(&known.trace.backend_received) {
        let at =
            known.up.bytes.iter().zip(&known.trace.backend_received).take_while(|(a, b)| a == b);
        let what = format!("not what the client sent, from byte {} on", at.count());
        return Err(Failure::new("wrong lines", what));
    }
    if let Some(pace) = &known.pace {
        let too_fast = |number: &usize| known.moments()[*number].backend.put > pace.most(*number);
        if let Some(number) = (0..known.moments().len()).find(too_fast) {
            let (moment, most) = (&known.moments()[number], pace.most(number));
            let what = format!("{} of {most} bytes at {} ms", moment.backend.put, moment.at);
            return Err(Failure::new("too fast", what));
        }
    }
    for number in 0..known.first {
        let moment = &known.moments()[number];
        up(known, number, moment)?;
        down(known, number, moment)?;
        pongs(known, number, moment)?;
        replies_are_bounded(known, moment)?;
    }
    pings(known)
}

fn late(what: String) -> Result<(), Failure> {
    Err(Failure::new("late", what))
}

/// What the client has sent is read and passed on, unless the backend takes nothing.
fn up(known: &Known<'_>, number: usize, moment: &Moment) -> Result<(), Failure> {
    // What is written to a connection that was reset is lost, and the reset may be found out late.
    if known.trace.reset_of(Side::Backend).is_some_and(|(reset, _)| reset <= number) {
        return Ok(());
    }
    let (client, backend) = (&moment.client, &moment.backend);
    let whole = known.up.until(client.read);
    let waits = whole.bytes.saturating_sub(backend.put);
    // With a rate they may have to wait for their time.
    let due = known.pace.as_ref().map_or(whole.bytes, |pace| pace.least(number));
    let is_due = due > backend.put;
    let has_room = !moment.backend_is_full;
    // With too many Pongs that wait, nothing of the client's is looked at.
    let left = left_until(known, number).map_or(0, |left| pongs_until(left, &known.up));
    let is_flooded = pongs_until(moment, &known.up) - left >= BUFFER && !moment.client_reads;
    if is_due && has_room && !is_flooded {
        return late(format!(
            "at {} ms {waits} bytes wait for a backend that takes them",
            moment.at
        ));
    }
    let unread = client.delivered - client.read;
    let has_room = has_room && known.pace.is_none();
    let is_full = may_pause(known.setup, &known.up, moment) && !has_room;
    if unread > 0 && !is_full && !is_flooded {
        return late(format!("at {} ms {unread} bytes of the client are not read", moment.at));
    }
    // A read of small messages may double, by their ends of line.
    let most = BUFFER + 2 * BUFFER + 2 * known.rules().max_line + OVERHEAD;
    let ping = known.up.pings_until(client.read).checked_sub(1).map(|last| known.up.pings[last].0);
    let part = client.read - whole.end.max(ping.unwrap_or(0)).min(client.read);
    if waits + part > most {
        let what = format!("at {} ms {waits} + {part} bytes wait for the backend", moment.at);
        return Err(Failure::new("unbounded", what));
    }
    Ok(())
}

/// The last moment whose Pongs surely count no more: the relay may count those that have left until all that waited with
/// them has left, and then all that waited at that time.
fn left_until<'a>(known: &Known<'a>, number: usize) -> Option<&'a Moment> {
    let moments = &known.trace.moments[..number];
    let taken = moments.iter().rposition(|moment| moment.client_reads);
    // What else the relay has queued can't be seen from outside.
    if known.down.is_raw || known.setup.ping_interval.is_some() {
        return taken.map(|taken| &moments[taken]);
    }
    let queued = |at: usize| known.down.framed_until(at) + pongs_until(&moments[at], &known.up);
    let left = |put: usize| (0..moments.len()).rev().find(|at| queued(*at) <= put);
    let once = left(known.trace.moments[number].client.put)?;
    left(moments[once].client.put).max(taken).map(|left| &moments[left])
}

/// What the backend has sent is read and passed on, unless the client takes nothing.
fn down(known: &Known<'_>, number: usize, moment: &Moment) -> Result<(), Failure> {
    let (client, backend) = (&moment.client, &moment.backend);
    let unread = backend.delivered - backend.read;
    // A backend that takes no answers of a stage is not read from, unless it has ended its stream.
    let has_answers = known.setup.stage && moment.backend_is_full && !moment.backend_has_fin;
    let may_wait = has_answers || (moment.client_is_full && known.setup.queue.is_none());
    if unread > 0 && !may_wait {
        return late(format!("at {} ms {unread} bytes of the backend are not read", moment.at));
    }
    let due = match known.down.is_raw {
        true => backend.read,
        false => known.down.due_until(number),
    };
    let got = known.got.until(number).messages;
    if moment.client_reads && got != due {
        return late(format!("at {} ms the client has {got} of {due} messages", moment.at));
    }
    if known.setup.queue.is_none() && !known.down.is_raw {
        let waits = known.down.framed_until(number).saturating_sub(client.put);
        // Empty lines double, and a byte that is not UTF-8 becomes three.
        if waits > 2 * BUFFER + 3 * known.rules().max_line + OVERHEAD {
            let what = format!("at {} ms {waits} bytes wait for the client", moment.at);
            return Err(Failure::new("unbounded", what));
        }
    }
    Ok(())
}

/// No more Pongs wait than the bounds allow, whatever the client sends.
fn replies_are_bounded(known: &Known<'_>, moment: &Moment) -> Result<(), Failure> {
    let waits = pongs_until(moment, &known.up).saturating_sub(moment.client.put);
    if waits > 2 * BUFFER {
        let what = format!("at {} ms {waits} bytes of Pongs wait for the client", moment.at);
        return Err(Failure::new("unbounded", what));
    }
    Ok(())
}

/// Pings are answered at once, in order, even if the backend is slow.
fn pongs(known: &Known<'_>, number: usize, moment: &Moment) -> Result<(), Failure> {
    let pongs = known.got.until(number).pongs;
    let pings = known.up.pings_until(moment.client.read);
    // With so much for a backend that takes nothing, what comes next is not looked at.
    let is_paused = may_pause(known.setup, &known.up, moment);
    if moment.client_reads && pongs < pings && !is_paused {
        return late(format!("at {} ms {pongs} of {pings} Pings are answered", moment.at));
    }
    Ok(())
}

/// Pongs hold what the Pings held, and the relay pings after silence only.
fn pings(known: &Known<'_>) -> Result<(), Failure> {
    let mut pings = known.up.pings.iter();
    for got in &known.trace.got {
        match &got.frame {
            ServerFrame::Pong(payload) => {
                let expected = pings.next().map(|(_, payload)| payload);
                if expected != Some(payload) {
                    let what = format!("{payload:?} in place of {expected:?}");
                    return Err(Failure::new("wrong Pong", what));
                }
            }
            ServerFrame::Ping(payload) if payload.is_empty() && was_silent(known, got.moment) => {}
            ServerFrame::Ping(payload) => {
                let what = format!("in moment {}, {payload:?}", got.moment);
                return Err(Failure::new("wrong Ping", what));
            }
            _ => {}
        }
    }
    must_ping(known)
}

/// Whether the client had been silent for `--ping-interval` at some time up to then.
fn was_silent(known: &Known<'_>, until: usize) -> bool {
    let Some(interval) = known.setup.ping_interval else { return false };
    let (mut since, mut read): (Ms, usize) = (0, 0);
    known.moments()[..=until].iter().any(|moment| {
        let silent = moment.at - since >= interval;
        if moment.client.read > read {
            (since, read) = (moment.at, moment.client.read);
        }
        silent
    })
}

/// A client that reads gets a Ping once it has been silent for `--ping-interval`, and each time again.
fn must_ping(known: &Known<'_>) -> Result<(), Failure> {
    let Some(interval) = known.setup.ping_interval else { return Ok(()) };
    let (mut since, mut read, mut has_pinged): (Ms, usize, bool) = (0, 0, false);
    for (number, moment) in known.moments()[..known.first].iter().enumerate() {
        if moment.client.read > read {
            (since, read, has_pinged) = (moment.at, moment.client.read, false);
        }
        // With --ping-timeout the first Ping decides.
        let is_done = has_pinged && known.setup.ping_timeout.is_some();
        if is_done || moment.at < since + interval {
            continue;
        }
        (since, has_pinged) = (moment.at, true);
        let before = number.checked_sub(1).map_or(0, |before| known.got.until(before).pings);
        let is_pinged = known.got.until(number).pings > before;
        if moment.client_reads && known.trace.reset_of(Side::Client).is_none() && !is_pinged {
            return late(format!("at {} ms the client is silent and not pinged", moment.at));
        }
    }
    Ok(())
}
