//! Server: listens, has each connection served by a task of its own, reads its configuration again, and stops
//! in good order.
//!
//! ```text
//!  Server ─▶ Door ─▶ listener ─▶ entrance ─▶ Arrived ─▶ service: http::serve, http::redirect::serve
//!                                   │                      │
//!  Reloader ─▶ Shared ─▶ ServerState ─▶ Context ───────────┘
//! ```

mod certificates;
mod config;
mod door;
mod entrance;
mod open_connections;
mod proxy_header;
mod reload;
mod run;
mod shared;
mod state;
mod tls_handshake;
mod waiting;

pub use self::config::{ConnectionLimits, ServerConfig};
pub use self::reload::Reloader;
pub use self::run::Server;
