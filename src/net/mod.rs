//! Net: streams of bytes, listeners, TLS, addresses and name resolution.
//!
//! ```text
//!  listener ─▶ plain (sockets, pipes) ─┬─▶ stream ◀─ duplex (inside the process)
//!                     ▲                └─▶ tls ─▶ ┘
//!                 readiness
//! ```

pub mod address;
pub mod address_prefix;
pub mod connect;
pub mod duplex;
pub mod host_port;
pub mod listener;
pub mod lookup;
pub mod outlet;
pub mod pipes;
pub mod plain;
pub mod proxy;
pub mod readiness;
pub mod scratch;
pub mod stream;
pub mod tls;
