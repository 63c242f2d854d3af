//! The settings of a session that decide how its messages and lines correspond.

use encoding_rs::Encoding;

/// How messages and lines correspond in one session.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bytes are relayed in place of lines (`--binary`). `crlf`, `newlines` and `charset` mean
    /// nothing then.
    pub raw: bool,
    /// Where `ends` is [`Ends::Newline`]: the end of line towards the backend is `\r\n` (`--eol crlf`), else `\n`.
    pub crlf: bool,
    /// What ends a line (`--eol cr`, `--eol nul`).
    pub ends: Ends,
    /// Messages keep the end of line that the backend sent (`--keep-eol`).
    pub keep_eol: bool,
    /// Each line is a binary message, of bytes without a charset (`--binary-lines`).
    pub binary_lines: bool,
    /// The charset of lines that are not valid UTF-8 (`--charset-fallback`). `charset` is UTF-8 then.
    pub fallback: Option<&'static Encoding>,
    /// What becomes of the newlines inside a message (`--newlines`).
    pub newlines: Newlines,
    /// The backend's charset (`--charset`).
    pub charset: &'static Encoding,
    /// The most bytes that a message or a line may have, ends of line apart (`--max-line`).
    pub max_line: usize,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// `\n`, with the carriage returns beside it.
    Newline,
    /// `\n`, `\r`, or both.
    NewlineOrCr,
    /// NUL.
    Nul,
}

impl Ends {
    /// The bytes that end a line.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Self::Newline => b"\n",
            Self::NewlineOrCr => b"\r\n",
            Self::Nul => b"\0",
        }
    }

    /// The last byte of a line that the backend gets.
    pub fn written(self) -> u8 {
        self.bytes()[0]
    }
}

impl Rules {
    /// Whether lines are plain ones.
    pub fn are_plain(&self) -> bool {
        let is_special = self.keep_eol || self.binary_lines || self.fallback.is_some();
        self.ends == Ends::Newline && !is_special
    }
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

impl Default for Rules {
    /// The defaults of the command line.
    fn default() -> Self {
        Self {
            raw: false,
            crlf: false,
            ends: Ends::Newline,
            keep_eol: false,
            binary_lines: false,
            fallback: None,
            newlines: Newlines::Split,
            charset: encoding_rs::UTF_8,
            max_line: 1 << 20,
        }
    }
}

#[cfg(test)]
impl Rules {
    /// The same, with a limit that tests can reach.
    pub fn of_tests() -> Self {
        Self { max_line: 100, ..Self::default() }
    }
}
