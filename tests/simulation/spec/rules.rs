//! The settings of a session that decide how its messages and lines correspond.

use encoding_rs::Encoding;

/// How messages and lines correspond in one session.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bytes are relayed in place of lines (`--binary`). `crlf`, `newlines` and `charset` mean
    /// nothing then.
    pub raw: bool,
    /// The end of line towards the backend is `\r\n` (`--eol crlf`), else `\n`.
    pub crlf: bool,
    /// What becomes of the newlines inside a message (`--newlines`).
    pub newlines: Newlines,
    /// The backend's charset (`--charset`).
    pub charset: &'static Encoding,
    /// The most bytes that a message or a line may have, ends of line apart (`--max-line`).
    pub max_line: usize,
}

/// What becomes of the newlines inside a message from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newlines {
    /// The message becomes several lines.
    Split,
    /// Each newline becomes one space.
    Space,
    /// The message is refused.
    Reject,
}

/// A message of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Message {
    /// The bytes of the message as the client sent them.
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// What a line or a message breaks the rules by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A message has more than `max_line` bytes.
    MessageTooLong,
    /// A message has a newline inside, and [`Newlines::Reject`] holds.
    NewlineInMessage,
}

#[cfg(test)]
impl Rules {
    /// The defaults of the command line, with a limit that tests can reach.
    pub fn of_tests() -> Self {
        Self {
            raw: false,
            crlf: false,
            newlines: Newlines::Split,
            charset: encoding_rs::UTF_8,
            max_line: 100,
        }
    }
}
