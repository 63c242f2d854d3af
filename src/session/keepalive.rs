//! Keepalive: the deadlines of a session, which share one timer. Pure: it is given the time and what happened, and
//! says what is due and when the next deadline is.

use std::time::{Duration, Instant};

use super::reason::CloseReason;

/// The limits of a session; `None` is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Silence after which the client is pinged.
    pub ping_interval: Option<Duration>,
    /// How long the client may then stay silent.
    pub ping_timeout: Option<Duration>,
    /// How long a client may take none of the bytes that wait for it; and a backend, after the client has ended its
    /// stream.
    pub write_timeout: Option<Duration>,
    /// How long there may be no data in either direction.
    pub idle_timeout: Option<Duration>,
    /// How long an unterminated tail waits for its end of line.
    pub flush_after: Option<Duration>,
}

/// What has happened in a session.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When the last byte came from the client.
    pub last_read: Instant,
    /// When the last data came, either way.
    pub last_data: Instant,
    /// The time since which the client has taken none of the bytes that wait for it.
    pub stalled_since: Option<Instant>,
    /// The time since which an unterminated tail has waited.
    pub tail_since: Option<Instant>,
    /// When a line that waits for its time may leave.
    pub next_line: Option<Instant>,
    /// Whether the session does not read from the client.
    pub paused: bool,
    /// The time since which the backend has taken nothing, after the client ended its stream.
    pub stuck_since: Option<Instant>,
    /// The time at which the stage wants to speak.
    pub stage_at: Option<Instant>,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing before the next deadline.
    Nothing,
    /// Send a Ping.
    Ping,
    /// Let the stage speak.
    Stage,
    /// Send the lines whose time has come.
    Lines,
    /// Send the unterminated tail.
    Flush,
    /// Count this moment as a sign of life, as the session did not read, and send a Ping, by which the kernel finds
    /// out whether the client is still there.
    Excuse,
    /// End the session.
    End(CloseReason),
}

/// The state of one session: whether a Ping is unanswered. The limits are shared by all sessions of a route.
#[derive(Debug, Default)]
pub struct Keepalive {
    pinged: Option<Instant>,
}

impl Keepalive {
    /// The next deadline if nothing more happens; `None` if there is none.
    pub fn deadline(&self, limits: &Limits, seen: &Seen) -> Option<Instant> {
        let at = |since: Option<Instant>, limit: Option<Duration>| Some(since? + limit?);
        [
            at(seen.stalled_since, limits.write_timeout),
            at(seen.stuck_since, limits.write_timeout),
            at(Some(seen.last_data), limits.idle_timeout),
            at(seen.tail_since, limits.flush_after),
            seen.stage_at,
            seen.next_line,
            self.life_deadline(limits, seen),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the client has been silent for too long.
    fn life_deadline(&self, limits: &Limits, seen: &Seen) -> Option<Instant> {
        let interval = limits.ping_interval?;
        match self.unanswered(seen) {
            Some(pinged) => Some(pinged + limits.ping_timeout.unwrap_or(interval)),
            None => Some(seen.last_read + interval),
        }
    }

    fn unanswered(&self, seen: &Seen) -> Option<Instant> {
        self.pinged.filter(|pinged| seen.last_read < *pinged)
    }

    /// What is due at `now`, one thing at a time: ask again until nothing is.
    pub fn due(&mut self, limits: &Limits, now: Instant, seen: &Seen) -> Due {
        let passed = |since: Option<Instant>, limit: Option<Duration>| match (since, limit) {
            (Some(since), Some(limit)) => now.saturating_duration_since(since) >= limit,
            _ => false,
        };
        if passed(seen.stalled_since, limits.write_timeout) {
            return Due::End(CloseReason::ClientTooSlow);
        }
        if passed(seen.stuck_since, limits.write_timeout) {
            let why = "connection ended, and the backend takes nothing of what it said";
            return Due::End(CloseReason::ClientGone(why.into()));
        }
        if passed(Some(seen.last_data), limits.idle_timeout) {
            return Due::End(CloseReason::Idle);
        }
        if seen.next_line.is_some_and(|at| now >= at) {
            return Due::Lines;
        }
        if passed(seen.tail_since, limits.flush_after) {
            return Due::Flush;
        }
        if seen.stage_at.is_some_and(|at| now >= at) {
            return Due::Stage;
        }
        if self.life_deadline(limits, seen).is_none_or(|deadline| now < deadline) {
            return Due::Nothing;
        }
        if seen.paused {
            // What the client sends stays in the kernel, as the session does not read: the silence is ours.
            self.pinged = None;
            return Due::Excuse;
        }
        match self.unanswered(seen) {
            // Without a timeout pings only keep the path through NATs and proxies open.
            unanswered if unanswered.is_none() || limits.ping_timeout.is_none() => {
                self.pinged = Some(now);
                Due::Ping
            }
            // The Ping waits behind other bytes: then the write timeout decides.
            _ if seen.stalled_since.is_some() => {
                self.pinged = Some(now);
                Due::Nothing
            }
            _ => Due::End(CloseReason::PingTimeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            ping_interval: Some(30 * S),
            ping_timeout: Some(15 * S),
            write_timeout: Some(30 * S),
            idle_timeout: None,
            flush_after: None,
        }
    }

    fn seen(start: Instant) -> Seen {
        Seen {
            last_read: start,
            last_data: start,
            stalled_since: None,
            tail_since: None,
            next_line: None,
            paused: false,
            stuck_since: None,
            stage_at: None,
        }
    }

    #[test]
    fn silence_is_pinged_and_then_ends() {
        let start = Instant::now();
        let seen = seen(start);
        let (limits, mut keepalive) = (limits(), Keepalive::default());
        assert_eq!(keepalive.deadline(&limits, &seen), Some(start + 30 * S));
        assert_eq!(keepalive.due(&limits, start + 29 * S, &seen), Due::Nothing);
        assert_eq!(keepalive.due(&limits, start + 30 * S, &seen), Due::Ping);
        assert_eq!(keepalive.due(&limits, start + 30 * S, &seen), Due::Nothing);
        assert_eq!(keepalive.deadline(&limits, &seen), Some(start + 45 * S));
        assert_eq!(
            keepalive.due(&limits, start + 45 * S, &seen),
            Due::End(CloseReason::PingTimeout)
        );
    }

    #[test]
    fn any_byte_is_a_sign_of_life() {
        let start = Instant::now();
        let (limits, mut keepalive) = (limits(), Keepalive::default());
        assert_eq!(keepalive.due(&limits, start + 30 * S, &seen(start)), Due::Ping);
        let heard = seen(start + 31 * S);
        assert_eq!(keepalive.due(&limits, start + 45 * S, &heard), Due::Nothing);
        assert_eq!(keepalive.deadline(&limits, &heard), Some(start + 61 * S));
        assert_eq!(keepalive.due(&limits, start + 61 * S, &heard), Due::Ping);
    }

    #[test]
    fn pings_without_a_timeout_go_on() {
        let start = Instant::now();
        let limits = Limits { ping_interval: Some(30 * S), ..Limits::default() };
        let mut keepalive = Keepalive::default();
        for n in 1..5 {
            assert_eq!(keepalive.deadline(&limits, &seen(start)), Some(start + n * 30 * S));
            assert_eq!(keepalive.due(&limits, start + n * 30 * S, &seen(start)), Due::Ping);
        }
    }

    #[test]
    fn time_in_which_we_do_not_read_does_not_count() {
        let start = Instant::now();
        let (limits, mut keepalive) = (limits(), Keepalive::default());
        assert_eq!(keepalive.due(&limits, start + 30 * S, &seen(start)), Due::Ping);
        let paused = Seen { paused: true, ..seen(start) };
        assert_eq!(keepalive.due(&limits, start + 45 * S, &paused), Due::Excuse);
        let excused = seen(start + 45 * S);
        assert_eq!(keepalive.due(&limits, start + 46 * S, &excused), Due::Nothing);
        assert_eq!(keepalive.due(&limits, start + 75 * S, &excused), Due::Ping);
    }

    #[test]
    fn a_ping_stuck_behind_other_bytes_is_left_to_the_write_timeout() {
        let start = Instant::now();
        let (limits, mut keepalive) = (limits(), Keepalive::default());
        assert_eq!(keepalive.due(&limits, start + 30 * S, &seen(start)), Due::Ping);
        let stalled = Seen { stalled_since: Some(start + 20 * S), ..seen(start) };
        assert_eq!(keepalive.due(&limits, start + 45 * S, &stalled), Due::Nothing);
        assert_eq!(
            keepalive.due(&limits, start + 50 * S, &stalled),
            Due::End(CloseReason::ClientTooSlow)
        );
    }

    #[test]
    fn an_end_behind_what_nobody_takes_is_given_the_write_timeout() {
        let start = Instant::now();
        let (limits, mut keepalive) = (limits(), Keepalive::default());
        let limits = Limits { ping_interval: None, ..limits };
        let stuck = Seen { paused: true, stuck_since: Some(start + 5 * S), ..seen(start) };
        assert_eq!(keepalive.deadline(&limits, &stuck), Some(start + 35 * S));
        assert_eq!(keepalive.due(&limits, start + 34 * S, &stuck), Due::Nothing);
        let due = keepalive.due(&limits, start + 35 * S, &stuck);
        assert!(matches!(due, Due::End(CloseReason::ClientGone(_))), "{due:?}");
    }

    #[test]
    fn a_stage_speaks_at_its_time_whatever_the_limits() {
        let start = Instant::now();
        let (limits, mut keepalive) = (Limits::default(), Keepalive::default());
        let waits = Seen { stage_at: Some(start + S), ..seen(start) };
        assert_eq!(keepalive.deadline(&limits, &waits), Some(start + S));
        assert_eq!(keepalive.due(&limits, start + S / 2, &waits), Due::Nothing);
        assert_eq!(keepalive.due(&limits, start + S, &waits), Due::Stage);
    }

    #[test]
    fn everything_off_means_no_timer() {
        let start = Instant::now();
        let (limits, mut keepalive) = (Limits::default(), Keepalive::default());
        let all = Seen { stalled_since: Some(start), tail_since: Some(start), ..seen(start) };
        assert_eq!(keepalive.deadline(&limits, &all), None);
        assert_eq!(keepalive.due(&limits, start + 1000 * S, &all), Due::Nothing);
    }

    #[test]
    fn lines_leave_when_their_time_has_come() {
        let start = Instant::now();
        let (limits, mut keepalive) = (Limits::default(), Keepalive::default());
        let waits = Seen { paused: true, next_line: Some(start + S), ..seen(start) };
        assert_eq!(keepalive.deadline(&limits, &waits), Some(start + S));
        assert_eq!(keepalive.due(&limits, start + S / 2, &waits), Due::Nothing);
        assert_eq!(keepalive.due(&limits, start + S, &waits), Due::Lines);
        let limits = Limits { ping_interval: Some(S), ping_timeout: Some(S), ..limits };
        assert_eq!(keepalive.due(&limits, start + S, &waits), Due::Lines);
        let later = Seen { next_line: Some(start + 9 * S), ..waits };
        assert_eq!(keepalive.due(&limits, start + S, &later), Due::Excuse, "it is not read from");
    }

    #[test]
    fn idle_and_tails_have_their_own_clocks() {
        let start = Instant::now();
        let limits =
            Limits { idle_timeout: Some(10 * S), flush_after: Some(S), ..Limits::default() };
        let mut keepalive = Keepalive::default();
        let tail = Seen { tail_since: Some(start + S), ..seen(start) };
        assert_eq!(keepalive.deadline(&limits, &tail), Some(start + 2 * S));
        assert_eq!(keepalive.due(&limits, start + 2 * S, &tail), Due::Flush);
        assert_eq!(
            keepalive.due(&limits, start + 10 * S, &seen(start)),
            Due::End(CloseReason::Idle)
        );
    }
}
