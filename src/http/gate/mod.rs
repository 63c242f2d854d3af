//! Gate: who may connect. Everything here is decided before anything is dialled or shown.
//!
//! ```text
//!  request ─▶ host, forwarded: who asks for what ─▶ rule: which route ─▶ guard ─┬─ origin
//!                                                                              ├─ rate, address_counts: what counters hold
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
