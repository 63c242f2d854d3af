//! Options: all that the command line and the file say, checked, as the rooms' own configurations.
//!
//! ```text
//!  command line ─▶ parse ─▶ Args ─┐
//!                                 ├─▶ load ─▶ server, route, guard, session, tls, acme ─▶ Config
//!  file (TOML) ─▶ file ─▶ words ──┘      └─▶ show: what holds, as a file
//! ```

mod about;
mod acme;
mod args;
mod conflicts;
mod file;
mod guard;
mod help;
mod load;
mod parse;
mod route;
mod server;
mod session;
mod show;
mod similar;
mod subprotocol;
mod table;
mod tls;
mod values;

pub use self::args::Args;
pub use self::help::{help, help_of_command};
pub use self::load::Options;
pub use self::parse::{Line, Typed, parse, parse_command};
pub use self::server::{config, listen_addrs};
