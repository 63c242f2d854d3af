//! Disk: on which threads files are read, and for how long at most.

use std::io;
use std::time::Duration;

use crate::clock::timeout;
use crate::threads::{BlockingPool, FILES};

/// How a directory's files are read.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// Where reading them waits.
    pub threads: &'static BlockingPool,
    /// How long a request waits for the file, or for the next part of it. A disk that has to start spinning
    /// answers sooner.
    pub limit: Duration,
}

impl Default for Disk {
    fn default() -> Self {
        Disk { threads: &FILES, limit: Duration::from_secs(30) }
    }
}

impl Disk {
    /// Does this work.
    ///
    /// # Errors
    /// [`TimedOut`](io::ErrorKind::TimedOut). The work goes on then.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let done = timeout(self.limit, self.threads.run(work)).await;
        done.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"))
    }
}
