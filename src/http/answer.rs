//! Answer: chooses between a session, something that is served, and a refusal for each request.

use std::future::pending;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::body::Body;
use super::context::Context;
use super::gate::host;
use super::handoff::Handoff;
use super::handshake;
use super::peer::{Peer, RequestContext};
use super::refusal::Refusal;
use super::request_state::RequestState;
use super::subject::{Subject, logged_path};
use super::upgrade::upgrade;
use crate::registry::Registry;

/// Answers one request. For an accepted handshake, puts it into `handoff` and never ends.
pub async fn answer(
    request: Request<Incoming>,
    context: &Arc<Context>,
    peer: &Peer,
    handoff: &Handoff,
    state: &RequestState,
) -> Response<Body> {
    let secure = peer.tls.is_some();
    let (host, readable) = match host::asked_for(&request) {
        Ok(host) => (host, Ok(())),
        Err(why) => (None, Err(Refusal::bad_host(why))),
    };
    let arrival = context.config.trusted.arrival(request.headers(), host, peer.addr, secure);
    let forwarded_for = arrival.forwarded_for(peer.addr);
    let subject = Subject { forwarded_for, ..peer.subject() };
    let is_upgrade = handshake::is_upgrade(request.headers());
    let readable = preliminary(&request, &context.capacity.registry).and(readable);
    let extra = &context.config.extra_headers;
    let mut response = match readable.and_then(|()| peer.vouched_for(context.acceptor.as_deref())) {
        Err(refusal) => refuse(&subject, &logged_path(&request), refusal),
        Ok(()) if is_upgrade => {
            state.needs_client();
            // Frames may already follow a handshake, so a refused one ends the connection.
            match upgrade(&request, &arrival, context, peer, &subject).await {
                Ok(accepted) => {
                    handoff.put(accepted);
                    state.switch_protocols();
                    // The connection leaves hyper now, and drops this future.
                    return pending().await;
                }
                Err(refusal) => refuse(&subject, &logged_path(&request), refusal.close()),
            }
        }
        Ok(()) => {
            let request_context =
                RequestContext { arrival: &arrival, peer, subject: &subject, state };
            let path = logged_path(&request);
            let pages = &context.pages;
            let answered =
                pages.answer(request, request_context, &context.routes, &context.capacity).await;
            answered.unwrap_or_else(|refusal| refuse(&subject, &path, refusal))
        }
    };
    let extra = if is_upgrade { &extra.ws } else { &extra.http };
    extra.add(&mut response);
    response
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
