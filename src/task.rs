//! The async runtime. async-std is named in this file only, so that another can replace it.

/// The sockets of the demo's chat server; sessions use those of [`net`](crate::net).
pub use async_std::net::{TcpListener, TcpStream};
pub use async_std::task::{JoinHandle, block_on, spawn, yield_now};
