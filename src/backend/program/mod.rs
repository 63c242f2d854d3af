//! Program: a backend that is a process of its own for each session, with pipes for stdin and
//! stdout, and what is known of the client in its environment (CGI, RFC 3875).
//!
//! ```text
//!  session ──stdin──▶ process ──stdout──▶ session
//!                      │   └──stderr──▶ log, line by line
//!                      └─ exit ─▶ keeper: one task that ends and reaps it, whatever becomes of the session
//! ```

mod census;
mod config;
mod directory;
mod end;
mod environment;
mod keeper;
mod launcher;
mod orphans;
mod process;
mod starter;
mod stderr;

pub use self::config::{Program, ProgramDir};
pub use self::directory::{Found, Lookup, Programs};
pub use self::end::ProgramEnd;
pub use self::keeper::{Held, Keeping};
pub use self::launcher::Launcher;
pub use self::orphans::reap as reap_orphans;
pub use self::process::kill_all;
pub use self::starter::Running;
