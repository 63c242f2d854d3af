//! The line server behind the relays: it answers a session's first line in kind, and then does its mode's work.

use crate::{
    line::{self, Lines, put_hex},
    net::{self, Conn, Poller, READ_BUFFER, ReadOutcome},
};
use serde::{Deserialize, Serialize};
use slab::Slab;
use std::io::{self, ErrorKind};

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every line goes back to its sender.
    Echo,
    /// Every line goes to every session, its sender's too. A session whose queue is full misses lines until there is room
    /// again: nobody waits for it.
    Chat,
    /// Lines are checked and counted, and every `ACK_EVERY`th is acknowledged with the counts.
    Sink,
    /// Numbered lines, as fast as the session takes them.
    Source,
}

pub const ACK_EVERY: u32 = 256;

/// Bytes that wait for a session of a chat: in the kernel, and then here.
const SEND_BUFFER: usize = 64 * 1024;
const QUEUE: usize = 256 * 1024;

/// Bytes written at a time by a source.
const POUR: usize = 64 * 1024;

struct Session {
    conn: Conn,
    partial: Vec<u8>,
    greeted: bool,
    /// Lines received, or sent by a source.
    lines: u32,
    /// Lines that were not the expected ones.
    wrong: u32,
}

impl Session {
    /// Queues whole lines of the chat, unless the queue is full.
    fn hear(&mut self, text: &[u8], poller: &Poller) -> io::Result<()> {
        if !self.greeted || self.conn.queued() + text.len() > QUEUE {
            return Ok(());
        }
        self.conn.send(text, poller)
    }
}

struct Backend {
    mode: Mode,
    lines: Lines,
    poller: Poller,
    buffer: Vec<u8>,
    /// What this turn's lines come to, for everyone.
    broadcast: Vec<u8>,
}

/// Serves until killed; says its port in one line on stdout.
pub fn serve(mode: Mode, line_len: usize) -> io::Result<()> {
    const LISTENER: usize = usize::MAX;
    let listener = net::listen((mode == Mode::Chat).then_some(SEND_BUFFER))?;
    println!("{}", listener.local_addr()?.port());
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, false)?;
    let lines = Lines::new(line_len);
    let mut backend =
        Backend { mode, lines, poller, buffer: vec![0; READ_BUFFER], broadcast: Vec::new() };
    let (mut sessions, mut ready) = (Slab::<Session>::new(), Vec::new());
    loop {
        backend.poller.wait(None, &mut ready)?;
        for event in ready.drain(..) {
            if event.key == LISTENER {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let entry = sessions.vacant_entry();
                        let conn = Conn::accepted(socket, entry.key(), &backend.poller)?;
                        entry.insert(Session {
                            conn,
                            partial: Vec::new(),
                            greeted: false,
                            lines: 0,
                            wrong: 0,
                        });
                    }
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::WouldBlock | ErrorKind::ConnectionAborted
                        ) => {}
                    Err(error) => return Err(error),
                }
            } else if let Some(session) = sessions.get_mut(event.key)
                && backend.turn(session, event.readable, event.writable).is_err()
            {
                sessions.remove(event.key);
            }
        }
        if !backend.broadcast.is_empty() {
            let text = std::mem::take(&mut backend.broadcast);
            sessions.retain(|_, session| session.hear(&text, &backend.poller).is_ok());
            backend.broadcast = text;
            backend.broadcast.clear();
        }
    }
}

impl Backend {
    /// Does what a session is ready for; an error means that the session is over.
    fn turn(&mut self, session: &mut Session, readable: bool, writable: bool) -> io::Result<()> {
        if writable {
            session.conn.flush(&self.poller)?;
        }
        if readable {
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = match session.conn.read(&mut buffer) {
                ReadOutcome::Data(len) => self.receive(session, &buffer[..len]),
                ReadOutcome::Blocked => Ok(()),
                ReadOutcome::Closed => Err(ErrorKind::ConnectionReset.into()),
            };
            self.buffer = buffer;
            received?;
        }
        if self.mode == Mode::Source && session.greeted { self.pour(session) } else { Ok(()) }
    }

    fn receive(&mut self, session: &mut Session, mut data: &[u8]) -> io::Result<()> {
        if !session.greeted && self.mode != Mode::Echo {
            let Some(end) = memchr::memchr(b'\n', data) else {
                session.partial.extend_from_slice(data);
                return Ok(());
            };
            session.partial.extend_from_slice(&data[..=end]);
            session.conn.send(&std::mem::take(&mut session.partial), &self.poller)?;
            session.greeted = true;
            data = &data[end + 1..];
        }
        match self.mode {
            Mode::Echo => session.conn.send(data, &self.poller),
            Mode::Chat => {
                line::split(&mut session.partial, data, &mut |line| {
                    self.broadcast.extend_from_slice(line);
                    self.broadcast.push(b'\n');
                });
                Ok(())
            }
            Mode::Sink => self.sink(session, data),
            Mode::Source => Ok(()),
        }
    }

    /// Checks that the lines come as numbered, and acknowledges them: `LINES WRONG`, both since the beginning.
    fn sink(&self, session: &mut Session, data: &[u8]) -> io::Result<()> {
        let mut acks = Vec::new();
        let Session { partial, lines, wrong, .. } = session;
        line::split(partial, data, &mut |line| {
            let as_expected = self.lines.check(line).is_some_and(|(_, number)| number == *lines);
            *wrong += u32::from(!as_expected);
            *lines += 1;
            if lines.is_multiple_of(ACK_EVERY) {
                put_hex(*lines, &mut acks);
                acks.push(b' ');
                put_hex(*wrong, &mut acks);
                acks.push(b'\n');
            }
        });
        if acks.is_empty() { Ok(()) } else { session.conn.send(&acks, &self.poller) }
    }

    /// Sends lines until the socket takes no more; it is reported again once it does.
    fn pour(&self, session: &mut Session) -> io::Result<()> {
        while session.conn.is_flushed() {
            let mut batch = Vec::with_capacity(2 * POUR);
            while batch.len() < POUR {
                self.lines.write(0, session.lines, &mut batch);
                batch.push(b'\n');
                session.lines += 1;
            }
            session.conn.send(&batch, &self.poller)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
    };

    #[test]
    fn nobody_waits_for_a_session_that_reads_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let poller = Poller::new().unwrap();
        let conn = Conn::accepted(listener.accept().unwrap().0, 0, &poller).unwrap();
        let mut session = Session { conn, partial: Vec::new(), greeted: true, lines: 0, wrong: 0 };

        let line = [&[b'x'; 4095][..], b"\n"].concat();
        // More than the sockets of both sides ever take.
        for _ in 0..5000 {
            session.hear(&line, &poller).unwrap();
        }
        assert!(session.conn.queued() > QUEUE - line.len() && session.conn.queued() <= QUEUE);

        let mut heard = Vec::new();
        let mut buffer = vec![0; READ_BUFFER];
        while !session.conn.is_flushed() {
            let len = reader.read(&mut buffer).unwrap();
            heard.extend_from_slice(&buffer[..len]);
            session.conn.flush(&poller).unwrap();
        }
        drop(session);
        reader.read_to_end(&mut heard).unwrap();
        assert!(heard.len() < 5000 * line.len(), "it missed some");
        assert!(heard.chunks(line.len()).all(|chunk| chunk == line), "whole lines");
    }
}
