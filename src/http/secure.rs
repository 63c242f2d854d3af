//! Secure: what comes before HTTP where TLS is spoken, and what is said to those who don't speak it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::AsyncWriteExt;
use hyper::StatusCode;

use super::linger::{LINGER, linger};
use super::refusal::Refusal;
use crate::clock::{Deadline, timeout};
use crate::http::subject::Subject;
use crate::net::stream::ByteStream;
use crate::net::tls::{Acceptor, Facts, Failure};
use crate::registry::{Mailbox, Order};

/// What a browser that forgot the s is told, as nginx does by its status 497.
const PLAIN_HTTP: &str =
    "this port speaks TLS: use https:// or wss:// in place of http:// or ws://";

/// A connection on which HTTP can begin.
pub struct Opened {
    /// What HTTP is spoken on.
    pub io: ByteStream,
    /// What the handshake came to, if there was one.
    pub tls: Option<Arc<Facts>>,
    /// What is left of the time for the first request.
    pub left: Duration,
}

/// Does the handshake with a client, who has `limit` for it and its request together; `None` if it
/// came to nothing, which is logged and told then.
pub async fn secure(
    io: ByteStream,
    acceptor: &Acceptor,
    limit: Duration,
    subject: &Subject,
    mailbox: &Mailbox,
) -> Option<Opened> {
    let began = Instant::now();
    let mut accepting = pin!(acceptor.accept(io));
    let mut deadline = Deadline::after(limit);
    let mut waker = None;
    let accepted = poll_fn(|cx| {
        if mailbox.poll_next(cx, &mut waker) == Poll::Ready(Order::Stop) {
            return Poll::Ready(None);
        }
        if let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
            return Poll::Ready(Some(accepted));
        }
        pin!(&mut deadline).poll(cx).map(|()| {
            subject.dropped(&format!("no TLS handshake within {limit:?}"));
            None
        })
    });
    match accepted.await? {
        Ok((io, facts)) => {
            let left = limit.saturating_sub(began.elapsed());
            Some(Opened { io, tls: Some(Arc::new(facts)), left })
        }
        Err((failure, io)) => {
            turn_away(failure, io, subject).await;
            None
        }
    }
}

async fn turn_away(failure: Failure, mut io: ByteStream, subject: &Subject) {
    match failure {
        Failure::Silent => {}
        Failure::NoCertificate | Failure::Proof => linger(io).await,
        Failure::Handshake(why) => {
            subject.dropped(&why);
            // An alert has been written.
            linger(io).await;
        }
        Failure::PlainHttp => {
            subject.refused("", 400, PLAIN_HTTP);
            let response = Refusal::written(StatusCode::BAD_REQUEST, PLAIN_HTTP);
            let said = timeout(LINGER, io.write_all(response.as_bytes())).await;
            if matches!(said, Ok(Ok(()))) {
                linger(io).await;
            }
        }
    }
}
