//! Delimited: lines beside the plain ones. They end in a lone carriage return or in NUL, keep their end, are binary
//! messages, or have one of two charsets. Plain lines have a decoder of their own ([`line`](super::line)), which is
//! quicker.

mod content;
mod encoder;

use std::mem;

use memchr::{memchr, memchr2};

use self::content::{Content, Kind, Message};
pub use self::encoder::DelimitedEncoder;
use super::error::FramingError;
use super::line::{KEPT_CAPACITY, trim_end_cr, trim_start_cr};
use super::payload::Payload;
use super::rules::{Eol, LineRules};

/// What ends a line of the backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// `\n`, with the carriage returns beside it.
    Newline,
    /// `\n`, `\r`, or both together in either order.
    NewlineOrCr,
    /// NUL. Newlines are content.
    Nul,
}

impl Ends {
    /// The place of the first byte that ends a line.
    fn find(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Ends::Newline => memchr(b'\n', bytes),
            Ends::NewlineOrCr => memchr2(b'\n', b'\r', bytes),
            Ends::Nul => memchr(0, bytes),
        }
    }

    /// The byte that belongs to the same end of line if it comes right behind `end`.
    fn partner(self, end: u8) -> Option<u8> {
        match (self, end) {
            (Ends::Nul, _) => None,
            (_, b'\n') => Some(b'\r'),
            _ => Some(b'\n'),
        }
    }
}

/// How lines are cut, and what becomes of them.
#[derive(Clone, Copy, Debug)]
struct Form {
    ends: Ends,
    /// Whether a message keeps its end of line.
    keeps_eol: bool,
    kind: Kind,
    /// Whether messages are binary, whatever is in them.
    is_binary: bool,
    max_line: usize,
}

/// Cuts a backend's bytes into lines.
///
/// A line that lies wholly in one chunk is lent from there if it needs no conversion. One that does not is converted
/// piece by piece as it comes, so that no byte is looked at twice however small the pieces are.
///
/// With `keeps_eol` the messages joined are the backend's text, all of it. A carriage return behind a newline
/// (`\n\r`) that comes in a later read than the newline begins the next message: the line was complete without it, and
/// does not wait.
#[derive(Debug)]
pub struct DelimitedDecoder {
    form: Form,
    replaced: u64,
    /// The message that was lent last, if it could not be lent from the chunk.
    message: Message,
    unfinished: Option<Unfinished>,
    /// Whether the beginning of this line has already been shown.
    flushed: bool,
    /// Whether that was a prompt, and nothing came behind it.
    prompted: bool,
    /// The byte that still belongs to the last end of line if it is the next one.
    partner: Option<u8>,
}

impl DelimitedDecoder {
    /// One text message for each line.
    pub(super) fn text(rules: &LineRules) -> Self {
        Self::new(rules, Kind::of(rules), false)
    }

    /// One binary message of UTF-8 text for each line.
    pub(super) fn terminal(rules: &LineRules) -> Self {
        Self::new(rules, Kind::of(rules), true)
    }

    /// One binary message for each line, its bytes as they are.
    pub(super) fn bytes(rules: &LineRules) -> Self {
        Self::new(rules, Kind::Bytes, true)
    }

    fn new(rules: &LineRules, kind: Kind, is_binary: bool) -> Self {
        let ends = match rules.eol {
            Eol::Lf | Eol::CrLf => Ends::Newline,
            Eol::Cr => Ends::NewlineOrCr,
            Eol::Nul => Ends::Nul,
        };
        let form =
            Form { ends, keeps_eol: rules.keep_eol, kind, is_binary, max_line: rules.max_line };
        DelimitedDecoder {
            form,
            replaced: 0,
            message: Message::default(),
            unfinished: None,
            flushed: false,
            prompted: false,
            partner: None,
        }
    }

    pub(super) fn push<'a>(&'a mut self, chunk: &'a [u8]) -> Lines<'a> {
        Lines { decoder: self, rest: chunk }
    }

    pub(super) fn flush(&mut self) -> Option<Payload<'_>> {
        let line = self.unfinished.as_mut().filter(|line| line.content.is_visible())?;
        self.message = line.content.take_visible(&mut self.replaced);
        self.flushed = true;
        self.prompted = false;
        line.start_anew(self.form.keeps_eol);
        if line.is_empty() {
            self.unfinished = None;
        }
        Some(self.payload())
    }

    pub(super) fn end_prompt(&mut self) -> Option<Payload<'_>> {
        // An end of line that was left by the last prompt makes none.
        if self.unfinished.as_ref().is_none_or(Unfinished::is_led_only) || !self.has_tail() {
            return None;
        }
        self.flush();
        self.prompted = true;
        Some(self.payload())
    }

    pub(super) fn finish(&mut self) -> Option<Payload<'_>> {
        self.flushed = false;
        self.partner = None;
        self.end_unfinished();
        (!self.message.is_empty()).then(|| self.payload())
    }

    pub(super) fn has_tail(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|line| line.content.is_visible())
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    fn payload(&self) -> Payload<'_> {
        self.message.payload(self.form.is_binary)
    }

    /// Whether a line that ends behind `rest` has a carriage return before its newline: then one behind it is not its.
    fn ends_in_cr(&self, rest: &[u8]) -> bool {
        let is_held = || self.unfinished.as_ref().is_some_and(Unfinished::has_own_cr);
        self.form.ends == Ends::Newline && (rest.ends_with(b"\r") || rest.is_empty() && is_held())
    }

    fn mid_line(&self) -> bool {
        self.flushed || self.unfinished.is_some()
    }

    /// The message of a line that lies wholly in the chunk: its content, and behind that its end.
    fn whole_line<'a>(
        &'a mut self,
        line: &'a [u8],
        end: usize,
    ) -> Result<Payload<'a>, FramingError> {
        let Form { ends, keeps_eol, kind, is_binary, max_line } = self.form;
        let content = match (ends, keeps_eol) {
            (Ends::Newline, false) => trim_cr(&line[..end]),
            (Ends::Newline, true) => line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]),
            _ => &line[..end],
        };
        if content.len() > max_line {
            return Err(FramingError::LineTooLong { limit: max_line });
        }
        if let Some(payload) = kind.lend(if keeps_eol { line } else { content }, is_binary) {
            return Ok(payload);
        }
        let mut converted = Content::new(kind);
        converted.append(content);
        self.message = converted.finish(&mut self.replaced);
        if keeps_eol {
            self.message.push_ascii(&line[content.len()..]);
        }
        Ok(self.payload())
    }

    /// Ends a line of which something came before `rest`; whether that makes a message, which is then in `message`.
    fn end_line(&mut self, rest: &[u8], eol: &[u8]) -> Result<bool, FramingError> {
        self.keep(rest)?;
        self.end_unfinished();
        if self.form.keeps_eol {
            let is_bare = self.message.is_bare();
            self.message.push_ascii(eol);
            if mem::take(&mut self.prompted) && is_bare {
                self.flushed = false;
                self.hold_eol();
                return Ok(false);
            }
        }
        let flushed = mem::take(&mut self.flushed);
        Ok(!flushed || !self.message.is_empty())
    }

    /// Makes a message of what came of a line; a carriage return at its end is no text of any charset.
    fn end_unfinished(&mut self) {
        let Some(mut line) = self.unfinished.take() else {
            self.message = Content::new(self.form.kind).finish(&mut self.replaced);
            return;
        };
        let keeps_cr = self.form.keeps_eol && line.held_crs > 0;
        if keeps_cr {
            line.held_crs -= 1;
            line.release_crs();
        }
        self.message = line.content.finish(&mut self.replaced);
        if keeps_cr {
            self.message.push_ascii(b"\r");
        }
    }

    /// Lets the message, an end of line behind a prompt, begin the next one.
    fn hold_eol(&mut self) {
        let message = mem::take(&mut self.message);
        let line = self.unfinished.insert(Unfinished::new(self.form.kind));
        let eol = message.payload(true);
        line.content.append(eol.as_bytes());
        (line.length, line.lead) = (eol.len(), eol.len());
    }

    /// Keeps a piece of a line for later.
    fn keep(&mut self, piece: &[u8]) -> Result<(), FramingError> {
        if piece.is_empty() {
            return Ok(());
        }
        let form = self.form;
        let line = self.unfinished.get_or_insert_with(|| Unfinished::new(form.kind));
        let fits = line.append(piece, &form);
        if line.is_empty() {
            self.unfinished = None;
        }
        if fits { Ok(()) } else { Err(FramingError::LineTooLong { limit: form.max_line }) }
    }

    /// Takes the rest of the last end of line from the beginning of a chunk.
    fn take_partner<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let (Some(partner), [first, rest @ ..]) = (self.partner, chunk) else { return chunk };
        self.partner = None;
        if *first != partner {
            return chunk;
        }
        if self.form.keeps_eol {
            let kind = self.form.kind;
            let line = self.unfinished.get_or_insert_with(|| Unfinished::new(kind));
            line.lead(partner, &self.form);
        }
        rest
    }
}

/// The lines that end in one chunk.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    decoder: &'a mut DelimitedDecoder,
    rest: &'a [u8],
}

impl Lines<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Payload<'_>>, FramingError> {
        let ends = self.decoder.form.ends;
        self.rest = self.decoder.take_partner(self.rest);
        while let Some(end) = ends.find(self.rest) {
            let is_whole = self.decoder.ends_in_cr(&self.rest[..end]);
            let partner = if is_whole { None } else { ends.partner(self.rest[end]) };
            let is_paired = partner.is_some() && self.rest.get(end + 1).copied() == partner;
            let (line, rest) = self.rest.split_at(end + 1 + usize::from(is_paired));
            self.rest = rest;
            self.decoder.partner = if rest.is_empty() && !is_paired { partner } else { None };
            if !self.decoder.mid_line() {
                return self.decoder.whole_line(line, end).map(Some);
            }
            if self.decoder.end_line(&line[..end], &line[end..])? {
                return Ok(Some(self.decoder.payload()));
            }
        }
        self.decoder.keep(mem::take(&mut self.rest))?;
        if self.decoder.message.capacity() > KEPT_CAPACITY {
            self.decoder.message = Message::default();
        }
        Ok(None)
    }
}

/// A line whose end has not come yet, or what of it has not been flushed.
#[derive(Debug)]
struct Unfinished {
    content: Content,
    /// Bytes of content that went into it.
    length: usize,
    /// Carriage returns behind it, where they may belong to the end of the line. Counted, not stored: a backend may
    /// send any number of them.
    held_crs: usize,
    /// Bytes in front that belong to the end of the line before, and are not counted.
    lead: usize,
}

impl Unfinished {
    fn new(kind: Kind) -> Self {
        Unfinished { content: Content::new(kind), length: 0, held_crs: 0, lead: 0 }
    }

    /// Takes a piece of the line; `false` if that makes it longer than it may be.
    #[must_use]
    fn append(&mut self, mut piece: &[u8], form: &Form) -> bool {
        if form.ends == Ends::Newline {
            if !form.keeps_eol && self.content.is_empty() {
                piece = trim_start_cr(piece);
            }
            let content = trim_end_cr(piece);
            if !content.is_empty() {
                self.release_crs();
                self.length = self.length.saturating_add(content.len());
                // Before it is kept.
                if self.length - self.lead > form.max_line {
                    return false;
                }
                self.content.append(content);
            }
            self.held_crs = self.held_crs.saturating_add(piece.len() - content.len());
            // Where they are kept, all but the one of `\r\n` are content.
            let kept = if form.keeps_eol { self.held_crs.saturating_sub(1) } else { 0 };
            return self.length.saturating_add(kept).saturating_sub(self.lead) <= form.max_line;
        }
        self.length = self.length.saturating_add(piece.len());
        let fits = self.length - self.lead <= form.max_line;
        if fits {
            self.content.append(piece);
        }
        fits
    }

    /// Takes a byte of the end of the line before.
    fn lead(&mut self, byte: u8, form: &Form) {
        self.lead += 1;
        if form.ends == Ends::Newline && self.length == 0 {
            self.held_crs = 1;
        } else {
            self.length += 1;
            self.content.append(&[byte]);
        }
    }

    /// Makes the carriage returns that were held content.
    fn release_crs(&mut self) {
        const CRS: [u8; 64] = [b'\r'; 64];
        self.length = self.length.saturating_add(self.held_crs);
        while self.held_crs > 0 {
            let count = self.held_crs.min(CRS.len());
            self.content.append(&CRS[..count]);
            self.held_crs -= count;
        }
    }

    /// Whether it ends in a carriage return of its own.
    fn has_own_cr(&self) -> bool {
        let foreign = if self.length == 0 { self.lead } else { 0 };
        self.held_crs > foreign
    }

    /// What is visible was shown: the limit begins anew, and carriage returns where the line was cut are dropped if
    /// those at its end would be.
    fn start_anew(&mut self, keeps_eol: bool) {
        self.length = 0;
        self.lead = 0;
        if !keeps_eol {
            self.held_crs = 0;
        }
    }

    /// Whether there is nothing in it but what belongs to the end of the line before.
    fn is_led_only(&self) -> bool {
        self.lead > 0 && self.length <= self.lead
    }

    /// Whether nothing is remembered.
    fn is_empty(&self) -> bool {
        self.content.is_empty() && self.length == 0 && self.held_crs == 0
    }
}

fn trim_cr(line: &[u8]) -> &[u8] {
    trim_end_cr(trim_start_cr(line))
}

#[cfg(test)]
mod tests;
