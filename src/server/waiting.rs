//! Waiting: for what a client has to send first, until the time for that is over, or the server stops.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Deadline;
use crate::registry::{Mailbox, Order};

/// How a wait ended.
#[derive(Debug)]
pub enum Waited<T> {
    /// With this result.
    Done(T),
    /// The time is over.
    TimedOut,
    /// The connection is to end.
    Stopped,
}

/// Does `work`, unless `limit` is over before, or the connection gets the order to stop.
pub async fn before<T>(
    limit: Duration,
    mailbox: &Mailbox,
    work: impl Future<Output = T>,
) -> Waited<T> {
    let mut work = pin!(work);
    let mut deadline = Deadline::after(limit);
    let mut waker = None;
    poll_fn(|cx| {
        if mailbox.poll_next(cx, &mut waker) == Poll::Ready(Order::Stop) {
            return Poll::Ready(Waited::Stopped);
        }
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Waited::Done(done));
        }
        pin!(&mut deadline).poll(cx).map(|()| Waited::TimedOut)
    })
    .await
}
