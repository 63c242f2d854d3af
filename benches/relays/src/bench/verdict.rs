//! Whether a run counts.

use crate::load::{Outcome, Traffic};

/// Why a run counts for nothing: a line was lost, changed, doubled or misplaced, a session failed, or nothing happened.
/// A relay that pings every so many seconds also has to have done that, if there was time for it.
pub fn failure(outcome: &Outcome, traffic: Traffic, pings_every: Option<f64>) -> Option<String> {
    let counts = [
        (outcome.lost_sessions as u64, "sessions lost"),
        (outcome.missing, "lines missing"),
        (outcome.out_of_order, "out of order"),
        (outcome.bad_lines, "not as sent"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    if !counts.is_empty() {
        let first = outcome.first_error.as_deref().unwrap_or("?");
        return Some(format!("{} ({first})", counts.join(", ")));
    }
    if traffic == Traffic::Churn && outcome.sessions == 0 {
        return Some("no session came to its end".into());
    }
    let pings_due = pings_every.is_some_and(|interval| outcome.secs > interval);
    match (traffic, &outcome.stall) {
        (Traffic::Rest, _) if pings_due && outcome.unpinged > 0 => {
            Some(format!("{} sessions got no ping", outcome.unpinged))
        }
        (Traffic::Idle | Traffic::Rest, _) => None,
        (Traffic::Stalled, Some(_)) if outcome.down == 0 => {
            Some("nobody heard anything while one client read nothing".into())
        }
        _ if outcome.down == 0 => Some("no line arrived".into()),
        (Traffic::Stalled, None) => Some("nobody stalled".into()),
        (_, Some(stall)) if !stall.caught_up && stall.ended.is_none() => {
            Some("the stalled client heard nothing new when it read again".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::order::Stall;

    #[test]
    fn a_run_that_proves_nothing_has_failed() {
        let good = Outcome { sessions: 1, up: 5, down: 5, ..Outcome::default() };
        let echo = |outcome: Outcome| failure(&outcome, Traffic::Echo, None);
        assert_eq!(echo(good.clone()), None);
        assert!(echo(Outcome { missing: 1, ..good.clone() }).unwrap().contains("1 lines missing"));
        assert!(echo(Outcome { lost_sessions: 1, ..good.clone() }).is_some());
        assert!(echo(Outcome { out_of_order: 1, ..good.clone() }).is_some());
        assert!(echo(Outcome { bad_lines: 1, ..good.clone() }).is_some());
        assert!(echo(Outcome::default()).is_some());
        assert_eq!(failure(&Outcome::default(), Traffic::Idle, None), None);
    }

    #[test]
    fn a_relay_that_promises_pings_sends_them() {
        let silent = Outcome { secs: 60.0, unpinged: 1, ..Outcome::default() };
        assert!(failure(&silent, Traffic::Rest, Some(30.0)).is_some());
        assert_eq!(failure(&silent, Traffic::Rest, None), None);
        assert_eq!(failure(&silent, Traffic::Rest, Some(90.0)), None);
    }

    #[test]
    fn a_stalled_client_catches_up_or_is_let_go() {
        let good = Outcome { sessions: 1, up: 5, down: 5, ..Outcome::default() };
        let with = |stall| failure(&Outcome { stall, ..good.clone() }, Traffic::Stalled, None);
        assert!(with(None).is_some());
        assert!(with(Some(Stall::default())).is_some());
        assert_eq!(with(Some(Stall { caught_up: true, ..Stall::default() })), None);
        assert_eq!(with(Some(Stall { ended: Some("closed".into()), ..Stall::default() })), None);
    }
}
