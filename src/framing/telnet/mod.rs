//! Telnet: the stage that takes a backend's telnet out of its bytes and answers it (RFC 854, 855, 1143). Pure.
//!
//! ```text
//!  backend ──▶ parser ─┬─ text ──────────────▶ rest ──▶ decoder
//!                      ├─ GA, EOR ───────────▶ mark: a prompt ends
//!                      ├─ WILL WONT DO DONT ─▶ negotiation (Q method) ──▶ answer
//!                      └─ SB … SE ─┬─ terminal type, environment, charset ──▶ answer
//!                                  └─ GMCP, MSSP ──▶ mark: a message
//!  backend ◀── IAC doubled, CR NUL ◀── encoder;  GMCP ◀── text messages
//! ```

mod bytes;
mod charset;
mod environment;
mod mud;
mod negotiation;
mod options;
mod parser;
#[cfg(test)]
mod properties;
mod stage;
mod terminal_type;

pub use self::stage::{Telnet, TelnetRules};
