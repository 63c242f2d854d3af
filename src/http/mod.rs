//! HTTP: everything before the 101. A connection's requests are answered with a program's output, a file, a page, a
//! refusal, or a session.
//!
//! ```text
//!  Arrived ─▶ connection ─┬─▶ fast_path ───────────┐
//!                         └─▶ http1: hyper ─▶ answer ─┬─▶ upgrade ─▶ gate, routes ─▶ backend ─▶ 101 ─▶ session
//!                                                     ├─▶ serve: programs, files, pages (gate)
//!                                                     └─▶ refusal
//! ```

mod answer;
mod arrived;
mod body;
mod config;
mod connection;
mod context;
pub mod extra;
mod fast_path;
pub mod gate;
mod handoff;
pub mod handshake;
mod http1;
pub mod linger;
mod malformed;
mod peer;
mod permits;
pub mod redirect;
pub mod refusal;
mod request_state;
mod routes;
pub mod serve;
mod spelling;
mod subject;
mod subprotocols;
mod timed_stream;
mod timer;
mod upgrade;

pub use self::arrived::Arrived;
pub use self::body::Body;
pub use self::config::{CgiConfig, HttpConfig, PagesConfig, Private};
pub use self::connection::serve;
pub use self::context::Context;
pub use self::peer::Peer;
pub use self::routes::{HandshakeConfig, Refuse, ResolveClients, RouteConfig};
pub use self::serve::site::Page;
pub use self::subject::Subject;
pub use self::subprotocols::Subprotocols;
