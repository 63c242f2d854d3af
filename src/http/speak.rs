//! Speak: HTTP on one connection, by hyper, until it is upgraded or ends.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncWriteExt, TryFutureExt};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

use super::body::Body;
use super::config::HttpConfig;
use super::linger::LINGER;
use super::patient::Patient;
use super::refusal::Refusal;
use super::subject::Subject;
use super::timer::Timer;
use super::turn::{Tracked, Turn};
use super::{handshake, malformed};
use crate::clock::{Deadline, timeout};
use crate::net::stream::ByteStream;
use crate::registry::{Mailbox, Order};

/// How long a connection may go on speaking HTTP once it is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What is said of a head that is so long that nobody reads on.
const TOO_LARGE: &str = "the request's head is longer than 16 KiB, or has more than 100 headers";

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct HttpTimeouts {
    /// For its first request: less than for others where TLS has come before it.
    pub first: Duration,
    /// For each request.
    pub request: Duration,
    /// Without taking anything of its response.
    pub response: Duration,
}

impl HttpTimeouts {
    /// Those that are configured, of which `first` is left for the first request.
    pub fn of(config: &HttpConfig, first: Duration) -> Self {
        let HttpConfig { handshake_timeout, response_timeout, .. } = config;
        HttpTimeouts { first, request: *handshake_timeout, response: *response_timeout }
    }
}

/// A request that is being answered. hyper wants to move it about.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A connection after HTTP.
pub struct Spoken {
    pub io: ByteStream,
    /// What was read behind the last request.
    pub early: Bytes,
    /// Whether the client has got all of its answers, but for a 101.
    pub is_whole: bool,
}

/// Answers requests until the connection is upgraded, ends, or is told to stop by `mailbox`.
pub async fn speak(
    io: ByteStream,
    subject: &Subject,
    timeouts: HttpTimeouts,
    mailbox: &Mailbox,
    answer: impl Fn(Request<Incoming>, &Turn) -> Answering + Unpin,
) -> Spoken {
    let watch = io.reset_watch();
    let turn = Turn::default();
    let io = Patient::new(io, timeouts.response, turn.clone());
    let HttpTimeouts { first, request: limit, .. } = timeouts;
    let is_asked = AtomicBool::new(false);
    let shared = turn.clone();
    let answer = |request: Request<Incoming>| {
        is_asked.store(true, Ordering::Relaxed);
        turn.begin(!request.body().is_end_stream());
        let turn = turn.clone();
        let answering = answer(request, &turn);
        answering.map_ok(|response| response.map(|body| Tracked::new(body, turn)))
    };
    let mut connection = http1::Builder::new()
        .timer(Timer)
        .header_read_timeout(limit)
        // Somewhat above our own limits: a head just over them is still understood, and its path logged.
        .max_header_size(2 * handshake::MAX_HEAD)
        .max_headers(2 * handshake::MAX_HEADERS)
        .max_buf_size(64 * 1024)
        // All names that have no other spelling, see `spelling`.
        .title_case_headers(true)
        .serve_connection(io, service_fn(answer));

    let mut grace: Option<Deadline> = None;
    let mut first = (first < limit).then(|| Deadline::after(first));
    let mut cut = false;
    let mut waker = None;
    let spoken = poll_fn(|cx| {
        if grace.is_none() && mailbox.poll_next(cx, &mut waker) == Poll::Ready(Order::Stop) {
            Pin::new(&mut connection).graceful_shutdown();
            grace = Some(Deadline::after(STOP_GRACE));
        }
        if grace.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready()) {
            cut = true;
            return Poll::Ready(Ok(()));
        }
        if first.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready()) {
            first = None;
            if !is_asked.load(Ordering::Relaxed) {
                cut = true;
                subject.dropped(&no_request(limit));
                return Poll::Ready(Ok(()));
            }
        }
        let mut spoken = connection.poll_without_shutdown(cx);
        // hyper does not read while a program takes nothing of a request's body.
        if spoken.is_pending()
            && watch.as_ref().is_some_and(|watch| watch.poll_reset(cx).is_ready())
        {
            cut = true;
            tracing::debug!(id = subject.id, client = %subject.client, "connection reset");
            return Poll::Ready(Ok(()));
        }
        if spoken.is_pending() && shared.is_switching() {
            return Poll::Ready(Ok(()));
        }
        if spoken.is_pending() && shared.is_abandoned() {
            if shared.has_body() {
                // hyper knows whether the body is complete, and whoever reads it may still say so.
                spoken = connection.poll_without_shutdown(cx);
            } else {
                cut = true;
                let error = "the client left before it was answered";
                tracing::debug!(id = subject.id, client = %subject.client, error, "connection ended");
                return Poll::Ready(Ok(()));
            }
        }
        spoken
    })
    .await;
    // First of all what was being answered is given up, and with it a place among the sessions.
    let parts = connection.into_parts();
    let is_answered = is_asked.load(Ordering::Relaxed);
    let (mut io, early) = (parts.io.into_inner(), parts.read_buf);
    if let Err(error) = &spoken
        && let Some((status, why)) = tell(subject, error, &early, is_answered, timeouts)
        && shared.is_nobodys()
    {
        let response = Refusal::written(status, &why);
        let _ = timeout(LINGER, io.write_all(response.as_bytes())).await;
    }
    let is_whole = !cut && spoken.is_ok();
    Spoken { io, early, is_whole }
}

/// Logs how HTTP failed; gives what is to be answered, if a request was refused. `head` is what has come of
/// a request that is not complete or was not understood. A connection that `is_answered` may wait in silence for
/// its client's next request, and then nothing went wrong.
fn tell(
    subject: &Subject,
    error: &hyper::Error,
    head: &[u8],
    is_answered: bool,
    timeouts: HttpTimeouts,
) -> Option<(StatusCode, Cow<'static, str>)> {
    if error.is_parse() {
        let (status, why): (_, Cow<'static, str>) = if error.is_parse_too_large() {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LARGE.into())
        } else {
            (StatusCode::BAD_REQUEST, malformed::what_it_was(head, &error.to_string()))
        };
        subject.refused("", status.as_u16(), &why);
        return Some((status, why));
    }
    if error.is_incomplete_message() && !head.is_empty() {
        let (status, why) = (StatusCode::BAD_REQUEST, malformed::incomplete(head));
        subject.refused("", status.as_u16(), why);
        return Some((status, why.into()));
    }
    let is_idle = is_answered && head.is_empty();
    if error.is_timeout() && !is_idle {
        subject.dropped(&no_request(timeouts.request));
    } else if is_stall(error) {
        let limit = timeouts.response;
        subject.dropped(&format!("took nothing of its response for {limit:?}"));
    } else {
        tracing::debug!(id = subject.id, client = %subject.client, %error, "connection ended");
    }
    None
}

fn no_request(limit: Duration) -> String {
    format!("no complete request within {limit:?}")
}

/// Whether the error is that of [`Patient`].
fn is_stall(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    source.is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
#[path = "speak_tests.rs"]
mod tests;
