//! Options: all that the command line and the file say, checked, as the rooms' own configurations.
//!
//! ```text
//!  command line ─▶ parse ─▶ Args ─┐
//!                                 ├─▶ load ─▶ server, route, guard, session, tls, acme ─▶ Config
//!  file (TOML) ─▶ file ─▶ words ──┘      └─▶ show: what holds, as a file
//! ```

mod acme;
mod args;
mod file;
mod guard;
mod load;
mod parse;
mod route;
mod server;
mod session;
mod show;
mod similar;
mod tls;
mod values;

pub use self::args::{Args, CheckArgs, Command, DemoArgs};
pub use self::load::Options;
pub use self::parse::{Typed, parse};
pub use self::server::{config, listen_addrs};
