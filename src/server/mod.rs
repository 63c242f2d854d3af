//! Server: listens, has each connection served by a task of its own, reads its configuration again, and stops
//! in good order.
//!
//! ```text
//!  ServerConfig ─▶ State ─────────────────────────┐ replaced by Reloader
//!                                                 ▼
//!  Server ─▶ accept ─▶ OpenConnections ─▶ http::serve, http::redirect::serve
//! ```

mod certificates;
mod config;
mod open_connections;
mod reload;
mod run;
mod state;

pub use self::config::{ConnectionLimits, ServerConfig};
pub use self::reload::Reloader;
pub use self::run::Server;
