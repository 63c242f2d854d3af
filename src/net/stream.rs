//! ByteStream: a connected stream of bytes, whatever carries it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};

use super::duplex::{Duplex, DuplexResetWatch};
pub use super::outlet::Outlet;
use super::plain::Plain;
use super::readiness::SourceResetWatch;
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
    Duplex(Duplex),
}

/// Reports the reset of a stream to those who do not hold it.
#[derive(Debug)]
pub enum ResetWatch {
    /// Of a socket, encrypted or not.
    Source(SourceResetWatch),
    /// Of a stream inside the process.
    Duplex(DuplexResetWatch),
}

impl ByteStream {
    /// Takes an unencrypted stream.
    pub fn plain(plain: Plain) -> Self {
        ByteStream(Carrier::Plain(plain))
    }

    /// Takes an encrypted stream.
    pub fn tls(tls: Box<Tls>) -> Self {
        ByteStream(Carrier::Tls(tls))
    }

    /// Takes one end of a stream inside the process.
    pub fn duplex(duplex: Duplex) -> Self {
        ByteStream(Carrier::Duplex(duplex))
    }

    /// Whether the peer has ended its stream, as far as the kernel knows, however much of it is still to be
    /// read. Always false with pipes.
    pub fn is_ended(&self) -> bool {
        match &self.0 {
            Carrier::Plain(plain) => plain.is_ended(),
            Carrier::Tls(tls) => tls.below().is_ended(),
            Carrier::Duplex(duplex) => duplex.is_ended(),
        }
    }

    /// Ready with the error when the peer has reset the connection, or the kernel has given it up, whether or
    /// not anybody reads from it. What came before can still be read. Never ready with pipes.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &self.0 {
            Carrier::Plain(plain) => plain.poll_reset(cx),
            Carrier::Tls(tls) => tls.below().poll_reset(cx),
            Carrier::Duplex(duplex) => duplex.poll_reset(cx),
        }
    }

    /// Keeps TCP's urgent data in its place among the other bytes.
    pub fn keep_urgent_inline(&self) {
        match &self.0 {
            Carrier::Plain(plain) => plain.keep_urgent_inline(),
            Carrier::Tls(tls) => tls.below().keep_urgent_inline(),
            Carrier::Duplex(_) => {}
        }
    }

    /// Turns TCP keepalive on: the kernel finds out when the peer's machine has vanished. Does nothing without TCP.
    pub fn set_keepalive(&self) {
        match &self.0 {
            Carrier::Plain(plain) => plain.set_keepalive(),
            Carrier::Tls(tls) => tls.below().set_keepalive(),
            Carrier::Duplex(_) => {}
        }
    }

    /// Reports a reset while another task or value holds the stream. `None` with pipes.
    pub fn reset_watch(&self) -> Option<ResetWatch> {
        match &self.0 {
            Carrier::Plain(plain) => plain.reset_watch().map(ResetWatch::Source),
            Carrier::Tls(tls) => tls.below().reset_watch().map(ResetWatch::Source),
            Carrier::Duplex(duplex) => Some(ResetWatch::Duplex(duplex.reset_watch())),
        }
    }

    /// Sends what was written and then our FIN: the peer sees the end of the stream, and we can still
    /// read. Sockets and pipes do so at once.
    ///
    /// # Errors
    /// As of `shutdown(2)`; `NotConnected` if the peer has reset the connection.
    pub async fn shutdown_write(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut *self).poll_close(cx)).await
    }

    /// Closes the connection so that no reset overtakes the last bytes written (RFC 9293, section 3.6.1): sends
    /// our FIN, and reads and discards until the peer's. The caller sets the limit of time.
    pub async fn leave(&mut self) {
        let mut sent = false;
        poll_fn(|cx| {
            if !sent {
                match Pin::new(&mut *self).poll_close(cx) {
                    Poll::Ready(Ok(())) => sent = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    // Bytes are discarded meanwhile: a peer that can't write may not read either.
                    Poll::Pending => {}
                }
            }
            let ended = scratch::poll_discard(cx, self);
            if sent { ended } else { Poll::Pending }
        })
        .await;
    }
}

impl ResetWatch {
    /// Ready when the connection was reset, whether or not anybody reads from it.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            ResetWatch::Source(watch) => watch.poll_reset(cx),
            ResetWatch::Duplex(watch) => watch.poll_reset(cx),
        }
    }
}

/// Does the same with each kind of carrier.
macro_rules! with_carrier {
    ($stream:ident, $io:ident => $work:expr) => {
        match &mut $stream.0 {
            Carrier::Plain($io) => $work,
            Carrier::Tls($io) => $work,
            Carrier::Duplex($io) => $work,
        }
    };
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        with_carrier!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl Outlet for ByteStream {
    fn take_moved(&mut self, taken: bool) -> bool {
        match &mut self.0 {
            Carrier::Tls(tls) => tls.take_moved(taken),
            // What a socket or pipe takes has left.
            Carrier::Plain(_) | Carrier::Duplex(_) => taken,
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        with_carrier!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_carrier!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_carrier!(self, io => Pin::new(io).poll_flush(cx))
    }

    /// [`ByteStream::shutdown_write`].
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with_carrier!(self, io => Pin::new(io).poll_close(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::io::{AsyncReadExt, AsyncWriteExt};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn pair(capacity: usize) -> (ByteStream, Duplex) {
        let (near, far) = Duplex::pair(capacity);
        (ByteStream::duplex(near), far)
    }

    #[test]
    fn bytes_pass_both_ways_inside_the_process() {
        let (mut near, mut far) = pair(8);
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defghij")];
        assert_eq!(
            block_on(near.write_vectored(&parts)).unwrap(),
            8,
            "as many as there is room for"
        );
        assert!(near.take_moved(true) && !near.take_moved(false));
        assert!(near.write_vectored(&parts).now_or_never().is_none(), "there is no room");
        let mut buf = [0; 16];
        assert_eq!(block_on(far.read(&mut buf)).unwrap(), 8);
        assert_eq!(&buf[..8], b"abcdefgh");
        block_on(far.write_all(b"answer")).unwrap();
        assert_eq!(block_on(near.read(&mut buf)).unwrap(), 6);
        assert!(near.read(&mut buf).now_or_never().is_none(), "nothing is there");
    }

    #[test]
    fn each_direction_is_ended_by_itself_inside_the_process() {
        let (mut near, mut far) = pair(8);
        block_on(near.write_all(b"last")).unwrap();
        block_on(near.shutdown_write()).unwrap();
        assert_eq!(block_on(near.write(b"x")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let mut all = String::new();
        block_on(far.read_to_string(&mut all)).unwrap();
        assert_eq!(all, "last");
        block_on(far.write_all(b"answer")).unwrap();
        assert!(!near.is_ended());
        block_on(far.close()).unwrap();
        assert!(near.is_ended(), "although nothing was read");
        block_on(near.read_to_string(&mut all)).unwrap();
        assert_eq!(all, "lastanswer");
    }

    #[test]
    fn leaving_waits_for_the_end_of_the_peer_and_discards_what_comes() {
        let (mut near, mut far) = pair(8);
        let mut leaving = near.leave().boxed_local();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let cx = &mut Context::from_waker(&waker);
        assert!(leaving.poll_unpin(cx).is_pending());
        assert_eq!(block_on(far.read(&mut [0])).unwrap(), 0, "our end has arrived");
        for n in 0..3 {
            block_on(far.write_all(b"12345678")).unwrap();
            assert_eq!(wakes.count(), n + 1);
            assert!(leaving.poll_unpin(cx).is_pending());
            assert_eq!(far.unread(), 0);
        }
        drop(far);
        assert!(leaving.poll_unpin(cx).is_ready());
        drop(leaving);

        let (mut near, far) = pair(8);
        far.reset();
        assert!(near.leave().now_or_never().is_some(), "after a reset nothing is waited for");
    }

    /// A session whose backend takes nothing does not read its client, but is to learn of the end.
    #[test]
    fn resets_and_ends_wake_those_who_do_not_read() {
        let (near, mut far) = pair(8);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let cx = &mut Context::from_waker(&waker);
        assert!(near.poll_reset(cx).is_pending());
        block_on(far.write_all(b"bytes")).unwrap();
        assert_eq!(wakes.count(), 0, "bytes are not what is waited for");
        block_on(far.close()).unwrap();
        assert_eq!(wakes.count(), 1);
        let watch = near.reset_watch().unwrap();
        assert!(near.is_ended() && watch.poll_reset(cx).is_pending(), "an end is no reset");
        far.reset();
        assert_eq!(wakes.count(), 2);
        assert!(watch.poll_reset(cx).is_ready());
        let Poll::Ready(error) = near.poll_reset(cx) else { panic!("it was reset") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    /// A reader that waits for bytes and for a reset at once is woken by either.
    #[test]
    fn waiting_for_a_reset_does_not_take_the_place_of_reading() {
        let (mut near, mut far) = pair(8);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let cx = &mut Context::from_waker(&waker);
        assert!(Pin::new(&mut near).poll_read(cx, &mut [0]).is_pending());
        assert!(near.poll_reset(cx).is_pending());
        block_on(far.write_all(b"x")).unwrap();
        assert_eq!(wakes.count(), 1);
        assert!(Pin::new(&mut near).poll_read(cx, &mut [0]).is_ready());
    }

    /// Every session has two of them.
    #[test]
    fn a_stream_is_small() {
        assert!(size_of::<ByteStream>() <= 24, "{} bytes", size_of::<ByteStream>());
    }
}
