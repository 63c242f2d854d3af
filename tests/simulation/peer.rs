//! Peer: one end of a simulated connection, with the network between it and the relay.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::io::{AsyncRead, AsyncWrite};
use wsrelay::net::duplex::Duplex;

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
}

/// Bytes that have passed through one connection, as its peer knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes of the peer's that arrived at the relay's socket.
    pub delivered: usize,
    /// Bytes among them that the relay has read.
    pub read: usize,
    /// Bytes that the relay has put into its socket.
    pub put: usize,
    /// Bytes among them that the peer has read.
    pub taken: usize,
}

/// A peer of the relay.
pub struct Peer {
    io: Duplex,
    /// What it has sent and the network has not delivered.
    pub outbox: VecDeque<u8>,
    pub reads: bool,
    pub is_held: bool,
    /// Whether it reads only once all that it has sent has left.
    pub blocks: bool,
    /// Whether its end of stream comes behind the outbox.
    pub wants_fin: bool,
    pub has_fin: bool,
    pub has_reset: bool,
    /// How the relay's stream ended, once the peer has read so far.
    pub end: Option<End>,
    pub flow: Flow,
}

impl Peer {
    pub fn new(io: Duplex) -> Self {
        Peer {
            io,
            outbox: VecDeque::new(),
            reads: true,
            is_held: false,
            blocks: false,
            wants_fin: false,
            has_fin: false,
            has_reset: false,
            end: None,
            flow: Flow::default(),
        }
    }

    /// Counts bytes that the relay has got otherwise.
    pub fn skip(&mut self, bytes: usize) -> Vec<u8> {
        self.flow.delivered += bytes;
        self.outbox.drain(..bytes).collect()
    }

    /// Whether it reads what comes.
    pub fn can_read(&self) -> bool {
        let is_blocked = self.blocks && !self.is_held && !self.outbox.is_empty();
        self.reads && !is_blocked && !self.has_reset
    }

    /// Delivers up to `chunk` bytes, or the end of the stream. Returns whether anything moved.
    pub fn deliver(&mut self, chunk: usize) -> bool {
        if self.is_held || self.has_fin || self.has_reset {
            return false;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        if self.outbox.is_empty() {
            if self.wants_fin {
                self.has_fin = true;
                let _ = Pin::new(&mut self.io).poll_close(cx);
            }
            return self.has_fin;
        }
        let (first, _) = self.outbox.as_slices();
        let first = &first[..first.len().min(chunk)];
        match Pin::new(&mut self.io).poll_write(cx, first) {
            Poll::Pending => false,
            Poll::Ready(Ok(n)) => {
                self.outbox.drain(..n);
                self.flow.delivered += n;
                n > 0
            }
            // The relay has closed the connection: nobody reads this any more.
            Poll::Ready(Err(_)) => {
                self.outbox.clear();
                true
            }
        }
    }

    /// Reads up to `buf.len()` bytes. Returns their number; with `end` set, there are no more.
    pub fn take(&mut self, buf: &mut [u8]) -> usize {
        if self.end.is_some() || self.has_reset {
            return 0;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending => 0,
            Poll::Ready(Ok(0)) => {
                self.end = Some(End::Fin);
                0
            }
            Poll::Ready(Ok(n)) => {
                self.flow.taken += n;
                n
            }
            Poll::Ready(Err(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                self.end = Some(End::Reset);
                0
            }
        }
    }

    /// Resets the connection; what was delivered can still be read if `keeps`. Returns what the peer's socket held and
    /// it has not read.
    pub fn reset(&mut self, keeps: bool) -> Vec<u8> {
        self.note();
        let mut lost = vec![0; self.flow.put - self.flow.taken];
        let flow = self.flow;
        let mut length = 0;
        // A read need not bring all.
        while length < lost.len() {
            match self.take(&mut lost[length..]) {
                0 => break,
                more => length += more,
            }
        }
        (lost, self.flow) = (lost[..length].to_vec(), flow);
        self.has_reset = true;
        self.outbox.clear();
        match keeps {
            true => self.io.abort(),
            false => self.io.reset(),
        }
        if !keeps {
            // What the relay had not read is gone.
            self.flow.delivered = self.flow.read;
        }
        lost
    }

    /// Brings the flow up to date.
    pub fn note(&mut self) {
        let read = self.flow.delivered - self.io.unread();
        self.flow.read = self.flow.read.max(read);
        self.flow.put = self.flow.put.max(self.flow.taken + self.io.available());
    }

    /// Whether the relay has ended its stream, or closed the connection, however much is still to be read.
    pub fn is_ended(&self) -> bool {
        self.io.is_ended()
    }
}
