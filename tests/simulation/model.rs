//! Model: what must be seen of a session, by the contract and RFC 6455. Each check is a promise; none of them knows how
//! the relay does it.
//!
//! ```text
//!  story, trace ─▶ upward, downward ─▶ what each stream must hold, and when
//!               ─▶ causes ───────────▶ why the session may, and must, have ended
//!               ─▶ ends, alive, counts: the promises
//! ```

mod alive;
mod causes;
mod counts;
mod downward;
mod ends;
mod greeting;
mod pace;
mod stage;
mod upward;

use self::causes::Candidate;
use self::downward::{Downward, Received};
use self::pace::Pace;
use self::upward::Upward;
use crate::peer::Flow;
use crate::spec::{Cause, Rules};
use crate::story::{Ms, Setup, Side, Story};
use crate::trace::{Failure, Moment, Trace};

/// Bytes that may wait in each direction before the relay stops reading the other side, and bytes that it reads at once
/// (SPEC, section 3).
pub const BUFFER: usize = 64 * 1024;

/// What is known of a session that has ended.
pub struct Known<'a> {
    pub setup: &'a Setup,
    pub trace: &'a Trace,
    pub up: Upward,
    /// What the rate lets through, if there is one.
    pub pace: Option<Pace>,
    pub down: Downward,
    pub got: Received,
    /// Why it ended, as the relay says.
    pub cause: Cause,
    /// The moment in which it may have ended first, and the first one in which it is seen to have.
    pub first: usize,
    pub seen: usize,
}

/// Holds what was seen against what must be.
///
/// # Errors
/// The first broken promise.
pub fn check(story: &Story, trace: &Trace) -> Result<(), Failure> {
    let setup = &story.setup;
    let Some((over, reason)) = &trace.over else {
        return Err(Failure::new("never ends", "it has no reason".into()));
    };
    let cause = causes::of(reason);
    let up = Upward::new(&setup.rules, &trace.sent);
    let whole = trace;
    let (trace, told) = &greeting::without(setup, whole, &up)?;
    let inner = match setup.stage {
        true => Some(stage::without(trace, &up, setup.rate.map(|_| setup.rules.ends.written()))?),
        false => None,
    };
    let outer = trace;
    let trace = inner.as_ref().unwrap_or(outer);
    let flushes = downward::flushes(setup, trace);
    let unsure = Downward::new(&setup.rules, trace, &flushes, false);
    if crate::spec::is_open(&setup.rules, &trace.backend_sent) {
        return Ok(());
    }
    let candidates = causes::candidates(setup, trace, &up, &unsure);
    let seen = seen(trace, *over);
    let first = ended_by(&candidates, cause, seen)?;
    causes::check_missed(setup, trace, &up, &candidates, cause, (first, seen))?;
    if setup.stage {
        stage::check_answers(outer, first)?;
    }
    let down = Downward::matching(setup, trace, &flushes, (first, seen))?;
    let got = Received::new(trace, setup.rules.raw);
    let mut known = Known { setup, trace, up, pace: None, down, got, cause, first, seen };
    let ends = if cause == Cause::ClientGone { usize::MAX } else { first };
    known.pace = Pace::new(setup, trace, &known.up, ends, known.taken());
    alive::check(&known)?;
    ends::check(&known)?;
    greeting::check(&known, whole, told)?;
    counts::check(&known)
}

/// The first moment in which a peer can see that the session has ended.
fn seen(trace: &Trace, over: usize) -> usize {
    let is_seen = |moment: &Moment| {
        moment.is_closed || moment.backend_is_ended || moment.client_is_ended || moment.is_over
    };
    trace.moments.iter().position(is_seen).unwrap_or(over)
}

/// The moment in which the session may have ended first, if it ended by a cause that there was.
fn ended_by(candidates: &[Candidate], cause: Cause, seen: usize) -> Result<usize, Failure> {
    let possible = candidates.iter().filter(|candidate| candidate.cause == cause);
    match possible.map(|candidate| candidate.may).min() {
        Some(may) if may <= seen => Ok(may),
        Some(may) => {
            let what = format!("{cause:?} in moment {seen}, which can't be before moment {may}");
            Err(Failure::new("wrong reason", what))
        }
        None => {
            let what = format!("{cause:?}, of which there was no sign; there were {candidates:?}");
            Err(Failure::new("wrong reason", what))
        }
    }
}

impl Known<'_> {
    pub fn rules(&self) -> &Rules {
        &self.setup.rules
    }

    pub fn moments(&self) -> &[Moment] {
        &self.trace.moments
    }

    /// What had passed when the session can't have ended yet.
    pub fn before(&self) -> (Flow, Flow) {
        match self.first.checked_sub(1) {
            Some(before) => (self.moments()[before].client, self.moments()[before].backend),
            None => Default::default(),
        }
    }

    /// How much of the client's stream has to reach the backend, in bytes.
    pub fn accepted(&self) -> usize {
        let is_by_client = self.up.fatal.is_some_and(|fatal| fatal.is(self.cause));
        let kept = self.cause == Cause::ClientGone
            && self.trace.reset_of(Side::Client).is_none_or(|(_, keeps)| keeps);
        match is_by_client || kept {
            // A reset loses what had not arrived.
            true => self.moments().last().map_or(0, |moment| moment.client.delivered),
            false => self.before().0.read,
        }
    }

    /// How much of it may have been accepted.
    fn taken(&self) -> usize {
        self.accepted().max(self.moments()[self.seen].client.read)
    }

    /// The moment in which all of that must have left, and our end of stream with it.
    pub fn delivered(&self) -> usize {
        let is_lifted = matches!(self.cause, Cause::Stop | Cause::BackendEnd | Cause::BackendReset);
        let Some(pace) = self.pace.as_ref().filter(|_| !is_lifted) else { return self.seen };
        let due = self.up.until(self.taken()).bytes;
        let last = self.moments().len() - 1;
        (self.seen..last).find(|moment| pace.least(*moment) >= due).unwrap_or(last)
    }

    /// How many messages were due when the session can't have ended yet.
    pub fn due_before(&self) -> usize {
        self.first.checked_sub(1).map_or(0, |before| self.down.due_until(before))
    }

    /// The moments from the one in which the session may have ended to the one in which it is over.
    pub fn ending(&self) -> &[Moment] {
        let over = self.trace.over.as_ref().map_or(self.first, |(over, _)| *over);
        &self.moments()[self.first..=over.max(self.first)]
    }

    /// Whether a peer reads all that comes at once, from the end of the session on.
    pub fn reads(&self, side: Side) -> bool {
        let mut ending = self.moments()[self.first..].iter();
        self.trace.reset_of(side).is_none() && ending.all(|moment| !moment.stalls(side))
    }

    /// Whether a peer takes all that comes from the end of the session on, though perhaps slowly: it never takes nothing
    /// for as long as the relay waits for it.
    pub fn takes(&self, side: Side) -> bool {
        let (mut since, mut taken) = (self.ending()[0].at, 0);
        let mut takes = |moment: &Moment| {
            if !moment.stalls(side) || moment.flow(side).taken > taken {
                since = moment.at;
            }
            taken = moment.flow(side).taken;
            moment.at < since + self.patience(side)
        };
        self.trace.reset_of(side).is_none() && self.ending().iter().all(&mut takes)
    }

    /// How long a peer may take nothing once the session has ended.
    pub fn patience(&self, side: Side) -> Ms {
        let by_backend = matches!(self.cause, Cause::BackendEnd | Cause::BackendReset);
        match (side, self.setup.write_timeout) {
            (Side::Client, Some(limit)) if by_backend => limit,
            _ => self.setup.close_timeout,
        }
    }
}
