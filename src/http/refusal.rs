//! Refusal: an answer that says no, in one line of plain text.

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::{Body, full};
use crate::backend::OpenError;

/// Seconds after which a client refused for want of capacity may try again.
const RETRY_AFTER: &str = "5";

/// Why a request is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status to answer with.
    pub status: StatusCode,
    /// One line: what was wrong.
    pub why: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it is for want of a backend or of capacity, so that `--refuse close` applies.
    pub temporary: bool,
}

impl Refusal {
    /// A refusal with this status and one line of text.
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Refusal { status, why: why.into(), headers: Vec::new(), temporary: false }
    }

    /// The same with one more header.
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// The same with what a 426 must say (RFC 9110, section 15.5.22).
    pub fn upgrade(self) -> Self {
        self.with(header::UPGRADE, "websocket").with(header::CONNECTION, "Upgrade")
    }

    /// The same as the last answer on its connection.
    pub fn close(mut self) -> Self {
        let close = HeaderValue::from_static("close");
        if !self.headers.contains(&(header::CONNECTION, close)) {
            self = self.with(header::CONNECTION, "close");
        }
        self
    }

    fn temporary(status: StatusCode, why: impl Into<String>) -> Self {
        Refusal { temporary: true, ..Refusal::new(status, why) }
    }

    /// There are as many sessions as there may be.
    pub fn too_many_sessions(limit: usize) -> Self {
        let why = format!("all {limit} sessions are taken, try again later");
        Refusal::temporary(StatusCode::SERVICE_UNAVAILABLE, why)
            .with(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// The backend can't be reached.
    pub fn no_backend(error: OpenError) -> Self {
        match error {
            OpenError::Unreachable(why) => Refusal::temporary(StatusCode::BAD_GATEWAY, why),
            OpenError::TimedOut(limit) => Refusal::temporary(
                StatusCode::GATEWAY_TIMEOUT,
                format!("the backend did not answer in {limit:?}"),
            ),
            OpenError::Exhausted(why) => {
                let why = format!("the relay can't open another connection: {why}");
                Refusal::temporary(StatusCode::SERVICE_UNAVAILABLE, why)
                    .with(header::RETRY_AFTER, RETRY_AFTER)
            }
        }
    }

    /// We are stopping.
    pub fn stopping() -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "server shutting down").close()
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
