//! Content: what has come of a line, converted as far as that can be done, and the message that it becomes.

use super::super::charset::{Charset, LineConverter};
use super::super::payload::Payload;
use super::super::rules::LineRules;

/// What a line's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes, which stay as they are.
    Bytes,
    /// Text in this charset.
    Text(Charset),
    /// Text in UTF-8 if all of the line is valid UTF-8, else in this charset.
    Utf8Or(Charset),
}

impl Kind {
    /// What the bytes of lines are by these rules.
    pub(super) fn of(rules: &LineRules) -> Self {
        match rules.fallback {
            Some(fallback) => Kind::Utf8Or(fallback),
            None => Kind::Text(rules.charset),
        }
    }

    /// `line` itself as a payload, if it needs no conversion.
    pub(super) fn lend(self, line: &[u8], is_binary: bool) -> Option<Payload<'_>> {
        let text = match self {
            Kind::Bytes => return Some(Payload::Binary(line)),
            Kind::Text(charset) => charset.as_text(line)?,
            Kind::Utf8Or(_) => Charset::UTF_8.as_text(line)?,
        };
        Some(if is_binary { Payload::Binary(line) } else { Payload::Text(text) })
    }
}

/// The content of one line so far.
#[derive(Debug)]
pub(super) enum Content {
    /// Bytes as they came.
    Bytes(Vec<u8>),
    /// Text as far as it could be converted.
    Text {
        converter: LineConverter,
        text: String,
        /// Pieces that could not be decoded. Not yet part of the total, which speaks of messages given.
        replaced: u64,
    },
    /// UTF-8 so far: `valid` bytes, and perhaps the beginning of a character.
    Undecided { bytes: Vec<u8>, valid: usize, fallback: Charset },
}

impl Content {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bytes => Content::Bytes(Vec::new()),
            Kind::Text(charset) => Content::in_charset(charset),
            Kind::Utf8Or(fallback) => Content::Undecided { bytes: Vec::new(), valid: 0, fallback },
        }
    }

    fn in_charset(charset: Charset) -> Self {
        Content::Text { converter: charset.line_decoder(), text: String::new(), replaced: 0 }
    }

    pub(super) fn append(&mut self, piece: &[u8]) {
        match self {
            Content::Bytes(bytes) => bytes.extend_from_slice(piece),
            Content::Text { converter, text, replaced } => {
                *replaced += converter.convert(piece, false, text);
            }
            Content::Undecided { bytes, valid, fallback } => {
                bytes.extend_from_slice(piece);
                match std::str::from_utf8(&bytes[*valid..]) {
                    Ok(_) => *valid = bytes.len(),
                    Err(error) if error.error_len().is_none() => *valid += error.valid_up_to(),
                    Err(_) => {
                        let mut decided = Content::in_charset(*fallback);
                        decided.append(bytes);
                        *self = decided;
                    }
                }
            }
        }
    }

    /// Whether there is something to show before the line ends.
    pub(super) fn is_visible(&self) -> bool {
        match self {
            Content::Bytes(bytes) => !bytes.is_empty(),
            Content::Text { text, .. } => !text.is_empty(),
            Content::Undecided { valid, .. } => *valid > 0,
        }
    }

    /// Whether nothing is remembered: what comes next would be converted alike by new content.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Content::Bytes(bytes) | Content::Undecided { bytes, .. } => bytes.is_empty(),
            Content::Text { converter, text, .. } => text.is_empty() && converter.is_neutral(),
        }
    }

    /// Takes what is visible, and adds to `replaced` what could not be decoded. The rest of the line stays.
    pub(super) fn take_visible(&mut self, replaced: &mut u64) -> Message {
        match self {
            Content::Bytes(bytes) => Message::Bytes(std::mem::take(bytes)),
            Content::Text { text, replaced: own, .. } => {
                *replaced += std::mem::take(own);
                Message::Text(std::mem::take(text))
            }
            Content::Undecided { bytes, valid, .. } => {
                let rest = bytes.split_off(*valid);
                *valid = 0;
                valid_text(std::mem::replace(bytes, rest))
            }
        }
    }

    /// All of it: the line has ended.
    pub(super) fn finish(self, replaced: &mut u64) -> Message {
        match self {
            Content::Bytes(bytes) => Message::Bytes(bytes),
            Content::Text { mut converter, mut text, replaced: own } => {
                *replaced += own + converter.convert(b"", true, &mut text);
                Message::Text(text)
            }
            Content::Undecided { bytes, valid, .. } if valid == bytes.len() => valid_text(bytes),
            Content::Undecided { bytes, fallback, .. } => {
                let mut decided = Content::in_charset(fallback);
                decided.append(&bytes);
                decided.finish(replaced)
            }
        }
    }
}

/// Bytes that were checked.
fn valid_text(bytes: Vec<u8>) -> Message {
    Message::Text(String::from_utf8(bytes).expect("it was checked as it came"))
}

/// A message that is not lent from what was read.
#[derive(Debug)]
pub(super) enum Message {
    Bytes(Vec<u8>),
    Text(String),
}

impl Default for Message {
    fn default() -> Self {
        Message::Text(String::new())
    }
}

impl Message {
    pub(super) fn payload(&self, is_binary: bool) -> Payload<'_> {
        match self {
            Message::Text(text) if !is_binary => Payload::Text(text),
            Message::Text(text) => Payload::Binary(text.as_bytes()),
            Message::Bytes(bytes) => Payload::Binary(bytes),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Message::Bytes(bytes) => bytes.is_empty(),
            Message::Text(text) => text.is_empty(),
        }
    }

    /// Whether there is nothing in it but the carriage return of its end of line.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.payload(true).as_bytes(), b"" | b"\r")
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Message::Bytes(bytes) => bytes.capacity(),
            Message::Text(text) => text.capacity(),
        }
    }

    /// Appends an end of line.
    pub(super) fn push_ascii(&mut self, eol: &[u8]) {
        match self {
            Message::Bytes(bytes) => bytes.extend_from_slice(eol),
            Message::Text(text) => text.extend(eol.iter().map(|byte| char::from(*byte))),
        }
    }
}
