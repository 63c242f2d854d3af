//! Scratch: buffers that belong to the thread, so that idle sessions hold none.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::AsyncRead;
use hyper::rt::ReadBufCursor;

/// The number of batches of up to [`CHUNK`] bytes that one connection moves before others are served:
/// async-io has no budget of its own.
pub const BATCHES: usize = 8;

/// Bytes read from a socket at once. A read is one system call whatever it brings, and 64 KiB
/// is what a session may buffer per direction.
pub const CHUNK: usize = 64 * 1024;

/// The largest buffer that a thread keeps: what one read can come to, and then some. What grew
/// beyond that for a long line goes back to the allocator.
const LARGEST_SPARE: usize = 4 * CHUNK;

thread_local! {
    static BUFFERS: [Cell<Option<Box<[u8]>>>; 2] = const { [Cell::new(None), Cell::new(None)] };
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends a buffer of this thread's, of [`CHUNK`] bytes, whose content is left over from the last use. It
/// is for poll functions that read and consume on the spot. A call within `work` gets the other one, which a TLS stream
/// below needs, and a call within that one gets a buffer that is allocated.
pub fn with<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    let lent = BUFFERS.with(|buffers| buffers.iter().find_map(Cell::take));
    let mut buffer = lent.unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice());
    let result = work(&mut buffer);
    BUFFERS.with(|buffers| {
        let mut returned = Some(buffer);
        for place in buffers {
            returned = place.replace(returned);
            if returned.is_none() {
                break;
            }
        }
    });
    result
}

/// An empty buffer to write into: the one that was given back last, which is large enough for what
/// usually comes, and still in the processor's cache.
pub fn take_spare() -> Vec<u8> {
    SPARE.with(|spare| spare.take())
}

/// Takes a buffer back once its content has been written.
pub fn give_spare(mut buffer: Vec<u8>) {
    buffer.clear();
    SPARE.with(|spare| {
        let kept = spare.take();
        let better = buffer.capacity() <= LARGEST_SPARE && buffer.capacity() > kept.capacity();
        spare.set(if better { buffer } else { kept });
    });
}

/// Reads and throws away until the end of the stream, whichever end that is.
pub async fn discard(io: &mut (impl AsyncRead + Unpin)) {
    poll_fn(|cx| poll_discard(cx, io)).await;
}

/// Reads into hyper's buffer by way of the thread's, as hyper's is not initialised: zeroing 8 KiB costs more than
/// copying a request of 200 bytes. Ready with the bytes read; 0 at the end of the stream.
///
/// # Errors
/// As of the read.
pub fn poll_read_into(
    cx: &mut Context<'_>,
    io: &mut (impl AsyncRead + Unpin),
    mut buf: ReadBufCursor<'_>,
) -> Poll<io::Result<usize>> {
    with(|chunk| {
        let room = buf.remaining().min(chunk.len());
        let n = ready!(Pin::new(io).poll_read(cx, &mut chunk[..room]))?;
        buf.put_slice(&chunk[..n]);
        Poll::Ready(Ok(n))
    })
}

/// Reads and discards; ready at the end of the stream, or when reading fails.
pub fn poll_discard(cx: &mut Context<'_>, io: &mut (impl AsyncRead + Unpin)) -> Poll<()> {
    poll_discard_most(cx, io, &mut { usize::MAX })
}

/// The same for `most` bytes, of which those that come are taken off. Behind them nothing is read, and it is never ready.
pub fn poll_discard_most(
    cx: &mut Context<'_>,
    io: &mut (impl AsyncRead + Unpin),
    most: &mut usize,
) -> Poll<()> {
    for _ in 0..BATCHES {
        if *most == 0 {
            return Poll::Pending;
        }
        let read = with(|chunk| {
            let room = chunk.len().min(*most);
            Pin::new(&mut *io).poll_read(cx, &mut chunk[..room])
        });
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(n)) if n > 0 => *most -= n,
            Poll::Ready(_) => return Poll::Ready(()),
        }
    }
    // A peer that sends without a pause must not keep others from being served.
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_again_inside_it_lends_another_buffer() {
        with(|outer| {
            outer.fill(1);
            with(|inner| {
                inner.fill(2);
                with(|innermost| {
                    assert_eq!([&*outer, inner, innermost].map(<[u8]>::len), [CHUNK; 3]);
                    innermost.fill(3);
                });
                assert!(inner.iter().all(|byte| *byte == 2), "it is the inner one's alone");
            });
            assert!(outer.iter().all(|byte| *byte == 1), "it is the outer one's alone");
        });
    }

    #[test]
    fn two_are_kept() {
        let addresses = || with(|outer| with(|inner| [outer.as_ptr(), inner.as_ptr()]));
        let mut before = addresses();
        let mut after = addresses();
        before.sort();
        after.sort();
        assert_eq!(before, after);
    }

    #[test]
    fn one_after_the_other_gets_the_same_buffer() {
        let address = || with(|buffer| buffer.as_ptr());
        assert_eq!(address(), address());
    }

    #[test]
    fn a_panic_inside_leaves_it_usable() {
        let panicked = std::panic::catch_unwind(|| with(|_| panic!("as a bug would")));
        assert!(panicked.is_err());
        assert_eq!(with(|buffer| buffer.len()), CHUNK);
    }
}
