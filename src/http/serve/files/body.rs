//! A response body that is read from a file while it is sent.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::disk::Disk;

/// Most bytes read at once, and so in memory for one response: 64 KiB.
pub const CHUNK: u64 = 64 * 1024;

/// Exactly so many bytes of a file, a chunk at a time, each read on another thread when it is asked for. If the
/// file has become shorter the body fails with `UnexpectedEof`, if the disk does not answer with `TimedOut`: the
/// connection is to be cut, never padded.
pub struct FileBody {
    remaining: u64,
    disk: Disk,
    state: State,
}

/// What was read, and the file to read on from.
type Chunk = (File, io::Result<Bytes>);

enum State {
    Idle(File),
    Reading(Pin<Box<dyn Future<Output = io::Result<Chunk>> + Send>>),
    Failed,
}

impl FileBody {
    /// The next `len` bytes from the file's position on.
    pub fn new(file: File, len: u64, disk: Disk) -> Self {
        Self { remaining: len, disk, state: State::Idle(file) }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Failed => return Poll::Ready(None),
                State::Idle(file) if self.remaining == 0 => {
                    self.state = State::Idle(file);
                    return Poll::Ready(None);
                }
                State::Idle(mut file) => {
                    let len = self.remaining.min(CHUNK);
                    self.state = State::Reading(Box::pin(self.disk.run(move || {
                        let read = read_exactly(&mut file, len);
                        (file, read)
                    })));
                }
                State::Reading(mut read) => {
                    let Poll::Ready(done) = read.as_mut().poll(cx) else {
                        self.state = State::Reading(read);
                        return Poll::Pending;
                    };
                    let (file, read) = done?;
                    let bytes = read?;
                    self.remaining -= bytes.len() as u64;
                    self.state = State::Idle(file);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// Reads `len` bytes (at most [`CHUNK`]) from the file's position on; `UnexpectedEof` if it ends before.
pub fn read_exactly(file: &mut File, len: u64) -> io::Result<Bytes> {
    debug_assert!(len <= CHUNK);
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(len).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < len {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file became shorter while it was sent",
        ));
    }
    Ok(bytes.into())
}
