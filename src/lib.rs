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
//! The rooms, from the top: each may import only what stands in lower rows (`tests/layers.rs` checks it).
//!
//! ```text
//! ┌───────────────────────────────────────────────────────────────────────────────────────────────────┐
//! │ commands              │ what wsrelay can be asked to do, one file each                            │
//! │ demo                  │ `wsrelay demo`: a chat server, a page, the relay between them             │
//! │ options               │ the command line and the file, checked, as the rooms' own configurations  │
//! │ server                │ doors (a listener, its entrance, a service), reload, stop                 │
//! │ console               │ the page of --dev-console                                                 │
//! │ http                  │ what is said before the 101: who may connect, what is served              │
//! │ session               │ both directions, keepalive, how it ends                                   │
//! │ backend               │ a server, or a program of the session's own                               │
//! │ record                │ recordings of sessions: their format, the threads that write them         │
//! │ net                   │ sockets, TLS, addresses, who tells that a socket is ready                 │
//! │ framing               │ pure: bytes in, messages out                                              │
//! │ threads log           │ threads on which others wait; the log, set up                             │
//! │ clock                 │ what every limit of time waits for                                        │
//! │ error registry        │ why a start fails; who is connected                                       │
//! │ file open_files rate  │ files that people write; files in use; how often something may happen     │
//! │ task text limits path random sync │ the runtime, words, limits of files, URI paths, random bytes, locks │
//! └───────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```

pub mod backend;
pub mod clock;
pub mod commands;
pub mod console;
pub mod demo;
pub mod error;
pub mod file;
pub mod framing;
pub mod http;
pub mod limits;
pub mod log;
pub mod net;
mod open_files;
pub mod options;
mod path;
mod random;
pub mod rate;
pub mod record;
pub mod registry;
pub mod server;
pub mod session;
mod sync;
pub mod task;
pub mod text;
pub mod threads;
