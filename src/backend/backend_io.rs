//! BackendIo: an open connection to a backend, and how it is left.

use std::future::{Future, poll_fn};
use std::time::Duration;

use super::program::{ProgramEnd, Running};
use crate::clock::timeout;
use crate::net::scratch;
use crate::net::stream::ByteStream;

/// An open connection to a backend. As small as that to a server: the rest lies in a box.
#[derive(Debug)]
pub struct BackendIo(Other);

/// Who is at its other end.
#[derive(Debug)]
enum Other {
    /// Somebody else's server.
    Server(ByteStream),
    /// A process of ours.
    Process(Box<Process>),
}

#[derive(Debug)]
struct Process {
    running: Running,
    /// Of many programs, which one.
    name: Option<Box<str>>,
}

impl BackendIo {
    /// A connection to somebody else's server.
    pub fn server(io: ByteStream) -> Self {
        BackendIo(Other::Server(io))
    }

    /// Both directions.
    pub fn io(&mut self) -> &mut ByteStream {
        match &mut self.0 {
            Other::Server(io) => io,
            Other::Process(process) => &mut process.running.io,
        }
    }

    /// Of many programs, which one it is; told once.
    pub fn program(&mut self) -> Option<Box<str>> {
        match &mut self.0 {
            Other::Server(_) => None,
            Other::Process(process) => process.name.take(),
        }
    }

    /// A program that runs.
    pub(super) fn process(running: Running, name: Option<Box<str>>) -> Self {
        BackendIo(Other::Process(Box::new(Process { running, name })))
    }

    /// How the process ends, awaited after the end of its output; `None` with a server.
    pub fn exit(&self) -> Option<impl Future<Output = ProgramEnd> + use<>> {
        match &self.0 {
            Other::Server(_) => None,
            Other::Process(process) => Some(process.running.keeping.exit()),
        }
    }

    /// Takes leave of a backend that has been written everything: it sees our FIN, and what it
    /// still says is read and discarded until it closes, or `close_timeout`. A process is ended.
    pub async fn finish(self, close_timeout: Duration) {
        match self.0 {
            Other::Server(mut io) => drop(timeout(close_timeout, io.leave()).await),
            Other::Process(process) => {
                let Running { mut io, keeping } = process.running;
                let _ = io.shutdown_write().await;
                keeping.end(discard(&mut io)).await;
            }
        }
    }

    /// Leaves a backend that has failed, or takes nothing any more. A process is ended.
    pub async fn abandon(self) {
        if let Other::Process(process) = self.0 {
            let Running { io, keeping } = process.running;
            drop(io);
            keeping.end(async {}).await;
        }
    }
}

async fn discard(io: &mut ByteStream) {
    poll_fn(|cx| scratch::poll_discard(cx, io)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every session has one, and most are with a server.
    #[test]
    fn a_connection_is_small() {
        assert_eq!(size_of::<BackendIo>(), size_of::<ByteStream>());
    }
}
