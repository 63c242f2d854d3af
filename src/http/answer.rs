//! Answer: chooses between a session, something that is served, and a refusal for each request.

use std::future::pending;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::body::Body;
use super::context::Context;
use super::gate::auth::offered;
use super::gate::forwarded::Arrival;
use super::gate::host;
use super::handoff::{Accepted, Handoff};
use super::handshake;
use super::peer::{Peer, RequestContext};
use super::refusal::Refusal;
use super::request_state::RequestState;
use super::subject::Subject;
use super::upgrade::upgrade;
use crate::registry::Registry;

/// Answers one request. For an accepted handshake, puts it into `handoff` and never ends.
pub async fn answer(
    mut request: Request<Incoming>,
    context: &Arc<Context>,
    peer: &Peer,
    handoff: &Handoff,
    state: &RequestState,
) -> Response<Body> {
    if handshake::is_upgrade(request.headers()) {
        state.needs_client();
        // hyper would go on to the next request if it knew that nobody wants the body.
        let (parts, _body) = request.into_parts();
        match answer_handshake(&mut Request::from_parts(parts, ()), context, peer).await {
            Ok(accepted) => {
                handoff.put(accepted);
                state.switch_protocols();
                // The connection leaves hyper now, and drops this future.
                return pending().await;
            }
            Err(response) => return response,
        }
    }
    let Asked { arrival, subject, readable } = Asked::of(&mut request, context, peer);
    let mut response = match readable {
        Err(refusal) => refuse(&subject, &context.logged_path(&request), refusal),
        Ok(()) => {
            let path = context.logged_path(&request);
            let request_context =
                RequestContext { arrival: &arrival, peer, subject: &subject, path: &path, state };
            let pages = &context.pages;
            let answered =
                pages.answer(request, request_context, &context.routes, &context.capacity).await;
            answered.unwrap_or_else(|refusal| refuse(&subject, &path, refusal))
        }
    };
    context.config.extra_headers.http.add(&mut response);
    response
}

/// Answers a request that is meant as a WebSocket handshake.
///
/// # Errors
/// The response, if it is refused.
pub async fn answer_handshake(
    request: &mut Request<()>,
    context: &Context,
    peer: &Peer,
) -> Result<Accepted, Response<Body>> {
    let Asked { arrival, subject, readable } = Asked::of(request, context, peer);
    let accepted = match readable {
        Err(refusal) => Err(refusal),
        Ok(()) => {
            let upgraded = upgrade(request, &arrival, context, peer, &subject).await;
            // Frames may already follow a handshake, so a refused one ends the connection.
            upgraded.map_err(Refusal::close)
        }
    };
    accepted.map_err(|refusal| {
        let mut response = refuse(&subject, &context.logged_path(request), refusal);
        context.config.extra_headers.ws.add(&mut response);
        response
    })
}

/// A request's origin, and whether it is to be read further. What nobody may see or believe is taken out of it.
struct Asked {
    arrival: Arrival,
    subject: Subject,
    readable: Result<(), Refusal>,
}

impl Asked {
    fn of<B>(request: &mut Request<B>, context: &Context, peer: &Peer) -> Self {
        let (host, has_host) = match host::asked_for(request) {
            Ok(host) => (host, Ok(())),
            Err(why) => (None, Err(Refusal::bad_host(why))),
        };
        let authority = peer.authority();
        let is_authority = authority.is_some();
        let host = authority.or(host);
        let trusted = &context.config.trusted;
        let mut arrival = trusted.arrival(request.headers(), host, peer.addr, peer.is_secure());
        arrival.is_host_named |= is_authority;
        trusted.strip(request.headers_mut(), peer.addr);
        offered::set_apart(request);
        let forwarded_for = arrival.forwarded_for(peer.addr);
        let subject = Subject { forwarded_for, ..peer.subject() };
        let readable = preliminary(request, &context.capacity.registry).and(has_host);
        let readable = readable.and_then(|()| peer.vouched_for(context.acceptor.as_deref()));
        Asked { arrival, subject, readable }
    }
}

/// Logs a refusal; gives its response.
fn refuse(subject: &Subject, path: &str, refusal: Refusal) -> Response<Body> {
    subject.refused(path, refusal.status.as_u16(), &refusal.why);
    refusal.response()
}

/// Checks what comes before all other rules.
///
/// # Errors
/// The refusal: 503 or 431.
pub fn preliminary<B>(request: &Request<B>, registry: &Registry) -> Result<(), Refusal> {
    if registry.is_stopping() {
        return Err(Refusal::stopping());
    }
    handshake::check_size(request)
}
