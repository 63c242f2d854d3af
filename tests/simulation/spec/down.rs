//! From the backend to the client: the messages that the backend's bytes make, in line mode.

use encoding_rs::{DecoderResult, Encoding, UTF_8};

use super::delimited::delimited;
use super::rules::Rules;

/// What the backend's bytes make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Down {
    /// The text messages, in order.
    pub messages: Vec<String>,
    /// For each message the number of bytes that have to be read for it: up to and with its `\n`,
    /// up to its flush, or all, if it is what the end of the stream leaves.
    pub complete_at: Vec<usize>,
    /// The number of bytes with which a line first exceeded the limit. Reading them ends the
    /// session after `messages`; no flush at or behind this place counts.
    pub too_long: Option<usize>,
    /// The U+FFFD in `messages` that stand for what could not be decoded.
    pub replaced: u64,
    /// The number of bytes with which the present tail began to be visible; `None` if there is no
    /// visible tail. A tail is visible if a flush would send something.
    pub tail_since: Option<usize>,
}

/// Returns all messages that the backend's `bytes` make.
///
/// `flushes` are ascending offsets: `bytes[..offset]` had been read when `--flush-after` passed.
/// `ended`: the backend has ended its stream behind `bytes`.
pub fn down(rules: &Rules, bytes: &[u8], flushes: &[usize], ended: bool) -> Down {
    if !rules.are_plain() {
        return delimited(rules, bytes, flushes, ended);
    }
    let mut down = Down::default();
    let mut flushes = flushes.iter().copied().filter(|&offset| offset <= bytes.len()).peekable();
    let mut line_at = 0;
    loop {
        let newline = bytes[line_at..].iter().position(|&byte| byte == b'\n');
        let end = newline.map_or(bytes.len(), |at| line_at + at);
        let mut line = Line { charset: rules.charset, sent: Vec::new(), rest_at: line_at, held: 0 };
        while let Some(flush) = flushes.next_if(|&offset| offset <= end) {
            let seen = &bytes[..flush];
            down.too_long = line.too_long(seen, rules.max_line);
            if down.too_long.is_some() {
                return down;
            }
            if let Some(text) = line.flush(seen) {
                down.add(text, flush);
            }
        }
        let seen = &bytes[..end];
        down.too_long = line.too_long(seen, rules.max_line);
        if down.too_long.is_some() {
            return down;
        }
        if newline.is_none() {
            if !ended {
                down.tail_since = line.visible_since(seen);
            } else if let Some(text) = line.rest(seen).filter(|text| !text.0.is_empty()) {
                down.add(text, end);
            }
            return down;
        }
        // The end of line right after a flushed tail makes no message of its own.
        let empty_is_a_message = line.sent.is_empty();
        let text = line.rest(seen).unwrap_or_default();
        if empty_is_a_message || !text.0.is_empty() {
            down.add(text, end + 1);
        }
        line_at = end + 1;
    }
}

impl Down {
    pub(super) fn add(&mut self, (text, replaced): Text, complete_at: usize) {
        self.messages.push(text);
        self.replaced += replaced;
        self.complete_at.push(complete_at);
    }
}

/// Decoded text, and the number of U+FFFD in it that stand for what could not be decoded.
pub(super) type Text = (String, u64);

/// The present line. In all its functions `seen` is all that the backend has sent up to now, and
/// ends before the line's `\n`.
struct Line {
    charset: &'static Encoding,
    /// The bytes of the line that flushes have sent: whole characters, and the `\r`s behind them, which were left out but
    /// part what came before from what follows.
    sent: Vec<u8>,
    /// The offset of the bytes that have not been sent.
    rest_at: usize,
    /// How many of those had come before the last flush: the beginning of a character. The limit begins anew behind
    /// them.
    held: usize,
}

impl Line {
    /// What has not been sent, without the `\r`s around it, and the offset where it begins.
    fn unsent<'a>(&self, seen: &'a [u8]) -> (&'a [u8], usize) {
        // A flush at the very place of the line before's `\n` finds nothing of this line.
        let rest = seen.get(self.rest_at..).unwrap_or_default();
        let leading = rest.iter().take_while(|&&byte| byte == b'\r').count();
        let trailing = rest[leading..].iter().rev().take_while(|&&byte| byte == b'\r').count();
        (&rest[leading..rest.len() - trailing], self.rest_at + leading)
    }

    /// The number of bytes with which the limit was first exceeded. The `\r`s behind the content
    /// count as soon as something follows them.
    fn too_long(&self, seen: &[u8], max_line: usize) -> Option<usize> {
        let (content, at) = self.unsent(seen);
        let most = max_line + self.held;
        let beyond = content.get(most..)?;
        Some(at + most + beyond.iter().position(|&byte| byte != b'\r')? + 1)
    }

    /// The text of all that has not been sent, as the end of the line completes it; `None` if that
    /// is nothing.
    fn rest(&self, seen: &[u8]) -> Option<Text> {
        let (content, _) = self.unsent(seen);
        (!content.is_empty()).then(|| trimmed(self.text(content, true)))
    }

    /// The text that a flush sends.
    fn flush(&mut self, seen: &[u8]) -> Option<Text> {
        let (content, at) = self.unsent(seen);
        let (text, end) = self.visible(content)?;
        self.sent.extend_from_slice(&content[..end]);
        self.rest_at = at + end;
        self.held = self.unsent(seen).0.len();
        Some(text)
    }

    /// The number of bytes with which the unsent tail began to be visible.
    fn visible_since(&self, seen: &[u8]) -> Option<usize> {
        let (content, at) = self.unsent(seen);
        // A part that ends with `\r` is as visible as the part without it.
        let visible =
            |&end: &usize| content[end - 1] != b'\r' && self.visible(&content[..end]).is_some();
        (1..=content.len()).find(visible).map(|end| at + end)
    }

    /// The text that a flush would send of `content`, without the `\r`s that end it, and how many bytes it is made of,
    /// those `\r`s among them: all but an incomplete character. `None` if nothing is left.
    fn visible(&self, content: &[u8]) -> Option<(Text, usize)> {
        let certain = self.text(content, false);
        // The longest part that makes just this text, whatever follows.
        let whole = |&end: &usize| self.text(&content[..end], true) == certain;
        let end = (0..=content.len()).rev().find(whole).expect("an incomplete character is cut");
        let text = trimmed(certain);
        (!text.0.is_empty()).then_some((text, end))
    }

    /// Decodes `content`, which follows what was sent. `last`: nothing follows it in this line.
    fn text(&self, content: &[u8], last: bool) -> Text {
        if self.sent.is_empty() {
            return decode(self.charset, content, last);
        }
        let (before, replaced_before) = decode(self.charset, &self.sent, true);
        let (mut text, replaced) =
            decode(self.charset, &[self.sent.as_slice(), content].concat(), last);
        text.drain(..before.len());
        (text, replaced - replaced_before)
    }
}

/// Text without the `\r`s around it that escape sequences had hidden from a look at the bytes.
fn trimmed((text, replaced): Text) -> Text {
    (text.trim_matches('\r').to_owned(), replaced)
}

/// Decodes `bytes` from the charset's initial state. A character that is incomplete at the end is
/// U+FFFD if they are the last, else nothing yet.
pub(super) fn decode(charset: &'static Encoding, bytes: &[u8], last: bool) -> Text {
    if charset == UTF_8
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return (text.to_owned(), 0);
    }
    let mut decoder = charset.new_decoder_without_bom_handling();
    let (mut text, mut replaced, mut read) = (String::with_capacity(bytes.len() + 16), 0, 0);
    loop {
        let (result, taken) =
            decoder.decode_to_string_without_replacement(&bytes[read..], &mut text, last);
        read += taken;
        match result {
            DecoderResult::InputEmpty => return (text, replaced),
            DecoderResult::OutputFull => text.reserve(bytes.len() + 16),
            DecoderResult::Malformed(..) => {
                text.push(char::REPLACEMENT_CHARACTER);
                replaced += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
