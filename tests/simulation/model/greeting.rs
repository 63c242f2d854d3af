//! Lines of the relay's own: the first and the last ones that a backend gets, and the trace as it would be without them.

use super::upward::Upward;
use super::{Cause, Known};
use crate::spec::greeting::{GOODBYE, HELLO, line};
use crate::spec::stage::parts;
use crate::story::{Setup, Side};
use crate::trace::{Failure, Trace};

/// What the backend was told.
pub struct Told {
    /// The lines that it should be.
    hello: Vec<u8>,
    goodbye: Vec<u8>,
    /// How many bytes of the goodbye there are.
    said: usize,
}

/// The trace without these lines.
///
/// # Errors
/// Anything else in front of what the client said.
pub fn without(setup: &Setup, trace: &Trace, up: &Upward) -> Result<(Trace, Told), Failure> {
    let ours = |is_said: bool, text| match is_said {
        true => line(&setup.rules, text, setup.stage),
        false => Vec::new(),
    };
    let (hello, goodbye) = (ours(setup.hello, HELLO), ours(setup.goodbye, GOODBYE));
    // What its socket held when it reset is known too.
    let all = [&trace.backend_received[..], &trace.backend_lost].concat();
    let begun = hello.len().min(all.len());
    if all[..begun] != hello[..begun] {
        let what = format!("\"{}\" comes first", all[..begun].escape_ascii());
        return Err(Failure::new("no hello", what));
    }
    let rest = &all[begun..];
    let is_the_clients = |bytes: &[u8]| match setup.stage {
        true => up.bytes.starts_with(&parts(bytes).rest),
        false => up.bytes.starts_with(bytes),
    };
    let is_said = |said: &usize| {
        let part = rest.strip_suffix(&goodbye[..*said]);
        part.is_some_and(is_the_clients)
    };
    let said = (0..=goodbye.len()).find(is_said).unwrap_or(0);
    let length = rest.len() - said;
    let at = |bytes: usize| bytes.saturating_sub(hello.len()).min(length);
    let mut inner = trace.clone();
    for moment in &mut inner.moments {
        let flow = &mut moment.backend;
        (flow.put, flow.taken) = (at(flow.put), at(flow.taken));
    }
    let received = at(trace.backend_received.len());
    inner.backend_received = rest[..received].to_vec();
    inner.backend_lost = rest[received..length].to_vec();
    Ok((inner, Told { hello, goodbye, said }))
}

/// The hello is said at once, and the goodbye whenever it was not the backend that ended the session.
pub fn check(known: &Known<'_>, trace: &Trace, told: &Told) -> Result<(), Failure> {
    let Told { hello, goodbye, said } = told;
    let reset = trace.reset_of(Side::Backend).map_or(usize::MAX, |(reset, _)| reset);
    let moments = trace.moments[..known.first].iter().take(reset);
    let is_late =
        |moment: &crate::trace::Moment| moment.backend.put < hello.len() && !moment.backend_is_full;
    if let Some(moment) = { moments }.find(|moment| is_late(moment)) {
        return Err(Failure::new("late", format!("no hello at {} ms", moment.at)));
    }
    if reset < usize::MAX {
        return Ok(());
    }
    let by_backend = matches!(known.cause, Cause::BackendEnd | Cause::BackendReset);
    if by_backend && *said > 0 {
        return Err(Failure::new("wrong goodbye", "the backend has left itself".into()));
    }
    if !by_backend && known.takes(Side::Backend) && *said < goodbye.len() {
        let what = format!("the backend has {said} of {} bytes of it", goodbye.len());
        return Err(Failure::new("no goodbye", what));
    }
    Ok(())
}
