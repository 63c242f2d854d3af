//! HTTP/1: serves the requests of one connection, by hyper, until it is upgraded or ends.

use std::borrow::Cow;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tracing::field::display;

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
use super::refusal::Refusal;
use super::request_state::{RequestState, TrackedBody};
use super::subject::{CLIENT_LEFT, Subject};
use super::timed_stream::{ReadAhead, TimedStream};
use super::timer::Timer;
use super::{handshake, malformed};
use crate::clock::{Deadline, timeout};
use crate::net::stream::ByteStream;
use crate::registry::{Mailbox, Order};

/// How long a connection may go on with HTTP after a stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Why a head that hyper itself finds too large is refused.
const TOO_LARGE: &str = "the request's head is longer than 16 KiB, or has more than 100 headers";

/// The time limits of a client.
#[derive(Clone, Copy, Debug)]
pub struct HttpTimeouts {
    /// For its first request: less than for others where a TLS handshake took some of it.
    pub first: Duration,
    /// For each request.
    pub request: Duration,
    /// Without reading anything of its response.
    pub response: Duration,
}

impl HttpTimeouts {
    /// Those that are configured, of which `first` is left for the first request.
    pub fn of(config: &HttpConfig, first: Duration) -> Self {
        let HttpConfig { handshake_timeout, response_timeout, .. } = config;
        HttpTimeouts { first, request: *handshake_timeout, response: *response_timeout }
    }
}

/// The future of a response, boxed because hyper moves it.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A connection on which HTTP begins, and what was done before hyper gets it.
pub struct HttpStart {
    pub io: ByteStream,
    /// What was read of it.
    pub ahead: ReadAhead,
    /// The answer to the request in `ahead`, if there is one already.
    pub answer: Option<Response<Body>>,
}

impl From<ByteStream> for HttpStart {
    fn from(io: ByteStream) -> Self {
        HttpStart { io, ahead: ReadAhead::Nothing, answer: None }
    }
}

/// What is left of a connection when HTTP has ended on it.
pub struct HttpEnd {
    pub io: ByteStream,
    /// The bytes that were read behind the last request.
    pub early: Bytes,
    /// Whether all responses were sent, but for a 101.
    pub is_whole: bool,
}

/// Answers requests until the connection is upgraded, ends, or is stopped by an order in `mailbox`.
pub async fn serve_requests(
    start: HttpStart,
    subject: &Subject,
    timeouts: HttpTimeouts,
    mailbox: &Mailbox,
    answer: impl Fn(Request<Incoming>, &RequestState) -> Answering + Unpin,
) -> HttpEnd {
    let HttpStart { io, ahead, answer: known } = start;
    let watch = io.reset_watch();
    let state = RequestState::default();
    let io = TimedStream::new(io, ahead, timeouts.response, state.clone());
    let HttpTimeouts { first, request: limit, .. } = timeouts;
    let (is_known, known) = (known.is_some(), Cell::new(known));
    let is_asked = AtomicBool::new(false);
    let (asked, shared) = (&is_asked, state.clone());
    let answer = move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        state.begin(!request.body().is_end_stream());
        let state = state.clone();
        let answering = match known.take() {
            Some(response) => Box::pin(ready(Ok(response))),
            None => answer(request, &state),
        };
        answering.map_ok(|response| response.map(|body| TrackedBody::new(body, state)))
    };
    let mut connection = http1::Builder::new()
        .timer(Timer)
        .header_read_timeout(limit)
        // Above our own limits, so that a head just over them is still parsed and its path logged.
        .max_header_size(2 * handshake::MAX_HEAD)
        .max_headers(2 * handshake::MAX_HEADERS)
        .max_buf_size(64 * 1024)
        // For all names that `spelling` does not spell otherwise.
        .title_case_headers(true)
        .serve_connection(io, service_fn(answer));

    let mut grace: Option<Deadline> = None;
    let mut first = (first < limit).then(|| Deadline::after(first));
    let mut cut = false;
    let mut waker = None;
    let spoken = poll_fn(|cx| {
        // After a stop, hyper would not even read a request whose answer is known.
        let may_stop = grace.is_none() && (!is_known || is_asked.load(Ordering::Relaxed));
        if may_stop && mailbox.poll_next(cx, &mut waker) == Poll::Ready(Order::Stop) {
            Pin::new(&mut connection).graceful_shutdown();
            grace = Some(Deadline::after(STOP_GRACE));
        }
        if grace.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready()) {
            cut = true;
            return Poll::Ready(Ok(()));
        }
        let mut spoken = connection.poll_without_shutdown(cx);
        if is_asked.load(Ordering::Relaxed) {
            first = None;
        }
        if first.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready()) {
            cut = true;
            subject.dropped(&no_request(limit));
            return Poll::Ready(Ok(()));
        }
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
                // hyper reads the end now: only it knows whether the body is complete.
                spoken = connection.poll_without_shutdown(cx);
            } else {
                cut = true;
                subject.connection_ended(CLIENT_LEFT);
                return Poll::Ready(Ok(()));
            }
        }
        spoken
    })
    .await;
    // This drops an answer that is under way, and gives back its permits.
    let parts = connection.into_parts();
    let is_answered = is_asked.load(Ordering::Relaxed);
    let (mut io, left) = parts.io.into_inner();
    let early = match left.is_empty() {
        true => parts.read_buf,
        false => [parts.read_buf, left].concat().into(),
    };
    if let Err(error) = &spoken
        && let Some((status, why)) = log_error(subject, error, &early, is_answered, timeouts)
        && shared.is_idle()
    {
        let response = Refusal::written(status, &why);
        let _ = timeout(LINGER, io.write_all(response.as_bytes())).await;
    }
    let is_whole = !cut && spoken.is_ok();
    HttpEnd { io, early, is_whole }
}

/// Logs how HTTP failed; returns status and text of the answer, if a request is refused. `head` is what was read of a
/// request that is not complete or could not be parsed. `is_answered`: a request was answered before, so that silence
/// is an idle connection and no failure.
fn log_error(
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
        subject.connection_ended(display(error));
    }
    None
}

fn no_request(limit: Duration) -> String {
    format!("no complete request within {limit:?}")
}

/// Whether the error is the timeout of [`TimedStream`].
fn is_stall(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    source.is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
#[path = "http1_tests.rs"]
mod tests;
