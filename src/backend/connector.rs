//! Connector: opens connections to a backend.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_io::Async;

use super::program::{Held, Launcher, Programs};
use super::{BackendIo, ClientInfo, OpenError, Target};
use crate::clock::{Deadline, timeout};
use crate::error::StartError;
use crate::net::lookup;
use crate::net::stream::ByteStream;
use crate::net::tls;
use crate::open_files::OpenFiles;
use crate::path;

/// Between two attempts at a Unix socket whose backlog is full: the kernel does not say when not.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Whose certificates are believed, by the file of `--backend-ca`; `None`: the system's authorities.
pub type BackendAuthorities = OpenFiles<Option<PathBuf>, tls::Authorities>;

/// Opens connections to a backend, and keeps what all of them need.
#[derive(Debug)]
pub struct Connector {
    backend: Target,
    way: Way,
    /// What goes on top.
    tls: Option<tls::Connector>,
}

#[derive(Debug)]
enum Way {
    Addr(SocketAddr),
    Name(String, u16),
    Unix(PathBuf),
    Program(Launcher),
    Programs(Programs),
}

impl Connector {
    /// Nothing is connected to yet, nor looked up; but a program is.
    ///
    /// # Errors
    /// [`StartError::Environment`], if there is no such program, or nothing to check a certificate against.
    pub fn new(backend: Target, known: &mut BackendAuthorities) -> Result<Self, StartError> {
        let tls = match &backend {
            Target::Tls { host, ca, .. } => {
                let open = |ca| tls::Authorities::open("--backend-ca", ca);
                Some(known.get(ca, open).and_then(|known| tls::Connector::new(host, known)))
            }
            _ => None,
        };
        let tls = tls.transpose().map_err(StartError::Environment)?;
        let way = match &backend {
            Target::Tcp { host, port } | Target::Tls { host, port, .. } => match host.parse() {
                Ok(ip) => Way::Addr(SocketAddr::new(ip, *port)),
                Err(_) => Way::Name(host.clone(), *port),
            },
            Target::Unix(path) => Way::Unix(path.clone()),
            Target::Program(program) => {
                Way::Program(Launcher::new(program).map_err(StartError::Environment)?)
            }
            Target::Programs(dir) => {
                Way::Programs(Programs::open(dir).map_err(StartError::Environment)?)
            }
        };
        Ok(Connector { backend, way, tls })
    }

    /// Connects for this client, within `limit` from the start of name resolution to the open
    /// connection, TLS included, or to the running program, which keeps `held` until it is gone.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn open(
        &self,
        client: &ClientInfo<'_>,
        limit: Duration,
        held: Held,
    ) -> Result<BackendIo, OpenError> {
        let deadline = Instant::now() + limit;
        if let Way::Program(_) | Way::Programs(_) = &self.way
            && !path::is_sound(client.uri.path())
        {
            return Err(OpenError::BadPath);
        }
        let server = match &self.way {
            Way::Addr(addr) => connect_to_any(&[*addr], deadline).await,
            Way::Name(host, port) => open_name(host, *port, deadline).await,
            Way::Unix(path) => within(deadline, open_unix(path)).await,
            Way::Program(launcher) => {
                let started = within(deadline, launcher.start(client, held)).await;
                let started = started.map_err(|e| self.backend.explain(&e, limit))?;
                return Ok(BackendIo::process(started, None));
            }
            Way::Programs(programs) => {
                let started = timeout(limit, async {
                    let found = programs.find(client).await?.program()?;
                    let running = programs.start(&found, client, false, held).await?;
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
        server.map(BackendIo::server).map_err(|e| self.backend.explain(&e, limit))
    }
}

/// The outcome of `work`, or `TimedOut` at the deadline.
async fn within<T>(deadline: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let left = deadline.saturating_duration_since(Instant::now());
    timeout(left, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn open_name(host: &str, port: u16, deadline: Instant) -> io::Result<ByteStream> {
    let found = within(deadline, lookup::resolve(host)).await?;
    let mut addrs = found.to_vec();
    addrs.iter_mut().for_each(|addr| addr.set_port(port));
    let connected = connect_to_any(&addrs, deadline).await;
    if connected.is_err() {
        lookup::forget(host, &found);
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
            crate::task::block_on(connect)
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
