//! Resolver: what a backend's name stands for just now.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_lock::Mutex;

use crate::task::ToSocketAddrs;

/// How long an answer holds. Long enough that a thousand browsers that come back together make one
/// query, on one thread of the blocking pool; short enough that nobody notices.
const HOLDS: Duration = Duration::from_secs(1);

/// A name and a port, resolved when it is asked for and the last answer is old.
#[derive(Debug)]
pub struct Resolver {
    host: String,
    port: u16,
    /// Locked while the name is looked up: whoever comes meanwhile waits for the same answer.
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    addrs: Arc<[SocketAddr]>,
    since: Instant,
}

impl Resolver {
    /// Nothing is looked up yet.
    pub fn new(host: String, port: u16) -> Self {
        Resolver { host, port, known: Mutex::new(None) }
    }

    /// Every address of the name, in the system's order. It may take as long as the system's
    /// resolver does.
    ///
    /// # Errors
    /// If the name does not resolve. That is not kept.
    pub async fn resolve(&self) -> io::Result<Arc<[SocketAddr]>> {
        self.resolve_with(async {
            // On the blocking pool.
            let found = (&*self.host, self.port).to_socket_addrs().await;
            found.map(Iterator::collect).map_err(|_| io::Error::other("the name does not resolve"))
        })
        .await
    }

    async fn resolve_with(
        &self,
        look_up: impl Future<Output = io::Result<Arc<[SocketAddr]>>>,
    ) -> io::Result<Arc<[SocketAddr]>> {
        let mut known = self.known.lock().await;
        if let Some(known) = &*known
            && known.since.elapsed() < HOLDS
        {
            return Ok(known.addrs.clone());
        }
        let addrs = look_up.await?;
        *known = Some(Known { addrs: addrs.clone(), since: Instant::now() });
        Ok(addrs)
    }

    /// None of the addresses answered: the next one to ask looks the name up again.
    pub async fn forget(&self) {
        *self.known.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::block_on;
    use futures::future::join_all;
    use std::cell::Cell;

    fn answer(port: u16) -> Arc<[SocketAddr]> {
        [SocketAddr::from(([127, 0, 0, 1], port))].into()
    }

    #[test]
    fn sessions_that_come_together_share_one_answer() {
        let resolver = Resolver::new("example.org".into(), 80);
        let asked = Cell::new(0);
        let ask = || {
            resolver.resolve_with(async {
                asked.set(asked.get() + 1);
                crate::task::yield_now().await;
                Ok(answer(asked.get()))
            })
        };
        let answers = block_on(join_all((0..10).map(|_| ask())));
        assert!(answers.into_iter().all(|addrs| addrs.unwrap() == answer(1)));
        block_on(resolver.forget());
        assert_eq!(block_on(ask()).unwrap(), answer(2));
    }

    #[test]
    fn an_answer_gets_old_and_a_failure_is_not_kept() {
        let resolver = Resolver::new("example.org".into(), 80);
        let fails = async { Err(io::Error::other("the name does not resolve")) };
        assert!(block_on(resolver.resolve_with(fails)).is_err());
        let ask = |port| block_on(resolver.resolve_with(async move { Ok(answer(port)) })).unwrap();
        assert_eq!((ask(1), ask(2)), (answer(1), answer(1)));
        if let Some(known) = &mut *block_on(resolver.known.lock()) {
            known.since -= HOLDS;
        }
        assert_eq!(ask(3), answer(3));
    }
}
