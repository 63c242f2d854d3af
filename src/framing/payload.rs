//! Payload: what WebSocket messages carry.

/// The payload of one WebSocket message, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A text message (RFC 6455 section 5.6, opcode 1).
    Text(&'a str),
    /// A binary message (RFC 6455 section 5.6, opcode 2).
    Binary(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The payload as bytes; text is UTF-8.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
        }
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// The part from byte `start` to byte `end`. Where the payload is text, no character may be cut.
    pub(super) fn slice(self, start: usize, end: usize) -> Self {
        match self {
            Payload::Text(text) => Payload::Text(&text[start..end]),
            Payload::Binary(bytes) => Payload::Binary(&bytes[start..end]),
        }
    }

    /// Whether the message has no payload.
    pub fn is_empty(self) -> bool {
        self.as_bytes().is_empty()
    }
}

/// Text messages that came together and lie in one piece of memory, so that what holds for all of
/// them can be looked at at once: for short ones that costs a third of looking at each.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    text: &'a str,
    messages: &'a [(u32, u32)],
}

impl<'a> Batch<'a> {
    /// The messages at these ranges of `text`, in bytes. What lies between them is ASCII without an
    /// end of line.
    pub fn new(text: &'a str, messages: &'a [(u32, u32)]) -> Self {
        Batch { text, messages }
    }

    /// All of the text, with what lies between the messages.
    pub fn text(self) -> &'a str {
        self.text
    }

    /// How many messages there are.
    pub fn count(self) -> usize {
        self.messages.len()
    }

    /// The messages, in order.
    pub fn messages(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.messages.iter().map(move |&(start, end)| &self.text[start as usize..end as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_lengths_are_bytes() {
        assert_eq!(Payload::Text("né").len(), 3);
        assert_eq!(Payload::Binary(&[0, 255]).as_bytes(), &[0, 255]);
        assert!(Payload::Text("").is_empty());
    }
}
