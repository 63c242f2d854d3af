//! Gate: who may connect. All of it is decided before a backend is connected or a page is read.
//!
//! ```text
//!  request ─▶ host, forwarded: client, host ─▶ rule: the route ─▶ guard ─┬─ origin
//!                                                                              ├─ rate, address_counts (kept in counters)
//!                                                                              └─ auth
//! ```

pub mod address_counts;
pub mod auth;
pub mod counters;
pub mod forwarded;
pub mod guard;
pub mod host;
pub mod origin;
pub mod rate;
pub mod rule;
