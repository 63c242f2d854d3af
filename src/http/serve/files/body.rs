//! The body of a response, read from its file while it is sent.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::disk::Disk;

/// The most bytes read at once, and so in memory for one response: 64 KiB.
pub const CHUNK: u64 = 64 * 1024;

/// A part of a file, read a chunk at a time on another thread, when hyper asks for it. The body fails with
/// `UnexpectedEof` if the file has become shorter, with `TimedOut` if the disk does not answer; the connection is
/// then cut, as the rest of `Content-Length` can't be sent.
pub struct FileBody {
    remaining: u64,
    disk: Disk,
    state: ReadState,
}

/// The file, and the bytes that were read from it.
type Chunk = (File, io::Result<Bytes>);

enum ReadState {
    Idle(File),
    Reading(Pin<Box<dyn Future<Output = io::Result<Chunk>> + Send>>),
    Failed,
}

impl FileBody {
    /// The body of the next `len` bytes from the file's position.
    pub fn new(file: File, len: u64, disk: Disk) -> Self {
        Self { remaining: len, disk, state: ReadState::Idle(file) }
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
            match std::mem::replace(&mut self.state, ReadState::Failed) {
                ReadState::Failed => return Poll::Ready(None),
                ReadState::Idle(file) if self.remaining == 0 => {
                    self.state = ReadState::Idle(file);
                    return Poll::Ready(None);
                }
                ReadState::Idle(mut file) => {
                    let len = self.remaining.min(CHUNK);
                    self.state = ReadState::Reading(Box::pin(self.disk.run(move || {
                        let read = read_exactly(&mut file, len);
                        (file, read)
                    })));
                }
                ReadState::Reading(mut read) => {
                    let Poll::Ready(done) = read.as_mut().poll(cx) else {
                        self.state = ReadState::Reading(read);
                        return Poll::Pending;
                    };
                    let (file, read) = done?;
                    let bytes = read?;
                    self.remaining -= bytes.len() as u64;
                    self.state = ReadState::Idle(file);
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

/// Reads `len` bytes (at most [`CHUNK`]) from the file's position; `UnexpectedEof` if it ends before.
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
