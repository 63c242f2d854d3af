//! What can go wrong at the start, and why a session ends.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::framing::FramingError;

/// Why wsrelay could not start or go on. Its text is one sentence that says what to do.
#[derive(Debug)]
pub enum StartError {
    /// The command line is wrong: exit status 2.
    Usage(String),
    /// The command line is right, but the machine says no (a port in use, a file missing): 1.
    Environment(String),
}

impl StartError {
    /// The process's exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Usage(_) => 2,
            StartError::Environment(_) => 1,
        }
    }

    /// The error of binding `what`, with advice for the common reasons; `option` is the one that gives a
    /// port.
    pub fn cannot_listen(what: &dyn fmt::Display, option: &str, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "; another program listens there: stop it, or give another port ({option} 0 picks a free one)"
            ),
            io::ErrorKind::PermissionDenied => {
                format!("; ports below 1024 need root or CAP_NET_BIND_SERVICE: try {option} 8082")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!(
                    "; this machine has no such address: try {option}, which takes every interface"
                )
            }
            _ => String::new(),
        };
        StartError::Environment(format!("can't listen on {what}: {}{advice}", reason(error)))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Usage(text) | StartError::Environment(text) => {
                // What it quotes may be anything, and it is one line.
                for part in text.split_inclusive(char::is_control) {
                    let end = part.trim_end_matches(char::is_control);
                    write!(f, "{end}{}", part[end.len()..].escape_debug())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for StartError {}

/// An I/O error in plain words, without the `(os error 98)` that Rust appends.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    // As of `read_to_string`; its kind is that of what TLS has to complain of, too.
    if text == "stream did not contain valid UTF-8" {
        return "it is no UTF-8 text".into();
    }
    let plain = text.split(" (os error").next().unwrap_or(&text);
    match plain.as_bytes().first() {
        // "Connection refused" reads on inside a sentence; acronyms stay as they are.
        Some(first) if first.is_ascii_uppercase() && plain[1..].starts_with(char::is_lowercase) => {
            format!("{}{}", first.to_ascii_lowercase() as char, &plain[1..])
        }
        _ => plain.to_owned(),
    }
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The WebSocket client.
    Client,
    /// The backend.
    Backend,
    /// wsrelay itself: a limit, a timeout, a stop.
    Relay,
}

impl EndedBy {
    /// The word used in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            EndedBy::Client => "client",
            EndedBy::Backend => "backend",
            EndedBy::Relay => "relay",
        }
    }
}

/// How a program that was a session's backend ended its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// It closed its stdout, and lived on.
    ClosedOutput,
}

impl From<ExitStatus> for ProgramEnd {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => ProgramEnd::Exited(code),
            (None, Some(signal)) => ProgramEnd::Killed(signal),
            (None, None) => ProgramEnd::ClosedOutput,
        }
    }
}

impl fmt::Display for ProgramEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProgramEnd::Exited(0) => f.write_str("program exited"),
            ProgramEnd::Exited(status) => write!(f, "program exited with status {status}"),
            ProgramEnd::Killed(signal) => write!(f, "program killed by signal {signal}"),
            ProgramEnd::ClosedOutput => f.write_str("program closed its output"),
        }
    }
}

/// Why a session ended. One value decides the close code, the log line and what either side sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent a Close with this status code, or none.
    ClientClosed(Option<u16>),
    /// The client's connection ended or failed without a Close; the text says how.
    ClientGone(String),
    /// The client broke RFC 6455.
    Protocol(String),
    /// A text message or close reason from the client was not UTF-8.
    InvalidUtf8,
    /// A frame or message from the client was too long.
    MessageTooLong(usize),
    /// What the framing refused: a line too long, a newline inside a message.
    Framing(FramingError),
    /// The backend ended its stream.
    BackendClosed,
    /// The backend's connection failed; the text says how.
    BackendFailed(String),
    /// The backend, a program, ended its stream.
    ProgramEnded(ProgramEnd),
    /// The client did not take what was sent to it.
    ClientTooSlow,
    /// The client did not answer a Ping.
    PingTimeout,
    /// No data in either direction for `--idle-timeout`.
    Idle,
    /// We are stopping.
    Shutdown,
}

impl CloseReason {
    /// The status code of the Close frame we send (RFC 6455, section 7.4.1); for a client's own
    /// Close, what it sent (1005: it gave none).
    pub fn code(&self) -> u16 {
        match self {
            CloseReason::ClientClosed(code) => code.unwrap_or(1005),
            CloseReason::ClientGone(_) => 1006,
            CloseReason::Protocol(_) => 1002,
            CloseReason::InvalidUtf8 => 1007,
            CloseReason::MessageTooLong(_) => 1009,
            CloseReason::Framing(FramingError::NewlineInMessage) => 1008,
            CloseReason::Framing(_) => 1009,
            CloseReason::BackendClosed | CloseReason::Idle => 1000,
            CloseReason::ProgramEnded(ProgramEnd::Exited(0) | ProgramEnd::ClosedOutput) => 1000,
            CloseReason::BackendFailed(_) | CloseReason::ProgramEnded(_) => 1011,
            CloseReason::ClientTooSlow | CloseReason::PingTimeout => 1008,
            CloseReason::Shutdown => 1001,
        }
    }

    /// The text: the Close frame's reason, and what the log says.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            CloseReason::ClientClosed(_) => "closed by the client".into(),
            CloseReason::ClientGone(how) => how.into(),
            CloseReason::Protocol(what) => what.into(),
            CloseReason::InvalidUtf8 => "text is not valid UTF-8".into(),
            CloseReason::MessageTooLong(limit) => {
                FramingError::MessageTooLong { limit: *limit }.to_string().into()
            }
            CloseReason::Framing(error) => error.to_string().into(),
            CloseReason::BackendClosed => "backend closed".into(),
            CloseReason::BackendFailed(how) => format!("backend failed: {how}").into(),
            CloseReason::ProgramEnded(end) => end.to_string().into(),
            CloseReason::ClientTooSlow => "client too slow".into(),
            CloseReason::PingTimeout => "no answer to a ping".into(),
            CloseReason::Idle => "idle".into(),
            CloseReason::Shutdown => "server shutting down".into(),
        }
    }

    /// Who ended the session.
    pub fn ended_by(&self) -> EndedBy {
        match self {
            CloseReason::ClientClosed(_) | CloseReason::ClientGone(_) => EndedBy::Client,
            CloseReason::BackendClosed
            | CloseReason::BackendFailed(_)
            | CloseReason::ProgramEnded(_) => EndedBy::Backend,
            CloseReason::Protocol(_)
            | CloseReason::InvalidUtf8
            | CloseReason::MessageTooLong(_)
            | CloseReason::Framing(_)
            | CloseReason::ClientTooSlow
            | CloseReason::PingTimeout
            | CloseReason::Idle
            | CloseReason::Shutdown => EndedBy::Relay,
        }
    }

    /// Whether an operator should look at it: logged as a warning.
    pub fn is_trouble(&self) -> bool {
        match self {
            CloseReason::BackendFailed(_) => true,
            CloseReason::ProgramEnded(_) => self.code() != 1000,
            CloseReason::Framing(error) => matches!(error, FramingError::LineTooLong { .. }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_on_inside_a_sentence() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(reason(&refused), "connection refused");
        assert_eq!(reason(&io::Error::other("TLS says no")), "TLS says no");
        assert_eq!(reason(&io::Error::other("")), "");
        let latin1 = io::read_to_string(&b"\xe9"[..]).unwrap_err();
        assert_eq!(reason(&latin1), "it is no UTF-8 text");
    }

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let error = StartError::Usage("--eol \r\n: type \u{1b}[31mlf, žluťoučký \u{9b}\n".into());
        assert_eq!(error.to_string(), r"--eol \r\n: type \u{1b}[31mlf, žluťoučký \u{9b}\n");
    }
}
