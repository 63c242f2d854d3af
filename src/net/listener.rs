//! Listener: binds a socket and accepts connections, whatever errors come.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, TryLockError};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, acceptfrom_with, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::address::{ListenAddr, LocalAddr, PeerAddr, is_abstract, system_path};
use super::plain::{Plain, set_options};
use super::readiness::Source;
use crate::clock::Deadline;

/// The number of connections that the kernel completes before we accept them. Listeners of the standard
/// library and async-std stop at 128; a page reload by a thousand browsers needs more.
const BACKLOG: i32 = 1024;

/// The pauses after errors of accept(2): the first, doubled at each further error up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pause between attempts at a directory's lock, and how many are made before we go on without it.
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const LOCK_TRIES: u32 = 100;

/// A bound socket that clients connect to.
#[derive(Debug)]
pub struct Listener {
    /// The socket file that we made; removed with the listener. It is dropped first: an open socket
    /// keeps its inode, whose number another file could have else.
    _file: Option<SocketFile>,
    socket: ListenSocket,
    local: LocalAddr,
    pause: Duration,
}

/// A listening socket. It is watched in the epoll of the connections: in that of async-io, its thread would be woken for
/// connections that come while another thread is busy with those before.
#[derive(Debug)]
struct ListenSocket {
    socket: Socket,
    source: Source,
    is_tcp: bool,
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    /// As of `bind(2)`; for a Unix path, also if a server answers there. A socket file that nobody
    /// listens on any more is replaced.
    pub fn bind(addr: &ListenAddr) -> io::Result<Self> {
        let (socket, local, file) = match addr {
            ListenAddr::Everywhere(port) => tcp(bind_everywhere(*port)?)?,
            ListenAddr::Exact(addr) => tcp(bind_tcp(*addr, true)?)?,
            ListenAddr::Unix(name) if is_abstract(name) => {
                (bind_abstract(name)?, LocalAddr::Unix(name.clone()), None)
            }
            ListenAddr::Unix(path) => {
                let (unix, file) = bind_unix(path)?;
                (unix, LocalAddr::Unix(path.clone()), Some(file))
            }
        };
        Ok(Listener { _file: file, socket, local, pause: FIRST_PAUSE })
    }

    /// Takes a listening socket that was inherited or received. It becomes non-blocking, for all processes
    /// that share it, and close-on-exec. The file of a Unix socket stays when the listener is dropped, as it
    /// belongs to the process that made it.
    ///
    /// # Errors
    /// `InvalidInput` if it is no stream socket of TCP or Unix, or does not listen.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
        let is_stream = sockopt::socket_type(&fd)? == SocketType::STREAM;
        if !is_stream || !sockopt::socket_acceptconn(&fd)? {
            return Err(wrong("the socket does not listen for connections"));
        }
        fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        let domain = sockopt::socket_domain(&fd)?;
        let socket = Socket::from(fd);
        let (socket, local) = match domain {
            AddressFamily::INET | AddressFamily::INET6 => {
                set_options(SockRef::from(&socket));
                let (socket, local, _) = tcp(ListenSocket::new(socket, true)?)?;
                (socket, local)
            }
            AddressFamily::UNIX => {
                let local = LocalAddr::Unix(unix_name(&socket.local_addr()?));
                (ListenSocket::new(socket, false)?, local)
            }
            _ => return Err(wrong("the socket is neither of TCP nor of Unix")),
        };
        Ok(Listener { _file: None, socket, local, pause: FIRST_PAUSE })
    }

    /// The address bound, with the port the kernel chose for port 0.
    pub fn local_addr(&self) -> &LocalAddr {
        &self.local
    }

    /// The next connection. Errors never end the listener: they are logged and it tries again after a pause,
    /// as most of them (EMFILE, ENFILE, ENOBUFS) pass when another connection ends.
    pub async fn accept(&mut self) -> (Plain, PeerAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => {
                    self.pause = FIRST_PAUSE;
                    return accepted;
                }
                // The peer gave up while it waited in the backlog.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {
                    tracing::debug!(error = %e, "accept");
                }
                Err(e) => {
                    tracing::warn!(
                        listener = %self.local, error = %e, pause_ms = self.pause.as_millis() as u64,
                        "can't accept connections, will try again{}", hint(&e)
                    );
                    Deadline::after(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl ListenSocket {
    /// Watches a listening socket, which becomes non-blocking.
    fn new(socket: Socket, is_tcp: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let source = Source::new(&socket, true)?;
        Ok(ListenSocket { socket, source, is_tcp })
    }

    /// Accepts a connection that is non-blocking from the start, which saves a system call.
    async fn accept(&self) -> io::Result<(Plain, PeerAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = || Ok(acceptfrom_with(&self.socket, flags)?);
        let (stream, peer) = poll_fn(|cx| self.source.poll_take_with(cx, accept)).await?;
        if !self.is_tcp {
            return Ok((Plain::unix(stream)?, PeerAddr::Unix));
        }
        let peer = peer.and_then(|addr| SocketAddr::try_from(addr).ok());
        let peer = peer.ok_or_else(|| io::Error::other("a peer without an address"))?;
        Ok((Plain::tcp(stream)?, peer.into()))
    }
}

impl Drop for ListenSocket {
    fn drop(&mut self) {
        // Whoever handed it down, or has got it from us, may still listen on it.
        self.source.remove(&self.socket);
    }
}

/// A socket file that this process made. It is removed at the end, if it is still that one: another
/// server may have put its own in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    /// The file that was just made at `path`.
    fn made(path: &Path) -> io::Result<Self> {
        let id = file_id(&fs::symlink_metadata(path)?);
        Ok(SocketFile { path: path.to_owned(), id })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _lock = lock_directory(&self.path);
        if fs::symlink_metadata(&self.path).is_ok_and(|found| file_id(&found) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The device and inode of a file, which no other existing file has.
fn file_id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::MFILE.raw_os_error() => {
            " (raise the limit with ulimit -n, or lower --max-sessions)"
        }
        _ => "",
    }
}

/// One socket for IPv6 and IPv4; where the machine has no IPv6, one for IPv4.
fn bind_everywhere(port: u16) -> io::Result<ListenSocket> {
    match bind_tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), false) {
        Err(e) if no_ipv6(&e) => bind_tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), false),
        bound => bound,
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

fn bind_tcp(addr: SocketAddr, only_v6: bool) -> io::Result<ListenSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // `[::]:8082` typed as an exact address means IPv6 alone; `--port` means both.
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    set_options(SockRef::from(&socket));
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    ListenSocket::new(socket, true)
}

fn tcp(tcp: ListenSocket) -> io::Result<(ListenSocket, LocalAddr, Option<SocketFile>)> {
    let local = tcp.socket.local_addr()?.as_socket();
    let local = local.ok_or_else(|| io::Error::other("a TCP socket without an address"))?;
    Ok((tcp, LocalAddr::Tcp(local), None))
}

/// The path of a Unix socket, as it was bound; `@name` for one that has no file (unix(7), abstract).
fn unix_name(addr: &SockAddr) -> PathBuf {
    match addr.as_abstract_namespace() {
        Some(name) => OsStr::from_bytes(&[b"@", name].concat()).into(),
        None => addr.as_pathname().map(Path::to_owned).unwrap_or_default(),
    }
}

/// Binds a name that has no file, and is free again when the last process closes the socket.
fn bind_abstract(name: &Path) -> io::Result<ListenSocket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(system_path(name))?)?;
    socket.listen(BACKLOG)?;
    ListenSocket::new(socket, false)
}

fn bind_unix(path: &Path) -> io::Result<(ListenSocket, SocketFile)> {
    // Between the look at what is there and listen(2), another wsrelay that starts would take our
    // socket for one that was left behind.
    let lock = lock_directory(path);
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // From here on it is removed if anything fails.
    let file = SocketFile::made(path)?;
    let listening = socket.listen(BACKLOG).and_then(|()| ListenSocket::new(socket, false));
    // Its removal takes the lock too.
    drop(lock);
    Ok((listening?, file))
}

/// Keeps other instances of wsrelay from making or removing socket files in the directory of `path`
/// until it is dropped. It is a lock on the directory itself, so that nothing is left behind. One that
/// can't be had (the directory is not readable, its file system has no locks, another process has it) is
/// done without.
fn lock_directory(path: &Path) -> Option<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(directory.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Removes a socket that a killed server left behind, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        // bind(2) reports what is wrong with the directory.
        Err(_) => return Ok(()),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other("something that is no socket is in its place"));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A live server's backlog may be full, and then connecting would wait.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::Error::other("another program listens there: stop it, or give another path")),
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
