//! Fast path: answers a handshake that comes whole in the first read, without hyper.
//!
//! That is what browsers send, and hyper takes more memory and time for it than everything else in its answer. What the
//! request is answered with is decided by the same functions; only the parsing is done here, by the parser that hyper
//! uses too. Whatever is not that, hyper gets as if nothing had been read; a refusal, too, is written by hyper.
//!
//! ```text
//!  first read ─┬─ a whole handshake ─▶ answer_handshake ─┬─▶ 101
//!              │                                         └─▶ refusal ─▶ hyper
//!              └─ anything else ─▶ hyper
//! ```

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};
use tracing::field::display;

use bytes::Bytes;
use futures::io::AsyncRead;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};

use super::answer::answer_handshake;
use super::body::Body;
use super::context::Context;
use super::handoff::Accepted;
use super::handshake;
use super::peer::Peer;
use super::subject::CLIENT_LEFT;
use super::timed_stream::ReadAhead;
use crate::clock::Deadline;
use crate::net::scratch;
use crate::net::stream::ByteStream;
use crate::registry::Mailbox;
use crate::sync::Current;

/// The most that is read at first, as by hyper.
const FIRST_READ: usize = 8 * 1024;

/// The most headers of a request that is parsed here. Browsers send about 15.
const MAX_HEADERS: usize = 32;

/// The headers by which hyper frames a request, or answers it before we do.
const OF_HYPER: [HeaderName; 3] =
    [header::CONTENT_LENGTH, header::EXPECT, header::TRANSFER_ENCODING];

/// What a connection began with.
pub enum First {
    /// A handshake that was accepted, and the bytes behind it.
    Accepted(Accepted, Bytes),
    /// A handshake whose client has left since.
    Gone,
    /// Something that hyper deals with.
    Other {
        /// What was read of it.
        ahead: ReadAhead,
        /// The answer to the handshake that was read, if it is refused.
        answer: Option<Response<Body>>,
        /// What is left of the time for the first request.
        left: Duration,
    },
}

/// Reads once from a connection, and answers the handshake if there is a whole one. `left` is the time for that.
pub async fn begin(
    io: &mut ByteStream,
    left: Duration,
    peer: &Peer,
    current: &Current<Context>,
    mailbox: &Mailbox,
) -> First {
    let until = Instant::now() + left;
    let other = |ahead, answer| {
        let left = until.saturating_duration_since(Instant::now());
        First::Other { ahead, answer, left }
    };
    let bytes = match read_first(io, until, mailbox).await {
        ReadAhead::Bytes(bytes) => bytes,
        ahead => return other(ahead, None),
    };
    let Some((mut request, length)) = parse(&bytes) else {
        return other(ReadAhead::Bytes(bytes), None);
    };
    let mut early = bytes.slice(length..);
    let context = current.get();
    let mut answering = pin!(answer_handshake(&mut request, &context, peer));
    let mut waker = None;
    let answered = poll_fn(|cx| {
        // The answer itself looks whether we stop; it is to be woken by that.
        let _ = mailbox.poll_next(cx, &mut waker);
        match answering.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => poll_gone(cx, io, &mut early, peer).map(|()| None),
        }
    });
    match answered.await {
        None => First::Gone,
        Some(Ok(accepted)) => First::Accepted(accepted, early),
        Some(Err(response)) => {
            let read = match early.len() == bytes.len() - length {
                true => bytes,
                false => [&bytes[..length], &early].concat().into(),
            };
            other(ReadAhead::Bytes(read), Some(response))
        }
    }
}

/// The first bytes, if they come before a stop, the end of the stream and `until`.
async fn read_first(io: &mut ByteStream, until: Instant, mailbox: &Mailbox) -> ReadAhead {
    let (mut deadline, mut waker) = (None, None);
    poll_fn(|cx| {
        if mailbox.poll_next(cx, &mut waker).is_ready() {
            return Poll::Ready(ReadAhead::Nothing);
        }
        let read = scratch::with(|buf| {
            let n = ready!(Pin::new(&mut *io).poll_read(cx, &mut buf[..FIRST_READ]));
            Poll::Ready(match n {
                // Whoever reads again finds the end again.
                Ok(0) => ReadAhead::Nothing,
                Ok(n) => ReadAhead::Bytes(Bytes::copy_from_slice(&buf[..n])),
                Err(error) => ReadAhead::Failed(error),
            })
        });
        if read.is_ready() {
            return read;
        }
        let deadline = deadline.get_or_insert_with(|| Deadline::at(until));
        Pin::new(deadline).poll(cx).map(|()| ReadAhead::Nothing)
    })
    .await
}

/// Ready, and logged, when the client has left while its handshake is answered. The bytes that it sends meanwhile are put
/// into `early`; after that its end is not looked for, as it may have sent everything it wants to.
fn poll_gone(
    cx: &mut TaskContext<'_>,
    io: &mut ByteStream,
    early: &mut Bytes,
    peer: &Peer,
) -> Poll<()> {
    if let Poll::Ready(error) = io.poll_reset(cx) {
        peer.subject().connection_ended(display(&error));
        return Poll::Ready(());
    }
    if !early.is_empty() {
        return Poll::Pending;
    }
    scratch::with(|buf| {
        match ready!(Pin::new(&mut *io).poll_read(cx, &mut buf[..FIRST_READ])) {
            Ok(0) => peer.subject().connection_ended(CLIENT_LEFT),
            Ok(n) => {
                *early = Bytes::copy_from_slice(&buf[..n]);
                return Poll::Pending;
            }
            Err(error) => peer.subject().connection_ended(display(&error)),
        }
        Poll::Ready(())
    })
}

/// The handshake with which `bytes` begin, as hyper would read it, and its length in bytes. `None` if there is another
/// request, one that is not complete, or anything that hyper treats in a way of its own.
fn parse(bytes: &Bytes) -> Option<(Request<()>, usize)> {
    if !bytes.starts_with(b"GET /") {
        return None;
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let parsed = head.parse_with_uninit_headers(bytes, &mut room).ok()?;
    let httparse::Status::Complete(length) = parsed else { return None };
    let is_handshake = |header: &httparse::Header<'_>| header.name.eq_ignore_ascii_case("upgrade");
    if head.version != Some(1) || !head.headers.iter().any(is_handshake) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        if OF_HYPER.contains(&name) {
            return None;
        }
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).ok()?;
        headers.append(name, value);
    }
    if !handshake::is_upgrade(&headers) {
        return None;
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_maybe_shared(bytes.slice_ref(head.path?.as_bytes())).ok()?;
    *request.headers_mut() = headers;
    Some((request, length))
}

#[cfg(test)]
#[path = "fast_path_tests.rs"]
mod tests;
