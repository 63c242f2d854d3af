//! Plain: a connected TCP or Unix socket, or the pipes of a process, unencrypted, in non-blocking mode and
//! watched for its whole life.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::address::canonical;
use super::pipes::Pipes;
use super::readiness::{Source, SourceResetWatch};

/// How long a TCP connection is silent before the kernel probes it. A peer whose machine vanished
/// is noticed after this plus [`KEEPALIVE_PROBES`] intervals, also when pings are off.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// An unencrypted stream.
///
/// Reading follows the kernel's reports instead of guessing: after a read that did not fill the
/// buffer the stream is taken to be empty, and the next read waits for an event first. That
/// saves the `recv` that would only say `EAGAIN`.
#[derive(Debug)]
pub struct Plain(Endpoints);

/// Sockets lie flat beside their registration, pipes in a box: a session with a socket has no room for
/// what those need.
#[derive(Debug)]
enum Endpoints {
    // Fields are dropped in this order: the descriptor leaves the epoll when it is closed.
    Socket { socket: Socket, source: Source, is_tcp: bool },
    Pipes(Box<Pipes>),
}

impl Plain {
    /// Takes an accepted TCP socket, non-blocking already. Its options are its listener's, see
    /// [`set_options`].
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn tcp(socket: impl Into<Socket>) -> io::Result<Self> {
        Plain::socket(socket.into(), true)
    }

    /// Takes a connected Unix socket, non-blocking already.
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn unix(socket: impl Into<Socket>) -> io::Result<Self> {
        Plain::socket(socket.into(), false)
    }

    fn socket(socket: Socket, is_tcp: bool) -> io::Result<Self> {
        let source = Source::new(&socket, true)?;
        Ok(Plain(Endpoints::Socket { socket, source, is_tcp }))
    }

    /// Takes the pipes to and from a process.
    pub fn pipes(pipes: Pipes) -> Self {
        Plain(Endpoints::Pipes(Box::new(pipes)))
    }

    /// Connects to a TCP server. There is no limit of time but the kernel's. Nagle's algorithm is off; TCP keepalive is
    /// not [on](Self::set_keepalive) yet.
    ///
    /// # Errors
    /// As of `connect(2)`.
    pub async fn connect_tcp(addr: SocketAddr) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
        match socket.connect(&addr.into()) {
            Err(e) if e.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            connected => connected?,
        }
        let source = Source::new(&socket, false)?;
        poll_fn(|cx| source.poll_writable(cx)).await;
        // A connection that failed is at its end, which the kernel has reported by the same event.
        if source.is_ended()
            && let Some(error) = socket.take_error()?
        {
            return Err(error);
        }
        let _ = socket.set_tcp_nodelay(true);
        Ok(Plain(Endpoints::Socket { socket, source, is_tcp: true }))
    }

    /// Our address of a TCP connection, IPv4 never in its IPv6-mapped form; `None` with anything else.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Endpoints::Socket { socket, .. } => {
                socket.local_addr().ok()?.as_socket().map(canonical)
            }
            Endpoints::Pipes(_) => None,
        }
    }

    /// Keeps urgent data in its place among the other bytes, where the kernel would take it out. One that can't is
    /// read without it.
    pub fn keep_urgent_inline(&self) {
        if let Endpoints::Socket { socket, is_tcp: true, .. } = &self.0 {
            let _ = socket.set_out_of_band_inline(true);
        }
    }

    /// Turns TCP keepalive on: the kernel finds out when the peer's machine has vanished. Does nothing without TCP.
    pub fn set_keepalive(&self) {
        if let Endpoints::Socket { socket, is_tcp: true, .. } = &self.0 {
            set_keepalive(SockRef::from(socket));
        }
    }

    /// Looks at the first bytes without taking them; none at the end of the stream.
    ///
    /// # Errors
    /// As of `recv(2)`; `Unsupported` with pipes.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| {
            let Endpoints::Socket { socket, source, .. } = &self.0 else {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
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
    /// read. Always false with pipes.
    pub fn is_ended(&self) -> bool {
        match &self.0 {
            Endpoints::Socket { source, .. } => source.is_ended(),
            Endpoints::Pipes(_) => false,
        }
    }

    /// Ready with the error when the peer has reset the connection, or the kernel has given it up, whether or
    /// not anybody reads from it. What came before can still be read. Never ready with pipes.
    pub fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Endpoints::Socket { socket, source, is_tcp } = &self.0 else { return Poll::Pending };
        ready!(source.poll_reset(cx, *is_tcp));
        // The kernel reports it once: a read or write may have taken it before.
        let error = socket.take_error().ok().flatten();
        Poll::Ready(error.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }

    /// Reports a reset while another task or value holds the stream. `None` with pipes.
    pub fn reset_watch(&self) -> Option<SourceResetWatch> {
        match &self.0 {
            Endpoints::Socket { source, is_tcp, .. } => Some(source.reset_watch(*is_tcp)),
            Endpoints::Pipes(_) => None,
        }
    }

    /// The socket.
    #[cfg(test)]
    pub fn as_socket(&self) -> &Socket {
        match &self.0 {
            Endpoints::Socket { socket, .. } => socket,
            Endpoints::Pipes(_) => panic!("pipes"),
        }
    }
}

/// Options that every TCP connection should have: Nagle's algorithm off and keepalive on. Set on a
/// listener, they are those of every connection that it accepts (Linux hands them down).
///
/// One that can't be set is no reason to refuse the peer.
pub fn set_options(socket: SockRef<'_>) {
    let _ = socket.set_tcp_nodelay(true);
    set_keepalive(socket);
}

/// Four system calls.
fn set_keepalive(socket: SockRef<'_>) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let _ = socket.set_tcp_keepalive(&keepalive);
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Endpoints::Socket { socket, source, .. } => {
                source.poll_read_with(cx, buf, |buf| (&*socket).read(buf))
            }
            Endpoints::Pipes(pipes) => pipes.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Endpoints::Socket { socket, source, .. } => {
                source.poll_write_with(cx, || (&*socket).write(buf))
            }
            Endpoints::Pipes(pipes) => pipes.poll_write_with(cx, |pipe| pipe.write(buf)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Endpoints::Socket { socket, source, .. } => {
                source.poll_write_with(cx, || (&*socket).write_vectored(bufs))
            }
            Endpoints::Pipes(pipes) => pipes.poll_write_with(cx, |pipe| pipe.write_vectored(bufs)),
        }
    }

    /// Does nothing: what a socket or pipe takes has left.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends our FIN, or closes the process's stdin; at once.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &mut self.0 {
            Endpoints::Socket { socket, .. } => socket.shutdown(Shutdown::Write),
            Endpoints::Pipes(pipes) => {
                pipes.close_input();
                Ok(())
            }
        })
    }
}
