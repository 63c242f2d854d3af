//! LineRules: how lines and messages correspond.

use super::charset::Charset;

/// The end of line written after each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Eol {
    /// `\n`
    #[default]
    Lf,
    /// `\r\n`
    CrLf,
}

/// What becomes of newlines inside a client's message. One that ends the message is never counted as inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Newlines {
    /// They stay: one message makes several lines.
    #[default]
    Split,
    /// Each `\n` or `\r\n` becomes one space.
    Space,
    /// The message is refused.
    Reject,
}

/// How lines and messages correspond in one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRules {
    /// End of line towards the backend.
    pub eol: Eol,
    /// Newlines inside a client's message.
    pub newlines: Newlines,
    /// The backend's charset; clients always speak UTF-8 (RFC 6455 section 8.1).
    pub charset: Charset,
    /// The longest line, either way, in bytes without its end of line.
    pub max_line: usize,
}
