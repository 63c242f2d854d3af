//! wsrelay, the TCP fan-in relay: each WebSocket session becomes one TCP connection to an ordinary
//! line server; messages become lines, and lines messages.
//!
//! ```text
//!                 accept            101                          session: one task, both ways
//!  browser ══▶ net::listener ─▶ http ─▶ handshake ─▶ session ─┬─ up:   message ─▶ Encoder ─▶ lines ──▶ backend
//!                               │                             └─ down: message ◀─ Decoder ◀─ lines ◀──
//!                               └▶ CGI programs, files, pages, refusals
//! ```
//!
//! Where things are:
//! - [`options`] is what the command line and the file say; [`error`] why a start fails.
//! - [`server`] accepts and stops; [`registry`] knows who is connected; [`log`] says so.
//! - [`clock`] is what every limit of time waits for, [`limits`] how many files may be open; `threads` are
//!   those on which others wait.
//! - [`net`] is bytes: listeners, streams, TLS, addresses, and who tells that a socket is ready.
//! - [`file`] reads the text files that people write.
//! - `path` is what a URI may name below a directory, `sync` how a lock is taken.
//! - [`http`] is what is said before the 101; [`http::gate::rule`] says which requests a route is for,
//!   [`http::gate::guard`] who is let in.
//! - [`session`] is the heart: both directions, keepalive, how it ends.
//! - [`framing`] is pure: bytes in, messages out.
//! - [`backend`] is the other side: a server, or a program of the session's own.
//! - [`demo`] is `wsrelay demo`, [`console`] the page of `--dev-console`.

pub mod backend;
pub mod clock;
pub mod console;
pub mod demo;
pub mod error;
pub mod file;
pub mod framing;
pub mod http;
pub mod limits;
pub mod log;
pub mod net;
pub mod options;
mod path;
pub mod registry;
pub mod server;
pub mod session;
mod sync;
pub mod task;
pub mod text;
mod threads;
