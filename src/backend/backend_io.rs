//! BackendIo: an open connection to a backend, and how it is closed.

use std::future::Future;
use std::time::Duration;

use super::program::{ProgramEnd, RunningProgram};
use crate::clock::timeout;
use crate::net::scratch;
use crate::net::stream::ByteStream;

/// An open connection to a backend. It is as small as a connection to a server: the rest is boxed.
#[derive(Debug)]
pub struct BackendIo(BackendStream);

/// The stream, by what is at its other end.
#[derive(Debug)]
enum BackendStream {
    /// A server.
    Server(ByteStream),
    /// A program that we started.
    Program(Box<ProgramStream>),
}

#[derive(Debug)]
struct ProgramStream {
    running: RunningProgram,
    /// The name of the program, if it is one of a directory.
    name: Option<Box<str>>,
}

impl BackendIo {
    /// A connection to a server.
    pub fn server(io: ByteStream) -> Self {
        BackendIo(BackendStream::Server(io))
    }

    /// The stream, for both directions.
    pub fn io(&mut self) -> &mut ByteStream {
        match &mut self.0 {
            BackendStream::Server(io) => io,
            BackendStream::Program(program) => &mut program.running.io,
        }
    }

    /// The name of the program, if it is one of a directory. It is taken: the next call returns `None`.
    pub fn program(&mut self) -> Option<Box<str>> {
        match &mut self.0 {
            BackendStream::Server(_) => None,
            BackendStream::Program(program) => program.name.take(),
        }
    }

    /// A running program; with its name, if it is one of a directory.
    pub(super) fn process(running: RunningProgram, name: Option<Box<str>>) -> Self {
        BackendIo(BackendStream::Program(Box::new(ProgramStream { running, name })))
    }

    /// How the program ends, to be awaited after the end of its output; `None` with a server.
    pub fn exit(&self) -> Option<impl Future<Output = ProgramEnd> + use<>> {
        match &self.0 {
            BackendStream::Server(_) => None,
            BackendStream::Program(program) => Some(program.running.process.exit()),
        }
    }

    /// Closes the connection after everything has been written: sends a FIN, then reads and discards until the server
    /// closes, or `close_timeout`. A program is ended.
    pub async fn finish(self, close_timeout: Duration) {
        match self.0 {
            BackendStream::Server(mut io) => drop(timeout(close_timeout, io.leave()).await),
            BackendStream::Program(program) => {
                let RunningProgram { mut io, process } = program.running;
                let _ = io.shutdown_write().await;
                process.end(scratch::discard(&mut io)).await;
            }
        }
    }

    /// Drops a connection that has failed or does not accept data any more. A program is ended.
    pub async fn abandon(self) {
        if let BackendStream::Program(program) = self.0 {
            let RunningProgram { io, process } = program.running;
            drop(io);
            process.end(async {}).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every session has one, and most are connected to a server.
    #[test]
    fn a_connection_is_small() {
        assert_eq!(size_of::<BackendIo>(), size_of::<ByteStream>());
    }
}
