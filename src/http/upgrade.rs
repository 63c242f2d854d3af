//! Upgrade: a WebSocket handshake is answered, once there is a backend for it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::Context;
use super::asker::Asker;
use super::body::{Body, full};
use super::connection::{Entry, Joined, Slot};
use super::gate::auth::User;
use super::gate::forwarded::Arrival;
use super::gate::guard::Admitted;
use super::handshake::{self, Upgrade};
use super::refusal::Refusal;
use super::routes::{Found, Refuse, Route};
use super::subject::logged_path;
use crate::backend::BackendIo;
use crate::http::subject::Subject;
use crate::registry::{Permit, Permits};
use crate::sync::lock;

/// Answers a WebSocket handshake: parse, guard, limits, backend, 101. Nothing is dialled for a client
/// that would be refused.
pub async fn upgrade(
    request: &Request<Incoming>,
    arrival: &Arrival,
    context: &Arc<Context>,
    asker: &Asker,
    slot: &Slot,
) -> Result<Response<Body>, Refusal> {
    let upgrade = handshake::check(request)?;
    let Found { route, covered } =
        context.routes.find(arrival, request.uri().path(), &upgrade.offers)?;
    let ours = route.handshake.subprotocols.as_deref();
    let subprotocol = handshake::choose_subprotocol(&upgrade.offers, ours).map(str::to_owned);
    let path = logged_path(request);
    let asked = Asked { request, arrival, covered, subprotocol: subprotocol.as_deref(), asker };
    let mut joining = pin!(join(asked, route, context));
    let joined = poll_fn(|cx| {
        // A stop wakes this task: there may be a long wait for the backend, and nothing after it.
        match context.registry.is_stopping() {
            true => Poll::Ready(Err(Refusal::stopping())),
            false => joining.as_mut().poll(cx),
        }
    });
    let route = route.clone();
    let joined = match joined.await {
        Ok((backend, entry, user)) => {
            let subject = Subject { user, ..asker.subject.clone() };
            Joined::Session {
                backend,
                entry,
                subject,
                path,
                subprotocol: subprotocol.clone(),
                route,
            }
        }
        Err(refusal) if refusal.temporary && route.handshake.refuse == Refuse::Close => {
            let (why, is_trouble) =
                (format!("{} (closed with 1013)", refusal.why), refusal.status.is_server_error());
            asker.subject.refused_for(&path, 101, &why, is_trouble);
            Joined::Refused(refusal.why, route)
        }
        Err(refusal) => return Err(refusal),
    };
    *lock(slot) = Some(joined);
    Ok(switching_protocols(&upgrade, subprotocol.as_deref()))
}

/// A handshake, and what was found out about it.
struct Asked<'a> {
    request: &'a Request<Incoming>,
    arrival: &'a Arrival,
    /// How many bytes of its path led to its route.
    covered: usize,
    subprotocol: Option<&'a str>,
    asker: &'a Asker,
}

async fn join(
    asked: Asked<'_>,
    route: &Route,
    context: &Context,
) -> Result<(BackendIo, Arc<Entry>, User), Refusal> {
    let Asked { request, arrival, covered, subprotocol, asker } = asked;
    let (headers, query) = (request.headers(), request.uri().query());
    let Admitted { identity, permit: of_address } =
        route.guard.check(headers, query, arrival).await?;
    let identity = asker.identify(identity);
    let own = admit(&route.counters.sessions, route.max_sessions)?;
    let permits = (admit(context.registry.permits(), context.config.max_sessions)?, Some(own));
    let entry = Arc::new(Entry { _permits: permits, _address: of_address });
    let limit = route.handshake.connect_timeout;
    let client =
        asker.describe(request, &request.uri().path()[..covered], arrival, subprotocol, &identity);
    let backend = route.connector.open(&client, limit, entry.clone()).await;
    Ok((backend.map_err(Refusal::no_backend)?, entry, identity.user))
}

/// A permit to be one of at most `most` sessions.
///
/// # Errors
/// 503, if there are as many.
pub fn admit(permits: &Arc<Permits>, most: usize) -> Result<Permit, Refusal> {
    permits.admit(most).ok_or_else(|| Refusal::too_many_sessions(most))
}

/// The 101 (RFC 6455, section 4.2.2). No extension is ever answered.
fn switching_protocols(upgrade: &Upgrade, subprotocol: Option<&str>) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let mut insert = |name, text: &str| {
        // Base64, or a token that came in a header or was checked at the start.
        let value = HeaderValue::from_str(text).expect("tokens are valid header values");
        headers.insert(name, value);
    };
    insert(header::SEC_WEBSOCKET_ACCEPT, &upgrade.accept);
    if let Some(name) = subprotocol {
        insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    response
}
