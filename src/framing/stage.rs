//! Stage: a protocol between the backend's bytes and the framing, such as telnet. Pure.

use std::fmt::Debug;

/// Takes a protocol out of what the backend sends before the decoder sees it, and puts it into what the encoder
/// wrote for the backend. It is told every byte once, in order, however reads split them, and remembers what
/// it needs between two calls.
pub trait Stage: Debug + Send {
    /// Down: appends what is left of `bytes` to `rest`, and what the protocol answers to `answer`, which goes up
    /// to the backend behind what waits there already.
    fn down(&mut self, bytes: &[u8], rest: &mut Vec<u8>, answer: &mut Vec<u8>);

    /// Up: rewrites what the encoder has appended to `out`, which begins at `start`.
    fn up(&mut self, out: &mut Vec<u8>, start: usize);
}
