//! DelimitedEncoder: messages to lines that end in a carriage return or in NUL.

use memchr::{memchr, memchr2};

use super::super::error::FramingError;
use super::super::line::without_final_eol;
use super::super::payload::Payload;
use super::super::rules::{Eol, LineRules, Newlines};

/// Makes lines of a client's messages, for `Eol::Cr` and `Eol::Nul`.
///
/// What ends a line for the backend counts as an end of line inside a message: with `Cr` that is `\n`, `\r\n` and `\r`,
/// with `Nul` it is NUL, and newlines are content.
#[derive(Debug)]
pub struct DelimitedEncoder {
    rules: LineRules,
    replaced: u64,
}

impl DelimitedEncoder {
    pub(crate) fn new(rules: &LineRules) -> Self {
        DelimitedEncoder { rules: rules.clone(), replaced: 0 }
    }

    pub(crate) fn encode(
        &mut self,
        message: Payload<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, FramingError> {
        let bytes = message.as_bytes();
        let content = match self.rules.eol {
            Eol::Nul => bytes.strip_suffix(b"\0").unwrap_or(bytes),
            _ => without_final_eol(bytes),
        };
        if content.len() > self.rules.max_line {
            return Err(FramingError::MessageTooLong { limit: self.rules.max_line });
        }
        let eol = self.rules.eol.bytes();
        let mut start = 0;
        let mut lines = 1;
        while let Some((end, length)) = self.inner_eol(&content[start..]) {
            let separator = match self.rules.newlines {
                // Nothing has been appended yet: this is the first one.
                Newlines::Reject => return Err(FramingError::NewlineInMessage),
                Newlines::Space => b" ",
                Newlines::Split => eol,
            };
            self.append(message.slice(start, start + end), out);
            out.extend_from_slice(separator);
            lines += u64::from(self.rules.newlines == Newlines::Split);
            start += end + length;
        }
        self.append(message.slice(start, content.len()), out);
        out.extend_from_slice(eol);
        Ok(lines)
    }

    pub(crate) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// The place and the length of the first end of line.
    fn inner_eol(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        if self.rules.eol == Eol::Nul {
            return memchr(0, bytes).map(|at| (at, 1));
        }
        let at = memchr2(b'\r', b'\n', bytes)?;
        Some((at, if bytes[at..].starts_with(b"\r\n") { 2 } else { 1 }))
    }

    /// Appends a part of a message that has no end of line in it.
    fn append(&mut self, part: Payload<'_>, out: &mut Vec<u8>) {
        self.replaced += self.rules.charset.encode_payload(part, out);
    }
}
