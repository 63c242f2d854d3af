//! The support of the tests: the real binary on a free port, backends and clients on plain blocking
//! sockets. Everything waits on events, with one deadline.

#![allow(dead_code, missing_docs, unused_imports)]

pub mod authority;
pub mod backend;
pub mod cgi;
pub mod client;
pub mod configured;
pub mod faults;
pub mod hosts;
pub mod http;
pub mod program;
pub mod relay;
pub mod tls;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub use backend::{Backend, Mute, Peer, Refusing, echo};
pub use client::Client;
pub use http::{HttpResponse, frame, handshake};
pub use relay::{Relay, relay, relay_to, run, run_command, session, start};
use socket2::{Domain, Socket, Type};

/// The deadline of every wait, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

fn timed(tcp: TcpStream) -> TcpStream {
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.set_write_timeout(Some(DEADLINE)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

/// A connection, with the deadline.
pub fn tcp_to(addr: SocketAddr) -> TcpStream {
    timed(TcpStream::connect(addr).unwrap())
}

/// A connection from another address of this machine, with the deadline.
pub fn tcp_from(ip: impl Into<IpAddr>, addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(ip.into(), 0).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    timed(socket.into())
}

/// A connection to a Unix socket, with the deadline.
pub fn unix(path: &std::path::Path) -> Steady<UnixStream> {
    let stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    Steady(stream)
}

/// Connects to a Unix socket, once a process listens there.
pub fn wait_for_unix(path: &std::path::Path) -> Steady<UnixStream> {
    let end = Instant::now() + DEADLINE;
    while UnixStream::connect(path).is_err() {
        assert!(Instant::now() < end, "nobody listens on {}", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    unix(path)
}

/// A socket whose reads and writes are repeated if a signal (of a child that ended) interrupts them.
pub struct Steady<S = TcpStream>(pub S);

/// Repeats a call as long as it is interrupted.
pub fn retry<T>(mut act: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match act() {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl<S: Read> Read for Steady<S> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        retry(|| self.0.read(buf))
    }
}

impl<S: Write> Write for Steady<S> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        retry(|| self.0.write(buf))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        retry(|| self.0.flush())
    }
}

impl<S> std::ops::Deref for Steady<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}
