//! Registry: the live connections and the counters. It knows nobody; connections register with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use async_channel::{Receiver, Sender};
use atomic_waker::AtomicWaker;

use crate::sync::lock;

/// What all connections of a server have in common while they live.
#[derive(Debug)]
pub struct Registry {
    live: Mutex<Live>,
    permits: Arc<Permits>,
    stopping: AtomicBool,
    /// Closed when the last connection is gone, as each holds a clone of the sender.
    alive: Mutex<Option<Sender<()>>>,
    all_gone: Receiver<()>,
}

#[derive(Debug, Default)]
struct Live {
    next_id: u64,
    connections: HashMap<u64, Arc<Control>>,
}

/// How others reach a connection's task: a flag and a waker, looked at once per wake-up, so that
/// the data path takes no lock.
#[derive(Debug, Default)]
pub struct Control {
    stop: AtomicBool,
    waker: AtomicWaker,
}

impl Control {
    /// Whether the connection is told to stop; if not yet, the task is woken when it is.
    pub fn poll_stop(&self, cx: &Context<'_>, known: &mut Option<Waker>) -> bool {
        // A task keeps its waker for life as a rule, so that registering is rare.
        if !known.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker.register(cx.waker());
            *known = Some(cx.waker().clone());
        }
        self.stop.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// A connection's entry; dropping it takes the connection off the books.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    /// Number of the connection in this process, from 1: the `id` of its log lines.
    pub id: u64,
    /// How others reach it.
    pub control: Arc<Control>,
    _alive: Option<Sender<()>>,
}

/// What keeps a stop waiting, besides connections.
#[derive(Debug)]
pub struct Stay {
    _alive: Option<Sender<()>>,
}

/// How many sessions there are. How many there may be is for who admits them to say: they are counted
/// in any case.
#[derive(Debug, Default)]
pub struct Permits(AtomicUsize);

/// The right to be a session, given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Permits>);

impl Permits {
    /// A permit for one more session, unless `most` hold one.
    pub fn admit(self: &Arc<Self>, most: usize) -> Option<Permit> {
        let one_more = |n| (n < most).then_some(n + 1);
        let admitted = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        admitted.ok().map(|_| Permit(self.clone()))
    }

    /// How many hold one now.
    pub fn given(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
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

    /// Enters a connection; from now on a stop waits for it.
    pub fn register(self: &Arc<Self>) -> Registration {
        let control = Arc::new(Control::default());
        let mut live = lock(&self.live);
        live.next_id += 1;
        let id = live.next_id;
        live.connections.insert(id, control.clone());
        drop(live);
        if self.is_stopping() {
            control.stop();
        }
        Registration { registry: self.clone(), id, control, _alive: lock(&self.alive).clone() }
    }

    /// The permits of all sessions.
    pub fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    /// Something that a stop waits for until it is dropped, as for a connection.
    pub fn stay(&self) -> Stay {
        Stay { _alive: lock(&self.alive).clone() }
    }

    /// Whether [`stop_all`](Self::stop_all) was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells every connection, present and future, to stop.
    pub fn stop_all(&self) {
        self.stopping.store(true, Ordering::Release);
        *lock(&self.alive) = None;
        // Collected first: a woken task may want the lock to leave.
        let controls: Vec<_> = lock(&self.live).connections.values().cloned().collect();
        for control in controls {
            control.stop();
        }
    }

    /// Completes once [`stop_all`](Self::stop_all) was called and the last connection and [`Stay`] have left.
    pub async fn all_gone(&self) {
        let _ = self.all_gone.recv().await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.registry.live).connections.remove(&self.id);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;

    #[test]
    fn permits_are_given_back() {
        let permits = Arc::new(Permits::default());
        let permit = permits.admit(1);
        assert!(permit.is_some());
        assert!(permits.admit(1).is_none());
        drop(permit);
        assert!(permits.admit(1).is_some());
        assert_eq!(permits.given(), 0);
    }

    #[test]
    fn a_lower_limit_takes_none_away() {
        let permits = Arc::new(Permits::default());
        let held = [permits.admit(2), permits.admit(2)];
        assert!(held.iter().all(Option::is_some));
        assert!(permits.admit(1).is_none());
        assert_eq!(permits.given(), 2);
        drop(held);
        let held = permits.admit(1);
        assert!(held.is_some() && permits.admit(1).is_none());
    }

    #[test]
    fn a_stop_reaches_everyone_and_waits_for_the_last() {
        let registry = Registry::new();
        let (first, second) = (registry.register(), registry.register());
        assert_ne!(first.id, second.id);
        let waker = futures::task::noop_waker();
        let cx = Context::from_waker(&waker);
        assert!(!first.control.poll_stop(&cx, &mut None));

        registry.stop_all();
        let late = registry.register();
        for one in [&first, &second, &late] {
            assert!(one.control.poll_stop(&cx, &mut None));
        }
        assert!(registry.all_gone().now_or_never().is_none());
        drop((first, second));
        block_on(registry.all_gone());
    }
}
