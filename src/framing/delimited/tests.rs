//! Delimited lines by example, and against a reference on generated input.

mod down;
mod flush;
mod properties;
mod reference;
mod up;
