//! Backend: what a session is relayed to, and how a connection to it is opened.

mod client_info;
mod open_error;
pub mod program;
mod resolver;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_io::Async;

use self::program::{Launcher, Program, ProgramDir, Programs, Running};
use self::resolver::Resolver;
use crate::clock::{Deadline, timeout};
use crate::error::{CloseReason, StartError, reason};
use crate::net::address::{split_host_port, unix_path};
use crate::net::scratch;
use crate::net::stream::ByteStream;
use crate::net::tls;

pub use self::client_info::ClientInfo;
pub use self::open_error::OpenError;

/// Between two attempts at a Unix socket whose backlog is full: the kernel does not say when not.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Descriptors that a client and its program take: a socket, three pipes, and what tells of its exit.
pub const PROGRAM_DESCRIPTORS: u64 = 5;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A TCP server. A name is resolved anew, a second's sessions sharing the answer, and every
    /// address tried in turn.
    Tcp {
        /// A name or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A TCP server that speaks TLS.
    Tls {
        /// A name or an IP address without brackets; its certificate must be for it.
        host: String,
        /// The port.
        port: u16,
        /// The file of the authorities that are believed; `None`: the system's.
        ca: Option<PathBuf>,
    },
    /// A server on a Unix socket.
    Unix(PathBuf),
    /// A program, one process a session.
    Program(Program),
    /// The program of this directory that the URI's path names, one process a session.
    Programs(ProgramDir),
}

/// An open connection to a backend. As small as that to a server: the rest lies in a box.
#[derive(Debug)]
pub struct BackendIo(Other);

/// Who is at its other end.
#[derive(Debug)]
enum Other {
    /// Somebody else's server.
    Server(ByteStream),
    /// A process of ours.
    Process(Box<Process>),
}

#[derive(Debug)]
struct Process {
    running: Running,
    /// Of many programs, which one.
    name: Option<Box<str>>,
}

impl Backend {
    /// Reads `HOST:PORT`, `[::1]:7777`, `unix:/path` or `tls://HOST:PORT`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Backend::Unix);
        }
        let tls = text.strip_prefix("tls://");
        let (host, port) = split_host_port(tls.unwrap_or(text))?;
        if port == 0 {
            return Err("port 0 can't be connected to".into());
        }
        let host = host.to_owned();
        Ok(match tls {
            Some(_) => Backend::Tls { host, port, ca: None },
            None => Backend::Tcp { host, port },
        })
    }

    /// The same with the file of `--backend-ca`, which is nothing to one without TLS.
    pub fn with_ca(self, file: Option<&str>) -> Self {
        match (self, file) {
            (Backend::Tls { host, port, .. }, file) => {
                Backend::Tls { host, port, ca: file.map(PathBuf::from) }
            }
            (backend, _) => backend,
        }
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Backend::Tls { .. })
    }

    /// Descriptors that a session with it takes, its client's included.
    pub fn descriptors(&self) -> u64 {
        match self {
            Backend::Tcp { .. } | Backend::Tls { .. } | Backend::Unix(_) => 2,
            Backend::Program(_) | Backend::Programs(_) => PROGRAM_DESCRIPTORS,
        }
    }

    /// What the log calls it: of many programs the one that was found.
    pub fn called<'a>(&'a self, program: &'a Option<Box<str>>) -> &'a dyn fmt::Display {
        match program {
            Some(name) => name,
            None => self,
        }
    }

    fn explain(&self, error: &io::Error, limit: Duration) -> OpenError {
        if error.kind() == io::ErrorKind::TimedOut {
            return OpenError::TimedOut(limit);
        }
        OpenError::new(error, || match self {
            Backend::Program(program) => program.explain(error),
            _ => format!("backend {self}: {}", reason(error)),
        })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Tcp { host, port } => write_host_port(f, host, *port),
            Backend::Tls { host, port, .. } => {
                f.write_str("tls://")?;
                write_host_port(f, host, *port)
            }
            Backend::Unix(path) => write!(f, "unix:{}", path.display()),
            Backend::Program(program) => f.write_str(program.name()),
            Backend::Programs(programs) => programs.dir.display().fmt(f),
        }
    }
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    match host.contains(':') {
        true => write!(f, "[{host}]:{port}"),
        false => write!(f, "{host}:{port}"),
    }
}

impl BackendIo {
    /// Both directions.
    pub fn io(&mut self) -> &mut ByteStream {
        match &mut self.0 {
            Other::Server(io) => io,
            Other::Process(process) => &mut process.running.io,
        }
    }

    /// Of many programs, which one it is; told once.
    pub fn program(&mut self) -> Option<Box<str>> {
        match &mut self.0 {
            Other::Server(_) => None,
            Other::Process(process) => process.name.take(),
        }
    }

    fn process(running: Running, name: Option<Box<str>>) -> Self {
        BackendIo(Other::Process(Box::new(Process { running, name })))
    }

    /// What a session's end is when the backend has had its say: a process tells how it ended, and
    /// that takes a moment.
    pub fn settle(&mut self, reason: CloseReason) -> impl Future<Output = CloseReason> + use<> {
        let exit = match (&reason, &self.0) {
            (CloseReason::BackendClosed, Other::Process(process)) => {
                Some(process.running.keeping.exit())
            }
            _ => None,
        };
        async move {
            match exit {
                Some(exit) => CloseReason::ProgramEnded(exit.await),
                None => reason,
            }
        }
    }

    /// Takes leave of a backend that has been written everything: it sees our FIN, and what it
    /// still says is read and discarded until it closes, or `close_timeout`. A process is ended.
    pub async fn finish(self, close_timeout: Duration) {
        match self.0 {
            Other::Server(mut io) => drop(timeout(close_timeout, io.leave()).await),
            Other::Process(process) => {
                let Running { mut io, keeping } = process.running;
                let _ = io.shutdown_write().await;
                keeping.end(discard(&mut io)).await;
            }
        }
    }

    /// Leaves a backend that has failed, or takes nothing any more. A process is ended.
    pub async fn abandon(self) {
        if let Other::Process(process) = self.0 {
            let Running { io, keeping } = process.running;
            drop(io);
            keeping.end(async {}).await;
        }
    }
}

async fn discard(io: &mut ByteStream) {
    poll_fn(|cx| scratch::poll_discard(cx, io)).await;
}

/// Opens connections to a backend, and keeps what all of them need.
#[derive(Debug)]
pub struct Connector {
    backend: Backend,
    way: Way,
    /// What goes on top.
    tls: Option<tls::Connector>,
}

#[derive(Debug)]
enum Way {
    Addr(SocketAddr),
    Name(Resolver),
    Unix(PathBuf),
    Program(Launcher),
    Programs(Programs),
}

impl Connector {
    /// Nothing is connected to yet, nor looked up; but a program is.
    ///
    /// # Errors
    /// [`StartError::Environment`], if there is no such program, or nothing to check a certificate against.
    pub fn new(backend: Backend) -> Result<Self, StartError> {
        let tls = match &backend {
            Backend::Tls { host, ca, .. } => Some(tls::Connector::new(host, ca.as_deref())),
            _ => None,
        };
        let tls = tls.transpose().map_err(StartError::Environment)?;
        let way = match &backend {
            Backend::Tcp { host, port } | Backend::Tls { host, port, .. } => match host.parse() {
                Ok(ip) => Way::Addr(SocketAddr::new(ip, *port)),
                Err(_) => Way::Name(Resolver::new(host.clone(), *port)),
            },
            Backend::Unix(path) => Way::Unix(path.clone()),
            Backend::Program(program) => {
                Way::Program(Launcher::new(program).map_err(StartError::Environment)?)
            }
            Backend::Programs(dir) => {
                Way::Programs(Programs::open(dir).map_err(StartError::Environment)?)
            }
        };
        Ok(Connector { backend, way, tls })
    }

    /// What it connects to.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Connects for this client, within `limit` from the start of name resolution to the open
    /// connection, TLS included, or to the running program.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn open(
        &self,
        client: &ClientInfo<'_>,
        limit: Duration,
    ) -> Result<BackendIo, OpenError> {
        let deadline = Instant::now() + limit;
        let server = match &self.way {
            Way::Addr(addr) => connect_to_any(&[*addr], deadline).await,
            Way::Name(resolver) => open_name(resolver, deadline).await,
            Way::Unix(path) => within(deadline, open_unix(path)).await,
            Way::Program(launcher) => {
                let started = within(deadline, launcher.start(client)).await;
                let started = started.map_err(|e| self.backend.explain(&e, limit))?;
                return Ok(BackendIo::process(started, None));
            }
            Way::Programs(programs) => {
                let started = timeout(limit, async {
                    let found = programs.find(client).await?.program()?;
                    let running = programs.start(&found, client, false).await?;
                    Ok(BackendIo::process(running, Some(found.name)))
                });
                return started.await.unwrap_or(Err(OpenError::TimedOut(limit)));
            }
        };
        let server = match (server, &self.tls) {
            // Boxed, as only some need the room.
            (Ok(io), Some(tls)) => Box::pin(within(deadline, tls.connect(io))).await,
            (server, _) => server,
        };
        server.map(|io| BackendIo(Other::Server(io))).map_err(|e| self.backend.explain(&e, limit))
    }
}

/// The outcome of `work`, or `TimedOut` at the deadline.
async fn within<T>(deadline: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let left = deadline.saturating_duration_since(Instant::now());
    timeout(left, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn open_name(resolver: &Resolver, deadline: Instant) -> io::Result<ByteStream> {
    let addrs = within(deadline, resolver.resolve()).await?;
    let connected = connect_to_any(&addrs, deadline).await;
    if connected.is_err() {
        resolver.forget().await;
    }
    connected
}

/// Connects to a Unix socket. Where TCP would try again by itself, a full backlog is an error at
/// once (EAGAIN), which async-io takes for a connection in progress that then is none.
async fn open_unix(path: &Path) -> io::Result<ByteStream> {
    loop {
        match Async::<UnixStream>::connect(path).await {
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotConnected | io::ErrorKind::WouldBlock) =>
            {
                Deadline::after(BUSY_PAUSE).await;
            }
            connected => return ByteStream::unix(connected?.into_inner()?),
        }
    }
}

/// Connects to the first of the addresses that answers.
async fn connect_to_any(addrs: &[SocketAddr], deadline: Instant) -> io::Result<ByteStream> {
    let mut last = io::Error::other("the name has no address");
    for (i, addr) in addrs.iter().enumerate() {
        // What time is left is shared among the addresses left: a first one that swallows packets
        // must not keep the second from its turn.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addrs.len() - i) as u32;
        match timeout(share, ByteStream::connect_tcp(*addr)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = e,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every session has one, and most are with a server.
    #[test]
    fn a_connection_is_small() {
        assert_eq!(size_of::<BackendIo>(), size_of::<ByteStream>());
    }

    #[test]
    fn addresses_are_shown_as_typed() {
        for text in [
            "localhost:7777",
            "[::1]:7777",
            "10.0.0.1:23",
            "unix:/run/chat.sock",
            "tls://db.example:6697",
            "tls://[::1]:6697",
        ] {
            assert_eq!(Backend::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, want) in [
            ("localhost", "has no port"),
            ("localhost:0", "port 0"),
            ("unix:", "needs a path"),
            ("::1:80", "needs brackets"),
            ("tls://localhost", "has no port"),
            ("tls://localhost:0", "port 0"),
            ("tls://localhost:1/", "not a port number"),
        ] {
            let got = Backend::parse(text).unwrap_err();
            assert!(got.contains(want), "{text}: {got}");
        }
    }

    /// An address that refuses, one that swallows connections (its backlog is full), and one that
    /// answers; with what keeps them so.
    fn addresses() -> ([SocketAddr; 3], impl Sized) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [refuses, swallows, answers] = [None, Some(0), Some(128)].map(|backlog| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.bind(&any.into()).unwrap();
            if let Some(backlog) = backlog {
                socket.listen(backlog).unwrap();
            }
            socket
        });
        let addr = |socket: &socket2::Socket| socket.local_addr().unwrap().as_socket().unwrap();
        let addrs = [addr(&refuses), addr(&swallows), addr(&answers)];
        let connect =
            || std::net::TcpStream::connect_timeout(&addrs[1], Duration::from_millis(100)).ok();
        let waiting: Vec<_> = std::iter::from_fn(connect).collect();
        (addrs, (refuses, swallows, answers, waiting))
    }

    #[test]
    fn every_address_has_its_turn() {
        let ([refuses, swallows, answers], _kept) = addresses();
        let connect = |addrs: &[SocketAddr], limit| {
            let connect = connect_to_any(addrs, Instant::now() + Duration::from_millis(limit));
            async_std::task::block_on(connect)
        };
        for addrs in [
            &[answers][..],
            &[answers, refuses],
            &[refuses, answers],
            &[refuses, refuses, answers],
            &[swallows, answers],
            &[swallows, refuses, answers],
        ] {
            let stream = connect(addrs, 1500).unwrap();
            assert_eq!(stream.as_tcp().peer_addr().unwrap(), answers, "{addrs:?}");
        }
        for (addrs, kind) in [
            (&[refuses][..], io::ErrorKind::ConnectionRefused),
            (&[swallows], io::ErrorKind::TimedOut),
            (&[swallows, refuses], io::ErrorKind::ConnectionRefused),
            (&[refuses, swallows], io::ErrorKind::TimedOut),
            (&[], io::ErrorKind::Other),
        ] {
            assert_eq!(connect(addrs, 100).unwrap_err().kind(), kind, "{addrs:?}");
        }
    }
}
