//! Whether a run counts.

use crate::load::{Outcome, Traffic};

/// Why a run counts for nothing: a line was lost, changed, doubled or misplaced, a session failed, or nothing happened.
pub fn failure(outcome: &Outcome, traffic: Traffic) -> Option<String> {
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
    match (traffic, &outcome.stall) {
        (Traffic::Idle, _) => None,
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
        let echo = |outcome: Outcome| failure(&outcome, Traffic::Echo);
        assert_eq!(echo(good.clone()), None);
        assert!(echo(Outcome { missing: 1, ..good.clone() }).unwrap().contains("1 lines missing"));
        assert!(echo(Outcome { lost_sessions: 1, ..good.clone() }).is_some());
        assert!(echo(Outcome { out_of_order: 1, ..good.clone() }).is_some());
        assert!(echo(Outcome { bad_lines: 1, ..good.clone() }).is_some());
        assert!(echo(Outcome::default()).is_some());
        assert_eq!(failure(&Outcome::default(), Traffic::Idle), None);
    }

    #[test]
    fn a_stalled_client_catches_up_or_is_let_go() {
        let good = Outcome { sessions: 1, up: 5, down: 5, ..Outcome::default() };
        let with = |stall| failure(&Outcome { stall, ..good.clone() }, Traffic::Stalled);
        assert!(with(None).is_some());
        assert!(with(Some(Stall::default())).is_some());
        assert_eq!(with(Some(Stall { caught_up: true, ..Stall::default() })), None);
        assert_eq!(with(Some(Stall { ended: Some("closed".into()), ..Stall::default() })), None);
    }
}
