//! Line mode: a backend's lines to text messages, and a client's messages to lines.

use std::mem;

use memchr::{memchr, memchr_iter};

use super::charset::{Charset, LineConverter};
use super::error::FramingError;
use super::payload::{Batch, Payload};
use super::rules::{Eol, LineRules, Newlines};

/// Bytes of message buffer kept between reads; a session that has been given a long line must not hold it for hours.
pub(super) const KEPT_CAPACITY: usize = 1024;

/// Cuts a backend's bytes into lines.
///
/// ```text
///   \r\r login: root \r\r \n        the carriage returns at both ends belong to the ends of line
///        └── content ─┘             (`\n\r` ends lines too); those within are kept
/// ```
///
/// A line that lies wholly in one chunk is lent from there. One that does not is converted piece by piece as it comes,
/// so that no byte is looked at twice however small the pieces are.
#[derive(Debug)]
pub struct LineDecoder {
    max_line: usize,
    charset: Charset,
    replaced: u64,
    /// The message that was lent last, if it could not be lent from the chunk.
    message: String,
    unfinished: Option<Box<Unfinished>>,
    /// Whether the beginning of this line has already been shown.
    flushed: bool,
}

impl LineDecoder {
    pub(super) fn new(rules: &LineRules) -> Self {
        LineDecoder {
            max_line: rules.max_line,
            charset: rules.charset,
            replaced: 0,
            message: String::new(),
            unfinished: None,
            flushed: false,
        }
    }

    pub(super) fn push<'a>(&'a mut self, chunk: &'a [u8]) -> Lines<'a> {
        let text = self.charset.whole_lines(chunk);
        Lines { decoder: self, text, rest: &chunk[text.len()..] }
    }

    pub(super) fn flush(&mut self) -> Option<&str> {
        let line = self.unfinished.as_mut().filter(|line| line.is_visible())?;
        self.message = line.take_text(&mut self.replaced);
        self.flushed = true;
        if line.converter.is_neutral() {
            self.unfinished = None;
        }
        Some(&self.message)
    }

    pub(super) fn finish(&mut self) -> Option<&str> {
        self.message = self.end_unfinished();
        self.flushed = false;
        (!self.message.is_empty()).then_some(&*self.message)
    }

    pub(super) fn has_tail(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|line| line.is_visible())
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// The message of a line that lies wholly in the chunk and is text as it stands.
    #[inline]
    fn whole_text<'a>(&self, line: &'a str) -> Result<&'a str, FramingError> {
        // Seldom anything to trim, and to look for it byte by byte is quicker.
        let has_cr = matches!(line.as_bytes(), [b'\r', ..] | [.., b'\r']);
        let line = if has_cr { line.trim_matches('\r') } else { line };
        if line.len() > self.max_line { Err(self.too_long()) } else { Ok(line) }
    }

    /// The message of a line that lies wholly in the chunk.
    #[inline]
    fn whole_line<'a>(&'a mut self, line: &'a [u8]) -> Result<&'a str, FramingError> {
        let line = trim_end_cr(trim_start_cr(line));
        if line.len() > self.max_line {
            return Err(self.too_long());
        }
        if let Some(text) = self.charset.as_text(line) {
            return Ok(text);
        }
        self.message.clear();
        self.replaced += self.charset.line_decoder().convert(line, true, &mut self.message);
        trim_text(&mut self.message);
        Ok(&self.message)
    }

    /// Ends a line of which something came before `rest`; whether that makes a message, which is then in `message`.
    fn end_line(&mut self, rest: &[u8]) -> Result<bool, FramingError> {
        self.keep(rest)?;
        self.message = self.end_unfinished();
        let flushed = mem::take(&mut self.flushed);
        Ok(!flushed || !self.message.is_empty())
    }

    fn end_unfinished(&mut self) -> String {
        match self.unfinished.take() {
            Some(mut line) => {
                line.convert(b"", true);
                line.take_text(&mut self.replaced)
            }
            None => String::new(),
        }
    }

    /// Keeps a piece of a line for later.
    fn keep(&mut self, mut piece: &[u8]) -> Result<(), FramingError> {
        if self.unfinished.is_none() {
            piece = trim_start_cr(piece);
        }
        if piece.is_empty() {
            return Ok(());
        }
        let charset = self.charset;
        let fits = self
            .unfinished
            .get_or_insert_with(|| Box::new(Unfinished::new(charset)))
            .append(piece, self.max_line);
        if fits { Ok(()) } else { Err(self.too_long()) }
    }

    fn mid_line(&self) -> bool {
        self.flushed || self.unfinished.is_some()
    }

    fn too_long(&self) -> FramingError {
        FramingError::LineTooLong { limit: self.max_line }
    }
}

/// The lines that end in one chunk.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    decoder: &'a mut LineDecoder,
    /// The lines at the beginning, up to the last end, if they are text as they stand: looked over
    /// together, which for short lines costs a third of looking at each.
    text: &'a str,
    /// What comes behind `text`.
    rest: &'a [u8],
}

impl Lines<'_> {
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<&str>, FramingError> {
        while let Some(end) = memchr(b'\n', self.text.as_bytes()) {
            let (line, text) = self.text.split_at(end + 1);
            let line = &line[..end];
            self.text = text;
            if !self.decoder.mid_line() {
                return self.decoder.whole_text(line).map(Some);
            }
            if self.decoder.end_line(line.as_bytes())? {
                return Ok(Some(&self.decoder.message));
            }
        }
        self.next_of_rest()
    }

    fn next_of_rest(&mut self) -> Result<Option<&str>, FramingError> {
        while let Some(end) = memchr(b'\n', self.rest) {
            let line = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            if !self.decoder.mid_line() {
                return self.decoder.whole_line(line).map(Some);
            }
            if self.decoder.end_line(line)? {
                return Ok(Some(&self.decoder.message));
            }
        }
        self.decoder.keep(mem::take(&mut self.rest))?;
        if self.decoder.message.capacity() > KEPT_CAPACITY {
            self.decoder.message = String::new();
        }
        Ok(None)
    }
}

/// A line whose end has not come yet, or what of it has not been flushed.
#[derive(Debug)]
struct Unfinished {
    converter: LineConverter,
    /// What has been converted: empty, or beginning with something else than `\r`.
    text: String,
    /// Bytes of content that went into it.
    length: usize,
    /// Carriage returns after it, that belong to the line only if something follows. Counted, not stored: a backend
    /// may send any number of them.
    held_crs: usize,
    /// Pieces that could not be decoded. Not yet part of the total, which speaks of messages given.
    replaced: u64,
}

impl Unfinished {
    fn new(charset: Charset) -> Self {
        Unfinished {
            converter: charset.line_decoder(),
            text: String::new(),
            length: 0,
            held_crs: 0,
            replaced: 0,
        }
    }

    /// Takes a piece of the line; `false` if that makes it longer than `max_line`.
    #[must_use]
    fn append(&mut self, piece: &[u8], max_line: usize) -> bool {
        const CRS: [u8; 64] = [b'\r'; 64];
        let content = trim_end_cr(piece);
        if !content.is_empty() {
            self.length = self.length.saturating_add(self.held_crs).saturating_add(content.len());
            if self.length > max_line {
                return false;
            }
            while self.held_crs > 0 {
                let count = self.held_crs.min(CRS.len());
                self.convert(&CRS[..count], false);
                self.held_crs -= count;
            }
            self.convert(content, false);
        }
        self.held_crs = self.held_crs.saturating_add(piece.len() - content.len());
        true
    }

    fn convert(&mut self, bytes: &[u8], last: bool) {
        let was_empty = self.text.is_empty();
        self.replaced += self.converter.convert(bytes, last, &mut self.text);
        if was_empty {
            trim_text_start(&mut self.text);
        }
    }

    fn is_visible(&self) -> bool {
        !self.text.is_empty()
    }

    /// The text so far as a message; the rest of the line begins anew.
    fn take_text(&mut self, replaced: &mut u64) -> String {
        *replaced += mem::take(&mut self.replaced);
        self.length = 0;
        let mut text = mem::take(&mut self.text);
        text.truncate(text.trim_end_matches('\r').len());
        text
    }
}

pub(super) fn trim_start_cr(mut line: &[u8]) -> &[u8] {
    while let [b'\r', rest @ ..] = line {
        line = rest;
    }
    line
}

pub(super) fn trim_end_cr(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}

/// Drops the carriage returns that escape sequences (ISO-2022-JP) had hidden at the ends of a line.
fn trim_text(text: &mut String) {
    text.truncate(text.trim_end_matches('\r').len());
    trim_text_start(text);
}

fn trim_text_start(text: &mut String) {
    let crs = text.len() - text.trim_start_matches('\r').len();
    text.drain(..crs);
}

/// Makes lines of a client's messages, for `Eol::Lf` and `Eol::CrLf`.
#[derive(Debug)]
pub struct LineEncoder {
    rules: LineRules,
    replaced: u64,
}

impl LineEncoder {
    pub(super) fn new(rules: &LineRules) -> Self {
        LineEncoder { rules: rules.clone(), replaced: 0 }
    }

    pub(super) fn encode(
        &mut self,
        message: Payload<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, FramingError> {
        let bytes = message.as_bytes();
        let content = without_final_eol(bytes);
        if content.len() > self.rules.max_line {
            return Err(FramingError::MessageTooLong { limit: self.rules.max_line });
        }
        let mut start = 0;
        let mut lines = 1;
        for newline in memchr_iter(b'\n', content) {
            let segment = &content[start..newline];
            let (end, separator) = match (self.rules.newlines, self.rules.eol) {
                // Nothing has been appended yet: this is the first newline.
                (Newlines::Reject, _) => return Err(FramingError::NewlineInMessage),
                (Newlines::Space, _) => (start + without_cr(segment).len(), &b" "[..]),
                (Newlines::Split, Eol::CrLf) => (start + without_cr(segment).len(), &b"\r\n"[..]),
                // Encoded with the text, the carriage return could be cut off by an escape sequence (ISO-2022-JP).
                (Newlines::Split, _) if segment.ends_with(b"\r") => (newline - 1, &b"\r\n"[..]),
                (Newlines::Split, _) => (newline, &b"\n"[..]),
            };
            self.append(message.slice(start, end), out);
            out.extend_from_slice(separator);
            lines += u64::from(self.rules.newlines == Newlines::Split);
            start = newline + 1;
        }
        self.append(message.slice(start, content.len()), out);
        out.extend_from_slice(match (self.rules.eol, &bytes[content.len()..]) {
            (Eol::CrLf, _) => b"\r\n",
            (_, [] | b"\r") => b"\n",
            (_, own) => own,
        });
        Ok(lines)
    }

    pub(super) fn encode_batch(&self, batch: Batch<'_>, out: &mut Vec<u8>) -> Option<u64> {
        let text = batch.text().as_bytes();
        let as_it_stands = self.rules.charset.is_utf8()
            && text.len() <= self.rules.max_line
            && memchr(b'\n', text).is_none();
        if !as_it_stands {
            return None;
        }
        let eol = self.rules.eol.bytes();
        out.reserve(text.len() + batch.count() * eol.len());
        for message in batch.messages() {
            out.extend_from_slice(without_cr(message.as_bytes()));
            out.extend_from_slice(eol);
        }
        Some(batch.count() as u64)
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Appends a part of a message that has no newline in it.
    fn append(&mut self, part: Payload<'_>, out: &mut Vec<u8>) {
        self.replaced += self.rules.charset.encode_payload(part, out);
    }
}

/// The message without the one end of line that may end it: `\n`, `\r\n`, or the lone `\r` of a terminal's
/// Enter.
pub(super) fn without_final_eol(message: &[u8]) -> &[u8] {
    match message {
        [content @ .., b'\r', b'\n'] | [content @ .., b'\n'] | [content @ .., b'\r'] => content,
        content => content,
    }
}

fn without_cr(segment: &[u8]) -> &[u8] {
    segment.strip_suffix(b"\r").unwrap_or(segment)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(super) mod reference;
#[cfg(test)]
mod tests;
