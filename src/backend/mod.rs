//! Backend: what a session is relayed to, and how a connection to it is opened.
//!
//! ```text
//!  target ─▶ pool ─▶ connector ─┬─ server_connector: tcp, unix, TLS ┬─▶ backend_io ─▶ session
//!                               ├─ target_file: a server by token ──┤
//!                               └─ program: a process of its own ───┘
//!  replay: the backend of wsrelay replay
//! ```

mod backend_io;
mod client_facts;
mod client_name;
mod connector;
mod open_error;
mod pool;
pub mod program;
mod proxy_protocol;
pub mod replay;
mod server_connector;
mod target;
mod target_file;
mod tcp;
mod template;
mod unix;

pub use self::backend_io::BackendIo;
pub use self::client_facts::{ClientFacts, Fact};
pub use self::client_name::client_name;
pub use self::open_error::OpenError;
pub use self::pool::{Backends, Pool};
pub use self::program::ProgramEnd;
pub use self::proxy_protocol::ProxyProtocol;
pub use self::target::{PROGRAM_DESCRIPTORS, Target};
pub use self::template::Template;
