//! The choice of what answers a request that is no handshake: a program, a file or a built-in page.

use hyper::body::Incoming;
use hyper::header;
use hyper::{Method, Request, Response, StatusCode};

use super::cgi::Cgi;
use super::site::Site;
use crate::backend::program::Lookup;
use crate::http::body::Body;
use crate::http::gate::auth::Credentials;
use crate::http::gate::forwarded::Arrival;
use crate::http::gate::guard::Guard;
use crate::http::peer::RequestContext;
use crate::http::permits::Capacity;
use crate::http::refusal::Refusal;
use crate::http::routes::Routes;

/// Everything that answers requests that are no handshakes.
#[derive(Debug)]
pub struct Pages {
    /// The programs of `--cgi-dir`.
    pub cgi: Option<Cgi>,
    /// Files and pages.
    pub site: Site,
    /// Who may read them.
    pub guard: Guard,
}

impl Pages {
    /// Answers a request that is no handshake, by its program if there is one, else by a page.
    ///
    /// # Errors
    /// The refusal.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        context: RequestContext<'_>,
        routes: &Routes,
        capacity: &Capacity,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(cgi) = &self.cgi {
            let found = cgi.find(&request, context).await?;
            if found != Lookup::Nothing {
                context.state.needs_client();
                return cgi.answer(found, request, context, &self.guard, capacity).await;
            }
        }
        let response = self.page(&request, context.arrival, routes).await?;
        let status = response.status();
        if status == StatusCode::FORBIDDEN || status.is_server_error() {
            context.subject.refused(context.path, status.as_u16(), "the file can't be read");
        }
        Ok(response)
    }

    /// Answers a request for a page.
    async fn page(
        &self,
        request: &Request<Incoming>,
        arrival: &Arrival,
        routes: &Routes,
    ) -> Result<Response<Body>, Refusal> {
        let (method, uri) = (request.method(), request.uri());
        self.guard.check_page(Credentials::of(request), arrival).await?;
        let is_read = method == Method::GET || method == Method::HEAD;
        // Other methods get 405 if there is a page, else what GET would get.
        let wanted = if is_read { method } else { &Method::HEAD };
        // Asked only when needed: most requests are for files.
        let is_relay_path = || routes.has(arrival, uri.path());
        let found = self.site.respond(wanted, uri, request.headers(), is_relay_path).await;
        match found {
            Some(response) if is_read => Ok(response),
            Some(_) => {
                let refusal =
                    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "pages can only be read");
                Err(refusal.with(header::ALLOW, "GET, HEAD"))
            }
            None => Err(no_page(request, arrival, &self.site, is_relay_path())),
        }
    }
}

/// The refusal where there is no page: 404, or 426 on the path of a relay.
fn no_page(
    request: &Request<Incoming>,
    arrival: &Arrival,
    site: &Site,
    is_relay_path: bool,
) -> Refusal {
    let not_found = |why| Refusal::new(StatusCode::NOT_FOUND, why);
    let why = if !is_relay_path {
        return not_found("there is nothing at this path");
    } else if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) {
        "this WebSocket handshake has lost its Upgrade header on the way: \
         a proxy in front must pass on Upgrade and Connection"
    } else if site.covers(request.uri().path()) {
        return not_found("there is no such page, and this request is no WebSocket handshake");
    } else if arrival.secure {
        "this is a WebSocket relay: connect with new WebSocket(\"wss://…\")"
    } else {
        "this is a WebSocket relay: connect with new WebSocket(\"ws://…\")"
    };
    Refusal::new(StatusCode::UPGRADE_REQUIRED, why).upgrade()
}
