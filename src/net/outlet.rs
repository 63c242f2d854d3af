//! Outlet: a stream that reports when what was written to it has left.

use futures::io::AsyncWrite;

/// A stream that may hold back what was written until it is flushed.
pub trait Outlet: AsyncWrite + Unpin {
    /// Whether anything has left since this was last asked; `taken`: something was written since.
    fn take_moved(&mut self, taken: bool) -> bool;
}
