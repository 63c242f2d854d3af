//! Subject: the log lines about one connection, its requests and its session.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::backend::ProgramEnd;
use crate::net::address::PeerAddr;
use crate::registry::Card;
use crate::session::CloseReason;

/// Logs the end of something: as a warning where the operator should see to it.
macro_rules! log_end {
    ($is_warning:expr, $($fields:tt)*) => {
        if $is_warning { tracing::warn!($($fields)*) } else { tracing::info!($($fields)*) }
    };
}

/// Bytes of a path that the log shows, so that no client fills a disk with one request.
const LONGEST_LOGGED: usize = 200;

/// How a connection ended whose client did not wait for its answer.
pub const CLIENT_LEFT: &str = "the client left before it was answered";

/// The fields of a connection's log lines. Strings that a client chose are recorded as values, which both formats
/// escape; query strings are never logged.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The connection's number in this process.
    pub id: u64,
    /// The address that connected.
    pub client: PeerAddr,
    /// The client that a trusted proxy names.
    pub forwarded_for: Option<IpAddr>,
    /// The user name that a password or token has proved.
    pub user: Option<Arc<str>>,
}

/// The end of a request that a program answered.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd<'a> {
    /// The request's path.
    pub path: &'a str,
    /// The program's name.
    pub program: &'a str,
    /// The status of the response, if it has begun.
    pub status: Option<u16>,
    /// The time from the program's start to the end of the response.
    pub lasted: Duration,
    /// Bytes of the request's body that the program has read.
    pub bytes_up: u64,
    /// Bytes that the program has written.
    pub bytes_down: u64,
    /// How the program ended.
    pub end: ProgramEnd,
    /// What the program did wrong.
    pub error: Option<&'a str>,
    /// Why not all of the response was sent, where the program is not at fault.
    pub cut: Option<&'a str>,
}

impl Subject {
    /// Logs how a connection ended that did not become a session, for those who look for it.
    pub fn connection_ended(&self, error: impl tracing::Value) {
        tracing::debug!(id = self.id, client = %self.client, error, "connection ended");
    }

    /// Logs the end of a request that a program answered.
    pub fn request_ended(&self, request: &RequestEnd<'_>) {
        let RequestEnd { path, program, status, lasted, bytes_up, bytes_down, end, error, cut } =
            *request;
        log_end!(
            error.is_some(),
            id = self.id, client = %self.client,
            forwarded_for = self.forwarded_for.map(tracing::field::display),
            user = self.user.as_deref(), path, program, status, seconds = rounded(lasted),
            bytes_up, bytes_down, end = &*end.to_string(), why = error.or(cut), "request ended"
        );
    }

    /// Logs a refused request; a 5xx as a warning, as the operator should do something about it.
    pub fn refused(&self, path: &str, status: u16, why: &str) {
        self.refused_for(path, status, why, status >= 500);
    }

    /// Logs a refused request whose status does not say whether it is worth a warning.
    pub fn refused_for(&self, path: &str, status: u16, why: &str, is_warning: bool) {
        log_end!(
            is_warning,
            id = self.id, client = %self.client,
            forwarded_for = self.forwarded_for.map(tracing::field::display),
            path, status, why, "refused"
        );
    }

    /// Logs a connection that is closed without an answer.
    pub fn dropped(&self, why: &str) {
        tracing::info!(id = self.id, client = %self.client, why, "connection dropped");
    }
}

/// Logs the beginning of a session.
pub fn opened(card: &Card) {
    let (Some(session), client) = (card.session(), PeerAddr::from(card.client)) else { return };
    tracing::info!(
        id = card.id, client = %client, forwarded_for = session.forwarded_for.map(tracing::field::display),
        user = session.user.as_deref(), path = &*session.path, backend = %session.backend,
        subprotocol = session.subprotocol.as_deref(), "session opened"
    );
}

/// Logs the end of a session.
pub fn closed(card: &Card, reason: &CloseReason) {
    let (Some(session), client) = (card.session(), PeerAddr::from(card.client)) else { return };
    let (outcome, counts) = (reason.outcome(), card.traffic.counts());
    log_end!(
        outcome.is_warning,
        id = card.id, client = %client,
        forwarded_for = session.forwarded_for.map(tracing::field::display),
        user = session.user.as_deref(), path = &*session.path, backend = %session.backend,
        seconds = rounded(session.since.elapsed()),
        lines_up = counts.lines_up, bytes_up = counts.bytes_up,
        lines_down = counts.lines_down, bytes_down = counts.bytes_down,
        replaced_up = (counts.replaced_up > 0).then_some(counts.replaced_up),
        replaced_down = (counts.replaced_down > 0).then_some(counts.replaced_down),
        dropped = (counts.dropped > 0).then_some(counts.dropped),
        by = outcome.by.as_str(), reason = &*reason.text(), code = outcome.code,
        "session closed"
    );
}

/// The path for the log. Raw bytes that RFC 3986 does not allow in it are encoded: some of them (C1 controls, marks
/// that turn the direction of text) are commands to a terminal, and the JSON format leaves them as they are. What comes
/// after the first `open` bytes may be a secret, and is not shown.
pub fn logged_path<B>(request: &Request<B>, open: Option<usize>) -> String {
    let path = request.uri().path();
    let (open, hidden) = path.split_at(open.unwrap_or(path.len()));
    let mut shown = Cow::from(utf8_percent_encode(open, CONTROLS)).into_owned();
    if shown.len() > LONGEST_LOGGED {
        shown.truncate(LONGEST_LOGGED);
        shown.push('…');
    } else if !hidden.is_empty() {
        shown.push_str(if hidden == "/" { "/" } else { "/…" });
    }
    shown
}

/// Seconds, rounded to milliseconds.
fn rounded(lasted: Duration) -> f64 {
    (lasted.as_secs_f64() * 1000.0).round() / 1000.0
}
