//! A backend: a TCP server that the test controls.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{DEADLINE, Steady, retry, timed};

/// A listening backend; the test decides what it does with a connection.
pub struct Backend {
    pub(super) listener: TcpListener,
    pub addr: SocketAddr,
}

impl Backend {
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        Backend { listener, addr }
    }

    /// The relay's next connection.
    pub fn accept(&self) -> Peer {
        self.listener.set_nonblocking(true).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            match self.listener.accept() {
                Ok((tcp, _)) => {
                    tcp.set_nonblocking(false).unwrap();
                    return Peer(BufReader::new(timed(tcp)));
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < end, "the relay does not connect");
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Whether a connection waits to be accepted.
    pub fn is_called(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        self.listener.accept().is_ok()
    }

    /// Serves every connection with `serve`, each on a thread of its own, until the test ends.
    pub fn serve(self, serve: impl Fn(Peer) + Send + Sync + Clone + 'static) -> SocketAddr {
        let addr = self.addr;
        std::thread::spawn(move || {
            for tcp in self.listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(Peer(BufReader::new(timed(tcp)))));
            }
        });
        addr
    }
}

/// A well-behaved backend: an echo server of lines.
pub fn echo() -> SocketAddr {
    Backend::listen().serve(|mut peer| {
        let mut line = Vec::new();
        while peer.0.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if peer.0.get_mut().write_all(&line).is_err() {
                return;
            }
            line.clear();
        }
    })
}

/// The relay's connection, seen from the backend.
pub struct Peer(pub BufReader<TcpStream>);

impl Peer {
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("the relay takes it");
    }

    /// The next line with its end; empty at the end of the stream.
    pub fn read_line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("a line within the deadline");
        String::from_utf8(line).expect("UTF-8")
    }

    /// The next so many bytes.
    pub fn read_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("so many bytes within the deadline");
        bytes
    }

    /// Everything up to the relay's FIN.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).expect("a FIN within the deadline");
        all
    }

    /// Expects the relay's FIN and nothing before it.
    pub fn expect_fin(&mut self) {
        assert_eq!(self.read_to_end().escape_ascii().to_string(), "");
    }

    /// Ends the stream to the relay, and goes on reading.
    pub fn shutdown_write(&self) {
        self.tcp().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset instead of a FIN.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.tcp());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub fn tcp(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

/// An address that refuses connections. Bound but not listening, so that the port stays taken.
pub struct Refusing {
    socket: socket2::Socket,
    pub addr: SocketAddr,
}

impl Refusing {
    pub fn bind(ip: &str) -> Self {
        let any = SocketAddr::new(ip.parse().unwrap(), 0);
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(any),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        );
        let socket = socket.unwrap();
        socket.bind(&any.into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        Refusing { socket, addr }
    }

    /// Starts listening.
    pub fn accept_from_now_on(self) -> Backend {
        self.socket.listen(128).unwrap();
        Backend { listener: self.socket.into(), addr: self.addr }
    }
}

/// An address that never answers a connection, as its backlog is full.
pub struct Mute {
    backend: Backend,
    waiting: Vec<TcpStream>,
    pub addr: SocketAddr,
}

impl Mute {
    pub fn listen() -> Self {
        let Refusing { socket, addr } = Refusing::bind("127.0.0.1");
        socket.listen(0).unwrap();
        let connect = || TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok();
        let waiting = std::iter::from_fn(connect).collect();
        Mute { backend: Backend { listener: socket.into(), addr }, waiting, addr }
    }

    /// Makes room in the backlog.
    pub fn accept_from_now_on(self) -> Backend {
        for _ in &self.waiting {
            self.backend.accept();
        }
        self.backend
    }
}
