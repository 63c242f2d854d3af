//! The mailbox of a connection: orders from other tasks to its task.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;

use crate::sync::lock;

/// An order to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To end, as wsrelay stops. It is the last order, and stays in the mailbox: the task may be between HTTP
    /// and its session, which both look for it.
    Stop,
}

/// Orders that wait for a connection's task. The task looks at one flag when it is woken, and takes the lock
/// only if something waits.
#[derive(Debug, Default)]
pub struct Mailbox {
    is_full: AtomicBool,
    #[expect(
        clippy::box_collection,
        reason = "most connections never get an order, and hold one word in place of four"
    )]
    orders: Mutex<Option<Box<VecDeque<Order>>>>,
    waker: AtomicWaker,
}

impl Mailbox {
    /// The next order. If there is none, the task is woken when one comes; `known` is the waker that the task
    /// has registered.
    pub fn poll_next(&self, cx: &Context<'_>, known: &mut Option<Waker>) -> Poll<Order> {
        // A task's waker seldom changes, so that registering is rare.
        if !known.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker.register(cx.waker());
            *known = Some(cx.waker().clone());
        }
        if !self.is_full.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let orders = lock(&self.orders);
        // A stop is not removed, as nothing comes after it.
        let next = orders.as_ref().and_then(|orders| orders.front().cloned());
        self.is_full.store(next.is_some(), Ordering::Release);
        next.map_or(Poll::Pending, Poll::Ready)
    }

    /// Puts an order into the mailbox, and wakes the task.
    pub fn send(&self, order: Order) {
        let mut orders = lock(&self.orders);
        orders.get_or_insert_default().push_back(order);
        self.is_full.store(true, Ordering::Release);
        drop(orders);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_stays_in_the_mailbox() {
        let mailbox = Mailbox::default();
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.poll_next(&cx, &mut None), Poll::Pending);
        mailbox.send(Order::Stop);
        assert_eq!(mailbox.poll_next(&cx, &mut None), Poll::Ready(Order::Stop));
        assert_eq!(mailbox.poll_next(&cx, &mut None), Poll::Ready(Order::Stop));
    }
}
