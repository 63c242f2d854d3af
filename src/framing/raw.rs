//! Raw mode (`--binary`): bytes as they come. With a charset they are text, and nothing else is changed.

use super::charset::{Charset, LineConverter};
use super::error::FramingError;
use super::payload::Payload;

/// How bytes and messages correspond in a session that relays no lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRules {
    /// The longest message from a client, in bytes.
    pub max_message: usize,
    /// The backend's charset, if its bytes are text.
    pub charset: Option<Charset>,
}

/// Makes one binary message of each read.
#[derive(Debug)]
pub struct RawDecoder;

impl RawDecoder {
    /// The one message in `chunk`: an end of input or an empty read makes none.
    pub(super) fn push<'a>(&mut self, chunk: &'a [u8]) -> Option<&'a [u8]> {
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// Makes one text message of each read. A character that is cut waits for its rest.
#[derive(Debug)]
pub struct RawTextDecoder {
    converter: LineConverter,
    /// The message that was lent last.
    message: String,
    replaced: u64,
    /// Whether the input has ended.
    is_finished: bool,
}

impl RawTextDecoder {
    pub(super) fn new(charset: Charset) -> Self {
        let converter = charset.line_decoder();
        RawTextDecoder { converter, message: String::new(), replaced: 0, is_finished: false }
    }

    /// The text of `chunk`, if it completes a character.
    pub(super) fn push(&mut self, chunk: &[u8]) -> RawText<'_> {
        self.message.clear();
        self.replaced += self.converter.convert(chunk, false, &mut self.message);
        RawText { decoder: self, is_given: false }
    }

    /// What a character that was cut at the end of input becomes.
    pub(super) fn finish(&mut self) -> Option<&str> {
        if std::mem::replace(&mut self.is_finished, true) {
            return None;
        }
        self.message.clear();
        self.replaced += self.converter.convert(b"", true, &mut self.message);
        (!self.message.is_empty()).then_some(&*self.message)
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }
}

/// The message of one chunk.
#[derive(Debug)]
pub(super) struct RawText<'a> {
    decoder: &'a mut RawTextDecoder,
    is_given: bool,
}

impl RawText<'_> {
    pub(super) fn next(&mut self) -> Option<&str> {
        if std::mem::replace(&mut self.is_given, true) {
            // An idle session holds no buffer.
            self.decoder.message = String::new();
            return None;
        }
        (!self.decoder.message.is_empty()).then_some(&*self.decoder.message)
    }
}

/// Writes each message's payload as it is; text in the charset, if there is one.
#[derive(Debug)]
pub struct RawEncoder {
    rules: RawRules,
    replaced: u64,
}

impl RawEncoder {
    pub(super) fn new(rules: &RawRules) -> Self {
        RawEncoder { rules: rules.clone(), replaced: 0 }
    }

    pub(super) fn encode(
        &mut self,
        message: Payload<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, FramingError> {
        if message.len() > self.rules.max_message {
            return Err(FramingError::MessageTooLong { limit: self.rules.max_message });
        }
        match self.rules.charset {
            Some(charset) => self.replaced += charset.encode_payload(message, out),
            None => out.extend_from_slice(message.as_bytes()),
        }
        Ok(1)
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Charset, Framing, FramingError, Payload, RawRules};

    const RAW: Framing = Framing::Raw(RawRules { max_message: 4, charset: None });

    fn raw_in(label: &str) -> Framing {
        let charset = Charset::for_label(label).unwrap_or_else(|error| panic!("{error}"));
        Framing::Raw(RawRules { max_message: 20, charset: Some(charset) })
    }

    #[test]
    fn each_read_is_one_binary_message() {
        let mut decoder = RAW.decoder();
        for chunk in [&b"a\r\nb\n"[..], b"\xff\x00", b"longer than max_message"] {
            let mut messages = decoder.push(chunk);
            assert_eq!(messages.next(), Ok(Some(Payload::Binary(chunk))));
            assert_eq!(messages.next(), Ok(None));
        }
        assert_eq!(decoder.push(b"").next(), Ok(None));
        assert!(!decoder.has_tail());
        assert_eq!(decoder.flush(), None);
        assert_eq!(decoder.finish(), None);
        assert_eq!(decoder.replaced(), 0);
    }

    #[test]
    fn payloads_are_written_verbatim() {
        let mut encoder = RAW.encoder();
        let mut out = b"before ".to_vec();
        assert_eq!(encoder.encode(Payload::Binary(b"\xff\n"), &mut out), Ok(1));
        assert_eq!(encoder.encode(Payload::Text("n\u{e9}\r"), &mut out), Ok(1));
        assert_eq!(encoder.encode(Payload::Text(""), &mut out), Ok(1));
        assert_eq!(
            encoder.encode(Payload::Binary(b"12345"), &mut out),
            Err(FramingError::MessageTooLong { limit: 4 })
        );
        assert_eq!(out, b"before \xff\nn\xc3\xa9\r");
        assert_eq!(encoder.replaced(), 0);
    }

    /// Charset, reads, the message of each and at the end of input, and how many pieces could not be decoded.
    type Reads = (&'static str, &'static [&'static [u8]], &'static [&'static str], u64);

    #[test]
    fn with_a_charset_each_read_is_text_and_no_character_is_cut() {
        let table: &[Reads] = &[
            ("utf-8", &[b"a\r\n\xe2\x82", b"\xac", b"b"], &["a\r\n", "\u{20ac}", "b"], 0),
            ("utf-8", &[b"\xe2", b"\x82", b"\xac\n"], &["\u{20ac}\n"], 0),
            ("utf-8", &[b"\xe2", b"x", b"\xf0\x9f"], &["\u{fffd}x", "\u{fffd}"], 2),
            ("utf-8", &[b"", b"\0\x1b[2J"], &["\0\x1b[2J"], 0),
            ("shift_jis", &[b"\x93", b"\xfa\x83\\\r", b"\n"], &["\u{65e5}\u{30bd}\r", "\n"], 0),
            ("iso-2022-jp", &[b"\x1b$BF", b"|", b"K\\\x1b(Ba"], &["\u{65e5}", "\u{672c}a"], 0),
            ("windows-1252", &[b"\xe9\n", b"\x80"], &["\u{e9}\n", "\u{20ac}"], 0),
        ];
        for (label, reads, want, replaced) in table {
            let mut decoder = raw_in(label).decoder();
            let mut given = Vec::new();
            for read in *reads {
                let mut messages = decoder.push(read);
                while let Ok(Some(Payload::Text(text))) = messages.next() {
                    given.push(text.to_owned());
                }
                assert!(!decoder.has_tail());
                assert_eq!(decoder.flush(), None);
            }
            given.extend(decoder.finish().map(|last| match last {
                Payload::Text(text) => text.to_owned(),
                Payload::Binary(_) => unreachable!("text"),
            }));
            assert_eq!(decoder.finish(), None);
            assert_eq!(given, *want, "{reads:x?}");
            assert_eq!(decoder.replaced(), *replaced, "{reads:x?}");
        }
    }

    #[test]
    fn with_a_charset_text_is_encoded_and_bytes_are_not() {
        let mut encoder = raw_in("shift_jis").encoder();
        let mut out = Vec::new();
        assert_eq!(encoder.encode(Payload::Text("\u{65e5}\u{1f600}\r"), &mut out), Ok(1));
        assert_eq!(encoder.encode(Payload::Binary(b"\xe6\xff\n"), &mut out), Ok(1));
        assert_eq!(out, b"\x93\xfa?\r\xe6\xff\n");
        assert_eq!(encoder.replaced(), 1);
        let long = Payload::Text("123456789012345678901");
        let too_long = FramingError::MessageTooLong { limit: 20 };
        assert_eq!(encoder.encode(long, &mut out), Err(too_long));
    }
}
