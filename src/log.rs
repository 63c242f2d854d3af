//! Log: one line per event, to stderr.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::IsTerminal;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::error::{CloseReason, ProgramEnd};
use crate::net::address::PeerAddr;
use crate::session::Counts;

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// What is too unimportant to log.
    pub level: LevelFilter,
    /// How lines look.
    pub format: LogFormat,
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Lines that may wait for a reader of stderr before further ones are dropped.
const WAITING_LINES: usize = 16 * 1024;

/// Starts logging to stderr, on a thread of its own: a reader that does not read (a stuck pipe)
/// must not stop the relay. What waits is written when the guard is dropped. A second call
/// changes nothing.
pub fn start(config: LogConfig) -> WorkerGuard {
    let (stderr, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_writer(stderr)
        // It would tell by eprintln!, which panics: a log that nobody reads any more (a pipe whose
        // reader has gone) must not end sessions.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = match config.format {
        LogFormat::Text => lines.set_global(),
        LogFormat::Json => lines.json().flatten_event(true).set_global(),
    };
    guard
}

/// Both formats end in the same call, of different types.
trait TryInit {
    fn set_global(self) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

impl<N, E, W> TryInit for tracing_subscriber::fmt::SubscriberBuilder<N, E, LevelFilter, W>
where
    Self: Into<tracing::Dispatch>,
{
    fn set_global(self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(tracing::dispatcher::set_global_default(self.into())?)
    }
}

/// Text that anybody may have written, to be recorded as a value. Both formats escape what ASCII has of
/// commands to a terminal; JSON leaves the others as they are: C1 controls, and marks that turn the
/// direction of text.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harms = |c: char| {
        !c.is_ascii() && c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harms) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match harms(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out.into()
}

/// Who and what a connection's log lines are about. Strings that a client chose are recorded as
/// values, which both formats escape; query strings never get here.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The connection's number in this process.
    pub id: u64,
    /// Who connected.
    pub client: PeerAddr,
    /// Whom a trusted proxy speaks for.
    pub forwarded_for: Option<IpAddr>,
    /// The name that was proved by a password or token.
    pub user: Option<Arc<str>>,
}

/// How a program has answered a request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The request's path.
    pub path: &'a str,
    /// The program's name.
    pub program: &'a str,
    /// The status, if the program has begun to answer.
    pub status: Option<u16>,
    /// From the program's start to the end of the answer.
    pub lasted: Duration,
    /// Of the request's body, as far as the program took it.
    pub bytes_up: u64,
    /// Of the program's output.
    pub bytes_down: u64,
    /// How the program ended.
    pub end: ProgramEnd,
    /// What went wrong by the program's fault.
    pub trouble: Option<&'a str>,
    /// Why not all of the answer was sent, by somebody else's.
    pub cut: Option<&'a str>,
}

impl Subject {
    /// A session begins.
    pub fn opened(&self, path: &str, backend: &dyn Display, subprotocol: Option<&str>) {
        tracing::info!(
            id = self.id, client = %self.client, forwarded_for = self.forwarded_for.map(tracing::field::display),
            user = self.user.as_deref(), path, backend = %backend, subprotocol, "session opened"
        );
    }

    /// A session has ended.
    pub fn closed(
        &self,
        path: &str,
        backend: &dyn Display,
        lasted: Duration,
        counts: &Counts,
        reason: &CloseReason,
    ) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    id = self.id, client = %self.client,
                    forwarded_for = self.forwarded_for.map(tracing::field::display),
                    user = self.user.as_deref(), path, backend = %backend,
                    seconds = rounded(lasted),
                    lines_up = counts.lines_up, bytes_up = counts.bytes_up,
                    lines_down = counts.lines_down, bytes_down = counts.bytes_down,
                    replaced_up = (counts.replaced_up > 0).then_some(counts.replaced_up),
                    replaced_down = (counts.replaced_down > 0).then_some(counts.replaced_down),
                    by = reason.ended_by().as_str(), reason = &*reason.text(), code = reason.code(),
                    "session closed"
                )
            };
        }
        if reason.is_trouble() { line!(warn) } else { line!(info) }
    }

    /// A request was answered by a program.
    pub fn answered(&self, answer: &Answer<'_>) {
        let Answer { path, program, status, lasted, bytes_up, bytes_down, end, trouble, cut } =
            *answer;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    id = self.id, client = %self.client,
                    forwarded_for = self.forwarded_for.map(tracing::field::display),
                    user = self.user.as_deref(), path, program, status, seconds = rounded(lasted),
                    bytes_up, bytes_down, end = &*end.to_string(), why = trouble.or(cut), "request ended"
                )
            };
        }
        if trouble.is_some() { line!(warn) } else { line!(info) }
    }

    /// A request was refused; by a 5xx, for want of what the operator should see to.
    pub fn refused(&self, path: &str, status: u16, why: &str) {
        self.refused_for(path, status, why, status >= 500);
    }

    /// The same, where the status does not say whose fault it is.
    pub fn refused_for(&self, path: &str, status: u16, why: &str, is_trouble: bool) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    id = self.id, client = %self.client,
                    forwarded_for = self.forwarded_for.map(tracing::field::display),
                    path, status, why, "refused"
                )
            };
        }
        if is_trouble { line!(warn) } else { line!(info) }
    }

    /// A connection ended before it became anything.
    pub fn dropped(&self, why: &str) {
        tracing::info!(id = self.id, client = %self.client, why, "connection dropped");
    }
}

/// Seconds, to the millisecond.
fn rounded(lasted: Duration) -> f64 {
    (lasted.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_commands_a_terminal_is_spelled_out() {
        for (text, want) in [
            ("Žluťoučký 🐈 न्", "Žluťoučký 🐈 न्"),
            ("\"\\\t\x1b", "\"\\\t\x1b"),
            ("a\u{9b}31m", "a\\u{9b}31m"),
            ("\u{202e}b\u{2069}", "\\u{202e}b\\u{2069}"),
        ] {
            assert_eq!(printable(text), want);
        }
    }
}
