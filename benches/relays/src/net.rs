//! Sockets that never block, and the one poller of each process.

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType},
    process::{Resource, Rlimit},
    time::Timespec,
};
use socket2::SockRef;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream},
    os::fd::AsFd,
    time::Duration,
};

/// Size of the one buffer each process reads into.
pub const READ_BUFFER: usize = 256 * 1024;

/// Open files of a process: enough for 9,500 sessions, each with a socket on either side of a relay.
const MAX_FILES: u64 = 20_000;

/// What a socket is ready for.
pub struct Ready {
    pub key: usize,
    pub readable: bool,
    pub writable: bool,
}

/// Level-triggered: what was not read in one turn is reported again in the next.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

fn interest(reading: bool, writing: bool) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, reading);
    flags.set(EventFlags::OUT, writing);
    flags
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    pub fn add(&self, socket: impl AsFd, key: usize, writing: bool) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(key as u64),
            interest(true, writing),
        )?)
    }

    /// Appends what is ready to `ready`, after waiting for it no longer than `timeout`.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = timeout.map(|time| Timespec::try_from(time).expect("a time that fits"));
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let broken = EventFlags::ERR | EventFlags::HUP;
        ready.extend(self.events.iter().map(|event| {
            let (key, flags) = (event.data.u64() as usize, event.flags);
            Ready {
                key,
                readable: flags.intersects(EventFlags::IN | broken),
                writable: flags.intersects(EventFlags::OUT | broken),
            }
        }));
        Ok(())
    }
}

pub enum ReadOutcome {
    Data(usize),
    Blocked,
    Closed,
}

/// Where a connection goes.
pub struct Dial {
    /// A port of 127.0.0.1.
    pub port: u16,
    /// The address it comes from, if that matters.
    pub source: Option<Ipv4Addr>,
    /// With little room on the way, so that it is soon full: a small receive buffer, and the segments of an Ethernet, by
    /// whose size Linux also measures the other side's send buffer (2.6 MB with those of the loopback device).
    pub narrow: bool,
}

/// Bytes of a narrow connection's receive buffer, and of its segments.
const NARROW_BUFFER: usize = 4096;
const NARROW_SEGMENT: u32 = 1460;

/// A connection and what it has not taken yet.
pub struct Conn {
    socket: TcpStream,
    key: usize,
    pending: Vec<u8>,
    taken: usize,
    /// Whether the poller reports when it can be read from, and when it can be written to.
    reading: bool,
    writing: bool,
}

impl Conn {
    /// Registers an accepted connection.
    pub fn accepted(socket: TcpStream, key: usize, poller: &Poller) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        poller.add(&socket, key, false)?;
        Ok(Conn { socket, key, pending: Vec::new(), taken: 0, reading: true, writing: false })
    }

    /// Begins to connect; the poller reports it writable when that is done, and `settle` says how it went.
    pub fn connect(dial: &Dial, key: usize, poller: &Poller) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        if dial.narrow {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, NARROW_BUFFER)?;
            SockRef::from(&socket).set_tcp_mss(NARROW_SEGMENT)?;
        }
        if let Some(address) = dial.source {
            rustix::net::bind(&socket, &SocketAddrV4::new(address, 0))?;
        }
        match rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, dial.port)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        poller.add(&socket, key, true)?;
        Ok(Conn { socket, key, pending: Vec::new(), taken: 0, reading: true, writing: true })
    }

    /// Whether the connection came about.
    pub fn settle(&self) -> io::Result<()> {
        self.socket.take_error()?.map_or(Ok(()), Err)?;
        self.socket.set_nodelay(true)
    }

    /// Bytes of memory that wait for the socket to take them.
    pub fn queued(&self) -> usize {
        self.pending.len()
    }

    /// Reads what comes, or lets it wait in the kernel.
    pub fn set_reading(&mut self, reading: bool, poller: &Poller) -> io::Result<()> {
        self.reading = reading;
        self.rewatch(poller)
    }

    /// Whether all that was sent has been taken.
    pub fn is_flushed(&self) -> bool {
        self.pending.is_empty()
    }

    /// One read: what is left is reported again.
    pub fn read(&self, buffer: &mut [u8]) -> ReadOutcome {
        match (&self.socket).read(buffer) {
            Ok(0) => ReadOutcome::Closed,
            Ok(len) => ReadOutcome::Data(len),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                ReadOutcome::Blocked
            }
            Err(_) => ReadOutcome::Closed,
        }
    }

    /// Sends `data` after what is pending, keeping what the socket does not take now.
    pub fn send(&mut self, data: &[u8], poller: &Poller) -> io::Result<()> {
        if self.pending.is_empty() {
            let taken = self.write(data)?;
            self.pending.extend_from_slice(&data[taken..]);
            self.watch(poller)
        } else {
            self.pending.extend_from_slice(data);
            Ok(())
        }
    }

    /// Writes what is pending, now that the socket takes it.
    pub fn flush(&mut self, poller: &Poller) -> io::Result<()> {
        self.taken += self.write(&self.pending[self.taken..])?;
        if self.taken == self.pending.len() {
            self.pending.clear();
            self.taken = 0;
        }
        self.watch(poller)
    }

    /// Sends no more; all that was sent has been taken.
    pub fn shut_down(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Takes the connection off the poller's list.
    pub fn forget(&self, poller: &Poller) {
        // It can only fail for a socket that is not on the list.
        let _ = epoll::delete(&poller.epoll, &self.socket);
    }

    fn watch(&mut self, poller: &Poller) -> io::Result<()> {
        let writing = !self.pending.is_empty();
        if writing == self.writing {
            return Ok(());
        }
        self.writing = writing;
        self.rewatch(poller)
    }

    fn rewatch(&self, poller: &Poller) -> io::Result<()> {
        let wanted = interest(self.reading, self.writing);
        let data = EventData::new_u64(self.key as u64);
        Ok(epoll::modify(&poller.epoll, &self.socket, data, wanted)?)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < data.len() {
            match (&self.socket).write(&data[taken..]) {
                Ok(len) => taken += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}

/// Listens on any free port of 127.0.0.1, with room for many to knock at once. `send_buffer` is what the kernel takes of
/// each connection's lines before they queue here, in bytes; by default it grows as it is needed.
pub fn listen(send_buffer: Option<usize>) -> io::Result<TcpListener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if let Some(bytes) = send_buffer {
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, bytes)?;
    }
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&socket, 4096)?;
    Ok(TcpListener::from(socket))
}

/// The most connections that a program can make to one other in a short time. One that closes first keeps its port for a
/// minute; on the loopback device Linux gives it out again after a second, unless told not to.
pub fn most_connections() -> u64 {
    let reuse = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse").unwrap_or_default();
    if matches!(reuse.trim(), "1" | "2") { u64::MAX } else { 20_000 }
}

/// Sets the limit of open files, for this process and all that it starts: as many as allowed, up to `MAX_FILES`.
pub fn set_file_limit() -> io::Result<u64> {
    let allowed =
        rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(MAX_FILES).min(MAX_FILES);
    rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit { current: Some(allowed), maximum: Some(allowed) },
    )?;
    Ok(allowed)
}
