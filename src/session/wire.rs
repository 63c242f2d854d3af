//! Wire: the client's socket as tungstenite sees it. Reads come from the socket; everything
//! written, frames of ours and tungstenite's own pongs and Close, gathers in one buffer in order,
//! and leaves in one `send`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use async_tungstenite::tungstenite::protocol::frame::FrameHeader;
use async_tungstenite::tungstenite::protocol::frame::coding::OpCode;
use futures::io::{AsyncRead, AsyncWrite};

use crate::net::stream::ByteStream;

/// Reads in a row after which other sessions get their turn: as much as the pumps move in one, at
/// 4 KiB a read.
const READS: usize = 128;

/// The client's socket, with the frames that wait to leave.
#[derive(Debug)]
pub struct Wire {
    io: ByteStream,
    out: Vec<u8>,
    /// How much of `out` has left already.
    sent: usize,
    /// How much of `out`, at most, is tungstenite's: pongs, which a client can have made without
    /// end.
    replies: usize,
    /// Reads in a row that gave bytes.
    reads: usize,
    last_read: Instant,
    /// Since when the client has taken nothing of what waits; `None` if nothing waits.
    stalled_since: Option<Instant>,
    /// Whether a write failed: what is queued from then on vanishes. The read side goes on to the
    /// end, as the client may have said its last words before it left.
    broken: bool,
}

impl Wire {
    /// Takes over a client's socket once the 101 is written.
    pub fn new(io: ByteStream) -> Self {
        Wire {
            io,
            out: Vec::new(),
            sent: 0,
            replies: 0,
            reads: 0,
            last_read: Instant::now(),
            stalled_since: None,
            broken: false,
        }
    }

    /// Appends one unfragmented, unmasked frame (RFC 6455, section 5.2).
    pub fn queue(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let len = payload.len() as u64;
        self.out.reserve(header.len(len) + payload.len());
        header.format(len, &mut self.out).expect("writing to a Vec can't fail");
        self.out.extend_from_slice(payload);
    }

    /// Bytes that wait to leave.
    pub fn queued(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Bytes among them that answer what the client sent, at most.
    pub fn replies(&self) -> usize {
        self.replies.min(self.queued())
    }

    /// Whether a write failed: the client has gone.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// When the last byte came from the client.
    pub fn last_read(&self) -> Instant {
        self.last_read
    }

    /// Counts this moment as a sign of life: for time in which we ourselves did not read.
    pub fn excuse_silence(&mut self, now: Instant) {
        self.last_read = now;
    }

    /// Since when the client has taken nothing of what waits.
    pub fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Sends what waits; ready when nothing does any more.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sent < self.out.len() && !self.broken {
            match Pin::new(&mut self.io).poll_write(cx, &self.out[self.sent..]) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.sent += n;
                    self.stalled_since = None;
                }
                Poll::Ready(_) => self.broken = true,
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    self.compact();
                    return Poll::Pending;
                }
            }
        }
        // A session that has nothing to say holds no buffer.
        self.out = Vec::new();
        self.sent = 0;
        self.replies = 0;
        self.stalled_since = None;
        Poll::Ready(())
    }

    /// Gives back the room of what has left, once that is the larger part.
    fn compact(&mut self) {
        if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Reads and throws away until the client's FIN, so that what it still sends does not turn
    /// our close into a reset that overtakes the last line (RFC 9293, section 3.6.1).
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        super::scratch::poll_discard(cx, &mut self.io)
    }

    /// Sends our FIN.
    ///
    /// # Errors
    /// As of `shutdown(2)`.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.io.shutdown_write()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // tungstenite reads on for as long as there is something, unseen by the pump while no
        // message is complete: others would wait for a flood of fragments to end.
        if self.reads == READS {
            self.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, buf) else {
            self.reads = 0;
            return Poll::Pending;
        };
        let n = read?;
        self.reads += 1;
        self.last_read = Instant::now();
        Poll::Ready(Ok(n))
    }
}

/// Writing never blocks: whoever reads from the client first looks at [`Wire::queued`].
impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.out.extend_from_slice(buf);
        self.replies += buf.len();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
