//! Answer: each request is answered with a session, something that is served, or a refusal.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::asker::Asker;
use super::body::Body;
use super::connection::Slot;
use super::context::Context;
use super::gate::host;
use super::handshake;
use super::refusal::Refusal;
use super::serve::page::plain;
use super::subject::logged_path;
use super::upgrade::upgrade;

/// Answers one request.
pub async fn answer(
    request: Request<Incoming>,
    context: &Arc<Context>,
    mut asker: Asker,
    slot: &Slot,
) -> Response<Body> {
    let path = logged_path(&request);
    let peer = asker.subject.client;
    let secure = asker.tls.is_some();
    let host = host::asked_for(&request);
    let said = host.as_ref().ok().cloned().flatten();
    let arrival = context.config.trusted.arrival(request.headers(), said, peer, secure);
    asker.subject.forwarded_for = arrival.forwarded_for(peer);
    let subject = &asker.subject;
    let is_upgrade = handshake::is_upgrade(request.headers());
    let readable = preliminary(&request, context).and(host.map_err(Refusal::bad_host));
    let answered = match readable.and_then(|_| asker.vouched_for(context)) {
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
    let extra = if is_upgrade { &extra.ws } else { &extra.http };
    extra.add(&mut response);
    response
}

/// What is decided before anything else is looked at.
///
/// # Errors
/// The refusal: 503 or 431.
pub fn preliminary(request: &Request<Incoming>, context: &Context) -> Result<(), Refusal> {
    if context.registry.is_stopping() {
        return Err(Refusal::stopping());
    }
    handshake::check_size(request)
}
