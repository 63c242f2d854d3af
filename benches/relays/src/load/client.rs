//! One client: its connection, the upgrade, the first line, and then what comes and goes.

use crate::{
    net::{Conn, Dial, Poller, ReadOutcome, Ready},
    wire::{self, Decoder, Wire},
};
use std::{io, mem};

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connecting,
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
        key: usize,
        greeting: Vec<u8>,
        poller: &Poller,
    ) -> io::Result<Self> {
        Ok(Client {
            conn: Conn::connect(dial, key, poller)?,
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
            let first = if self.wire == Wire::Tcp {
                self.stage = Stage::Talking;
                mem::take(&mut self.greeting)
            } else {
                self.stage = Stage::Upgrading;
                mem::take(&mut self.request).into_bytes()
            };
            self.send(&first, poller)?;
        } else if event.writable {
            self.conn.flush(poller).map_err(|error| format!("write failed: {error}"))?;
        }
        if event.readable {
            match self.conn.read(buffer) {
                ReadOutcome::Data(len) => self.receive(&buffer[..len], poller, on_line)?,
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
        self.conn.send(data, poller).map_err(|error| format!("write failed: {error}"))
    }

    /// Takes its leave, as its wire wants it: by a close frame, or by the end of what it sends. Whoever serves a WebSocket
    /// then ends the connection.
    pub fn close(&mut self, mask: [u8; 4], poller: &Poller) -> Result<(), String> {
        self.stage = Stage::Leaving;
        if self.wire == Wire::Tcp {
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
