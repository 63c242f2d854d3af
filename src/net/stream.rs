//! ByteStream: a connected TCP or Unix socket, whichever it is.

use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::readiness::Source;

/// How long a TCP connection is silent before the kernel probes it. A peer whose machine vanished
/// is noticed after this plus [`KEEPALIVE_PROBES`] intervals, also when pings are off.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// A connected stream socket in non-blocking mode, watched for its whole life.
///
/// Reading follows the kernel's word instead of guessing: after a read that did not fill the
/// buffer the socket is taken to be empty, and the next read waits for an event first. That
/// saves the `recv` that would only say `EAGAIN`.
#[derive(Debug)]
pub struct ByteStream {
    // Dropped in this order: the descriptor leaves the epoll when it is closed.
    socket: Socket,
    source: Source,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl ByteStream {
    /// Takes an accepted TCP socket, non-blocking already. Its options are its listener's, see
    /// [`set_options`].
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn tcp(tcp: TcpStream) -> io::Result<Self> {
        let source = Source::new(&tcp, true)?;
        Ok(ByteStream { socket: Socket::Tcp(tcp), source })
    }

    /// Takes a connected Unix socket, non-blocking already.
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn unix(unix: UnixStream) -> io::Result<Self> {
        let source = Source::new(&unix, true)?;
        Ok(ByteStream { socket: Socket::Unix(unix), source })
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
        Ok(ByteStream { socket: Socket::Tcp(tcp), source })
    }

    /// The socket, if it is TCP.
    #[cfg(test)]
    pub fn as_tcp(&self) -> &TcpStream {
        match &self.socket {
            Socket::Tcp(tcp) => tcp,
            Socket::Unix(_) => panic!("not TCP"),
        }
    }

    /// Sends our FIN: the peer sees the end of the stream, and we can still read its last words.
    ///
    /// # Errors
    /// As of `shutdown(2)`; `NotConnected` if the peer has reset the connection.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.shutdown(Shutdown::Write),
            Socket::Unix(unix) => unix.shutdown(Shutdown::Write),
        }
    }
}

impl Socket {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => (&*tcp).read(buf),
            Socket::Unix(unix) => (&*unix).read(buf),
        }
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => (&*tcp).write(buf),
            Socket::Unix(unix) => (&*unix).write(buf),
        }
    }

    fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => (&*tcp).write_vectored(bufs),
            Socket::Unix(unix) => (&*unix).write_vectored(bufs),
        }
    }
}

impl ByteStream {
    /// Runs a write until it does not block.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(&self.socket) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                done => return Poll::Ready(done),
            }
            ready!(self.source.poll_writable(cx));
        }
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.source.poll_readable(cx));
            match self.socket.read(buf) {
                Ok(n) => {
                    // Zero is the end of the stream, and stays so however often it is asked for.
                    if n == buf.len() || n == 0 {
                        self.source.still_readable();
                    }
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.source.not_ended(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => self.source.still_readable(),
                Err(e) => {
                    self.source.still_readable();
                    return Poll::Ready(Err(e));
                }
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
        self.poll_write_with(cx, |socket| socket.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |socket| socket.write_vectored(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}
