//! CloseReason: why a session ended, and everything that follows from it, in one table.

use std::borrow::Cow;

use crate::backend::ProgramEnd;
use crate::framing::FramingError;

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
    /// wsrelay stops.
    Shutdown,
}

/// A row of the table: what follows from a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status code of the Close frame that is sent (RFC 6455, section 7.4.1); after a client's own
    /// Close the code that it sent (1005: none), and 1006 if its connection is gone.
    pub code: u16,
    /// Who ended the session.
    pub by: EndedBy,
    /// The reason's name in metrics.
    pub label: &'static str,
    /// Whether an operator should look at it: it is logged as a warning.
    pub is_warning: bool,
    /// Whether the client may still send something that can be understood: its own Close.
    pub expects_close: bool,
}

impl CloseReason {
    /// The table's row for this reason.
    pub fn outcome(&self) -> Outcome {
        use EndedBy::{Backend, Client, Relay};
        let row = |code, by, label| Outcome {
            code,
            by,
            label,
            is_warning: false,
            expects_close: by != Client,
        };
        let warning = |row: Outcome| Outcome { is_warning: true, ..row };
        // What the client sends after this can't be read as frames any more.
        let broken = |row: Outcome| Outcome { expects_close: false, ..row };
        match self {
            CloseReason::ClientClosed(code) => row(code.unwrap_or(1005), Client, "client_closed"),
            CloseReason::ClientGone(_) => row(1006, Client, "client_gone"),
            CloseReason::Protocol(_) => broken(row(1002, Relay, "protocol_error")),
            CloseReason::InvalidUtf8 => broken(row(1007, Relay, "invalid_utf8")),
            CloseReason::MessageTooLong(_) => broken(row(1009, Relay, "message_too_long")),
            CloseReason::Framing(error) => match error {
                FramingError::NewlineInMessage => row(1008, Relay, "newline_in_message"),
                FramingError::MessageTooLong { .. } => row(1009, Relay, "message_too_long"),
                FramingError::LineTooLong { .. } => warning(row(1009, Relay, "line_too_long")),
            },
            CloseReason::BackendClosed => row(1000, Backend, "backend_closed"),
            CloseReason::BackendFailed(_) => warning(row(1011, Backend, "backend_failed")),
            CloseReason::ProgramEnded(ProgramEnd::Exited(0) | ProgramEnd::ClosedOutput) => {
                row(1000, Backend, "backend_closed")
            }
            CloseReason::ProgramEnded(_) => warning(row(1011, Backend, "backend_failed")),
            CloseReason::ClientTooSlow => row(1008, Relay, "client_too_slow"),
            CloseReason::PingTimeout => row(1008, Relay, "ping_timeout"),
            CloseReason::Idle => row(1000, Relay, "idle_timeout"),
            CloseReason::Shutdown => row(1001, Relay, "shutdown"),
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
}
