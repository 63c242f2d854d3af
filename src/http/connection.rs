//! Connection: HTTP is spoken on it, until it ends or becomes a session.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{AsyncWriteExt, TryFutureExt};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};

use super::answer::answer;
use super::asker::{Asker, Ends};
use super::gate::address_counts::AddressPermit;
use super::patient::Patient;
use super::refusal::Refusal;
use super::routes::Route;
use super::secure::{Opened, secure};
use super::timer::Timer;
use super::turn::{Tracked, Turn};
use super::{Body, Context, Current, handshake, malformed};
use crate::backend::BackendIo;
use crate::clock::{Deadline, timeout};

use crate::http::subject::Subject;
use crate::net::stream::ByteStream;
use crate::registry::{Permit, Registration};
use crate::session::{self, CloseReason, Counts, Session};
use crate::sync::lock;

/// How long a connection may go on speaking HTTP once we are told to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// How long a connection that was answered for the last time may take to hang up.
pub const LINGER: Duration = Duration::from_secs(2);

/// What is said of a head that is so long that nobody reads on.
const TOO_LARGE: &str = "the request's head is longer than 16 KiB, or has more than 100 headers";

/// What a completed handshake leads to.
pub enum Joined {
    /// A session with this backend.
    Session {
        backend: BackendIo,
        entry: Arc<Entry>,
        subject: Subject,
        path: String,
        subprotocol: Option<String>,
        route: Arc<Route>,
    },
    /// A Close with this reason: `--refuse close`.
    Refused(String, Arc<Route>),
}

/// What a session has been given before it begins, and gives back when it ends: with a program, when
/// that is gone.
pub struct Entry {
    pub _permits: (Permit, Option<Permit>),
    pub _address: Option<AddressPermit>,
}

/// Where the service leaves what comes after its 101. It is locked once or twice in a
/// connection's life, by one task.
pub type Slot = Arc<Mutex<Option<Joined>>>;

/// Serves one connection to its end: requests, and after a 101 its session.
///
/// The two are boxed one after the other, and the future itself holds pointers only: an idle session
/// has no room for what HTTP once needed.
pub fn serve(
    io: ByteStream,
    ends: Ends,
    current: Arc<Current>,
    registration: Registration,
) -> impl Future<Output = ()> + Send {
    let opening = Box::pin(open(io, ends, current, registration));
    async move {
        if let Some((session, books)) = opening.await {
            let (reason, counts) = session.run().await;
            books.close(&reason, &counts);
        }
    }
}

/// What a session's end is told with, and what it gives back.
struct Books {
    subject: Subject,
    path: String,
    program: Option<Box<str>>,
    route: Arc<Route>,
    began: Instant,
    entry: Arc<Entry>,
    _registration: Registration,
}

impl Books {
    fn close(self, reason: &CloseReason, counts: &Counts) {
        let Books { subject, path, program, route, began, entry, .. } = self;
        // First, so that whoever reads of the end finds a place free.
        drop(entry);
        let backend = route.connector.backend().called(&program);
        subject.closed(&path, backend, began.elapsed(), counts, reason);
    }
}

/// Speaks HTTP to its end, which may be the beginning of a session.
async fn open(
    io: ByteStream,
    (client, local): Ends,
    current: Arc<Current>,
    registration: Registration,
) -> Option<(Box<Session>, Box<Books>)> {
    let subject = Subject { id: registration.id, client, forwarded_for: None, user: None };
    let context = current.get();
    let limit = context.config.handshake_timeout;
    let Opened { io, tls, left } = match &context.tls {
        None => Opened { io, tls: None, left: limit },
        // Boxed, as only some need the room.
        Some(tls) => Box::pin(secure(io, tls, limit, &subject, &registration.control)).await?,
    };
    let slot = Slot::default();
    let answer = {
        let asker = Asker { subject: subject.clone(), local, tls };
        let slot = slot.clone();
        move |request| {
            let (context, asker, slot) = (current.get(), asker.clone(), slot.clone());
            Box::pin(async move { Ok(answer(request, &context, asker, &slot).await) }) as Answering
        }
    };
    let spoken = speak_http(io, &subject, left, &context, &registration, answer).await;
    let Spoken { io, early, is_whole } = spoken;
    // What was decided for a client that has not got its 101 is void.
    let joined = lock(&slot).take().filter(|_| is_whole);
    match joined {
        Some(Joined::Session { mut backend, entry, subject, path, subprotocol, route }) => {
            let program = backend.program();
            let called = route.connector.backend().called(&program);
            subject.opened(&path, called, subprotocol.as_deref());
            let (config, control) = (route.session.clone(), registration.control.clone());
            let session = Session::new(io, &early, backend, config, subject.id, control);
            let began = Instant::now();
            let _registration = registration;
            let books = Books { subject, path, program, route, began, entry, _registration };
            Some((session, Box::new(books)))
        }
        Some(Joined::Refused(why, route)) => {
            let close_timeout = route.session.close_timeout;
            session::refuse(io, &early, &why, close_timeout).await;
            None
        }
        None => {
            linger(io).await;
            None
        }
    }
}

/// A request that is being answered. hyper wants to move it about.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A connection after HTTP.
pub struct Spoken {
    pub io: ByteStream,
    /// What was read behind the last request.
    early: Bytes,
    /// Whether the client has got all of its answers.
    is_whole: bool,
}

/// Answers requests until the connection is upgraded or ends. The first must be complete within `first`,
/// which is less than others have where TLS has come before it.
pub async fn speak_http(
    io: ByteStream,
    subject: &Subject,
    first: Duration,
    context: &Context,
    registration: &Registration,
    answer: impl Fn(Request<Incoming>) -> Answering + Unpin,
) -> Spoken {
    let watch = io.reset_watch();
    let turn = Turn::default();
    let io = Patient::new(io, context.config.response_timeout, turn.clone());
    let limit = context.config.handshake_timeout;
    let is_asked = AtomicBool::new(false);
    let answer = |request| {
        is_asked.store(true, Ordering::Relaxed);
        turn.begin();
        let turn = turn.clone();
        answer(request).map_ok(|response| response.map(|body| Tracked::new(body, turn)))
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
        if grace.is_none() && registration.control.poll_stop(cx, &mut waker) {
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
        let spoken = connection.poll_without_shutdown(cx);
        // hyper does not read while a program takes nothing of a request's body.
        if spoken.is_pending()
            && watch.as_ref().is_some_and(|watch| watch.poll_reset(cx).is_ready())
        {
            cut = true;
            tracing::debug!(id = subject.id, client = %subject.client, "connection reset");
            return Poll::Ready(Ok(()));
        }
        spoken
    })
    .await;
    // First of all what was being answered is given up, and with it a place among the sessions.
    let parts = connection.into_parts();
    let is_answered = is_asked.load(Ordering::Relaxed);
    let is_hushed = parts.io.is_hushed();
    let (mut io, early) = (parts.io.into_inner(), parts.read_buf);
    if let Err(error) = &spoken
        && let Some((status, why)) = tell(subject, error, &early, is_answered, context)
        // hyper says nothing to who speaks HTTP/2.
        && (is_hushed || early.starts_with(malformed::HTTP2))
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
    context: &Context,
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
    let is_idle = is_answered && head.is_empty();
    if error.is_timeout() && !is_idle {
        subject.dropped(&no_request(context.config.handshake_timeout));
    } else if is_stall(error) {
        let limit = context.config.response_timeout;
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

/// Hangs up so that no reset overtakes the last response.
pub async fn linger(mut io: ByteStream) {
    let _ = timeout(LINGER, io.leave()).await;
}
