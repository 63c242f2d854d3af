//! Charsets: which ones a backend may speak, and the conversion between them and UTF-8.

mod tables;

use std::fmt;

use encoding_rs::{DecoderResult, EncoderResult, Encoding};
use memchr::memrchr;

use self::tables::{CodePage, Table};
use super::payload::Payload;

/// A charset in which an end of line is the one byte `\n`, named by a WHATWG label, or a code page of DOS such as
/// `cp437`. UTF-8 unless told otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charset(u8);

impl Charset {
    /// UTF-8, which needs no conversion.
    pub const UTF_8: Charset = Charset(tables::UTF_8);

    /// The one charset whose text can be all ASCII bytes and yet be something else.
    const ISO_2022_JP: Charset = Charset(tables::ISO_2022_JP);

    /// The charset with this label (WHATWG Encoding Standard section 4.2), in any case, surrounding space ignored. What
    /// the standard does not know may be a code page of DOS: `cp437`, `ibm437`, `437`.
    ///
    /// # Errors
    /// An unknown label, one whose end of line is not one byte (UTF-16), and those the standard forbids to decode.
    pub fn for_label(label: &str) -> Result<Charset, CharsetError> {
        let label = label.trim();
        let found = match Encoding::for_label(label.as_bytes()) {
            None => tables::number_of_page(label).ok_or(Reason::Unknown),
            Some(encoding) if encoding == encoding_rs::REPLACEMENT => Err(Reason::Forbidden),
            // All that are left out: those of UTF-16.
            Some(encoding) => tables::number_of(encoding).ok_or(Reason::WideNewline),
        };
        found.map(Charset).map_err(|reason| CharsetError { label: label.to_owned(), reason })
    }

    /// The standard's name for it, such as `UTF-8` or `windows-1252`; of a code page of DOS `cp437`.
    pub fn name(self) -> &'static str {
        match tables::table(self.0) {
            Table::Whatwg(encoding) => encoding.name(),
            Table::Oem(page) => page.name,
        }
    }

    /// Whether all text in this charset is valid UTF-8, too, so that one can't be told from the other.
    pub fn looks_like_utf8(self) -> bool {
        matches!(self, Charset::UTF_8 | Charset::ISO_2022_JP)
    }

    pub(super) fn is_utf8(self) -> bool {
        self == Charset::UTF_8
    }

    /// The lines of `chunk` up to its last end of line, if all of them are the same in UTF-8; else nothing.
    #[inline]
    pub(super) fn whole_lines(self, chunk: &[u8]) -> &str {
        let end = if self.is_utf8() { memrchr(b'\n', chunk) } else { None };
        let lines = end.and_then(|end| simdutf8::basic::from_utf8(&chunk[..=end]).ok());
        lines.unwrap_or_default()
    }

    /// `line` itself as text, if it is the same in UTF-8.
    #[inline]
    pub(super) fn as_text(self, line: &[u8]) -> Option<&str> {
        if self.is_utf8() || self.is_plain_ascii(line) {
            simdutf8::basic::from_utf8(line).ok()
        } else {
            None
        }
    }

    /// Whether these bytes are ASCII text in this charset.
    fn is_plain_ascii(self, bytes: &[u8]) -> bool {
        if self == Charset::ISO_2022_JP {
            // Escape sequences are ASCII bytes too, but text they are not.
            Encoding::iso_2022_jp_ascii_valid_up_to(bytes) == bytes.len()
        } else {
            bytes.is_ascii()
        }
    }

    /// A decoder for one line.
    pub(super) fn line_decoder(self) -> LineConverter {
        LineConverter(match tables::table(self.0) {
            // A byte order mark is a character like any other: in mid-stream it marks nothing.
            Table::Whatwg(encoding) => {
                Converter::Whatwg(encoding.new_decoder_without_bom_handling())
            }
            Table::Oem(page) => Converter::Oem(page),
        })
    }

    /// Appends `text` in this charset to `out`, with `?` for what it lacks; gives how many characters it lacked.
    ///
    /// A stateful charset (ISO-2022-JP) is left in its initial state.
    pub(super) fn encode(self, text: &str, out: &mut Vec<u8>) -> u64 {
        // Worth asking first: the general way takes fifty times as long.
        if self.is_utf8() || self.is_plain_ascii(text.as_bytes()) {
            out.extend_from_slice(text.as_bytes());
            return 0;
        }
        match tables::table(self.0) {
            Table::Whatwg(encoding) => encode_whatwg(encoding, text, out),
            Table::Oem(page) => page.encode(text, out),
        }
    }

    /// Appends a message, or a part of one: text as [`encode`](Self::encode) does, and bytes as they are.
    pub(super) fn encode_payload(self, message: Payload<'_>, out: &mut Vec<u8>) -> u64 {
        match message {
            Payload::Text(text) => self.encode(text, out),
            Payload::Binary(bytes) => {
                out.extend_from_slice(bytes);
                0
            }
        }
    }
}

fn encode_whatwg(encoding: &'static Encoding, mut text: &str, out: &mut Vec<u8>) -> u64 {
    let mut encoder = encoding.new_encoder();
    let mut replaced = 0;
    loop {
        out.reserve(text.len() + CONVERSION_SLACK);
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(text, out, true);
        text = &text[read..];
        match result {
            EncoderResult::InputEmpty => return replaced,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => {
                // By now ISO-2022-JP has returned to a state in which `?` is one ASCII byte.
                out.push(b'?');
                replaced += 1;
            }
        }
    }
}

impl CodePage {
    fn encode(&self, text: &str, out: &mut Vec<u8>) -> u64 {
        let bytes = self.encoding();
        let mut replaced = 0;
        out.extend(text.chars().map(|c| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => byte,
            _ => *bytes.get(&c).unwrap_or_else(|| {
                replaced += 1;
                &b'?'
            }),
        }));
        replaced
    }

    fn decode(&self, bytes: &[u8], text: &mut String) -> u64 {
        let characters = self.decoding();
        let mut replaced = 0;
        text.extend(bytes.iter().map(|byte| {
            characters.decode_char_checked(*byte).unwrap_or_else(|| {
                replaced += 1;
                char::REPLACEMENT_CHARACTER
            })
        }));
        replaced
    }
}

/// Bytes of room beyond the input's length in which a conversion always gets on: the longest character or escape
/// sequence is 8.
const CONVERSION_SLACK: usize = 16;

/// Converts the pieces of one line to UTF-8, keeping a character that was cut for the next piece.
pub(super) struct LineConverter(Converter);

enum Converter {
    Whatwg(encoding_rs::Decoder),
    /// Each byte is a character.
    Oem(&'static CodePage),
}

impl LineConverter {
    /// Appends the text of `bytes` to `text`, with U+FFFD for what cannot be decoded; gives how many of them.
    ///
    /// After the `last` piece the converter must not be used again.
    pub(super) fn convert(&mut self, mut bytes: &[u8], last: bool, text: &mut String) -> u64 {
        let decoder = match &mut self.0 {
            Converter::Whatwg(decoder) => decoder,
            Converter::Oem(page) => return page.decode(bytes, text),
        };
        let mut replaced = 0;
        loop {
            text.reserve(bytes.len() + CONVERSION_SLACK);
            let (result, read) = decoder.decode_to_string_without_replacement(bytes, text, last);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => return replaced,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    replaced += 1;
                }
            }
        }
    }

    /// Whether nothing is remembered: what comes next would be decoded alike by a new converter.
    pub(super) fn is_neutral(&self) -> bool {
        match &self.0 {
            Converter::Whatwg(decoder) => decoder.latin1_byte_compatible_up_to(b"").is_some(),
            Converter::Oem(_) => true,
        }
    }
}

impl fmt::Debug for LineConverter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            Converter::Whatwg(decoder) => decoder.encoding().name(),
            Converter::Oem(page) => page.name,
        };
        write!(f, "LineConverter({name})")
    }
}

impl Default for Charset {
    fn default() -> Self {
        Charset::UTF_8
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Charset({})", self.name())
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A charset label that cannot be used. Says what to type instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharsetError {
    label: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Unknown,
    WideNewline,
    Forbidden,
}

impl fmt::Display for CharsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match self.reason {
            Reason::Unknown => write!(
                f,
                "unknown charset {label:?}: try utf-8, windows-1252, koi8-r, shift_jis or cp437"
            ),
            Reason::WideNewline => write!(
                f,
                "charset {label:?} has no lines to relay, its end of line is not one byte: try utf-8"
            ),
            Reason::Forbidden => write!(
                f,
                "charset {label:?} is unsafe and may not be decoded: try utf-8, gb18030 or euc-kr"
            ),
        }
    }
}

impl std::error::Error for CharsetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_trimmed_and_of_any_case() {
        for (label, name) in [
            ("utf-8", "UTF-8"),
            (" UTF8\n", "UTF-8"),
            ("Latin1", "windows-1252"),
            ("KOI8-R", "KOI8-R"),
            ("sjis", "Shift_JIS"),
            ("iso-2022-jp", "ISO-2022-JP"),
            ("CP437", "cp437"),
            ("ibm850", "cp850"),
            ("852", "cp852"),
            // The standard's own come first.
            ("cp866", "IBM866"),
            ("866", "IBM866"),
            ("cp1252", "windows-1252"),
            ("cp932", "Shift_JIS"),
            ("cp936", "GBK"),
            ("cp949", "EUC-KR"),
            ("cp950", "Big5"),
            ("cp874", "cp874"),
        ] {
            let charset = Charset::for_label(label).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(charset.name(), name, "{label:?}");
        }
        assert_eq!(Charset::default(), Charset::UTF_8);
    }

    #[test]
    fn refusals_say_what_to_type() {
        for (label, text) in [
            (
                " latin-99 ",
                r#"unknown charset "latin-99": try utf-8, windows-1252, koi8-r, shift_jis or cp437"#,
            ),
            (
                "cp0437",
                r#"unknown charset "cp0437": try utf-8, windows-1252, koi8-r, shift_jis or cp437"#,
            ),
            ("", r#"unknown charset "": try utf-8, windows-1252, koi8-r, shift_jis or cp437"#),
            (
                "utf-16le",
                r#"charset "utf-16le" has no lines to relay, its end of line is not one byte: try utf-8"#,
            ),
            (
                "UTF-16BE",
                r#"charset "UTF-16BE" has no lines to relay, its end of line is not one byte: try utf-8"#,
            ),
            (
                "iso-2022-kr",
                r#"charset "iso-2022-kr" is unsafe and may not be decoded: try utf-8, gb18030 or euc-kr"#,
            ),
            (
                "replacement",
                r#"charset "replacement" is unsafe and may not be decoded: try utf-8, gb18030 or euc-kr"#,
            ),
        ] {
            let error = Charset::for_label(label).expect_err(label);
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_encoded_becomes_a_question_mark() {
        for (label, text, bytes, replaced) in [
            ("windows-1252", "caf\u{e9} \u{1f600}!", &b"caf\xe9 ?!"[..], 1),
            ("koi8-r", "\u{65e5}\u{434}\u{672c}", b"?\xc4?", 2),
            ("shift_jis", "\u{65e5}\u{1f600}", b"\x93\xfa?", 1),
            // The `?` is written in the ASCII state, and so is the end.
            ("iso-2022-jp", "\u{65e5}\u{1f600}\u{672c}", b"\x1b$BF|\x1b(B?\x1b$BK\\\x1b(B", 1),
            ("cp437", "\u{2592}\u{e9}\u{3c0} \u{20ac}\u{2592}", b"\xb1\x82\xe3 ?\xb1", 1),
            ("cp858", "\u{20ac}", b"\xd5", 0),
            // An escape character of the client's own would change the state.
            ("iso-2022-jp", "a\u{1b}b", b"a?b", 1),
        ] {
            let mut out = b"> ".to_vec();
            let charset = Charset::for_label(label).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(charset.encode(text, &mut out), replaced, "{label} {text}");
            assert_eq!(out[2..], *bytes, "{label} {text}");
        }
    }

    #[test]
    fn every_charset_keeps_ascii_and_newlines() {
        // Labels of all encodings in the standard that are not refused.
        for label in [
            "utf-8",
            "ibm866",
            "iso-8859-2",
            "iso-8859-3",
            "iso-8859-4",
            "iso-8859-5",
            "iso-8859-6",
            "iso-8859-7",
            "iso-8859-8",
            "iso-8859-8-i",
            "iso-8859-10",
            "iso-8859-13",
            "iso-8859-14",
            "iso-8859-15",
            "iso-8859-16",
            "koi8-r",
            "koi8-u",
            "macintosh",
            "windows-874",
            "windows-1250",
            "windows-1251",
            "windows-1252",
            "windows-1253",
            "windows-1254",
            "windows-1255",
            "windows-1256",
            "windows-1257",
            "windows-1258",
            "x-mac-cyrillic",
            "gbk",
            "gb18030",
            "big5",
            "euc-jp",
            "iso-2022-jp",
            "shift_jis",
            "euc-kr",
            "x-user-defined",
            "cp437",
            "cp720",
            "cp737",
            "cp775",
            "cp850",
            "cp852",
            "cp855",
            "cp857",
            "cp858",
            "cp860",
            "cp861",
            "cp862",
            "cp863",
            "cp864",
            "cp865",
            "cp869",
            "cp874",
        ] {
            let charset = Charset::for_label(label).unwrap_or_else(|error| panic!("{error}"));
            let text: String = (' '..='~').chain("\r\n\t\0".chars()).collect();
            let mut out = Vec::new();
            assert_eq!(charset.encode(&text, &mut out), 0, "{label}");
            assert_eq!(out, text.as_bytes(), "{label}");
            assert_eq!(charset.as_text(&out), Some(&*text), "{label}");
        }
    }
}
