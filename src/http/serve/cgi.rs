//! CGI: programs below `--cgi-dir` that answer ordinary requests (CGI/1.1, RFC 3875).
//!
//! ```text
//!  request ─ find ─▶ guard ─▶ permit ─▶ program ─┬─ up:   body ──▶ stdin
//!              └ nothing: files, pages           └─ down: stdout ──▶ head ─▶ response, body streamed
//! ```

mod exchange;
mod head;
mod program_guard;
mod response_body;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header;
use hyper::{Method, Request, Response, StatusCode};

use self::exchange::{Exchange, ExchangeError};
use self::head::Head;
use self::program_guard::{RequestRecord, ResponseState};
use self::response_body::ResponseBody;
use crate::backend::program::{FoundProgram, Lookup, Programs, RunningProgram};
use crate::backend::{ClientFacts, OpenError, client_name};
use crate::clock::timeout;
use crate::error::StartError;
use crate::http::body::{Body, full};
use crate::http::config::CgiConfig;
use crate::http::gate::auth::{Credentials, Identity};
use crate::http::gate::guard::{Admitted, Guard};
use crate::http::peer::RequestContext;
use crate::http::permits::{Capacity, SessionPermits};
use crate::http::refusal::Refusal;
use crate::http::spelling::Names;
use crate::http::subject::Subject;

/// The programs of `--cgi-dir`.
#[derive(Debug)]
pub struct Cgi {
    programs: Programs,
    /// How long a program may exchange no byte with its client.
    timeout: Duration,
    resolve_clients: Option<Duration>,
}

impl Cgi {
    /// Opens the directory.
    ///
    /// # Errors
    /// [`StartError::Environment`], if it can't be opened.
    pub fn open(config: &CgiConfig) -> Result<Self, StartError> {
        let programs = Programs::new(&config.programs).map_err(StartError::Environment)?;
        let CgiConfig { timeout, resolve_clients, .. } = *config;
        Ok(Cgi { programs, timeout, resolve_clients })
    }

    /// Looks up the program for a request. If it finds none, the request is for files and pages.
    ///
    /// # Errors
    /// The refusal, if the directory can't be read.
    pub async fn find(
        &self,
        request: &Request<Incoming>,
        context: RequestContext<'_>,
    ) -> Result<Lookup, Refusal> {
        let nobody = Identity::default();
        let client = context.peer.describe(request, "", context.arrival, None, &nobody);
        let found = timeout(self.timeout, self.programs.find(&client)).await;
        let found = found.unwrap_or(Err(OpenError::TimedOut(self.timeout)));
        found.map_err(Refusal::no_backend)
    }

    /// Answers a request by the program that was found. Only clients that may start it learn whether it
    /// could be started.
    ///
    /// # Errors
    /// The refusal: 401, 403, 411, 429, 501, 502, 503 or 504.
    pub async fn answer(
        &self,
        found: Lookup,
        request: Request<Incoming>,
        context: RequestContext<'_>,
        guard: &Guard,
        capacity: &Capacity,
    ) -> Result<Response<Body>, Refusal> {
        let credentials = Credentials::of(&request);
        let Admitted { identity, permit: address } =
            guard.check_program(credentials, context.arrival).await?;
        let identity = context.peer.identify(identity);
        let found = found.program().map_err(Refusal::no_backend)?;
        if request.body().size_hint().exact().is_none() {
            let why = "a program has to be told how long the body is: send Content-Length";
            return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, why).close());
        }
        if request.method() == Method::CONNECT {
            // A 2xx would begin a tunnel (RFC 9110, section 9.3.6).
            let why = "this is no proxy: a program answers any method but CONNECT";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, why).close());
        }
        let permits = SessionPermits::new(capacity.admit()?, None, address);
        let running = self.start(&found, &request, context, &identity, permits).await?;
        let record = RequestRecord {
            subject: Subject { user: identity.user, ..context.subject.clone() },
            path: context.path.to_owned(),
            program: found.name,
            began: Instant::now(),
            stop_guard: capacity.registry.delay_stop(),
        };
        let method = request.method().clone();
        let mut exchange = Exchange::new(running, request.into_body(), self.timeout, record);
        let response = async {
            let (head, first) = exchange.head().await?;
            if !head.has_body(&method) {
                poll_fn(|cx| exchange.poll_settled(cx)).await?;
            }
            Ok((head, first))
        };
        match response.await {
            Ok((head, first)) => Ok(respond(&method, head, first, exchange)),
            Err(error) => Err(refuse(&error, exchange)),
        }
    }

    async fn start(
        &self,
        found: &FoundProgram,
        request: &Request<Incoming>,
        context: RequestContext<'_>,
        identity: &Identity,
        permits: Arc<SessionPermits>,
    ) -> Result<RunningProgram, Refusal> {
        let client = context.peer.describe(request, "", context.arrival, None, identity);
        let name = match self.resolve_clients {
            Some(limit) => Box::pin(client_name(&client, limit)).await,
            None => None,
        };
        let client = ClientFacts { name: name.as_deref(), ..client };
        // CGI programs run in their own directory (RFC 3875, section 7.2).
        let started =
            timeout(self.timeout, self.programs.start(found, &client, true, permits)).await;
        let started = started.unwrap_or(Err(OpenError::TimedOut(self.timeout)));
        started.map_err(Refusal::no_backend)
    }
}

/// The refusal for a request that got no response.
fn refuse(error: &ExchangeError, mut exchange: Exchange) -> Refusal {
    exchange.guard.state = ResponseState::Refused;
    let name = exchange.guard.program();
    match error {
        ExchangeError::TimedOut(limit) => {
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, format!("{name} did not answer in {limit:?}"))
        }
        ExchangeError::InvalidResponse(why) => {
            Refusal::new(StatusCode::BAD_GATEWAY, format!("{name} gave no answer: {why}"))
        }
        ExchangeError::Client(why) => {
            Refusal::new(StatusCode::BAD_REQUEST, format!("the body broke off: {why}")).close()
        }
    }
}

fn respond(method: &Method, head: Head, first: Bytes, exchange: Exchange) -> Response<Body> {
    let (has_length, has_body) = (head.has_length(), head.has_body(method));
    let Head { status, headers, names, length } = head;
    let output = ResponseBody::new(exchange, status, first, length);
    let body = if has_body {
        output.boxed_unsync()
    } else {
        output.discard();
        full(Bytes::new())
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(Names(names));
    if let (Some(length), true) = (length, has_length) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}
