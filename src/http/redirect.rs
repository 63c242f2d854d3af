//! Redirect: sends plain HTTP requests to the port that speaks TLS.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::Context;
use super::answer::preliminary;
use super::arrived::Arrived;
use super::body::{Body, full};
use super::gate::host::{HostPort, asked_for, default_port};
use super::http1::{HttpTimeouts, serve_requests};
use super::linger::linger;
use super::refusal::Refusal;

/// Serves one connection to its end. `port` is the port that speaks TLS.
pub async fn serve(arrived: Arrived, port: u16, context: Arc<Context>) {
    let Arrived { io, peer, left, registration } = arrived;
    let subject = peer.subject();
    let answer = {
        let (subject, context) = (subject.clone(), context.clone());
        move |request: Request<Incoming>, _: &_| {
            let mut response = answer(&request, port, &context).unwrap_or_else(|refusal| {
                subject.refused(
                    &context.logged_path(&request),
                    refusal.status.as_u16(),
                    &refusal.why,
                );
                refusal.close().response()
            });
            context.config.extra_headers.http.add(&mut response);
            Box::pin(ready(Ok(response))) as _
        }
    };
    let timeouts = HttpTimeouts::of(&context.config, left);
    let mailbox = &registration.card.mailbox;
    let spoken = serve_requests(io.into(), &subject, timeouts, mailbox, answer).await;
    linger(spoken.io).await;
}

fn answer(
    request: &Request<Incoming>,
    port: u16,
    context: &Context,
) -> Result<Response<Body>, Refusal> {
    preliminary(request, &context.capacity.registry)?;
    let host = asked_for(request).map_err(Refusal::bad_host)?;
    let location = host.map(|host| target(host, request.uri(), port));
    let location = location.and_then(|target| HeaderValue::from_str(&target).ok());
    let location = location.ok_or_else(|| {
        Refusal::bad_host(
            "there is no telling where to send this: it needs a Host that is a host's name",
        )
    })?;
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status(request.method());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// 301, which every client knows; 308 for methods that a 301 would change to GET (RFC 9110, section 15.4.2).
fn status(method: &Method) -> StatusCode {
    match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    }
}

/// The URL of the same resource with TLS: the requested host, our own port, path and query unchanged.
fn target(host: HostPort, uri: &Uri, port: u16) -> String {
    let port = (Some(port) != default_port("https")).then_some(port);
    let to = HostPort { port, ..host };
    // "*" and an authority alone are no paths.
    let path = uri.path_and_query().map(|path| path.as_str()).filter(|path| path.starts_with('/'));
    format!("https://{to}{}", path.unwrap_or("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str, uri: &str, port: u16) -> String {
        let request = Request::get(uri).header(header::HOST, host).body(()).unwrap();
        target(asked_for(&request).unwrap().unwrap(), request.uri(), port)
    }

    #[test]
    fn the_same_by_way_of_tls() {
        for (host, uri, port, want) in [
            ("example.org", "/", 443, "https://example.org/"),
            ("example.org:80", "/a/b?c=d&e", 443, "https://example.org/a/b?c=d&e"),
            ("example.org:8080", "/", 8443, "https://example.org:8443/"),
            ("EXAMPLE.org.", "/A%20b", 8443, "https://example.org:8443/A%20b"),
            ("192.0.2.1:80", "/", 443, "https://192.0.2.1/"),
            ("[::1]", "/", 443, "https://[::1]/"),
            ("[2001:DB8::1]:8080", "/x", 8443, "https://[2001:db8::1]:8443/x"),
            ("a.example", "//evil.example/", 443, "https://a.example//evil.example/"),
            ("a.example", "/%0d%0aSet-Cookie:x", 443, "https://a.example/%0d%0aSet-Cookie:x"),
            ("a.example", "http://b.example:80/x?y", 443, "https://b.example/x?y"),
            ("a.example", "http://b.example", 443, "https://b.example/"),
            ("a.example", "*", 443, "https://a.example/"),
        ] {
            assert_eq!(to(host, uri, port), want, "{host} {uri}");
        }
    }

    #[test]
    fn only_reading_may_become_a_get() {
        assert_eq!([Method::GET, Method::HEAD].map(|method| status(&method).as_u16()), [301; 2]);
        assert_eq!([Method::POST, Method::PUT].map(|method| status(&method).as_u16()), [308; 2]);
    }
}
