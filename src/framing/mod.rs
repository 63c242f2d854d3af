//! Bytes in, messages out, and back: how a backend's byte stream is cut into WebSocket messages and messages become lines.
//!
//! Everything here is a pure function of the bytes it was given: no I/O, no clock, no log. `Decoder` works down
//! (backend to client), `Encoder` works up (client to backend).
//!
//! ```text
//!  backend ── read ──▶ Decoder::push ──▶ Messages::next ──▶ Payload ──▶ client
//!  backend ◀─ write ── Vec<u8> ◀──────── Encoder::encode ◀─ Payload ◀── client
//! ```

mod charset;
mod codec;
mod delimited;
mod error;
mod line;
mod payload;
mod raw;
mod rules;
mod stage;
mod subprotocol;
mod telnet;
mod terminal;

pub use self::charset::{Charset, CharsetError};
pub use self::codec::{Decoder, Encoder, Framing, Messages};
pub use self::delimited::{DelimitedDecoder, DelimitedEncoder};
pub use self::error::FramingError;
pub use self::line::{LineDecoder, LineEncoder};
pub use self::payload::{Batch, Payload};
pub use self::raw::{RawDecoder, RawEncoder, RawRules, RawTextDecoder};
pub use self::rules::{Eol, LineRules, Newlines};
pub use self::stage::{Event, Mark, Stage};
pub use self::subprotocol::{Promise, Subprotocol};
pub use self::telnet::{Telnet, TelnetRules};
