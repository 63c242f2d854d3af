//! Why a session may, and must, have ended: every cause that there was, with its moments.

use wsrelay::framing::FramingError;
use wsrelay::session::CloseReason;

use super::BUFFER;
use super::downward::{Downward, framed};
use super::pace::Pace;
use super::upward::Upward;
use crate::spec::{Cause, greeting};
use crate::story::{Ms, Setup, Side};
use crate::trace::{Failure, Moment, Trace};

/// A cause that there was.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub cause: Cause,
    /// The first moment in which it may have ended the session.
    pub may: usize,
    /// The first moment in which it must have, unless something else had; `None` if the relay need not have noticed.
    pub must: Option<usize>,
}

/// The cause that the relay names.
pub fn of(reason: &CloseReason) -> Cause {
    match reason {
        CloseReason::ClientClosed(code) => Cause::ClientClose(*code),
        CloseReason::ClientGone(_) => Cause::ClientGone,
        CloseReason::Protocol(_) => Cause::Protocol,
        CloseReason::InvalidUtf8 => Cause::InvalidUtf8,
        CloseReason::MessageTooLong(_) => Cause::MessageTooLong,
        CloseReason::Framing(FramingError::MessageTooLong { .. }) => Cause::MessageTooLong,
        CloseReason::Framing(FramingError::NewlineInMessage) => Cause::NewlineInMessage,
        CloseReason::Framing(FramingError::LineTooLong { .. }) => Cause::LineTooLong,
        CloseReason::BackendClosed | CloseReason::ProgramEnded(_) => Cause::BackendEnd,
        CloseReason::BackendFailed(_) => Cause::BackendReset,
        CloseReason::ClientTooSlow => Cause::TooSlow,
        CloseReason::PingTimeout => Cause::PingTimeout,
        CloseReason::Idle => Cause::Idle,
        CloseReason::Shutdown => Cause::Stop,
    }
}

/// All causes that there were.
pub fn candidates(setup: &Setup, trace: &Trace, up: &Upward, down: &Downward) -> Vec<Candidate> {
    let mut all = Vec::new();
    let moments = &trace.moments;
    let first = |test: &dyn Fn(&Moment) -> bool| moments.iter().position(test);
    let mut add = |cause, may: Option<usize>, must| {
        if let Some(may) = may {
            all.push(Candidate { cause, may, must });
        }
    };
    if let Some(fatal) = up.fatal {
        let may = first(&|moment| moment.client.read > fatal.start);
        // A reset before may have ended it already, under this name if what came before the reset was read at last.
        let reset = trace.reset_of(Side::Client).filter(|(_, keeps)| *keeps);
        let may = may.map(|may| reset.map_or(may, |(reset, _)| may.min(reset)));
        let is_known = |moment: &Moment| moment.client.read >= fatal.end;
        let must = first(&|moment| is_known(moment) && !may_pause(setup, up, moment));
        add(fatal.cause, may, must);
        add(fatal.or, may, must);
    } else {
        // The end of the stream is read behind everything else, unless the backend holds the relay up.
        let is_read = |moment: &Moment| {
            moment.client_has_fin
                && moment.client.read == moment.client.delivered
                && moment.backend_reads
                && !may_pause(setup, up, moment)
        };
        add(Cause::ClientGone, first(&|moment| moment.client_has_fin), first(&is_read));
    }
    if let Some((reset, keeps)) = trace.reset_of(Side::Client) {
        // What can still be read may end it otherwise.
        let must = (!keeps || up.fatal.is_none()).then_some(reset);
        add(Cause::ClientGone, Some(reset), must);
    }
    let flows = |moment: &Moment| moment.client_reads || setup.queue.is_some();
    let is_read =
        |moment: &Moment| moment.backend.read == moment.backend.delivered && flows(moment);
    let fin = first(&|moment| moment.backend_has_fin);
    add(Cause::BackendEnd, fin, first(&|moment| moment.backend_has_fin && is_read(moment)));
    if let Some((reset, _)) = trace.reset_of(Side::Backend) {
        let must = (reset..moments.len()).find(|at| is_read(&moments[*at]));
        add(Cause::BackendReset, Some(reset), must);
        // A write that fails may have told of a reset first, or the end of the stream.
        add(Cause::BackendEnd, fin.map(|fin| fin.min(reset)), None);
    }
    if let Some(too_long) = down.too_long {
        let moment = first(&|moment| moment.backend.read >= too_long);
        add(Cause::LineTooLong, moment, moment);
    }
    add(Cause::Stop, trace.stop, trace.stop);
    let (may, must) = idle(setup, trace, up, down);
    add(Cause::Idle, may, must);
    let (may, must) = silent(setup, trace, up);
    add(Cause::PingTimeout, may, must);
    let (may, must) = stalled(setup, trace, up, down);
    add(Cause::TooSlow, may, must);
    let (may, must) = stuck(setup, trace, up);
    add(Cause::ClientGone, may, must);
    let (may, must) = overflow(setup, trace, up, down);
    add(Cause::TooSlow, may, must);
    all
}

/// No cause that must have ended the session was ignored.
pub fn check_missed(
    setup: &Setup,
    trace: &Trace,
    up: &Upward,
    candidates: &[Candidate],
    ended_by: Cause,
    (first, seen): (usize, usize),
) -> Result<(), Failure> {
    let musts = candidates.iter().filter_map(|candidate| Some((candidate.must?, candidate.cause)));
    let Some((must, cause)) = musts.min_by_key(|(must, _)| *must) else { return Ok(()) };
    if must < first {
        let what = format!("{cause:?} in moment {must} did not end it");
        return Err(Failure::new("missed reason", what));
    }
    // One of the peers would see the end at once, unless what a client has left behind is still relayed: a Close may be
    // among it, whose code is echoed.
    let moment = &trace.moments[must];
    let has_left_all = first == must && !may_pause(setup, up, moment);
    let is_visible = ended_by != Cause::ClientGone || has_left_all;
    // With a rate the backend's end comes behind the lines that wait for their time.
    let reads = moment.client_reads || moment.backend_reads && setup.rate.is_none();
    if seen > must && is_visible && reads {
        let what = format!("{cause:?} in moment {must} is not seen before moment {seen}");
        return Err(Failure::new("ends late", what));
    }
    Ok(())
}

type Moments = (Option<usize>, Option<usize>);

/// `--idle-timeout`: no data either way. A tail that is flushed may count as data or not.
fn idle(setup: &Setup, trace: &Trace, up: &Upward, down: &Downward) -> Moments {
    let Some(limit) = setup.idle_timeout else { return (None, None) };
    let (mut may, mut must) = (None, None);
    let (mut last, mut last_or_flush): (Ms, Ms) = (0, 0);
    let mut before = (0, 0, 0, 0);
    let (mut was_paused, mut put) = (false, (0, 0));
    let pace = Pace::new(setup, trace, up, usize::MAX, 0);
    for (number, moment) in trace.moments.iter().enumerate() {
        let messages = up.messages.partition_point(|message| message.end <= moment.client.read);
        // Lines that leave when their time has come are data too.
        let left = pace.as_ref().map_or(0, |pace| pace.most(number));
        let now = (messages, moment.backend_bytes, left, down.due_until(number));
        let is_sure = pace.as_ref().is_none_or(|pace| pace.is_sure(number));
        // What was read may be looked at, and so count as data, only once a peer takes some of what waits for it.
        let is_paused = may_pause(setup, up, moment);
        let moved = put != (moment.client.put, moment.backend.put);
        let may_look = moved && (is_paused || was_paused);
        (was_paused, put) = (is_paused, (moment.client.put, moment.backend.put));
        // What is read in this moment may be thrown away, as the session has ended.
        if may.is_none() && moment.at >= last + limit {
            may = Some(number);
        }
        // A line whose time has come leaves before the session ends, however late the relay was woken.
        let leaves = now.2 != before.2;
        if must.is_none() && moment.at >= last_or_flush + limit && is_sure && !leaves {
            must = Some(number);
        }
        let has_left = leaves && is_sure;
        if (now.0 != before.0 && !is_paused) || now.1 != before.1 || has_left {
            last = moment.at;
        }
        if now != before || may_look {
            last_or_flush = moment.at;
        }
        before = now;
    }
    (may, must)
}

/// Whether so much may wait for a peer that does not read that the relay does not look at what the client sends.
pub fn may_pause(setup: &Setup, up: &Upward, moment: &Moment) -> bool {
    let waits = up.until(moment.client.read).bytes.saturating_sub(moment.backend.put);
    // So may a hello, which is not seen here.
    let waits = waits + if setup.hello { greeting::LONGEST } else { 0 };
    // Answers of a stage wait too.
    let is_much = waits >= BUFFER || (setup.stage && moment.backend_is_full);
    // So do Pongs, for a client that does not read.
    let is_flooded = pongs_until(moment, up) >= BUFFER && !moment.client_reads;
    // With a rate lines wait although the backend reads.
    is_flooded || (is_much && (setup.rate.is_some() || !moment.backend_reads))
}

/// `--ping-timeout`: no byte from the client, although it was pinged and could be read from.
fn silent(setup: &Setup, trace: &Trace, up: &Upward) -> Moments {
    let (Some(interval), Some(timeout)) = (setup.ping_interval, setup.ping_timeout) else {
        return (None, None);
    };
    let (mut may, mut must) = (None, None);
    let (mut since, mut pinged): (Ms, Option<Ms>) = (0, None);
    // The time since which the silence may be the client's, and whether a Ping may have left since then.
    let (mut silent, mut has_pinged): (Ms, bool) = (0, false);
    // Whether it can't be known from outside what the silence is worth.
    let mut is_unsure = false;
    let (mut read, mut put) = (0, 0);
    for (number, moment) in trace.moments.iter().enumerate() {
        // More came at once than the client's socket holds: at that time the client did not take all.
        let is_full = moment.client.put - put > setup.client_room;
        is_unsure |= !moment.client_reads || is_full || may_pause(setup, up, moment);
        if may.is_none() && has_pinged && moment.at >= silent + interval + timeout {
            may = Some(number);
        }
        has_pinged |= moment.at >= silent + interval && moment.client.put > put;
        put = moment.client.put;
        // What was not read is no silence.
        if moment.client.read > read || moment.client.read < moment.client.delivered {
            (silent, has_pinged) = (moment.at, false);
        }
        match pinged {
            None if moment.at >= since + interval => pinged = Some(moment.at),
            Some(pinged) if moment.at >= pinged + timeout && must.is_none() && !is_unsure => {
                must = Some(number);
            }
            _ => {}
        }
        // A client that answers its end in this moment was silent before.
        if moment.client.read > read {
            (since, pinged, is_unsure) = (moment.at, None, false);
            read = moment.client.read;
        }
    }
    (may, must)
}

/// The first moment in which something has lasted for `limit`. `state` says whether it is so in a moment; it begins anew
/// if the number that it gives changes.
fn lasts(
    trace: &Trace,
    limit: Ms,
    state: impl Fn(usize, &Moment) -> (bool, usize),
) -> Option<usize> {
    let mut since: Option<(Ms, usize)> = None;
    trace.moments.iter().enumerate().position(|(number, moment)| {
        let reached = since.is_some_and(|(since, _)| moment.at >= since + limit);
        let (is_so, count) = state(number, moment);
        since = match since {
            Some((since, before)) if is_so && before == count => Some((since, count)),
            _ => is_so.then_some((moment.at, count)),
        };
        reached
    })
}

/// `--write-timeout`: a client that lets no byte through.
fn stalled(setup: &Setup, trace: &Trace, up: &Upward, down: &Downward) -> Moments {
    let Some(limit) = setup.write_timeout else { return (None, None) };
    let is_full = |moment: &Moment| moment.client_is_full && !moment.client_reads;
    let full = |_: usize, moment: &Moment| (is_full(moment), moment.client.put);
    // Something surely waits behind it. With a queue it is its size that counts.
    let waiting = |number: usize, moment: &Moment| {
        let put = moment.client.put;
        let waits = queued_until(number, moment, up, down) > put && setup.queue.is_none();
        (is_full(moment) && waits, put)
    };
    (lasts(trace, limit, full), lasts(trace, limit, waiting))
}

/// `--write-timeout`, for a backend that takes nothing of what a client has sent that has gone since.
fn stuck(setup: &Setup, trace: &Trace, up: &Upward) -> Moments {
    let Some(limit) = setup.write_timeout else { return (None, None) };
    let is_full =
        |moment: &Moment| moment.client_has_fin && moment.backend_is_full && !moment.backend_reads;
    let full = |_: usize, moment: &Moment| (is_full(moment), moment.backend.put);
    // With less the relay reads on, to the end of the stream. What a stage's answers or a rate
    // do is not known here.
    let waiting = |_: usize, moment: &Moment| {
        let put = moment.backend.put;
        let waits = up.until(moment.client.read).bytes.saturating_sub(put) >= BUFFER;
        (is_full(moment) && waits && !setup.stage && setup.rate.is_none(), put)
    };
    // What the kernel holds is given its time first.
    (lasts(trace, limit, full), lasts(trace, limit + setup.close_timeout, waiting))
}

/// Bytes that have surely been queued for the client by then: messages and Pongs.
fn queued_until(number: usize, moment: &Moment, up: &Upward, down: &Downward) -> usize {
    let lines = match down.is_raw {
        true => moment.backend.read,
        false => down.framed_until(number),
    };
    lines + pongs_until(moment, up)
}

/// Bytes of all Pongs by then.
pub fn pongs_until(moment: &Moment, up: &Upward) -> usize {
    let pings = &up.pings[..up.pings_until(moment.client.read)];
    pings.iter().map(|(_, payload)| framed(payload.len())).sum()
}

/// `--queue`: a client whose queue overflows.
fn overflow(setup: &Setup, trace: &Trace, up: &Upward, down: &Downward) -> Moments {
    let Some(queue) = setup.queue else { return (None, None) };
    let (mut may, mut must) = (None, None);
    for (number, moment) in trace.moments.iter().enumerate() {
        let queued = queued_until(number, moment, up, down);
        // Pings of the relay's own, headers of raw messages and the Close can't be seen from outside.
        let unknown = match (setup.ping_interval, down.is_raw) {
            (None, false) => 0,
            (interval, _) => {
                interval.map_or(0, |ms| 2 * (moment.at / ms.max(1)) as usize) + 4 * queued
            }
        };
        let least = queued.saturating_sub(moment.client.put);
        // What came at once may have waited in the queue before the client read, if it did.
        let before = number.checked_sub(1).map(|before| trace.moments[before].client);
        let before = before.unwrap_or_default();
        let takes_nothing = moment.client_stalls && moment.client.taken == before.taken;
        let before = if takes_nothing { moment.client.put } else { before.put };
        if may.is_none() && queued + unknown > queue + before {
            may = Some(number);
        }
        // With a stage a backend that takes nothing is not read from, and the queue not looked at.
        let is_shut = setup.stage && moment.backend_is_full;
        // With many Pongs that wait, the Pings behind them are not looked at.
        let is_flooded = pongs_until(moment, up) >= BUFFER;
        let is_known = !is_shut && !is_flooded;
        if must.is_none() && least > queue && !moment.client_reads && is_known {
            must = Some(number);
        }
    }
    (may, must)
}
