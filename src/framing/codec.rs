//! Codec: the framings there are, one place where a session's is chosen.

use super::charset::Charset;
use super::delimited::{self, DelimitedDecoder, DelimitedEncoder};
use super::error::FramingError;
use super::line::{self, LineDecoder, LineEncoder};
use super::payload::{Batch, Payload};
use super::raw::{RawDecoder, RawEncoder, RawRules, RawText, RawTextDecoder};
use super::rules::{Eol, LineRules};
use super::terminal;

/// How a session's bytes are framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line is a text message.
    Lines(LineRules),
    /// A line is a binary message, its bytes as the backend sent them: the charsets of the rules do not count.
    BinaryLines(LineRules),
    /// A line or prompt is a binary message of UTF-8 text with its end of line.
    Terminal(LineRules),
    /// Bytes as they come.
    Raw(RawRules),
}

impl Framing {
    /// A decoder for one session's backend.
    pub fn decoder(&self) -> Decoder {
        match self {
            Framing::Lines(rules) if rules.are_plain() => Decoder::Line(LineDecoder::new(rules)),
            Framing::Lines(rules) => Decoder::Delimited(Box::new(DelimitedDecoder::text(rules))),
            Framing::BinaryLines(rules) => {
                Decoder::Delimited(Box::new(DelimitedDecoder::bytes(rules)))
            }
            Framing::Terminal(rules) => {
                Decoder::Delimited(Box::new(DelimitedDecoder::terminal(rules)))
            }
            Framing::Raw(RawRules { charset: None, .. }) => Decoder::Raw(RawDecoder),
            Framing::Raw(RawRules { charset: Some(charset), .. }) => {
                Decoder::RawText(Box::new(RawTextDecoder::new(*charset)))
            }
        }
    }

    /// The last byte of each line that the encoder writes; `None` without lines.
    pub fn line_end(&self) -> Option<u8> {
        match self {
            Framing::Lines(rules) | Framing::BinaryLines(rules) | Framing::Terminal(rules) => {
                rules.eol.bytes().last().copied()
            }
            Framing::Raw(_) => None,
        }
    }

    /// An encoder for one session's client.
    pub fn encoder(&self) -> Encoder {
        match self {
            Framing::Lines(rules) => match rules.eol {
                Eol::Lf | Eol::CrLf => Encoder::Line(LineEncoder::new(rules)),
                Eol::Cr | Eol::Nul => Encoder::Delimited(DelimitedEncoder::new(rules)),
            },
            Framing::BinaryLines(rules) => {
                Framing::Lines(LineRules { charset: Charset::UTF_8, ..rules.clone() }).encoder()
            }
            Framing::Terminal(rules) => {
                Encoder::Terminal(Box::new(Framing::Lines(rules.clone()).encoder()))
            }
            Framing::Raw(rules) => Encoder::Raw(RawEncoder::new(rules)),
        }
    }
}

/// Down: the backend's bytes to messages. Holds no heap memory worth speaking of unless a line is unfinished.
#[derive(Debug)]
pub enum Decoder {
    /// One text message for each plain line.
    Line(LineDecoder),
    /// One message for each line of another kind.
    Delimited(Box<DelimitedDecoder>),
    /// One binary message for each read.
    Raw(RawDecoder),
    /// One text message for each read.
    RawText(Box<RawTextDecoder>),
}

impl Decoder {
    /// Takes one read from the backend.
    ///
    /// Call [`Messages::next`] until it gives `None`: only then is the unfinished rest of `chunk` kept. After an error
    /// the decoder is of no more use.
    pub fn push<'a>(&'a mut self, chunk: &'a [u8]) -> Messages<'a> {
        Messages(match self {
            Decoder::Line(decoder) => Lent::Lines(decoder.push(chunk)),
            Decoder::Delimited(decoder) => Lent::Delimited(decoder.push(chunk)),
            Decoder::Raw(decoder) => Lent::Raw(decoder.push(chunk)),
            Decoder::RawText(decoder) => Lent::RawText(decoder.push(chunk)),
        })
    }

    /// The unterminated tail so far, for `--flush-after`: a message, if there is something to show.
    ///
    /// A `\r` and an incomplete character at its end are not shown: they wait for what they are the beginning of. An
    /// end of line that comes next makes no empty message. The line limit starts anew with what follows.
    pub fn flush(&mut self) -> Option<Payload<'_>> {
        match self {
            Decoder::Line(decoder) => decoder.flush().map(Payload::Text),
            Decoder::Delimited(decoder) => decoder.flush(),
            Decoder::Raw(_) | Decoder::RawText(_) => None,
        }
    }

    /// The unterminated tail so far, which the backend has marked as a prompt; as [`flush`](Self::flush). Where messages
    /// keep their ends, an end of line that comes next begins the message behind it.
    pub fn end_prompt(&mut self) -> Option<Payload<'_>> {
        match self {
            Decoder::Delimited(decoder) => decoder.end_prompt(),
            decoder => decoder.flush(),
        }
    }

    /// End of input: the unterminated tail as a last message, if any.
    pub fn finish(&mut self) -> Option<Payload<'_>> {
        match self {
            Decoder::Line(decoder) => decoder.finish().map(Payload::Text),
            Decoder::Delimited(decoder) => decoder.finish(),
            Decoder::Raw(_) => None,
            Decoder::RawText(decoder) => decoder.finish().map(Payload::Text),
        }
    }

    /// Whether [`flush`](Self::flush) would have something to show. Costs nothing.
    pub fn has_tail(&self) -> bool {
        match self {
            Decoder::Line(decoder) => decoder.has_tail(),
            Decoder::Delimited(decoder) => decoder.has_tail(),
            Decoder::Raw(_) | Decoder::RawText(_) => false,
        }
    }

    /// How many pieces of input could not be decoded and became U+FFFD, in all messages given so far.
    pub fn replaced(&self) -> u64 {
        match self {
            Decoder::Line(decoder) => decoder.replaced(),
            Decoder::Delimited(decoder) => decoder.replaced(),
            Decoder::Raw(_) => 0,
            Decoder::RawText(decoder) => decoder.replaced(),
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
    Delimited(delimited::Lines<'a>),
    Raw(Option<&'a [u8]>),
    RawText(RawText<'a>),
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
            // Apart, so that plain lines do not pay for what other framings there are.
            others => others.next(),
        }
    }
}

impl Lent<'_> {
    fn next(&mut self) -> Result<Option<Payload<'_>>, FramingError> {
        match self {
            Lent::Lines(lines) => Ok(lines.next()?.map(Payload::Text)),
            Lent::Delimited(lines) => lines.next(),
            Lent::Raw(chunk) => Ok(chunk.take().map(Payload::Binary)),
            Lent::RawText(text) => Ok(text.next().map(Payload::Text)),
        }
    }
}

/// Up: messages to the backend's bytes.
#[derive(Debug)]
pub enum Encoder {
    /// Each message becomes one line, or several.
    Line(LineEncoder),
    /// The same, with another end of line than a newline.
    Delimited(DelimitedEncoder),
    /// The same, binary messages being text, too.
    Terminal(Box<Encoder>),
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
            Encoder::Delimited(encoder) => encoder.encode(message, out),
            Encoder::Terminal(encoder) => encoder.encode(terminal::as_text(message), out),
            Encoder::Raw(encoder) => encoder.encode(message, out),
        }
    }

    /// Appends a batch of messages if they become lines just as they stand; gives how many, or `None`
    /// if each has to be looked at by [`encode`](Self::encode), and then nothing has been appended.
    pub fn encode_batch(&mut self, batch: Batch<'_>, out: &mut Vec<u8>) -> Option<u64> {
        match self {
            Encoder::Line(encoder) => encoder.encode_batch(batch, out),
            Encoder::Terminal(encoder) => encoder.encode_batch(batch, out),
            Encoder::Delimited(_) | Encoder::Raw(_) => None,
        }
    }

    /// How many characters the charset could not encode, that became `?`.
    pub fn replaced(&self) -> u64 {
        match self {
            Encoder::Line(encoder) => encoder.replaced(),
            Encoder::Delimited(encoder) => encoder.replaced(),
            Encoder::Terminal(encoder) => encoder.replaced(),
            Encoder::Raw(encoder) => encoder.replaced(),
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
