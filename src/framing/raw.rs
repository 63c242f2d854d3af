//! Raw mode (`--binary`): bytes as they come, nothing kept and nothing changed.

use super::error::FramingError;
use super::payload::Payload;

/// Makes one binary message of each read.
#[derive(Debug)]
pub struct RawDecoder;

impl RawDecoder {
    /// The one message in `chunk`: an end of input or an empty read makes none.
    pub(super) fn push<'a>(&mut self, chunk: &'a [u8]) -> Option<&'a [u8]> {
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// Writes each message's payload as it is.
#[derive(Debug)]
pub struct RawEncoder {
    max_message: usize,
}

impl RawEncoder {
    pub(super) fn new(max_message: usize) -> Self {
        RawEncoder { max_message }
    }

    pub(super) fn encode(
        &mut self,
        message: Payload<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64, FramingError> {
        if message.len() > self.max_message {
            return Err(FramingError::MessageTooLong { limit: self.max_message });
        }
        out.extend_from_slice(message.as_bytes());
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Framing, FramingError, Payload};

    const RAW: Framing = Framing::Raw { max_message: 4 };

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
}
