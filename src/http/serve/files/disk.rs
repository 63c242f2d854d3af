//! The threads on which files are read, and the limit of time for that.

use std::io;
use std::time::Duration;

use crate::clock::timeout;
use crate::threads::{BlockingPool, FILES};

/// How a directory's files are read.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// The threads that wait for the disk.
    pub threads: &'static BlockingPool,
    /// How long a request waits for the file, or for the next part of it. A disk that has to spin up first
    /// needs less.
    pub limit: Duration,
}

impl Default for Disk {
    fn default() -> Self {
        Disk { threads: &FILES, limit: Duration::from_secs(30) }
    }
}

impl Disk {
    /// Runs this work on one of the threads.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut). The work continues, and its result is dropped.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let done = timeout(self.limit, self.threads.run(work)).await;
        done.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"))
    }
}
