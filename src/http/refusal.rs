//! Refusal: an error response with one line of plain text.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::{Body, full};
use crate::backend::OpenError;
use crate::net::address_prefix::AddressPrefix;

/// Seconds until a client that was refused for lack of capacity may try again.
const RETRY_AFTER: u64 = 5;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status to answer with.
    pub status: StatusCode,
    /// One line that says what was wrong.
    pub why: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the backend or capacity is missing, so that `--refuse close` applies.
    pub temporary: bool,
}

impl Refusal {
    /// A refusal with this status and one line of text.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Refusal { status, why: why.into(), headers: Vec::new(), temporary: false }
    }

    /// Adds `Retry-After`, in seconds.
    fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.push((header::RETRY_AFTER, seconds.into()));
        self
    }

    /// Adds a header.
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Adds the headers that a 426 must have (RFC 9110, section 15.5.22).
    pub fn upgrade(self) -> Self {
        self.with(header::UPGRADE, "websocket").with(header::CONNECTION, "Upgrade")
    }

    /// Adds `Connection: close`.
    pub fn close(mut self) -> Self {
        let close = HeaderValue::from_static("close");
        if !self.headers.contains(&(header::CONNECTION, close)) {
            self = self.with(header::CONNECTION, "close");
        }
        self
    }

    /// 400: the request's host is missing or wrong.
    pub fn bad_host(why: &str) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, why).close()
    }

    fn temporary(status: StatusCode, why: impl Into<String>) -> Self {
        Refusal { temporary: true, ..Refusal::new(status, why) }
    }

    /// 503: the limit of sessions is reached.
    pub fn too_many_sessions(limit: usize) -> Self {
        let why = format!("the limit of open sessions ({limit}) is reached: try again later");
        Refusal::busy(why)
    }

    /// 503: too much is under way.
    pub fn busy(why: impl Into<String>) -> Self {
        Refusal::temporary(StatusCode::SERVICE_UNAVAILABLE, why).retry_after(RETRY_AFTER)
    }

    /// 429: the limit of sessions of this address is reached.
    pub fn too_many_sessions_of(prefix: AddressPrefix, limit: u32) -> Self {
        let why =
            format!("{prefix} has reached its limit of open sessions ({limit}): close one first");
        Refusal::temporary(StatusCode::TOO_MANY_REQUESTS, why).retry_after(RETRY_AFTER)
    }

    /// 429: this address sends too many requests.
    pub fn too_often(prefix: AddressPrefix, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let why = format!("too many connections from {prefix}: try again in {seconds} s");
        Refusal::temporary(StatusCode::TOO_MANY_REQUESTS, why).retry_after(seconds)
    }

    /// The refusal for a backend that can't be opened.
    pub fn no_backend(error: OpenError) -> Self {
        match error {
            OpenError::BadPath => {
                let why = "the path has a NUL, or a % that two hex digits do not follow";
                Refusal::new(StatusCode::BAD_REQUEST, why)
            }
            OpenError::NotFound => Refusal::new(StatusCode::NOT_FOUND, "there is no such program"),
            OpenError::NoTarget(why) => Refusal::new(StatusCode::NOT_FOUND, why),
            OpenError::Forbidden(why) => Refusal::new(StatusCode::FORBIDDEN, why),
            OpenError::Unreachable(why) => Refusal::temporary(StatusCode::BAD_GATEWAY, why),
            OpenError::TimedOut(limit) => Refusal::temporary(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the backend did not answer in {limit:?}"),
            ),
            OpenError::Exhausted(why) => {
                let why = format!("the relay can't open another connection: {why}");
                Refusal::busy(why)
            }
        }
    }

    /// 503: wsrelay is stopping.
    pub fn stopping() -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "server shutting down").close()
    }

    /// The bytes of a response where hyper does not write it, as no request was parsed. It is the connection's last.
    pub fn written(status: StatusCode, why: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{why}\n",
            why.len() + 1
        )
    }

    /// The response.
    pub fn response(self) -> Response<Body> {
        let mut response = Response::new(full(Bytes::from(self.why + "\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}
