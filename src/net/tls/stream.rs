//! Tls: an encrypted stream, over one that is not.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::future::poll_fn;
use futures::io::{AsyncRead, AsyncWrite};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, CommonState, ServerConfig};

use super::connection::{Connection, Next, RECORD, SEALED};
use crate::net::outlet::Outlet;
use crate::net::plain::Plain;
use crate::net::scratch;

/// An encrypted stream. It works in the thread's buffers: an idle one holds none.
///
/// It holds back at most one record that the peer does not take, and what one read brought beyond the buffer of
/// the reader.
#[derive(Debug)]
pub struct Tls {
    io: Plain,
    connection: Connection,
    /// The received part of a record or message that is incomplete.
    partial: Vec<u8>,
    /// Decrypted bytes for which the last reader had no room.
    rest: Bytes,
    /// Records that wait to leave. They count as written.
    out: Vec<u8>,
    /// How receiving has ended, if it has.
    end: Option<End>,
    /// Whether a close_notify was made.
    closed: bool,
    /// Whether the stream below has taken anything since [`Outlet::take_moved`].
    moved: bool,
}

/// The end of what is received.
#[derive(Debug)]
enum End {
    /// Of the stream: a close_notify, or none that has been reported.
    Eof,
    /// What was received is wrong, or it was an alert.
    Failed(Box<rustls::Error>),
}

impl Tls {
    /// Does the handshake with a client. There is no limit of time.
    ///
    /// # Errors
    /// What is wrong, and the stream below. An alert has been sent.
    pub async fn accept(
        io: Plain,
        config: Arc<ServerConfig>,
    ) -> Result<Box<Self>, (io::Error, Plain)> {
        Tls::new(io, Connection::server(config))?.handshake().await
    }

    /// Does the handshake with a server, which must have a certificate for this name. There is no limit of time.
    ///
    /// # Errors
    /// As of [`accept`](Tls::accept).
    pub async fn connect(
        io: Plain,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Box<Self>, (io::Error, Plain)> {
        Tls::new(io, Connection::client(config, name))?.handshake().await
    }

    fn new(
        io: Plain,
        connection: Result<Connection, rustls::Error>,
    ) -> Result<Box<Self>, (io::Error, Plain)> {
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => return Err((tls_error(&error), io)),
        };
        Ok(Box::new(Tls {
            io,
            connection,
            partial: Vec::new(),
            rest: Bytes::new(),
            out: Vec::new(),
            end: None,
            closed: false,
            moved: false,
        }))
    }

    async fn handshake(mut self: Box<Self>) -> Result<Box<Self>, (io::Error, Plain)> {
        // A client has something to send before anything is received.
        self.process(&mut [], &mut []);
        match poll_fn(|cx| self.poll_handshake(cx)).await {
            Ok(()) => Ok(self),
            Err(error) => Err((error, self.io)),
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(End::Failed(error)) = &self.end {
                return Poll::Ready(Err(tls_error(error)));
            }
            // A server's tickets leave at once, not with its first response: the segment acknowledges the client's last
            // message, until which Nagle's algorithm holds back the request (for 40 ms, if nothing is sent).
            ready!(self.poll_send(cx))?;
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.end.is_some() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_receive(cx, &mut []))?;
        }
    }

    /// The results of the handshake.
    pub fn agreed(&self) -> &CommonState {
        &self.connection
    }

    /// The stream below, which must not be read from or written to.
    pub fn below(&self) -> &Plain {
        &self.io
    }

    /// Reads from the stream below once, and decrypts what that brings into `buf`, and into `rest` what is beyond
    /// it; ready with the length of what is in `buf`, which may be 0. `end` has the end, and what is wrong.
    ///
    /// # Errors
    /// As of the read; `UnexpectedEof` if there was no close_notify.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        scratch::with(|chunk| {
            let partial = self.partial.len();
            let most = chunk.len().min(partial + buf.len().max(SEALED));
            if partial == most {
                let error = rustls::InvalidMessage::HandshakePayloadTooLarge;
                self.end = Some(End::Failed(Box::new(error.into())));
                return Poll::Ready(Ok(0));
            }
            let n = ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk[partial..most]))?;
            if n == 0 {
                self.end = Some(End::Eof);
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            chunk[..partial].copy_from_slice(&self.partial);
            let filled = self.process(&mut chunk[..partial + n], buf);
            if matches!(self.end, Some(End::Failed(_))) {
                // The alert, if it can leave at once.
                let _ = self.poll_send(cx);
            }
            Poll::Ready(Ok(filled))
        })
    }

    /// Decrypts what was received into `buf`, and into `rest` what is beyond it; returns the length of what is in
    /// `buf`.
    fn process(&mut self, received: &mut [u8], buf: &mut [u8]) -> usize {
        let (mut filled, mut rest) = (0, Vec::new());
        let take = |bytes: &[u8]| {
            let (now, later) = bytes.split_at(bytes.len().min(buf.len() - filled));
            buf[filled..][..now.len()].copy_from_slice(now);
            filled += now.len();
            rest.extend_from_slice(later);
        };
        let (used, next) = self.connection.receive(received, take, &mut self.out);
        self.partial = received[used..].to_vec();
        match next {
            Ok(Next::Receive) => {}
            Ok(Next::Ended) => self.end = Some(End::Eof),
            Err(error) => self.end = Some(End::Failed(Box::new(error))),
        }
        self.rest = rest.into();
        filled
    }

    /// Encrypts at most one record of `bytes`, and sends it; what can't leave yet waits. Ready with how many bytes
    /// that were, or when another record waits no more.
    fn poll_record(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(End::Failed(error)) = &self.end {
            return Poll::Ready(Err(tls_error(error)));
        }
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(self.poll_send(cx))?;
        let bytes = &bytes[..bytes.len().min(RECORD)];
        scratch::with(|chunk| {
            match self.connection.encrypt(&mut self.partial, bytes, chunk) {
                Ok(len) => match self.poll_send_now(cx, &chunk[..len]) {
                    (_, Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                    (sent, _) => self.out.extend_from_slice(&chunk[sent..len]),
                },
                Err(error) => {
                    self.connection.take_alert(&mut self.partial, &mut self.out);
                    let _ = self.poll_send(cx);
                    return Poll::Ready(Err(tls_error(&error)));
                }
            }
            Poll::Ready(Ok(bytes.len()))
        })
    }

    /// Sends what waits; ready when nothing does any more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut out = mem::take(&mut self.out);
        let (sent, polled) = self.poll_send_now(cx, &out);
        if sent < out.len() {
            out.drain(..sent);
            self.out = out;
        }
        polled
    }

    /// Sends these bytes; gives how many have left, and whether that is all.
    fn poll_send_now(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> (usize, Poll<io::Result<()>>) {
        let mut sent = 0;
        while sent < bytes.len() {
            match Pin::new(&mut self.io).poll_write(cx, &bytes[sent..]) {
                Poll::Ready(Ok(0)) => {
                    return (sent, Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(n)) => {
                    sent += n;
                    self.moved = true;
                }
                Poll::Ready(Err(error)) => return (sent, Poll::Ready(Err(error))),
                Poll::Pending => return (sent, Poll::Pending),
            }
        }
        (sent, Poll::Ready(Ok(())))
    }

    /// The end of a stream without a close_notify (RFC 8446, section 6.1). Browsers do that all the time, and
    /// WebSocket has a Close of its own to tell a whole conversation from a cut one. Lines have nothing like it: where
    /// a backend is cut off, an attacker on the way may have done it, and that must not look like an end that
    /// the backend meant. nginx and HAProxy accept it, as HTTP bodies have lengths; here all that came is
    /// delivered, and the session fails.
    fn truncated(&self) -> io::Result<usize> {
        match self.connection {
            Connection::Server(_) => Ok(0),
            Connection::Client(_) => {
                let why = "its TLS connection ended without a close_notify";
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
            }
        }
    }
}

/// rustls's error, as [`words`](super::words) expects it.
fn tls_error(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.clone())
}

impl Outlet for Tls {
    fn take_moved(&mut self, _: bool) -> bool {
        mem::take(&mut self.moved)
    }
}

/// A reader must read until it has to wait: no event of the socket announces bytes that are decrypted already.
impl AsyncRead for Tls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if self.rest.has_remaining() {
                let n = buf.len().min(self.rest.remaining());
                self.rest.copy_to_slice(&mut buf[..n]);
                return Poll::Ready(Ok(n));
            }
            match &self.end {
                None => {}
                Some(End::Eof) => return Poll::Ready(Ok(0)),
                Some(End::Failed(error)) => return Poll::Ready(Err(tls_error(error))),
            }
            match ready!(self.poll_receive(cx, buf)) {
                // It was no data: a ticket, or new keys.
                Ok(0) => {}
                Ok(n) => return Poll::Ready(Ok(n)),
                Err(_) if self.end.is_some() => return Poll::Ready(self.truncated()),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_record(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        let (first, second) = (filled.next(), filled.next());
        let Some(second) = second else {
            return self.poll_record(cx, first.map_or(&[], |buf| buf));
        };
        let mut record = scratch::take_spare();
        for buf in first.into_iter().chain([second]).chain(filled) {
            let room = RECORD - record.len();
            record.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        let written = self.poll_record(cx, &record);
        scratch::give_spare(record);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Sends a close_notify, and then the FIN.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !mem::replace(&mut this.closed, true) && !matches!(this.end, Some(End::Failed(_))) {
            scratch::with(|chunk| {
                if let Ok(len) = this.connection.close(&mut this.partial, chunk) {
                    this.out.extend_from_slice(&chunk[..len]);
                }
            });
        }
        ready!(this.poll_send(cx))?;
        match ready!(Pin::new(&mut this.io).poll_close(cx)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            closed => Poll::Ready(closed),
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
