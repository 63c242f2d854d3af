//! Stage: a protocol between the backend's bytes and the framing, such as telnet. Pure.

use std::fmt::Debug;
use std::time::Instant;

use super::payload::Payload;

/// Takes a protocol out of what the backend sends before the decoder sees it, and puts it into what the encoder
/// wrote for the backend. It is told every byte once, in order, however reads split them, and remembers what
/// it needs between two calls.
pub trait Stage: Debug + Send {
    /// Down: appends what is left of `bytes` to `rest`, and what happens within it to `marks`, in order. What the
    /// protocol answers is appended to `answer`, which goes up to the backend behind what waits there already.
    fn down(
        &mut self,
        bytes: &[u8],
        rest: &mut Vec<u8>,
        marks: &mut Vec<Mark>,
        answer: &mut Vec<u8>,
    );

    /// Up: rewrites what the encoder has appended to `out`, which begins at `start`: lines, or in raw mode messages, all
    /// of them whole.
    fn up(&mut self, out: &mut Vec<u8>, start: usize);

    /// Whether [`take`](Self::take) has to be asked about each message.
    fn takes_messages(&self) -> bool {
        false
    }

    /// Up: takes a message that is the protocol's own and not the encoder's, and appends what it makes to `out`.
    /// Returns whether it was one.
    fn take(&mut self, _message: Payload<'_>, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// The time at which it wants to be [`due`](Self::due), if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Its deadline has passed. What it says to the backend is appended to `answer`.
    fn due(&mut self, _answer: &mut Vec<u8>) {}

    /// How much of the protocol was dropped so far, as a limit allowed no more.
    fn dropped(&self) -> u64 {
        0
    }

    /// Whether it ever answers, and is not one that only listens. A backend that takes no answers is not read from.
    fn answers(&self) -> bool {
        true
    }

    /// The session has ended, by the `client`, the `backend` or the `relay`. Lines may still go up.
    fn ended(&mut self, _by: &str) {}
}

/// Something that happens between two bytes of what a stage leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many bytes of the rest come before it.
    pub at: usize,
    /// What happens.
    pub event: Event,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line so far is a prompt: a message of its own, if there is anything in it.
    Prompt,
    /// A text message for the client, besides its lines.
    Message(String),
}
