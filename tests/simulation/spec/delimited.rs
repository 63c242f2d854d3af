//! From the backend to the client: lines that are not plain ones. They end in a lone carriage return or in NUL, keep
//! their end, are binary messages, or have one of two charsets.

use super::down::{Down, Text, decode};
use super::rules::{Ends, Rules};

/// Returns all messages that the backend's `bytes` make, as [`down`](super::down) does for plain lines. In a message of
/// bytes each character is a byte.
pub fn delimited(rules: &Rules, bytes: &[u8], flushes: &[usize], ended: bool) -> Down {
    let mut down = Down::default();
    let mut flushes = flushes.iter().copied().filter(|&offset| offset <= bytes.len()).peekable();
    let ends = rules.ends.bytes();
    let mut line_at = 0;
    loop {
        let found = bytes[line_at..].iter().position(|byte| ends.contains(byte));
        let end = found.map_or(bytes.len(), |at| line_at + at);
        let mut line = Line { rules, rest_at: line_at, held: 0, is_flushed: false };
        while let Some(flush) = flushes.next_if(|&offset| offset <= end) {
            let seen = &bytes[..flush];
            down.too_long = line.too_long(seen);
            if down.too_long.is_some() {
                return down;
            }
            if let Some(text) = line.flush(seen) {
                down.add(text, flush);
            }
        }
        let seen = &bytes[..end];
        down.too_long = line.too_long(seen);
        if down.too_long.is_some() {
            return down;
        }
        let (mut text, replaced) = line.rest(seen);
        if found.is_none() {
            if !ended {
                down.tail_since = line.visible_since(seen);
            } else if !text.is_empty() {
                down.add((text, replaced), end);
            }
            return down;
        }
        if rules.keep_eol {
            text.push(char::from(bytes[end]));
        }
        if !text.is_empty() || !line.is_flushed {
            down.add((text, replaced), end + 1);
        }
        line_at = end + 1;
        // The other byte of the same end of line.
        let is_pair = rules.ends == Ends::NewlineOrCr
            && bytes.get(line_at).is_some_and(|byte| ends.contains(byte) && *byte != bytes[end]);
        line_at += usize::from(is_pair && !rules.keep_eol);
    }
}

/// Whether it is open which message the second byte of an end of line is in: that of one that keeps it is in the same
/// message only if one read brings both.
pub fn is_open(rules: &Rules, bytes: &[u8]) -> bool {
    let is_pair = |pair: &[u8]| match rules.ends {
        Ends::Newline => pair == b"\n\r",
        Ends::NewlineOrCr => pair == b"\n\r" || pair == b"\r\n",
        Ends::Nul => false,
    };
    rules.keep_eol && bytes.windows(2).any(is_pair)
}

/// The present line. In all its functions `seen` is all that the backend has sent up to now, and ends before the line
/// does.
struct Line<'a> {
    rules: &'a Rules,
    /// The offset of the bytes that have not been sent.
    rest_at: usize,
    /// How many of those do not count towards the limit: the beginning of a character that came before a flush.
    held: usize,
    is_flushed: bool,
}

impl Line<'_> {
    /// Whether carriage returns around a line are no part of it.
    fn trims(&self) -> bool {
        self.rules.ends == Ends::Newline && !self.rules.keep_eol
    }

    /// How many carriage returns at the end of `content` wait for what they are the beginning of.
    fn waiting(&self, content: &[u8]) -> usize {
        match self.rules.ends {
            Ends::Newline => content.iter().rev().take_while(|byte| **byte == b'\r').count(),
            _ => 0,
        }
    }

    /// What has not been sent, and the offset where it begins.
    fn unsent<'a>(&self, seen: &'a [u8]) -> (&'a [u8], usize) {
        let rest = seen.get(self.rest_at..).unwrap_or_default();
        if !self.trims() {
            return (rest, self.rest_at);
        }
        let leading = rest.iter().take_while(|byte| **byte == b'\r').count();
        let rest = &rest[leading..];
        (&rest[..rest.len() - self.waiting(rest)], self.rest_at + leading)
    }

    /// The number of bytes with which the limit was first exceeded. Of a line that keeps its end, one carriage return
    /// at the end may be part of that; where they are dropped, they count as soon as something follows them.
    fn too_long(&self, seen: &[u8]) -> Option<usize> {
        let (content, at) = self.unsent(seen);
        let is_beyond = |end: &usize| {
            let waiting = self.waiting(&content[..*end]);
            let free = if self.trims() { waiting } else { waiting.min(1) };
            end - free > self.rules.max_line + self.held
        };
        (1..=content.len()).find(is_beyond).map(|end| at + end)
    }

    /// The text of all that has not been sent, as the end of the line completes it.
    fn rest(&self, seen: &[u8]) -> Text {
        let (content, _) = self.unsent(seen);
        // The one of `\r\n` is no text in any charset.
        let own = usize::from(!self.trims() && self.waiting(content) > 0);
        let (mut text, replaced) = self.text(&content[..content.len() - own], true);
        text.extend(std::iter::repeat_n('\r', own));
        (text, replaced)
    }

    fn flush(&mut self, seen: &[u8]) -> Option<Text> {
        let (content, at) = self.unsent(seen);
        let (text, end) = self.visible(content)?;
        self.rest_at = at + end;
        let (rest, _) = self.unsent(seen);
        self.held = rest.len() - self.waiting(rest);
        self.is_flushed = true;
        Some(text)
    }

    fn visible_since(&self, seen: &[u8]) -> Option<usize> {
        let (content, at) = self.unsent(seen);
        let is_visible = |end: &usize| self.visible(&content[..*end]).is_some();
        (1..=content.len()).find(is_visible).map(|end| at + end)
    }

    /// The text that a flush would send of `content`, and how many bytes it is made of. `None` if that is nothing.
    fn visible(&self, content: &[u8]) -> Option<(Text, usize)> {
        let content = &content[..content.len() - self.waiting(content)];
        let certain = self.text(content, false);
        // The longest part that makes just this text, whatever follows.
        let whole = |end: &usize| self.text(&content[..*end], true) == certain;
        let end = (0..=content.len()).rev().find(whole).expect("an incomplete character is cut");
        (!certain.0.is_empty()).then_some((certain, end))
    }

    /// Decodes `content`. `last`: nothing follows it in this line.
    fn text(&self, content: &[u8], last: bool) -> Text {
        if self.rules.binary_lines {
            return (content.iter().map(|byte| char::from(*byte)).collect(), 0);
        }
        let Some(fallback) = self.rules.fallback else {
            return decode(self.rules.charset, content, last);
        };
        match std::str::from_utf8(content) {
            Ok(text) => (text.to_owned(), 0),
            Err(error) if error.error_len().is_none() && !last => {
                (String::from_utf8_lossy(&content[..error.valid_up_to()]).into_owned(), 0)
            }
            Err(_) => decode(fallback, content, last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules, bytes, and the messages if the stream then ends.
    #[test]
    fn each_form_has_its_ends() {
        let base = Rules::of_tests();
        let cr = Rules { ends: Ends::NewlineOrCr, ..base.clone() };
        let nul = Rules { ends: Ends::Nul, ..base.clone() };
        let keep = Rules { keep_eol: true, ..base.clone() };
        let binary = Rules { binary_lines: true, ..base.clone() };
        let either = Rules { fallback: Some(encoding_rs::WINDOWS_1252), ..base };
        let rows: [(&Rules, &[u8], &[&str]); 8] = [
            (&cr, b"a\rb\r\nc\n\rd\n\ne", &["a", "b", "c", "d", "", "e"]),
            (&nul, b"a\r\n\0\0b", &["a\r\n", "", "b"]),
            (&keep, b"a\nb\r\n\rc\r", &["a\n", "b\r\n", "\rc\r"]),
            (&binary, b"\ra\xe9\r\n\n\xff", &["a\u{e9}", "", "\u{ff}"]),
            (&either, b"\xc3\xa9\n\xe9\r\n\xc3", &["\u{e9}", "\u{e9}", "\u{c3}"]),
            (&cr, b"", &[]),
            (&keep, b"\r", &["\r"]),
            (&nul, b"\0", &[""]),
        ];
        for (rules, bytes, messages) in rows {
            assert_eq!(delimited(rules, bytes, &[], true).messages, messages, "{rules:?}");
        }
        let shown = delimited(&cr, b"a\r\n\rb", &[1, 5], false);
        assert_eq!(
            (shown.messages, shown.complete_at),
            (vec!["a".into(), "".into(), "b".into()], vec![1, 4, 5])
        );
    }
}
