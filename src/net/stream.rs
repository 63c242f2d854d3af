//! ByteStream: a connected TCP or Unix socket, whichever it is.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::Async;
use futures::io::{AsyncRead, AsyncWrite};
use socket2::{SockRef, TcpKeepalive};

/// How long a TCP connection is silent before the kernel probes it. A peer whose machine vanished
/// is noticed after this plus [`KEEPALIVE_PROBES`] intervals, also when pings are off.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// A connected stream socket in non-blocking mode, registered with the reactor.
///
/// Reading follows the kernel's word instead of guessing: after a read that did not fill the
/// buffer the socket is taken to be empty, and the next read waits for an event first. That
/// saves the `recv` that would only say `EAGAIN`.
#[derive(Debug)]
pub struct ByteStream {
    socket: Socket,
    /// Whether a read may give bytes without waiting for an event first.
    readable: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(Async<TcpStream>),
    Unix(Async<UnixStream>),
}

impl ByteStream {
    /// Takes a connected TCP socket; Nagle's algorithm goes off and keepalive on.
    ///
    /// A socket option that can't be set is no reason to refuse the peer, so failures are ignored
    /// (macOS, for one, gives EINVAL on a connection that was reset meanwhile).
    pub fn tcp(tcp: Async<TcpStream>) -> Self {
        let _ = tcp.get_ref().set_nodelay(true);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES);
        let _ = SockRef::from(tcp.get_ref()).set_tcp_keepalive(&keepalive);
        ByteStream::new(Socket::Tcp(tcp))
    }

    /// Takes a connected Unix socket.
    pub fn unix(unix: Async<UnixStream>) -> Self {
        ByteStream::new(Socket::Unix(unix))
    }

    fn new(socket: Socket) -> Self {
        ByteStream { socket, readable: true }
    }

    /// Sends our FIN: the peer sees the end of the stream, and we can still read its last words.
    ///
    /// # Errors
    /// As of `shutdown(2)`; `NotConnected` if the peer has reset the connection.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.get_ref().shutdown(Shutdown::Write),
            Socket::Unix(unix) => unix.get_ref().shutdown(Shutdown::Write),
        }
    }
}

impl Socket {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.get_ref().read(buf),
            Socket::Unix(unix) => unix.get_ref().read(buf),
        }
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.get_ref().write(buf),
            Socket::Unix(unix) => unix.get_ref().write(buf),
        }
    }

    fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.get_ref().write_vectored(bufs),
            Socket::Unix(unix) => unix.get_ref().write_vectored(bufs),
        }
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(tcp) => tcp.poll_readable(cx),
            Socket::Unix(unix) => unix.poll_readable(cx),
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(tcp) => tcp.poll_writable(cx),
            Socket::Unix(unix) => unix.poll_writable(cx),
        }
    }

    /// Runs a write until it does not block.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&Self) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(self) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done),
            }
            ready!(self.poll_writable(cx))?;
        }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if !self.readable {
                ready!(self.socket.poll_readable(cx))?;
                self.readable = true;
            }
            match self.socket.read(buf) {
                Ok(n) => {
                    // Zero is the end of the stream, and stays so however often it is asked for.
                    self.readable = n == buf.len() || n == 0;
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write_with(cx, |socket| socket.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.poll_write_with(cx, |socket| socket.write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}
