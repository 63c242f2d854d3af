//! ByteStream: a connected stream of bytes, whatever carries it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

pub use super::outlet::Outlet;
use super::plain::Plain;
use super::readiness::ResetWatch;
use super::scratch;
use super::tls::Tls;

/// A stream to a client or a backend.
#[derive(Debug)]
pub struct ByteStream(Carrier);

/// Sockets lie flat, and TLS in a box: a session with a socket has no room for what that needs.
#[derive(Debug)]
enum Carrier {
    Plain(Plain),
    Tls(Box<Tls>),
}

impl ByteStream {
    /// Takes an unencrypted stream.
    pub fn plain(plain: Plain) -> Self {
        ByteStream(Carrier::Plain(plain))
    }

    /// Takes an encrypted stream.
    pub fn tls(tls: Tls) -> Self {
        ByteStream(Carrier::Tls(Box::new(tls)))
    }

    /// The unencrypted stream that carries this one.
    fn carrier(&self) -> &Plain {
        match &self.0 {
            Carrier::Plain(plain) => plain,
            Carrier::Tls(tls) => tls.below(),
        }
    }

    /// Whether the peer has ended its stream, as far as the kernel knows, however much of it is still to be
    /// read. Always false with pipes.
    pub fn is_ended(&self) -> bool {
        self.carrier().is_ended()
    }

    /// Ready with the error when the peer has reset the connection, or the kernel has given it up, whether or
    /// not anybody reads from it. What came before can still be read. Never ready with pipes.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.carrier().poll_reset(cx)
    }

    /// Reports a reset while another task or value holds the stream. `None` with pipes.
    pub fn reset_watch(&self) -> Option<ResetWatch> {
        self.carrier().reset_watch()
    }

    /// Sends what was written and then our FIN: the peer sees the end of the stream, and we can still
    /// read its last words. Sockets and pipes do so at once.
    ///
    /// # Errors
    /// As of `shutdown(2)`; `NotConnected` if the peer has reset the connection.
    pub async fn shutdown_write(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_close(cx)).await
    }

    /// Hangs up so that no reset overtakes what was said last (RFC 9293, section 3.6.1): sends our FIN,
    /// and reads and throws away until the peer's. The caller sets the limit of time.
    pub async fn leave(&mut self) {
        let mut said = false;
        poll_fn(|cx| {
            if !said {
                match Pin::new(&mut *self).poll_close(cx) {
                    Poll::Ready(Ok(())) => said = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    // A peer that can't write does not read either.
                    Poll::Pending => {}
                }
            }
            let ended = scratch::poll_discard(cx, self);
            if said { ended } else { Poll::Pending }
        })
        .await;
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Carrier::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl Outlet for ByteStream {
    fn take_moved(&mut self, taken: bool) -> bool {
        match &mut self.0 {
            Carrier::Tls(tls) => tls.take_moved(taken),
            // What a socket or pipe takes has left.
            Carrier::Plain(_) => taken,
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Carrier::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Carrier::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, bufs),
            Carrier::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Carrier::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    /// [`ByteStream::shutdown_write`].
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Carrier::Plain(plain) => Pin::new(plain).poll_close(cx),
            Carrier::Tls(tls) => Pin::new(tls).poll_close(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every session has two of them.
    #[test]
    fn a_stream_is_small() {
        assert!(size_of::<ByteStream>() <= 24, "{} bytes", size_of::<ByteStream>());
    }
}
