//! Parser: tells a telnet stream's text from its commands, wherever reads split it.

use std::mem;

use memchr::memchr;

use super::bytes::{DO, DONT, IAC, SB, SE, WILL, WONT};

/// The longest subnegotiation, in bytes after its option, unescaped. A longer one is dropped.
pub const LONGEST: usize = 64 * 1024;

/// Bytes of buffer kept between subnegotiations.
const KEPT_CAPACITY: usize = 256;

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Bytes of text, `IAC IAC` as one.
    Text(&'a [u8]),
    /// A command without more to it.
    Command(u8),
    /// WILL, WONT, DO or DONT, and the option.
    Negotiation(u8, u8),
    /// The option and its bytes, unescaped.
    Subnegotiation(u8, &'a [u8]),
}

/// The place in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    /// Behind an IAC in text.
    Command,
    /// Behind this WILL, WONT, DO or DONT.
    Negotiation(u8),
    Subnegotiation,
    /// Behind an IAC in a subnegotiation.
    InnerCommand,
}

/// The state between two reads.
#[derive(Debug, Default)]
pub struct Parser {
    place: Place,
    /// The option and bytes of the subnegotiation so far; what is too long is not kept.
    inner: Vec<u8>,
    /// Whether it is too long.
    is_too_long: bool,
    /// Subnegotiations that were dropped: too long, or broken off by another command.
    pub dropped: u64,
}

impl Parser {
    /// The next piece of `input`, which is shortened by it; `None` once it is used up.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Option<Token<'a>> {
        loop {
            let bytes = *input;
            let first = *bytes.first()?;
            match self.place {
                Place::Text => {
                    let end = memchr(IAC, bytes).unwrap_or(bytes.len());
                    let (text, rest) = bytes.split_at(end);
                    *input = rest.get(1..).unwrap_or_default();
                    if end < bytes.len() {
                        self.place = Place::Command;
                    }
                    if !text.is_empty() {
                        return Some(Token::Text(text));
                    }
                }
                Place::Command => {
                    *input = &bytes[1..];
                    self.place = match first {
                        WILL | WONT | DO | DONT => Place::Negotiation(first),
                        SB => self.begin(),
                        _ => Place::Text,
                    };
                    match (self.place, first) {
                        (Place::Text, IAC) => return Some(Token::Text(&bytes[..1])),
                        (Place::Text, command) => return Some(Token::Command(command)),
                        _ => {}
                    }
                }
                Place::Negotiation(verb) => {
                    *input = &bytes[1..];
                    self.place = Place::Text;
                    return Some(Token::Negotiation(verb, first));
                }
                Place::Subnegotiation => {
                    let end = memchr(IAC, bytes).unwrap_or(bytes.len());
                    self.keep(&bytes[..end]);
                    *input = bytes.get(end + 1..).unwrap_or_default();
                    if end < bytes.len() {
                        self.place = Place::InnerCommand;
                    }
                }
                Place::InnerCommand if first == IAC => {
                    *input = &bytes[1..];
                    self.place = Place::Subnegotiation;
                    self.keep(&bytes[..1]);
                }
                Place::InnerCommand if first == SE => {
                    *input = &bytes[1..];
                    self.place = Place::Text;
                    if !self.is_too_long && !self.inner.is_empty() {
                        return Some(Token::Subnegotiation(self.inner[0], &self.inner[1..]));
                    }
                    self.dropped += u64::from(self.is_too_long);
                }
                // Its end is missing (RFC 855 allows nothing else here). The command counts.
                Place::InnerCommand => {
                    self.dropped += 1;
                    self.place = Place::Command;
                }
            }
        }
    }

    fn begin(&mut self) -> Place {
        self.inner.clear();
        if self.inner.capacity() > KEPT_CAPACITY {
            self.inner = Vec::new();
        }
        self.is_too_long = false;
        Place::Subnegotiation
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.is_too_long {
            return;
        }
        if self.inner.len() + bytes.len() > LONGEST + 1 {
            self.is_too_long = true;
            drop(mem::take(&mut self.inner));
        } else {
            self.inner.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
