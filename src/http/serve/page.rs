//! Page: what answers a request that is no handshake.

use hyper::body::Incoming;
use hyper::header;
use hyper::{Method, Request, Response, StatusCode};

use crate::backend::program::Lookup;
use crate::http::asker::Asker;
use crate::http::gate::forwarded::Arrival;
use crate::http::refusal::Refusal;
use crate::http::{Body, Context};

/// Answers a request that is no handshake: a program, where there is one for it, or a page.
pub async fn plain(
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
    context.guard.check_page(request.headers(), uri.query(), arrival).await?;
    let is_read = method == Method::GET || method == Method::HEAD;
    // Other methods are answered by whether there is anything to read.
    let asked = if is_read { method } else { &Method::HEAD };
    // Most requests are for files, and need not know.
    let is_relay_path = || context.routes.has(arrival, uri.path());
    let found = context.site.respond(asked, uri, request.headers(), is_relay_path).await;
    match found {
        Some(response) if is_read => Ok(response),
        Some(_) => {
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "pages can only be read");
            Err(refusal.with(header::ALLOW, "GET, HEAD"))
        }
        None => Err(nothing(request, arrival, context, is_relay_path())),
    }
}

/// What is said where there is no page: it could have been one, or still be a WebSocket.
fn nothing(
    request: &Request<Incoming>,
    arrival: &Arrival,
    context: &Context,
    is_relay_path: bool,
) -> Refusal {
    let not_found = |why| Refusal::new(StatusCode::NOT_FOUND, why);
    let why = if !is_relay_path {
        return not_found("there is nothing at this path");
    } else if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) {
        "this WebSocket handshake has lost its Upgrade header on the way: \
         a proxy in front must pass on Upgrade and Connection"
    } else if context.site.covers(request.uri().path()) {
        return not_found("there is no such page, and this request is no WebSocket handshake");
    } else if arrival.secure {
        "this is a WebSocket relay: connect with new WebSocket(\"wss://…\")"
    } else {
        "this is a WebSocket relay: connect with new WebSocket(\"ws://…\")"
    };
    Refusal::new(StatusCode::UPGRADE_REQUIRED, why).upgrade()
}
