//! Program: a backend that is a program, started for each session, with pipes for stdin and stdout, and the facts
//! about the client in its environment (CGI, RFC 3875).
//!
//! ```text
//!  config ─▶ connector (one program), directory (many) ─▶ launcher ─▶ supervisor ─▶ process_group
//!
//!  session ──stdin──▶ process ──stdout──▶ session
//!                      │   └──stderr──▶ log, line by line
//!                      └─ exit ─▶ supervisor: a task that ends and reaps it, whatever becomes of the session
//! ```

mod config;
mod connector;
mod directory;
mod end;
mod environment;
mod launcher;
mod process_group;
mod process_table;
mod reaper;
mod stderr;
mod supervisor;

pub use self::config::{Program, ProgramDir};
pub use self::connector::ProgramConnector;
pub use self::directory::{FoundProgram, Lookup, Programs};
pub use self::end::ProgramEnd;
pub use self::launcher::RunningProgram;
pub use self::process_group::kill_all;
pub use self::reaper::reap_orphans;
pub use self::supervisor::{ProcessHandle, ProgramPermits};
