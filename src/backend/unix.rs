//! Unix: connects to a server on a Unix socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_io::Async;
use futures::io::AsyncWriteExt;

use crate::clock::{Deadline, timeout};
use crate::net::address::system_path;
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;

/// The pause between two attempts at a Unix socket whose backlog is full: the kernel does not tell when it has
/// room again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Connects to a server on a Unix socket.
#[derive(Debug, PartialEq)]
pub struct UnixConnector(PathBuf);

impl UnixConnector {
    /// Connects to the socket at this path, or of this name (`@name`).
    pub fn new(path: &Path) -> Self {
        UnixConnector(system_path(path).into_owned())
    }

    /// Connects within `limit`, and sends `preface`.
    ///
    /// # Errors
    /// As of `connect(2)`; `TimedOut` after the limit.
    pub async fn open(&self, limit: Duration, preface: &[u8]) -> io::Result<ByteStream> {
        timeout(limit, async {
            let mut io = open_unix(&self.0).await?;
            io.write_all(preface).await?;
            Ok(ByteStream::plain(io))
        })
        .await?
    }
}

/// Connects to a Unix socket. Where TCP tries again by itself, a full backlog is an error at once (EAGAIN), which
/// async-io takes for a connection in progress, until it finds that there is none.
async fn open_unix(path: &Path) -> io::Result<Plain> {
    loop {
        match Async::<UnixStream>::connect(path).await {
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotConnected | io::ErrorKind::WouldBlock) =>
            {
                Deadline::after(BUSY_PAUSE).await;
            }
            connected => return Plain::unix(connected?.into_inner()?),
        }
    }
}
