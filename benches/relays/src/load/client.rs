//! One client: its connection, the upgrade, the first line, and then what comes and goes.

use crate::{
    net::{Conn, Dial, Poller, ReadOutcome, Ready},
    tls::Tls,
    wire::{self, Decoder, Wire},
};
use std::{io, mem};

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connecting,
    /// The TLS handshake.
    Securing,
    Upgrading,
    Talking,
    /// It has taken its leave, and waits for the connection's end.
    Leaving,
    /// So has the relay.
    Closed,
    Gone,
}

pub struct Client {
    conn: Conn,
    tls: Option<Box<Tls>>,
    /// What TLS makes of what is sent.
    sealed: Vec<u8>,
    /// What TLS made of what came.
    plain: Vec<u8>,
    stage: Stage,
    wire: Wire,
    request: String,
    /// What it says first, as it goes over the wire.
    greeting: Vec<u8>,
    /// The upgrade's response so far.
    head: Vec<u8>,
    decoder: Decoder,
}

impl Client {
    /// Begins to connect; once it is upgraded it sends `greeting`.
    pub fn connect(
        dial: &Dial,
        wire: Wire,
        tls: Option<Tls>,
        key: usize,
        greeting: Vec<u8>,
        poller: &Poller,
    ) -> io::Result<Self> {
        Ok(Client {
            conn: Conn::connect(dial, key, poller)?,
            tls: tls.map(Box::new),
            sealed: Vec::new(),
            plain: Vec::new(),
            stage: Stage::Connecting,
            wire,
            request: wire::request(&format!("127.0.0.1:{}", dial.port)),
            greeting,
            head: Vec::new(),
            decoder: Decoder::new(wire),
        })
    }

    /// Does what the connection is ready for; an error says why the session is over.
    pub fn serve(
        &mut self,
        event: &Ready,
        buffer: &mut [u8],
        poller: &Poller,
        on_line: &mut impl FnMut(&[u8]),
    ) -> Result<(), String> {
        if self.stage == Stage::Gone {
            return Ok(());
        }
        if event.writable && self.stage == Stage::Connecting {
            self.conn.settle().map_err(|error| format!("no connection: {error}"))?;
            if self.tls.is_some() {
                self.stage = Stage::Securing;
                self.send(b"", poller)?;
            } else {
                self.begin(poller)?;
            }
        } else if event.writable {
            self.conn.flush(poller).map_err(|error| format!("write failed: {error}"))?;
        }
        if event.readable {
            match self.conn.read(buffer) {
                ReadOutcome::Data(len) => self.open(&buffer[..len], poller, on_line)?,
                ReadOutcome::Blocked => {}
                ReadOutcome::Closed => {
                    if self.stage == Stage::Leaving {
                        self.stage = Stage::Closed;
                    }
                    return Err("connection closed".into());
                }
            }
        }
        Ok(())
    }

    pub fn send(&mut self, data: &[u8], poller: &Poller) -> Result<(), String> {
        let sent = match &mut self.tls {
            None => self.conn.send(data, poller),
            Some(tls) => {
                self.sealed.clear();
                tls.send(data, &mut self.sealed);
                self.conn.send(&self.sealed, poller)
            }
        };
        sent.map_err(|error| format!("write failed: {error}"))
    }

    /// Takes its leave, as its wire wants it: by a close frame, or by the end of what it sends. Whoever serves a WebSocket
    /// then ends the connection.
    pub fn close(&mut self, mask: [u8; 4], poller: &Poller) -> Result<(), String> {
        self.stage = Stage::Leaving;
        if self.wire == Wire::Tcp {
            if let Some(tls) = &mut self.tls {
                tls.close();
                self.send(b"", poller)?;
            }
            return self.conn.shut_down().map_err(|error| format!("shutdown failed: {error}"));
        }
        self.decoder.leaving = true;
        self.send(&wire::close_frame(mask), poller)
    }

    /// Pings that came and were answered.
    pub fn pings(&self) -> u32 {
        self.decoder.pings
    }

    /// Whether the connection ended after it took its leave.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Whether its leave was answered: over TCP the connection's end is the answer.
    pub fn is_answered(&self) -> bool {
        self.wire == Wire::Tcp || self.decoder.closed
    }

    /// Reads what comes, or nothing at all.
    pub fn set_reading(&mut self, reading: bool, poller: &Poller) -> io::Result<()> {
        if self.stage == Stage::Gone { Ok(()) } else { self.conn.set_reading(reading, poller) }
    }

    /// Serves it no more. The poller would report it for ever.
    pub fn leave(&mut self, poller: &Poller) {
        self.stage = Stage::Gone;
        self.conn.forget(poller);
    }

    /// Says the first thing on a connection that is there, and encrypted if it is to be.
    fn begin(&mut self, poller: &Poller) -> Result<(), String> {
        let first = if self.wire == Wire::Tcp {
            self.stage = Stage::Talking;
            mem::take(&mut self.greeting)
        } else {
            self.stage = Stage::Upgrading;
            mem::take(&mut self.request).into_bytes()
        };
        self.send(&first, poller)
    }

    /// Takes what comes, encrypted or not.
    fn open(
        &mut self,
        data: &[u8],
        poller: &Poller,
        on_line: &mut impl FnMut(&[u8]),
    ) -> Result<(), String> {
        let Some(mut tls) = self.tls.take() else { return self.receive(data, poller, on_line) };
        let mut plain = mem::take(&mut self.plain);
        plain.clear();
        let received = tls.receive(data, &mut plain);
        self.tls = Some(tls);
        received?;
        if self.stage == Stage::Securing {
            let is_done = self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking());
            if is_done { self.begin(poller)? } else { self.send(b"", poller)? }
        }
        let taken = if plain.is_empty() { Ok(()) } else { self.receive(&plain, poller, on_line) };
        self.plain = plain;
        taken
    }

    fn receive(
        &mut self,
        data: &[u8],
        poller: &Poller,
        on_line: &mut impl FnMut(&[u8]),
    ) -> Result<(), String> {
        if self.stage != Stage::Upgrading {
            return self.decode(data, poller, on_line);
        }
        self.head.extend_from_slice(data);
        let Some(end) = wire::response(&self.head)? else { return Ok(()) };
        self.stage = Stage::Talking;
        let (head, greeting) = (mem::take(&mut self.head), mem::take(&mut self.greeting));
        self.send(&greeting, poller)?;
        self.decode(&head[end..], poller, on_line)
    }

    fn decode(
        &mut self,
        data: &[u8],
        poller: &Poller,
        on_line: &mut impl FnMut(&[u8]),
    ) -> Result<(), String> {
        let fed = self.decoder.feed(data, on_line);
        let replies = mem::take(&mut self.decoder.replies);
        if !replies.is_empty() {
            self.send(&replies, poller)?;
        }
        fed.map_err(str::to_owned)
    }
}
