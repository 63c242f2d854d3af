//! The HTTP client for requests to the authority, each on a connection of its own. instant-acme makes the
//! requests, hyper sends them.

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::future::{Either, select};
use futures::io::AsyncWrite;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::rt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::error::AcmeError;
use crate::clock::timeout;
use crate::net::stream::ByteStream;
use crate::net::tls::stream::Tls;
use crate::net::tls::words;
use crate::net::{connect, scratch};
use crate::sync::lock;
use crate::text::reason;

/// The time that a request may take, from the look-up of the name to the last byte of the response.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);

/// The time of these until a connection is open. The addresses of the name share it.
const LONGEST_CONNECT: Duration = Duration::from_secs(30);

/// The most bytes of a response's body: a chain of certificates takes a few KiB.
const MAX_BODY: usize = 1024 * 1024;

/// Our `User-Agent` (RFC 8555, section 6.1).
const SOFTWARE: &str = concat!("wsrelay/", env!("CARGO_PKG_VERSION"));

/// The HTTP client for one order.
#[derive(Clone)]
pub struct Http {
    client: Arc<ClientConfig>,
    retry_after: RetryAfter,
}

/// The time that the authority's last response asked us to wait (RFC 9110, section 10.2.3).
#[derive(Clone, Debug, Default)]
pub struct RetryAfter(Arc<Mutex<Option<Duration>>>);

impl RetryAfter {
    /// The time to wait, if the last response had one.
    pub fn get(&self) -> Option<Duration> {
        *lock(&self.0)
    }
}

impl Http {
    /// A client with this TLS configuration. It stores each response's `Retry-After` in `retry_after`.
    pub fn new(client: Arc<ClientConfig>, retry_after: RetryAfter) -> Self {
        Http { client, retry_after }
    }

    /// Sends a request. A response that is not success is an error, except one about a stale nonce, which
    /// instant-acme handles.
    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, AcmeError> {
        let method = request.method().clone();
        let io = self.connect(request.uri()).await?;
        let (mut parts, body) = exchange(io, request).await?;
        let retry_after = retry_after(&parts.headers, SystemTime::now());
        *lock(&self.retry_after.0) = retry_after;
        if !parts.status.is_success() {
            let error = AcmeError::answered(parts.status, &body, retry_after);
            if !error.is_stale_nonce() {
                return Err(error);
            }
        } else if method == Method::HEAD {
            // Some authorities answer 204 to a request for a nonce, but instant-acme accepts only 200.
            parts.status = StatusCode::OK;
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }

    async fn connect(&self, uri: &Uri) -> Result<ByteStream, AcmeError> {
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(AcmeError::not_acme(format!(
                "the authority names {uri}, which is no https URL"
            )));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            AcmeError::not_acme(format!("{host:?} is no name that a certificate can have"))
        })?;
        let deadline = Instant::now() + LONGEST_CONNECT;
        let io = connect::to_name(host, uri.port_u16().unwrap_or(443), deadline).await;
        let io = io.map_err(|e| AcmeError::unreachable(reason(&e)))?;
        match Tls::connect(io, self.client.clone(), name).await {
            Ok(tls) => Ok(ByteStream::tls(tls)),
            Err((error, _)) => Err(match words::of_authority(&error) {
                Some(why) => AcmeError::untrusted(why),
                None => AcmeError::unreachable(reason(&error)),
            }),
        }
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move {
            let answered = timeout(LONGEST_REQUEST, http.send(request)).await;
            let answered = answered.unwrap_or_else(|_| Err(AcmeError::silent(LONGEST_REQUEST)));
            answered.map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

/// Sends a request whose URI is absolute, and reads the whole response.
async fn exchange(
    io: ByteStream,
    request: Request<BodyWrapper<Bytes>>,
) -> Result<(http::response::Parts, Bytes), AcmeError> {
    let not_http = |error: &dyn std::error::Error| {
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        AcmeError::unreachable(format!("the authority's answer: {why}"))
    };
    let request = origin_form(request)?;
    let handshake = http1::handshake(HyperStream(io)).await;
    let (mut sender, connection) = handshake.map_err(|e| not_http(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| not_http(&e))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|e| not_http(&*e))?;
        Ok((parts, body.to_bytes()))
    };
    // The connection is polled until the response has come. Its errors show in the response.
    let connection = async {
        let _ = connection.await;
        pending::<()>().await;
    };
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => unreachable!("it is pending"),
    }
}

/// Makes a request's target a path (RFC 9112, section 3.2.1), and the request the last on its connection.
fn origin_form<B>(mut request: Request<B>) -> Result<Request<B>, AcmeError> {
    let uri = request.uri();
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(host).map_err(|e| AcmeError::not_acme(e.to_string()))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = Uri::try_from(path).map_err(|e| AcmeError::not_acme(e.to_string()))?;
    let headers = request.headers_mut();
    let library = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = format!("{SOFTWARE} {}", library.unwrap_or_default());
    headers.insert(header::USER_AGENT, agent.trim_end().parse().expect("a header's value"));
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    *request.uri_mut() = path;
    Ok(request)
}

/// The value of `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default())
        }
    }
}

/// A stream with hyper's traits.
struct HyperStream(ByteStream);

impl rt::Read for HyperStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        scratch::poll_read_into(cx, &mut self.0, buf).map_ok(drop)
    }
}

impl rt::Write for HyperStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_retry_after() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (value, want) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), want.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn requests_are_in_origin_form() {
        for (uri, path, host) in [
            ("https://ca.example/new-order?x=1", "/new-order?x=1", "ca.example"),
            ("https://ca.example:14000", "/", "ca.example:14000"),
            ("https://[::1]:14000/dir", "/dir", "[::1]:14000"),
        ] {
            let request =
                Request::get(uri).header(header::USER_AGENT, "library/1").body(()).unwrap();
            let request = origin_form(request).unwrap();
            let header = |name| request.headers()[name].to_str().unwrap();
            assert_eq!(request.uri(), path);
            assert_eq!(header(header::HOST), host);
            assert_eq!(header(header::USER_AGENT), format!("{SOFTWARE} library/1"));
        }
    }
}
