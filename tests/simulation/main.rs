//! Simulation: whole sessions, with a clock that a test turns, held against a model of the contract.
//!
//! ```text
//!  seed ─▶ generate ─▶ story ─▶ world: client ═ network ═ Session ═ network ═ backend ─▶ trace ─▶ model
//!                        ▲                                                                  │
//!                        └────────────────────── shrink ◀───────────── failure ◀────────────┘
//! ```
//!
//! `SIMULATE_SEEDS` and `SIMULATE_FROM` say which seeds are run, and `SIMULATE_ALL=1` that one which fails does not end
//! the search; `scripts/simulate` sets them.

mod client;
mod faults;
mod found;
mod generate;
mod model;
mod peer;
mod runner;
mod shrink;
mod spec;
mod stage;
mod story;
mod trace;
mod world;

/// Seeds without `SIMULATE_SEEDS`: what a build without optimisation runs in some seconds.
const FEW: u64 = 2000;

#[test]
fn sessions_keep_every_promise() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().expect(name));
    let seeds = number("SIMULATE_SEEDS").unwrap_or(FEW);
    let from = number("SIMULATE_FROM").unwrap_or(0);
    let all = number("SIMULATE_ALL").is_some_and(|all| all != 0);
    if let Err(report) = runner::run(from, seeds, all) {
        panic!("{report}");
    }
}
