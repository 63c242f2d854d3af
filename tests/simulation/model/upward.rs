//! What the client's messages must make, and what in its stream ends the session.

use crate::spec::{self, Cause, Refusal, Rules};
use crate::trace::{Sent, What};

/// The lines of one message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    /// Where the message ends in the client's stream.
    pub end: usize,
    /// Bytes, lines and `?` of this one and all before it.
    pub bytes: usize,
    pub lines: u64,
    pub replaced: u64,
}

/// What ends the session as soon as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Fatal {
    /// Where it begins in the client's stream: it can't be known before.
    pub start: usize,
    /// Where it ends: it must be known then.
    pub end: usize,
    pub cause: Cause,
    /// What it may be called as well.
    pub or: Cause,
}

impl Fatal {
    pub fn is(&self, cause: Cause) -> bool {
        self.cause == cause || self.or == cause
    }
}

/// The upward stream.
pub struct Upward {
    /// All that the backend must get.
    pub bytes: Vec<u8>,
    pub messages: Vec<Lines>,
    /// Pings that must be answered: where they end in the client's stream, and their payload.
    pub pings: Vec<(usize, Vec<u8>)>,
    pub fatal: Option<Fatal>,
}

impl Upward {
    pub fn new(rules: &Rules, sent: &[Sent]) -> Self {
        let mut up =
            Upward { bytes: Vec::new(), messages: Vec::new(), pings: Vec::new(), fatal: None };
        for Sent { start, end, what } in sent {
            let cause = match what {
                What::Pong => continue,
                What::Ping(payload) => {
                    up.pings.push((*end, payload.clone()));
                    continue;
                }
                What::Message(message) => match spec::up(rules, message) {
                    Ok(lines) => {
                        up.add(*end, &lines);
                        continue;
                    }
                    Err(Refusal::NewlineInMessage) => Cause::NewlineInMessage,
                    Err(_) => Cause::MessageTooLong,
                },
                What::Close(code) => Cause::ClientClose(*code),
                What::Broken(broken) => match broken.code() {
                    1007 => Cause::InvalidUtf8,
                    1009 => Cause::MessageTooLong,
                    _ => Cause::Protocol,
                },
            };
            // A frame that breaks two rules breaks either.
            let or = match what {
                What::Broken(broken) if broken.is_too_long(rules.max_line) => Cause::MessageTooLong,
                _ => cause,
            };
            up.fatal = Some(Fatal { start: *start, end: *end, cause, or });
            break;
        }
        up
    }

    fn add(&mut self, end: usize, lines: &spec::Up) {
        let last = self.last();
        self.bytes.extend_from_slice(&lines.bytes);
        self.messages.push(Lines {
            end,
            bytes: self.bytes.len(),
            lines: last.lines + lines.lines,
            replaced: last.replaced + lines.replaced,
        });
    }

    /// All messages.
    pub fn last(&self) -> Lines {
        self.messages.last().copied().unwrap_or_default()
    }

    /// The messages that end within the first `read` bytes of the client's stream.
    pub fn until(&self, read: usize) -> Lines {
        let count = self.messages.partition_point(|message| message.end <= read);
        count.checked_sub(1).map_or_else(Lines::default, |last| self.messages[last])
    }

    /// Whether a message's lines end behind so many bytes for the backend.
    pub fn ends_at(&self, bytes: usize) -> bool {
        bytes == 0 || self.messages.binary_search_by_key(&bytes, |message| message.bytes).is_ok()
    }

    /// How many Pings end there.
    pub fn pings_until(&self, read: usize) -> usize {
        self.pings.partition_point(|(end, _)| *end <= read)
    }
}
