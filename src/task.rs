//! Task: the runtime. async-std is named in this file and nowhere else, so that another can take its place.

/// What the demo's own server listens with and accepts; sessions have [`net`](crate::net).
pub use async_std::net::{TcpListener, TcpStream};
pub use async_std::task::{JoinHandle, block_on, spawn, yield_now};
