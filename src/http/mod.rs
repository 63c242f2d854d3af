//! What is said before the 101: a connection's requests are answered with a file, a page, a
//! refusal, or a session.

mod asker;
mod config;
mod connection;
mod context;
pub mod extra;
pub mod gate;
pub mod handshake;
mod patient;
pub mod redirect;
pub mod refusal;
mod routes;
mod secure;
pub mod serve;
mod subject;
mod timer;
mod upgrade;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use percent_encoding::{CONTROLS, utf8_percent_encode};

use self::asker::Asker;
use self::connection::Slot;
use self::gate::host;
use self::refusal::Refusal;
use self::serve::page::plain;
use self::upgrade::upgrade;

pub use self::asker::Ends;
pub use self::config::{CgiConfig, Config, Pages};
pub use self::connection::serve;
pub use self::context::{Context, Current};
pub use self::routes::{HandshakeConfig, Refuse, RouteConfig};
pub use self::serve::site::Page;

/// A response's body. Not `Sync`, as a file that is being read is not.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// Bytes of a path that the log shows: no client should fill a disk with one request.
const LONGEST_LOGGED: usize = 200;

/// Answers one request.
async fn answer(
    request: Request<Incoming>,
    context: &Arc<Context>,
    mut asker: Asker,
    slot: &Slot,
) -> Response<Body> {
    let path = shown(&request);
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

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
