//! Session: one client joined to one backend connection. It owns both directions, and decides how
//! it ends and who is told.
//!
//! ```text
//!  terms ─▶ relay ─┬─ up:   endpoint (wire, frame) ─▶ framing ─▶ [pace] ─▶ outgoing
//!                  ├─ down: framing ─▶ endpoint
//!                  ├─ keepalive: all deadlines · stats and sinks: what passed
//!                  └─ reason ─▶ ending
//! ```

mod config;
mod down;
mod ending;
mod endpoint;
mod frame;
mod greeting;
pub mod keepalive;
mod outgoing;
mod pace;
mod reason;
mod relay;
mod replies;
mod sink;
mod stats;
mod up;
mod wire;

pub use self::config::{SessionConfig, SlowClient};
pub use self::ending::refuse;
pub use self::greeting::{Goodbye, Greeting, GreetingConfig};
pub use self::reason::{CloseReason, EndedBy, Outcome};
pub use self::relay::{Session, Terms};
