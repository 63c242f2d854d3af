//! ByteStream: a connected TCP or Unix socket, encrypted or not, or the pipes of a process, whichever it
//! is.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::pipes::Pipes;
use super::readiness::{ResetWatch, Source};
use super::scratch;
use super::tls::Tls;

/// How long a TCP connection is silent before the kernel probes it. A peer whose machine vanished
/// is noticed after this plus [`KEEPALIVE_PROBES`] intervals, also when pings are off.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// A stream that may hold back what was written until it is flushed.
pub trait Outlet: AsyncWrite + Unpin {
    /// Whether anything has left since this was last asked; `taken`: something was written since.
    fn take_moved(&mut self, taken: bool) -> bool;
}

/// A stream in non-blocking mode, watched for its whole life.
///
/// Reading follows the kernel's word instead of guessing: after a read that did not fill the
/// buffer the stream is taken to be empty, and the next read waits for an event first. That
/// saves the `recv` that would only say `EAGAIN`.
#[derive(Debug)]
pub struct ByteStream(Kind);

/// Sockets lie flat beside their registration, pipes and TLS in a box: a session with a socket has no
/// room for what those need.
#[derive(Debug)]
enum Kind {
    // Fields are dropped in this order: the descriptor leaves the epoll when it is closed.
    Tcp { socket: TcpStream, source: Source },
    Unix { socket: UnixStream, source: Source },
    Pipes(Box<Pipes>),
    Tls(Box<Tls>),
}

impl ByteStream {
    /// Takes an accepted TCP socket, non-blocking already. Its options are its listener's, see
    /// [`set_options`].
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn tcp(tcp: TcpStream) -> io::Result<Self> {
        let source = Source::new(&tcp, true)?;
        Ok(ByteStream(Kind::Tcp { socket: tcp, source }))
    }

    /// Takes a connected Unix socket, non-blocking already.
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn unix(unix: UnixStream) -> io::Result<Self> {
        let source = Source::new(&unix, true)?;
        Ok(ByteStream(Kind::Unix { socket: unix, source }))
    }

    /// Takes the pipes to and from a process.
    pub fn pipes(pipes: Pipes) -> Self {
        ByteStream(Kind::Pipes(Box::new(pipes)))
    }

    /// Takes an encrypted stream.
    pub fn tls(tls: Tls) -> Self {
        ByteStream(Kind::Tls(Box::new(tls)))
    }

    /// Looks at the first bytes without taking them; none at the end of the stream.
    ///
    /// # Errors
    /// As of `recv(2)`; `Unsupported` if it is no plain socket.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let (source, socket) = match &self.0 {
                Kind::Tcp { socket, source } => (source, socket.as_fd()),
                Kind::Unix { socket, source } => (source, socket.as_fd()),
                Kind::Pipes(_) | Kind::Tls(_) => {
                    return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
                }
            };
            let peeked = source.poll_read_with(cx, buf, |buf| {
                Ok(rustix::net::recv(socket, buf, RecvFlags::PEEK)?.1)
            });
            // All of it is still there.
            if peeked.is_ready() {
                source.still_readable();
            }
            peeked
        })
        .await
    }

    /// Whether the peer has ended its stream, as far as the kernel knows, however much of it is still to be
    /// read. Pipes do not say.
    pub fn is_ended(&self) -> bool {
        match &self.0 {
            Kind::Tcp { source, .. } | Kind::Unix { source, .. } => source.is_ended(),
            Kind::Pipes(_) => false,
            Kind::Tls(tls) => tls.below().is_ended(),
        }
    }

    /// Ready with the error when the peer has reset the connection, or the kernel has given it up, whether or
    /// not anybody reads from it. What came before can still be read. Pipes do not say.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let error = match &self.0 {
            Kind::Tcp { socket, source } => {
                ready!(source.poll_reset(cx, true));
                socket.take_error()
            }
            Kind::Unix { socket, source } => {
                ready!(source.poll_reset(cx, false));
                socket.take_error()
            }
            Kind::Pipes(_) => return Poll::Pending,
            Kind::Tls(tls) => return tls.below().poll_reset(cx),
        };
        // The kernel tells it once: somebody may have been told before.
        let error = error.ok().flatten();
        Poll::Ready(error.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }

    /// What tells of a reset while somebody else holds the stream. `None` for pipes.
    pub fn reset_watch(&self) -> Option<ResetWatch> {
        match &self.0 {
            Kind::Tcp { source, .. } => Some(source.reset_watch(true)),
            Kind::Unix { source, .. } => Some(source.reset_watch(false)),
            Kind::Pipes(_) => None,
            Kind::Tls(tls) => tls.below().reset_watch(),
        }
    }

    /// Connects to a TCP server. There is no limit of time but the kernel's.
    ///
    /// # Errors
    /// As of `connect(2)`.
    pub async fn connect_tcp(addr: SocketAddr) -> io::Result<Self> {
        let socket = Domain::for_address(addr);
        let socket = socket2::Socket::new(socket, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        match socket.connect(&addr.into()) {
            Err(e) if e.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            connected => connected?,
        }
        let tcp = TcpStream::from(socket);
        let source = Source::new(&tcp, false)?;
        poll_fn(|cx| source.poll_writable(cx)).await;
        // One that failed is at its end, which the kernel has told by the same event.
        if source.is_ended()
            && let Some(error) = tcp.take_error()?
        {
            return Err(error);
        }
        set_options(SockRef::from(&tcp));
        Ok(ByteStream(Kind::Tcp { socket: tcp, source }))
    }

    /// The socket, if it is TCP.
    #[cfg(test)]
    pub fn as_tcp(&self) -> &TcpStream {
        match &self.0 {
            Kind::Tcp { socket, .. } => socket,
            _ => panic!("not TCP"),
        }
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

/// Options that every TCP connection should have: Nagle's algorithm off and keepalive on. Set on a
/// listener, they are those of every connection that it accepts (Linux hands them down).
///
/// One that can't be set is no reason to refuse the peer.
pub fn set_options(socket: SockRef<'_>) {
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let _ = socket.set_tcp_keepalive(&keepalive);
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Tcp { socket, source } => {
                source.poll_read_with(cx, buf, |buf| (&*socket).read(buf))
            }
            Kind::Unix { socket, source } => {
                source.poll_read_with(cx, buf, |buf| (&*socket).read(buf))
            }
            Kind::Pipes(pipes) => pipes.poll_read(cx, buf),
            Kind::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl Outlet for ByteStream {
    fn take_moved(&mut self, taken: bool) -> bool {
        match &mut self.0 {
            Kind::Tls(tls) => tls.take_moved(taken),
            // What a socket or pipe takes has left.
            _ => taken,
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
            Kind::Tcp { socket, source } => source.poll_write_with(cx, || (&*socket).write(buf)),
            Kind::Unix { socket, source } => source.poll_write_with(cx, || (&*socket).write(buf)),
            Kind::Pipes(pipes) => pipes.poll_write_with(cx, |pipe| pipe.write(buf)),
            Kind::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Tcp { socket, source } => {
                source.poll_write_with(cx, || (&*socket).write_vectored(bufs))
            }
            Kind::Unix { socket, source } => {
                source.poll_write_with(cx, || (&*socket).write_vectored(bufs))
            }
            Kind::Pipes(pipes) => pipes.poll_write_with(cx, |pipe| pipe.write_vectored(bufs)),
            Kind::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Tls(tls) => Pin::new(tls).poll_flush(cx),
            // Likewise.
            _ => Poll::Ready(Ok(())),
        }
    }

    /// [`ByteStream::shutdown_write`].
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &mut self.0 {
            Kind::Tcp { socket, .. } => socket.shutdown(Shutdown::Write),
            Kind::Unix { socket, .. } => socket.shutdown(Shutdown::Write),
            Kind::Pipes(pipes) => {
                pipes.close_input();
                Ok(())
            }
            Kind::Tls(tls) => return Pin::new(tls).poll_close(cx),
        })
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
