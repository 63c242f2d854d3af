//! Spelling: upper and lower case in the names of a response's headers, as in RFC 6455, RFC 9110, `--header` or the
//! output of a CGI program. Case has no meaning, but old clients and devices compare bytes.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::io;
use std::mem;
use std::pin::Pin;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Extensions;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, rt};

use crate::sync::lock;

/// Our names that differ from hyper's title case (a capital letter at the beginning of each word). A response
/// may ask for credentials in two ways.
const OURS: [&str; 6] = [
    "ETag",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "WWW-Authenticate",
    "WWW-Authenticate",
];

/// Names that hyper would act on in a request. Its title case is right for them.
const LEFT_OUT: [&str; 3] = ["content-length", "transfer-encoding", "upgrade"];

/// The spelling of a set of names.
#[derive(Clone, Debug)]
pub struct Spelling(Extensions);

/// An extension of a response: its names as they are to be spelled, one for each line.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<String>);

impl Spelling {
    /// The spelling of these names, one for each line, and of our own.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let is_new = |ours: &&str| !names.iter().any(|name| name.eq_ignore_ascii_case(ours));
        let all = names.iter().copied().chain(OURS.into_iter().filter(is_new));
        Spelling(learn(
            all.filter(|name| !LEFT_OUT.iter().any(|out| name.eq_ignore_ascii_case(out))),
        ))
    }

    /// Applies it to a response.
    pub fn set<B>(&self, response: &mut Response<B>) {
        response.extensions_mut().extend(self.0.clone());
    }
}

/// The extension in which hyper keeps the spelling of names (`preserve_header_case`). There is no way to make one
/// but to have hyper parse a request with these names.
fn learn<'a>(names: impl Iterator<Item = &'a str>) -> Extensions {
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    let mut count = 0;
    for name in names {
        head.extend([name.as_bytes(), b": \r\n"].concat());
        count += 1;
    }
    head.extend(b"\r\n");
    let learnt = Arc::new(Mutex::new(Extensions::new()));
    let answer = {
        let learnt = learnt.clone();
        move |mut request: Request<Incoming>| {
            *lock(&learnt) = mem::take(request.extensions_mut());
            ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        }
    };
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .preserve_header_case(true)
        .max_headers(count)
        .serve_connection(Shown(head), service_fn(answer));
    // It waits for nothing: all is there.
    let _ = pin!(connection).poll(&mut Context::from_waker(Waker::noop()));
    mem::take(&mut *lock(&learnt))
}

/// A client that sends these bytes and its FIN, and reads nothing.
struct Shown(Vec<u8>);

impl rt::Read for Shown {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let n = self.0.len().min(buf.remaining());
        buf.put_slice(&self.0[..n]);
        self.0.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Shown {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_names_are_learnt() {
        let many: Vec<String> = (0..500).map(|n| format!("x-Many-{n}")).collect();
        for names in [
            &["X-lower-UPPER"][..],
            &["Content-Length", "transfer-encoding", "UPGRADE", "connection", "Expect", "Host"],
            &["Set-Cookie"; 50],
            &many.iter().map(String::as_str).collect::<Vec<_>>(),
            &["!#$%&'*+-.^_`|~09azAZ", &"n".repeat(20_000)],
            &[],
        ] {
            let Spelling(learnt) = Spelling::of(names.iter().copied());
            assert_eq!(learnt.len(), 1, "{names:?}");
        }
    }
}
