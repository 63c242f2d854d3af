//! How a session ends: for each cause, the Close that the client must get and who ended it.

/// What ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client sent a Close, with or without a code.
    ClientClose(Option<u16>),
    /// The client's connection ended without a Close: FIN or reset.
    ClientGone,
    /// The client broke RFC 6455.
    Protocol,
    /// A text message or a close reason of the client was not UTF-8.
    InvalidUtf8,
    /// A message was longer than `--max-line`.
    MessageTooLong,
    /// A message had a newline inside, and `--newlines reject` holds.
    NewlineInMessage,
    /// A line from the backend was longer than `--max-line`.
    LineTooLong,
    /// The backend ended its stream.
    BackendEnd,
    /// The backend's connection failed.
    BackendReset,
    /// The client did not read in `--write-timeout`, or its queue was full.
    TooSlow,
    /// The client did not answer a Ping in `--ping-timeout`.
    PingTimeout,
    /// No data in `--idle-timeout`.
    Idle,
    /// The relay stops.
    Stop,
}

/// The Close that a client must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedClose {
    /// The code; `None` for a Close with an empty payload.
    pub code: Option<u16>,
    /// The reason.
    pub reason: Reason,
}

/// What the contract says about the reason of a Close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Just this text.
    Exactly(String),
    /// A text that begins so.
    StartsWith(&'static str),
    /// Any text, or none.
    Any,
}

/// The side that ended a session, as the log calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// `client`
    Client,
    /// `backend`
    Backend,
    /// `relay`
    Relay,
}

impl Cause {
    /// The Close that the client must get; `None` where there is no client to get one.
    /// `max_line` is `--max-line` in bytes.
    pub fn close(&self, max_line: usize) -> Option<ExpectedClose> {
        let exactly = |code: u16, reason: &str| (Some(code), Reason::Exactly(reason.to_owned()));
        let (code, reason) = match self {
            Self::ClientGone => return None,
            Self::ClientClose(code) => (*code, Reason::Any),
            Self::Protocol => (Some(1002), Reason::Any),
            Self::InvalidUtf8 => exactly(1007, "text is not valid UTF-8"),
            Self::MessageTooLong => {
                exactly(1009, &format!("message longer than {}", size(max_line)))
            }
            Self::NewlineInMessage => exactly(1008, "newline inside a message"),
            Self::LineTooLong => {
                exactly(1009, &format!("line from backend longer than {}", size(max_line)))
            }
            Self::BackendEnd => exactly(1000, "backend closed"),
            Self::BackendReset => (Some(1011), Reason::StartsWith("backend failed: ")),
            Self::TooSlow => exactly(1008, "client too slow"),
            Self::PingTimeout => exactly(1008, "no answer to a ping"),
            Self::Idle => exactly(1000, "idle"),
            Self::Stop => exactly(1001, "server shutting down"),
        };
        Some(ExpectedClose { code, reason })
    }

    /// Who ended the session, as the log must say.
    pub fn ended_by(&self) -> EndedBy {
        match self {
            Self::ClientClose(_) | Self::ClientGone => EndedBy::Client,
            Self::BackendEnd | Self::BackendReset => EndedBy::Backend,
            _ => EndedBy::Relay,
        }
    }
}

impl ExpectedClose {
    /// Whether a Close that came, `None` for one with an empty payload, is the expected one.
    pub fn is(&self, close: Option<(u16, &str)>) -> bool {
        let Some((code, reason)) = close else { return self.code.is_none() };
        self.code == Some(code)
            && match &self.reason {
                Reason::Exactly(text) => reason == text,
                Reason::StartsWith(text) => reason.starts_with(text),
                Reason::Any => true,
            }
    }
}

impl EndedBy {
    /// The word in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Relay => "relay",
        }
    }
}

/// A size as a person types it: in the largest unit that divides it.
fn size(bytes: usize) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_close() {
        let rows = [
            (Cause::ClientClose(Some(4000)), Some((4000, "whatever")), "client"),
            (Cause::ClientClose(Some(1000)), Some((1000, "")), "client"),
            (Cause::ClientClose(None), None, "client"),
            (Cause::Protocol, Some((1002, "reserved bit")), "relay"),
            (Cause::InvalidUtf8, Some((1007, "text is not valid UTF-8")), "relay"),
            (Cause::MessageTooLong, Some((1009, "message longer than 64KiB")), "relay"),
            (Cause::NewlineInMessage, Some((1008, "newline inside a message")), "relay"),
            (Cause::LineTooLong, Some((1009, "line from backend longer than 64KiB")), "relay"),
            (Cause::BackendEnd, Some((1000, "backend closed")), "backend"),
            (Cause::BackendReset, Some((1011, "backend failed: reset")), "backend"),
            (Cause::TooSlow, Some((1008, "client too slow")), "relay"),
            (Cause::PingTimeout, Some((1008, "no answer to a ping")), "relay"),
            (Cause::Idle, Some((1000, "idle")), "relay"),
            (Cause::Stop, Some((1001, "server shutting down")), "relay"),
        ];
        for (cause, close, by) in rows {
            let expected = cause.close(64 << 10).unwrap();
            assert!(expected.is(close), "{cause:?}: {expected:?}");
            assert!(!expected.is(Some((4999, "x"))), "{cause:?}");
            assert_eq!(expected.is(None), close.is_none(), "{cause:?}");
            assert_eq!(cause.ended_by().name(), by, "{cause:?}");
        }
        assert_eq!(Cause::ClientGone.close(1), None);
        assert_eq!(Cause::ClientGone.ended_by(), EndedBy::Client);
        assert!(!Cause::Idle.close(1).unwrap().is(Some((1000, "idle "))));
        assert!(!Cause::BackendReset.close(1).unwrap().is(Some((1011, "backend closed"))));
    }

    #[test]
    fn sizes_are_as_typed() {
        let rows = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1000, "1000 bytes"),
            (1024, "1KiB"),
            (1536, "1536 bytes"),
            (64 << 10, "64KiB"),
            (1 << 20, "1MiB"),
            (1025 << 10, "1025KiB"),
            (3 << 30, "3GiB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }
}
