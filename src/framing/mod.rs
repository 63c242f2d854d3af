//! Bytes in, messages out, and back: how a backend's byte stream is cut into WebSocket messages and messages become lines.
//!
//! Everything here is a pure function of the bytes it was given: no I/O, no clock, no log. `Decoder` works down
//! (backend to client), `Encoder` works up (client to backend).
//!
//! ```text
//!  backend ── read ──▶ Decoder::push ──▶ Messages::next ──▶ Payload ──▶ client
//!  backend ◀─ write ── Vec<u8> ◀──────── Encoder::encode ◀─ Payload ◀── client
//! ```

mod charset;
mod line;
mod raw;

use std::fmt;

pub use charset::{Charset, CharsetError};
pub use line::{LineDecoder, LineEncoder};
pub use raw::{RawDecoder, RawEncoder};

/// The payload of one WebSocket message, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A text message (RFC 6455 section 5.6, opcode 1).
    Text(&'a str),
    /// A binary message (RFC 6455 section 5.6, opcode 2).
    Binary(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The payload as bytes; text is UTF-8.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the message has no payload.
    pub fn is_empty(self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// Text messages that came together and lie in one piece of memory, so that what holds for all of
/// them can be looked at at once: for short ones that costs a third of looking at each.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    text: &'a str,
    messages: &'a [(u32, u32)],
}

impl<'a> Batch<'a> {
    /// The messages at these ranges of `text`, in bytes. What lies between them is ASCII without an
    /// end of line.
    pub fn new(text: &'a str, messages: &'a [(u32, u32)]) -> Self {
        Batch { text, messages }
    }

    /// The messages, in order.
    pub fn messages(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.messages.iter().map(move |&(start, end)| &self.text[start as usize..end as usize])
    }
}

/// Why a message or a line cannot be relayed. All of them end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// A line from the backend is longer than `limit` bytes (close code 1009).
    LineTooLong {
        /// The largest length allowed, in bytes, without the end of line.
        limit: usize,
    },
    /// A message from the client is longer than `limit` bytes (close code 1009).
    MessageTooLong {
        /// The largest length allowed, in bytes, without one final end of line.
        limit: usize,
    },
    /// A message from the client holds a newline and the rule is `Newlines::Reject` (close code 1008).
    NewlineInMessage,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FramingError::LineTooLong { limit } => {
                write!(f, "line from backend longer than {}", Size(limit))
            }
            FramingError::MessageTooLong { limit } => {
                write!(f, "message longer than {}", Size(limit))
            }
            FramingError::NewlineInMessage => f.write_str("newline inside a message"),
        }
    }
}

impl std::error::Error for FramingError {}

/// A number of bytes, written the way it would be typed as an option.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

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

/// How a session's bytes are framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line is a text message.
    Lines(LineRules),
    /// Bytes as they come, in binary messages.
    Raw {
        /// The longest message from a client, in bytes.
        max_message: usize,
    },
}

impl Framing {
    /// A decoder for one session's backend.
    pub fn decoder(&self) -> Decoder {
        match self {
            Framing::Lines(rules) => Decoder::Line(LineDecoder::new(rules)),
            Framing::Raw { .. } => Decoder::Raw(RawDecoder),
        }
    }

    /// An encoder for one session's client.
    pub fn encoder(&self) -> Encoder {
        match self {
            Framing::Lines(rules) => Encoder::Line(LineEncoder::new(rules)),
            Framing::Raw { max_message } => Encoder::Raw(RawEncoder::new(*max_message)),
        }
    }
}

/// Down: the backend's bytes to messages. Holds no heap memory worth speaking of unless a line is unfinished.
#[derive(Debug)]
pub enum Decoder {
    /// One text message for each line.
    Line(LineDecoder),
    /// One binary message for each read.
    Raw(RawDecoder),
}

impl Decoder {
    /// Takes one read from the backend.
    ///
    /// Call [`Messages::next`] until it gives `None`: only then is the unfinished rest of `chunk` kept. After an error
    /// the decoder is of no more use.
    pub fn push<'a>(&'a mut self, chunk: &'a [u8]) -> Messages<'a> {
        match self {
            Decoder::Line(decoder) => Messages(Source::Lines(decoder.push(chunk))),
            Decoder::Raw(decoder) => Messages(Source::Raw(decoder.push(chunk))),
        }
    }

    /// The unterminated tail so far, for `--flush-after`: a message, if there is something to show.
    ///
    /// A `\r` and an incomplete character at its end are not shown: they wait for what they are the beginning of. An
    /// end of line that comes next makes no empty message. The line limit starts anew with what follows.
    pub fn flush(&mut self) -> Option<Payload<'_>> {
        match self {
            Decoder::Line(decoder) => decoder.flush().map(Payload::Text),
            Decoder::Raw(_) => None,
        }
    }

    /// End of input: the unterminated tail as a last message, if any.
    pub fn finish(&mut self) -> Option<Payload<'_>> {
        match self {
            Decoder::Line(decoder) => decoder.finish().map(Payload::Text),
            Decoder::Raw(_) => None,
        }
    }

    /// Whether [`flush`](Self::flush) would have something to show. Costs nothing.
    pub fn has_tail(&self) -> bool {
        match self {
            Decoder::Line(decoder) => decoder.has_tail(),
            Decoder::Raw(_) => false,
        }
    }

    /// How many pieces of input could not be decoded and became U+FFFD, in all messages given so far.
    pub fn replaced(&self) -> u64 {
        match self {
            Decoder::Line(decoder) => decoder.replaced(),
            Decoder::Raw(_) => 0,
        }
    }
}

/// The messages that end in one chunk of input, lent one at a time.
#[must_use = "input is taken only as far as next() is called"]
#[derive(Debug)]
pub struct Messages<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    Lines(line::Lines<'a>),
    Raw(Option<&'a [u8]>),
}

impl Messages<'_> {
    /// The next message, or `None` when the chunk is used up.
    ///
    /// # Errors
    /// [`FramingError::LineTooLong`], after all lines before the long one were given.
    #[expect(
        clippy::should_implement_trait,
        reason = "a message may be lent from the decoder's own buffer, which Iterator cannot say"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Payload<'_>>, FramingError> {
        match &mut self.0 {
            Source::Lines(lines) => Ok(lines.next()?.map(Payload::Text)),
            Source::Raw(chunk) => Ok(chunk.take().map(Payload::Binary)),
        }
    }
}

/// Up: messages to the backend's bytes.
#[derive(Debug)]
pub enum Encoder {
    /// Each message becomes one line, or several.
    Line(LineEncoder),
    /// Each message is written as it is.
    Raw(RawEncoder),
}

impl Encoder {
    /// Appends one message to `out`; gives how many ends of line were appended (raw: 1).
    ///
    /// # Errors
    /// [`FramingError::MessageTooLong`] or [`FramingError::NewlineInMessage`]; then nothing has been appended.
    pub fn encode(&mut self, message: Payload<'_>, out: &mut Vec<u8>) -> Result<u64, FramingError> {
        match self {
            Encoder::Line(encoder) => encoder.encode(message, out),
            Encoder::Raw(encoder) => encoder.encode(message, out),
        }
    }

    /// Appends a batch of messages if they become lines just as they stand; gives how many, or `None`
    /// if each has to be looked at by [`encode`](Self::encode), and then nothing has been appended.
    pub fn encode_batch(&mut self, batch: Batch<'_>, out: &mut Vec<u8>) -> Option<u64> {
        match self {
            Encoder::Line(encoder) => encoder.encode_batch(batch, out),
            Encoder::Raw(_) => None,
        }
    }

    /// How many characters the charset could not encode, that became `?`.
    pub fn replaced(&self) -> u64 {
        match self {
            Encoder::Line(encoder) => encoder.replaced(),
            Encoder::Raw(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_well() {
        let line = |limit| FramingError::LineTooLong { limit }.to_string();
        assert_eq!(line(1 << 20), "line from backend longer than 1MiB");
        assert_eq!(line(65536), "line from backend longer than 64KiB");
        assert_eq!(line(1000), "line from backend longer than 1000 bytes");
        assert_eq!(line(1), "line from backend longer than 1 byte");
        assert_eq!(line(0), "line from backend longer than 0 bytes");
        assert_eq!(line(3 << 30), "line from backend longer than 3GiB");
        let message = FramingError::MessageTooLong { limit: 1536 };
        assert_eq!(message.to_string(), "message longer than 1536 bytes");
        let newline = FramingError::NewlineInMessage;
        assert_eq!(newline.to_string(), "newline inside a message");
    }

    #[test]
    fn payload_lengths_are_bytes() {
        assert_eq!(Payload::Text("né").len(), 3);
        assert_eq!(Payload::Binary(&[0, 255]).as_bytes(), &[0, 255]);
        assert!(Payload::Text("").is_empty());
    }

    #[test]
    fn a_decoder_is_small() {
        let size = size_of::<Decoder>();
        println!("size_of Decoder: {size}, Encoder: {}", size_of::<Encoder>());
        assert!(size <= 96, "{size} bytes in every session's future");
    }
}
