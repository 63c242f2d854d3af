//! The model of a session: what the contract and RFC 6455 say must come out, as pure functions.
//! It is written from those texts, not from the relay's code, and shares none of it.

mod close;
mod delimited;
mod down;
mod frames;
pub mod greeting;
pub mod rate;
mod rules;
pub mod stage;
mod up;

pub use close::{Cause, ExpectedClose, Reason};
pub use delimited::is_open;
pub use down::{Down, down};
pub use frames::{Broken, Opcode, ServerFrame, ServerFrames, frame};
pub use rules::{Ends, Message, Newlines, Refusal, Rules};
pub use up::{Up, up};
