//! Codec: the framings there are, one place where a session's is chosen.

use super::error::FramingError;
use super::line::{self, LineDecoder, LineEncoder};
use super::payload::{Batch, Payload};
use super::raw::{RawDecoder, RawEncoder};
use super::rules::LineRules;

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

    /// The last byte of each line that the encoder writes; `None` without lines.
    pub fn line_end(&self) -> Option<u8> {
        match self {
            Framing::Lines(_) => Some(b'\n'),
            Framing::Raw { .. } => None,
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
            Decoder::Line(decoder) => Messages(Lent::Lines(decoder.push(chunk))),
            Decoder::Raw(decoder) => Messages(Lent::Raw(decoder.push(chunk))),
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
pub struct Messages<'a>(Lent<'a>);

#[derive(Debug)]
enum Lent<'a> {
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
            Lent::Lines(lines) => Ok(lines.next()?.map(Payload::Text)),
            Lent::Raw(chunk) => Ok(chunk.take().map(Payload::Binary)),
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
    fn a_decoder_is_small() {
        let size = size_of::<Decoder>();
        println!("size_of Decoder: {size}, Encoder: {}", size_of::<Encoder>());
        assert!(size <= 96, "{size} bytes in every session's future");
    }
}
