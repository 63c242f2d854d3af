//! Line mode by example.

mod cost;
mod down;
mod flush;
mod up;

const NO_LIMIT: usize = usize::MAX;
