//! LineRules: how lines and messages correspond.

use super::charset::Charset;

/// The end of line written after each message. It also says what ends a line of the backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Eol {
    /// `\n`. The backend's lines end in `\n`, `\r\n` or `\n\r`.
    #[default]
    Lf,
    /// `\r\n`. The backend's lines end as with `Lf`.
    CrLf,
    /// `\r`. The backend's lines may end in a lone `\r`, too.
    Cr,
    /// NUL. Only NUL ends a line of the backend's: newlines are content.
    Nul,
}

impl Eol {
    /// Its characters.
    pub fn as_str(self) -> &'static str {
        match self {
            Eol::Lf => "\n",
            Eol::CrLf => "\r\n",
            Eol::Cr => "\r",
            Eol::Nul => "\0",
        }
    }

    /// Its bytes.
    pub fn bytes(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }
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
    /// The end of line.
    pub eol: Eol,
    /// Whether messages keep the end of line that the backend sent.
    pub keep_eol: bool,
    /// Ends of line inside a client's message.
    pub newlines: Newlines,
    /// The backend's charset; clients always speak UTF-8 (RFC 6455 section 8.1).
    pub charset: Charset,
    /// The charset of the backend's lines that are not valid UTF-8. The others are UTF-8, and so is `charset`.
    pub fallback: Option<Charset>,
    /// The longest line, either way, in bytes without its end of line.
    pub max_line: usize,
}

impl LineRules {
    /// Whether a line is a text message without its end, and its end a newline: what
    /// `LineDecoder` does.
    pub(super) fn are_plain(&self) -> bool {
        matches!(self.eol, Eol::Lf | Eol::CrLf) && !self.keep_eol && self.fallback.is_none()
    }
}
