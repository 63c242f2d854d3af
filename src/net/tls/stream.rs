//! Tls: an encrypted stream, over one that is not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use futures_rustls::{client, server};

use crate::net::outlet::Outlet;
use crate::net::plain::Plain;

/// An encrypted stream.
#[derive(Debug)]
pub struct Tls(TlsStream<Counted>);

impl Tls {
    /// The stream below, which must not be read from or written to.
    pub fn below(&self) -> &Plain {
        &self.0.get_ref().0.io
    }
}

impl From<server::TlsStream<Counted>> for Tls {
    fn from(stream: server::TlsStream<Counted>) -> Self {
        Tls(stream.into())
    }
}

impl From<client::TlsStream<Counted>> for Tls {
    fn from(stream: client::TlsStream<Counted>) -> Self {
        Tls(stream.into())
    }
}

/// The stream below, and whether it has taken anything.
#[derive(Debug)]
pub struct Counted {
    io: Plain,
    moved: bool,
}

impl Counted {
    pub fn new(io: Plain) -> Self {
        Counted { io, moved: false }
    }

    pub fn into_inner(self) -> Plain {
        self.io
    }

    fn note(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.moved |= matches!(written, Poll::Ready(Ok(n)) if n > 0);
        written
    }
}

impl Outlet for Tls {
    fn take_moved(&mut self, _: bool) -> bool {
        std::mem::take(&mut self.0.get_mut().0.moved)
    }
}

/// A reader must read until it has to wait: rustls may hold decrypted bytes that no event of the socket will
/// announce.
impl AsyncRead for Tls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.0).poll_read(cx, buf) {
            // The connection ended without a close_notify (RFC 8446, section 6.1). Browsers do that all the
            // time, and WebSocket has a Close of its own to tell a whole conversation from a cut one. Lines
            // have nothing like it: where a backend is cut off, an attacker on the way may have done it, and that
            // must not look like an end that the backend meant. nginx and HAProxy accept it, as HTTP bodies have
            // lengths; here all that came is delivered, and the session fails.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => match self.0 {
                TlsStream::Server(_) => Poll::Ready(Ok(0)),
                TlsStream::Client(_) => {
                    let why = "its TLS connection ended without a close_notify";
                    Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, why)))
                }
            },
            read => read,
        }
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// Sends a close_notify, and then the FIN.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}
