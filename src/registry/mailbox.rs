//! Mailbox: how others reach a connection's task.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;

use crate::sync::lock;

/// What a connection can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To end, as wsrelay stops. It is the last order, and stands for whoever asks after it, too: the task
    /// may be between HTTP and its session.
    Stop,
}

/// Orders that wait for a connection's task. The task looks at one flag when it is woken, and takes the lock
/// only if something waits.
#[derive(Debug, Default)]
pub struct Mailbox {
    is_full: AtomicBool,
    orders: Mutex<VecDeque<Order>>,
    waker: AtomicWaker,
}

impl Mailbox {
    /// The next order. If there is none, the task is woken when one comes; `known` is where the task
    /// remembers that it has said so.
    pub fn poll_next(&self, cx: &Context<'_>, known: &mut Option<Waker>) -> Poll<Order> {
        // A task keeps its waker for life as a rule, so that registering is rare.
        if !known.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker.register(cx.waker());
            *known = Some(cx.waker().clone());
        }
        if !self.is_full.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let orders = lock(&self.orders);
        // A stop stays: nothing comes after it.
        let next = orders.front().cloned();
        self.is_full.store(!orders.is_empty(), Ordering::Release);
        next.map_or(Poll::Pending, Poll::Ready)
    }

    /// Tells the task something.
    pub fn send(&self, order: Order) {
        let mut orders = lock(&self.orders);
        orders.push_back(order);
        self.is_full.store(true, Ordering::Release);
        drop(orders);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_stands_for_all_who_ask() {
        let mailbox = Mailbox::default();
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.poll_next(&cx, &mut None), Poll::Pending);
        mailbox.send(Order::Stop);
        assert_eq!(mailbox.poll_next(&cx, &mut None), Poll::Ready(Order::Stop));
        assert_eq!(mailbox.poll_next(&cx, &mut None), Poll::Ready(Order::Stop));
    }
}
