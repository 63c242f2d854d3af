//! What is said before the 101: a connection's requests are answered with a file, a page, a
//! refusal, or a session.

mod asker;
pub mod auth;
mod cgi;
pub mod extra;
pub mod fairness;
mod files;
pub mod forwarded;
pub mod guard;
pub mod handshake;
pub mod host;
pub mod origin;
mod patient;
pub mod redirect;
pub mod refusal;
mod routes;
pub mod rule;
mod secure;
mod site;
mod timer;
mod upgrade;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::{CONTROLS, utf8_percent_encode};

use self::asker::Asker;
use self::auth::Auth;
use self::cgi::Cgi;
use self::fairness::Place;
use self::forwarded::Arrival;
use self::guard::Guard;
use self::patient::Patient;
use self::refusal::Refusal;
use self::routes::{Route, Routes};
use self::secure::{Opened, secure};
pub use self::site::Page;
use self::site::Site;
use self::timer::Timer;
use self::upgrade::upgrade;
use crate::backend::BackendIo;
use crate::backend::program::Lookup;
use crate::clock::{Deadline, timeout};
use crate::config::Config;
use crate::error::{CloseReason, StartError};
use crate::log::Subject;
use crate::net::stream::ByteStream;
use crate::net::tls::Acceptor;
use crate::registry::{Permit, Registration, Registry};
use crate::session::{self, Counts, Session};
use crate::sync::lock;

pub use self::asker::Ends;

/// A response's body. Not `Sync`, as a file that is being read is not.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// How long a connection may go on speaking HTTP once we are told to stop.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// How long a connection that was answered for the last time may take to hang up.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes of a path that the log shows: no client should fill a disk with one request.
const LONGEST_LOGGED: usize = 200;

/// What all connections share that came under the same configuration.
#[derive(Debug)]
pub struct Context {
    config: Config,
    routes: Routes,
    cgi: Option<Cgi>,
    site: Site,
    /// That of pages.
    guard: Guard,
    tls: Option<Arc<Acceptor>>,
    registry: Arc<Registry>,
}

impl Context {
    /// Opens what the configuration names. What `old` has open already, and counts, is kept.
    ///
    /// # Errors
    /// If `--static-dir`, `--cgi-dir`, `--auth-file`, `--token-file` or a file of TLS can't be used, or
    /// there is no such program.
    pub fn new(
        config: Config,
        registry: Arc<Registry>,
        old: Option<&Context>,
    ) -> Result<Self, StartError> {
        let cgi = config.pages.cgi.as_ref().map(Cgi::open).transpose()?;
        let site = Site::open(&config.pages)?;
        let known = old.map(|old| &old.guard);
        let guard = Guard::open(&config.guard, known.as_slice())?;
        let routes = Routes::open(&config.routes, &guard, old.map(|old| &old.routes))?;
        let tls = match old {
            None => config.tls.as_ref().map(Acceptor::open).transpose()?.map(Arc::new),
            Some(old) => old.tls_for(&config)?,
        };
        Ok(Context { config, routes, cgi, site, guard, tls, registry })
    }

    /// What makes connections encrypted ones under a new configuration. Whether TLS is spoken at all can't
    /// change: people were told so when we started.
    fn tls_for(&self, new: &Config) -> Result<Option<Arc<Acceptor>>, StartError> {
        match (&self.tls, &new.tls) {
            (Some(old), Some(new)) if !old.is_of(new) => {
                Ok(Some(Arc::new(Acceptor::succeed(old, new)?)))
            }
            (old, _) => Ok(old.clone()),
        }
    }

    /// What it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads passwords, tokens and certificates again; false if there are none.
    pub fn reload_files(&self) -> bool {
        let guards = self.routes.iter().map(|route| &route.guard).chain([&self.guard]);
        let mut all: Vec<&Arc<Auth>> = guards.filter_map(Guard::auth).collect();
        all.sort_by_key(|auth| Arc::as_ptr(auth));
        all.dedup_by(|a, b| Arc::ptr_eq(a, b));
        all.iter().for_each(|auth| auth.reload());
        self.tls.iter().for_each(|tls| tls.reload());
        !all.is_empty() || self.tls.is_some()
    }

    /// What makes connections encrypted ones, if they are.
    pub fn tls(&self) -> Option<&Arc<Acceptor>> {
        self.tls.as_ref()
    }
}

/// What a completed handshake leads to.
enum Joined {
    /// A session with this backend.
    Session {
        backend: BackendIo,
        entry: Entry,
        subject: Subject,
        path: String,
        subprotocol: Option<String>,
        route: Arc<Route>,
    },
    /// A Close with this reason: `--refuse close`.
    Refused(String, Arc<Route>),
}

/// What a session has been given before it begins, and gives back when it ends.
struct Entry {
    _permits: (Permit, Option<Permit>),
    _place: Option<Place>,
}

/// Where the service leaves what comes after its 101. It is locked once or twice in a
/// connection's life, by one task.
type Slot = Arc<Mutex<Option<Joined>>>;

/// Serves one connection to its end: requests, and after a 101 its session.
///
/// The two are boxed one after the other, and the future itself holds pointers only: an idle session
/// has no room for what HTTP once needed.
pub fn serve(
    io: ByteStream,
    ends: Ends,
    context: Arc<Context>,
    registration: Registration,
) -> impl Future<Output = ()> + Send {
    let opening = Box::pin(open(io, ends, context, registration));
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
    entry: Entry,
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
    context: Arc<Context>,
    registration: Registration,
) -> Option<(Box<Session>, Box<Books>)> {
    let subject = Subject { id: registration.id, client, forwarded_for: None, user: None };
    let limit = context.config.handshake_timeout;
    let Opened { io, tls, left } = match &context.tls {
        None => Opened { io, tls: None, left: limit },
        // Boxed, as only some need the room.
        Some(tls) => Box::pin(secure(io, tls, limit, &subject, &registration.control)).await?,
    };
    let slot = Slot::default();
    let answer = {
        let asker = Asker { subject: subject.clone(), local, tls };
        let (context, slot) = (context.clone(), slot.clone());
        move |request| {
            let (context, asker, slot) = (context.clone(), asker.clone(), slot.clone());
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
type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A connection after HTTP.
struct Spoken {
    io: ByteStream,
    /// What was read behind the last request.
    early: Bytes,
    /// Whether the client has got all of its answers.
    is_whole: bool,
}

/// Answers requests until the connection is upgraded or ends. Each must be complete within `limit`.
async fn speak_http(
    io: ByteStream,
    subject: &Subject,
    limit: Duration,
    context: &Context,
    registration: &Registration,
    answer: impl Fn(Request<Incoming>) -> Answering + Unpin,
) -> Spoken {
    let io = Patient::new(io, context.config.response_timeout);
    let mut connection = http1::Builder::new()
        .timer(Timer)
        .header_read_timeout(limit)
        // Somewhat above our own limits, so that a head just over them gets our answer, with a
        // text; one far over them gets hyper's 431, without.
        .max_header_size(2 * handshake::MAX_HEAD)
        .max_headers(2 * handshake::MAX_HEADERS)
        .max_buf_size(64 * 1024)
        .serve_connection(io, service_fn(answer));

    let mut grace: Option<Deadline> = None;
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
        connection.poll_without_shutdown(cx)
    })
    .await;
    // First of all what was being answered is given up, and with it a place among the sessions.
    let parts = connection.into_parts();
    if let Err(error) = &spoken {
        tell(subject, error, context);
    }
    let is_whole = !cut && spoken.is_ok();
    Spoken { io: parts.io.into_inner(), early: parts.read_buf, is_whole }
}

/// Logs how HTTP failed: hyper has answered already, where there was something to answer.
fn tell(subject: &Subject, error: &hyper::Error, context: &Context) {
    if error.is_timeout() {
        let limit = context.config.handshake_timeout;
        subject.dropped(&format!("no complete request within {limit:?}"));
    } else if error.is_parse_too_large() {
        subject.refused("", 431, "request head far too large");
    } else if error.is_parse() {
        subject.refused("", 400, &format!("not HTTP: {error}"));
    } else if is_stall(error) {
        let limit = context.config.response_timeout;
        subject.dropped(&format!("took nothing of its response for {limit:?}"));
    } else {
        tracing::debug!(id = subject.id, client = %subject.client, %error, "connection ended");
    }
}

/// Whether the error is that of [`Patient`].
fn is_stall(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    source.is_some_and(|e| e.kind() == io::ErrorKind::TimedOut)
}

/// Hangs up so that no reset overtakes the last response.
async fn linger(mut io: ByteStream) {
    let _ = timeout(LINGER, io.leave()).await;
}

async fn answer(
    request: Request<Incoming>,
    context: &Arc<Context>,
    mut asker: Asker,
    slot: &Slot,
) -> Response<Body> {
    let path = shown(&request);
    let peer = asker.subject.client;
    let secure = asker.tls.is_some();
    let arrival = context.config.trusted.arrival(request.headers(), peer, secure);
    asker.subject.forwarded_for = arrival.forwarded_for(peer);
    let subject = &asker.subject;
    let is_upgrade = handshake::is_upgrade(request.headers());
    let answered = match preliminary(&request, context) {
        Err(refusal) => Err(refusal),
        Ok(()) if is_upgrade => {
            // What follows a handshake is frames, already on their way perhaps: no second request.
            let answered = upgrade(&request, &arrival, context, &asker, slot).await;
            answered.map_err(Refusal::close)
        }
        Ok(()) => plain(request, &arrival, context, &asker, &path).await,
    };
    let mut response = answered.unwrap_or_else(|refusal| {
        subject.refused(&path, refusal.status.as_u16(), &refusal.why);
        refusal.response()
    });
    let extra = &context.config.extra_headers;
    extra::add(if is_upgrade { &extra.ws } else { &extra.http }, response.headers_mut());
    response
}

/// The path as it is logged. Raw bytes that RFC 3986 does not allow in it are encoded: some of them
/// (C1 controls, marks that turn the direction of text) are commands to a terminal, and the JSON
/// format leaves them as they are.
fn shown(request: &Request<Incoming>) -> String {
    let mut path = utf8_percent_encode(request.uri().path(), CONTROLS).to_string();
    if path.len() > LONGEST_LOGGED {
        path.truncate(LONGEST_LOGGED);
        path.push('…');
    }
    path
}

fn preliminary(request: &Request<Incoming>, context: &Context) -> Result<(), Refusal> {
    if context.registry.is_stopping() {
        return Err(Refusal::stopping());
    }
    handshake::check_size(request)
}

/// Answers a request that is no handshake: a program, where there is one for it, or a page.
async fn plain(
    request: Request<Incoming>,
    arrival: &Arrival,
    context: &Context,
    asker: &Asker,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    if let Some(cgi) = &context.cgi {
        let found = cgi.find(&request, arrival, asker).await?;
        if found != Lookup::Nothing {
            return cgi.answer(found, request, arrival, context, asker).await;
        }
    }
    let response = page(&request, arrival, context).await?;
    if response.status() == StatusCode::FORBIDDEN || response.status().is_server_error() {
        asker.subject.refused(path, response.status().as_u16(), "the file can't be read");
    }
    Ok(response)
}

/// Answers a request for a page.
async fn page(
    request: &Request<Incoming>,
    arrival: &Arrival,
    context: &Context,
) -> Result<Response<Body>, Refusal> {
    let (method, uri) = (request.method(), request.uri());
    context.guard.check_page(request.headers(), uri.query()).await?;
    let is_read = method == Method::GET || method == Method::HEAD;
    // Other methods are answered by whether there is anything to read.
    let asked = if is_read { method } else { &Method::HEAD };
    let is_relay_path = context.routes.has(arrival, uri.path());
    let found = context.site.respond(asked, uri, request.headers(), is_relay_path).await;
    match found {
        Some(response) if is_read => Ok(response),
        Some(_) => {
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "pages can only be read");
            Err(refusal.with(header::ALLOW, "GET, HEAD"))
        }
        None if is_relay_path => Err(upgrade_required(request, arrival, context)),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path")),
    }
}

/// What is no page could still be a WebSocket.
fn upgrade_required(request: &Request<Incoming>, arrival: &Arrival, context: &Context) -> Refusal {
    let why = if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) {
        "this WebSocket handshake has lost its Upgrade header on the way: \
         a proxy in front must pass on Upgrade and Connection"
    } else if context.site.is_empty() && arrival.secure {
        "this is a WebSocket relay: connect with new WebSocket(\"wss://…\")"
    } else if context.site.is_empty() {
        "this is a WebSocket relay: connect with new WebSocket(\"ws://…\")"
    } else {
        "there is no such page, and this request is no WebSocket handshake"
    };
    Refusal::new(StatusCode::UPGRADE_REQUIRED, why).upgrade()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
