//! The registry of connections. It knows no room above it; connections register with it.
//!
//! ```text
//!  connection's task ──writes──▶ card ◀──reads── other tasks
//!                    ◀─────── mailbox ◀─orders── other tasks
//! ```

mod card;
mod mailbox;
mod permits;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_channel::{Receiver, Sender};

use crate::sync::lock;

pub use self::card::{Card, Counts, Direction, SessionCard, Traffic};
pub use self::mailbox::{Mailbox, Order};
pub use self::permits::{Permit, Permits};

/// The connections of a server, and what they share.
#[derive(Debug)]
pub struct Registry {
    live: Mutex<Live>,
    permits: Arc<Permits>,
    stopping: AtomicBool,
    /// Every connection holds a clone, so that the channel closes when the last one is gone.
    alive: Mutex<Option<Sender<()>>>,
    all_gone: Receiver<()>,
}

#[derive(Debug, Default)]
struct Live {
    next_id: u64,
    cards: HashMap<u64, Arc<Card>>,
}

/// The guard of a registered connection; dropping it removes the connection.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    /// The connection's card.
    pub card: Arc<Card>,
    _alive: Option<Sender<()>>,
}

/// Keeps a stop waiting until it is dropped, as a connection does.
#[derive(Debug)]
pub struct StopGuard {
    _alive: Option<Sender<()>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        let (alive, all_gone) = async_channel::bounded(1);
        Arc::new(Registry {
            live: Mutex::default(),
            permits: Arc::default(),
            stopping: AtomicBool::new(false),
            alive: Mutex::new(Some(alive)),
            all_gone,
        })
    }

    /// Registers a connection from this client (`None`: through a Unix socket); a stop waits for it.
    pub fn register(self: &Arc<Self>, client: Option<SocketAddr>) -> Registration {
        let mut live = lock(&self.live);
        live.next_id += 1;
        let card = Arc::new(Card::new(live.next_id, client));
        live.cards.insert(card.id, card.clone());
        drop(live);
        if self.is_stopping() {
            card.mailbox.send(Order::Stop);
        }
        Registration { registry: self.clone(), card, _alive: lock(&self.alive).clone() }
    }

    /// The cards of all connections, in no order.
    pub fn cards(&self) -> Vec<Arc<Card>> {
        lock(&self.live).cards.values().cloned().collect()
    }

    /// The permits of all sessions.
    pub fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    /// A guard that keeps a stop waiting, for work that goes on without a connection.
    pub fn delay_stop(&self) -> StopGuard {
        StopGuard { _alive: lock(&self.alive).clone() }
    }

    /// Whether [`stop_all`](Self::stop_all) was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Orders every connection, present and future, to stop.
    pub fn stop_all(&self) {
        self.stopping.store(true, Ordering::Release);
        *lock(&self.alive) = None;
        // Not under the lock, which a woken task may take to unregister.
        for card in self.cards() {
            card.mailbox.send(Order::Stop);
        }
    }

    /// Completes once [`stop_all`](Self::stop_all) was called and the last connection and [`StopGuard`] are gone.
    pub async fn all_gone(&self) {
        let _ = self.all_gone.recv().await;
    }
}

impl Registration {
    /// Replaces its card by one of this client, under the same number: whom a connection belongs to may turn out late.
    /// Only before anything was ordered or counted.
    pub fn name(&mut self, client: Option<SocketAddr>) {
        let card = Arc::new(Card::new(self.card.id, client));
        lock(&self.registry.live).cards.insert(card.id, card.clone());
        if self.registry.is_stopping() {
            card.mailbox.send(Order::Stop);
        }
        self.card = card;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.registry.live).cards.remove(&self.card.id);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;

    #[test]
    fn a_stop_reaches_everyone_and_waits_for_the_last() {
        let registry = Registry::new();
        let (first, second) = (registry.register(None), registry.register(None));
        assert_ne!(first.card.id, second.card.id);
        let cx = Context::from_waker(Waker::noop());
        let told = |one: &Registration| one.card.mailbox.poll_next(&cx, &mut None);
        assert!(told(&first).is_pending());

        registry.stop_all();
        let late = registry.register(None);
        for one in [&first, &second, &late] {
            assert_eq!(told(one), Poll::Ready(Order::Stop));
        }
        assert_eq!(registry.cards().len(), 3);
        assert!(registry.all_gone().now_or_never().is_none());
        drop((first, second));
        block_on(registry.all_gone());
    }

    #[test]
    fn a_connection_that_is_named_late_keeps_its_number_and_its_orders() {
        let registry = Registry::new();
        let mut one = registry.register(None);
        let (id, client) = (one.card.id, "192.0.2.7:5000".parse().ok());
        one.name(client);
        let cards = registry.cards();
        assert_eq!(
            cards.iter().map(|card| (card.id, card.client)).collect::<Vec<_>>(),
            [(id, client)]
        );
        registry.stop_all();
        one.name(client);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(one.card.mailbox.poll_next(&cx, &mut None), Poll::Ready(Order::Stop));
        drop(one);
        assert!(registry.cards().is_empty());
    }
}
