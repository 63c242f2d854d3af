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
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
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

fn interest(writing: bool) -> EventFlags {
    if writing { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN }
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    pub fn add(&self, socket: impl AsFd, key: usize, writing: bool) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(key as u64), interest(writing))?)
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
}

/// A connection and what it has not taken yet.
pub struct Conn {
    socket: TcpStream,
    key: usize,
    pending: Vec<u8>,
    taken: usize,
    /// Whether the poller reports when it can be written to.
    writing: bool,
}

impl Conn {
    /// Registers an accepted connection.
    pub fn accepted(socket: TcpStream, key: usize, poller: &Poller) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        poller.add(&socket, key, false)?;
        Ok(Conn { socket, key, pending: Vec::new(), taken: 0, writing: false })
    }

    /// Begins to connect; the poller reports it writable when that is done, and `settle` says how it went.
    pub fn connect(dial: &Dial, key: usize, poller: &Poller) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, dial.port)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        poller.add(&socket, key, true)?;
        Ok(Conn { socket, key, pending: Vec::new(), taken: 0, writing: true })
    }

    /// Whether the connection came about.
    pub fn settle(&self) -> io::Result<()> {
        self.socket.take_error()?.map_or(Ok(()), Err)?;
        self.socket.set_nodelay(true)
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

    /// Takes the connection off the poller's list.
    pub fn forget(&self, poller: &Poller) {
        // It can only fail for a socket that is not on the list.
        let _ = epoll::delete(&poller.epoll, &self.socket);
    }

    fn watch(&mut self, poller: &Poller) -> io::Result<()> {
        let writing = !self.pending.is_empty();
        if writing != self.writing {
            self.writing = writing;
            epoll::modify(
                &poller.epoll,
                &self.socket,
                EventData::new_u64(self.key as u64),
                interest(writing),
            )?;
        }
        Ok(())
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

/// Listens on any free port of 127.0.0.1, with room for many to knock at once.
pub fn listen() -> io::Result<TcpListener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&socket, 4096)?;
    Ok(TcpListener::from(socket))
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
