//! Pipes: the stdin and stdout of a process as one stream.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::task::{Context, Poll};

use rustix::io::ioctl_fionbio;

use super::readiness::{Cutter, Source};

/// The reading end of a pipe, non-blocking and watched. The process at the other end has a blocking
/// one, as every program expects.
#[derive(Debug)]
pub struct PipeSource {
    // Fields are dropped in this order: the descriptor leaves the epoll when it is closed.
    pipe: PipeReader,
    source: Source,
}

/// The pipes to a process's stdin and from its stdout.
#[derive(Debug)]
pub struct Pipes {
    output: PipeSource,
    /// `None` once it is closed: the process sees the end of its stdin.
    input: Option<(PipeWriter, Source)>,
}

impl PipeSource {
    /// Takes a pipe's reading end.
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn new(pipe: PipeReader) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        let source = Source::new(&pipe, false)?;
        Ok(PipeSource { pipe, source })
    }

    /// Reads, as [`AsyncRead`](futures::io::AsyncRead) does.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.source.poll_read_with(cx, buf, |buf| (&self.pipe).read(buf))
    }

    /// A handle that ends the stream although another process may still hold its other end.
    pub fn cutter(&self) -> Cutter {
        self.source.cutter()
    }
}

impl Pipes {
    /// Joins the pipe that a process writes to and the one that it reads from.
    ///
    /// # Errors
    /// If the writing end can't be watched.
    pub fn new(output: PipeSource, input: PipeWriter) -> io::Result<Self> {
        ioctl_fionbio(&input, true)?;
        let source = Source::new(&input, true)?;
        Ok(Pipes { output, input: Some((input, source)) })
    }

    /// Reads what the process wrote.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.output.poll_read(cx, buf)
    }

    /// Runs a write to the process until it does not block; a broken pipe after
    /// [`close_input`](Self::close_input).
    pub fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut dyn Write) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        match &self.input {
            Some((pipe, source)) => source.poll_write_with(cx, || write(&mut &*pipe)),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Closes the process's stdin.
    pub fn close_input(&mut self) {
        self.input = None;
    }
}
