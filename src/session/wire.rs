//! Wire: the client's socket as tungstenite sees it. Reads come from the socket. Everything that is written, our
//! frames and tungstenite's pongs and Close, is collected in one buffer, in order, and leaves in one `send`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::protocol::frame::FrameHeader;
use async_tungstenite::tungstenite::protocol::frame::coding::OpCode;
use futures::io::{AsyncRead, AsyncWrite};

use super::frame::{self, Run, Stop};
use super::outgoing::Outgoing;
use super::replies::Replies;
use crate::clock;
use crate::net::scratch::{self, CHUNK};
use crate::net::stream::{ByteStream, Outlet};
use crate::random;
use crate::text::reason;

/// What comes after plain messages.
#[derive(Debug)]
pub enum Next {
    /// More of them, perhaps.
    Plain,
    /// A frame that was handed to tungstenite.
    Handed,
    /// The client's Close, with this payload, where tungstenite would not understand its code.
    Closed(Vec<u8>),
}

/// Bytes read in a row after which other sessions get their turn. Lines pause earlier, when enough of them wait for
/// the backend; pongs and fragments add nothing that waits.
const TURN: usize = 4 * CHUNK;

/// The client's socket, with the frames that wait to leave.
#[derive(Debug)]
pub struct Wire<S = ByteStream> {
    io: S,
    role: Role,
    /// Bytes that were received and not parsed yet, from `seen` on. There are none as a rule: plain frames are taken
    /// straight from the thread's read buffer.
    inbox: Vec<u8>,
    seen: usize,
    /// How many bytes tungstenite may take: what is left of the frame that was handed to it.
    handed: u64,
    /// Whether a message in fragments is incomplete, so that tungstenite reads all frames.
    fragmented: bool,
    /// Whether only what was received already is read.
    holds: bool,
    /// Bytes that wait for the client. After a failed write, reading goes on to the end of the stream: the client may
    /// have sent its last messages before it left.
    out: Outgoing,
    /// What tungstenite wrote to `out`: pongs, of which a client can cause any number.
    replies: Replies,
    /// The error of a read: the kernel reports it once.
    end: Option<io::Error>,
    /// Bytes read in a row.
    turn: usize,
    last_read: Instant,
    /// The time since which the client has taken none of the bytes that wait; `None` if none wait.
    stalled_since: Option<Instant>,
}

impl<S: AsyncRead + Outlet> Wire<S> {
    /// Takes over a socket once the 101 has passed; `early` came with the request or response.
    pub fn new(io: S, early: Vec<u8>, role: Role) -> Self {
        Wire {
            io,
            role,
            inbox: early,
            seen: 0,
            handed: 0,
            fragmented: false,
            holds: false,
            out: Outgoing::default(),
            replies: Replies::default(),
            end: None,
            turn: 0,
            last_read: clock::now(),
            stalled_since: None,
        }
    }

    /// The buffer that frames are appended to, with room for as many bytes.
    pub fn frames(&mut self, room: usize) -> Frames<'_> {
        let out = self.out.buf();
        out.reserve(room);
        Frames { out, is_masked: self.role == Role::Client }
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether tungstenite has to read on, as it has not got all of the frame that was handed to it.
    pub fn is_handed(&self) -> bool {
        self.handed > 0
    }

    /// Bytes of that frame that are left; 0 if the end of the stream was handed to it.
    pub fn handed(&self) -> usize {
        usize::try_from(self.handed).ok().filter(|handed| *handed < usize::MAX).unwrap_or(0)
    }

    /// Sets whether only what was received already is read, and nothing more from the socket.
    pub fn hold(&mut self, holds: bool) {
        self.holds = holds;
    }

    /// Whether the next frame begins a message.
    pub fn is_between_messages(&self) -> bool {
        self.handed == 0 && !self.fragmented
    }

    /// Gives `take` the plain messages that are there: those in the inbox, else those of one read. Ready with what
    /// comes next.
    ///
    /// # Errors
    /// What `take` objects to. What comes behind it can still be read, such as the client's Close.
    pub fn poll_plain<E>(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
        mut take: impl FnMut(Run<'_>) -> Result<(), E>,
    ) -> Poll<Result<Next, E>> {
        let waiting = self.inbox.len() - self.seen;
        if waiting > 0 {
            let (used, next) = self.understand_inbox(max, &mut take);
            self.skip(used);
            if used > 0 || !matches!(next, Ok(Next::Plain)) {
                return Poll::Ready(next);
            }
        }
        // The inbox holds less than a header, or part of a Close.
        scratch::with(|chunk| {
            let short = self.inbox.len() - self.seen;
            chunk[..short].copy_from_slice(&self.inbox[self.seen..]);
            let read = ready!(self.poll_socket(cx, &mut chunk[short..]));
            let n = match read {
                Ok(n) if n > 0 => n,
                // tungstenite reports the end too, whether it is a FIN or an error.
                end => {
                    self.end = end.err();
                    self.handed = u64::MAX;
                    return Poll::Ready(Ok(Next::Handed));
                }
            };
            let all = &mut chunk[..short + n];
            let (used, next) = self.understand(all, max, &mut take);
            self.seen = 0;
            self.inbox = all[used..].to_vec();
            Poll::Ready(next)
        })
    }

    /// Parses the frames of `buf`; gives the bytes used, and what comes after them.
    fn understand<E>(
        &mut self,
        buf: &mut [u8],
        max: usize,
        take: &mut impl FnMut(Run<'_>) -> Result<(), E>,
    ) -> (usize, Result<Next, E>) {
        // tungstenite reads everything inside a fragmented message, where a plain frame is an error, and everything
        // that a server sends: its frames have no mask, and a client has few sessions.
        let is_server = self.role == Role::Server;
        let max = (is_server && !self.fragmented).then_some(max);
        let (used, stop) = frame::run(buf, is_server, max, take);
        match stop {
            Err(error) => (used, Err(error)),
            Ok(Stop::More) => (used, Ok(Next::Plain)),
            Ok(Stop::Other(handed)) => {
                self.handed = handed.len;
                self.fragmented = handed.opens.unwrap_or(self.fragmented);
                (used, Ok(Next::Handed))
            }
            Ok(Stop::BadGateway { len, payload }) => (used + len, Ok(Next::Closed(payload))),
        }
    }

    fn understand_inbox<E>(
        &mut self,
        max: usize,
        take: &mut impl FnMut(Run<'_>) -> Result<(), E>,
    ) -> (usize, Result<Next, E>) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let understood = self.understand(&mut inbox[self.seen..], max, take);
        self.inbox = inbox;
        understood
    }

    /// Bytes that wait to leave.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// What waits to leave.
    #[cfg(test)]
    pub fn waiting(&self) -> &[u8] {
        self.out.waiting()
    }

    /// Bytes among them that answer what the client sent, at most.
    pub fn replies(&self) -> usize {
        self.replies.waiting().min(self.queued())
    }

    /// Whether a write failed: the client has gone.
    pub fn is_broken(&self) -> bool {
        self.out.broken().is_some()
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
        let before = self.out.len();
        let sent = self.out.poll_send(cx, &mut self.io);
        let progress = self.out.take_progress();
        self.replies.leave(before - self.out.len(), self.out.len());
        if sent.is_ready() {
            self.stalled_since = None;
        } else if progress || self.stalled_since.is_none() {
            self.stalled_since = Some(clock::now());
        }
        sent
    }
}

impl Wire {
    /// Whether the client has ended its stream, however much of it is still to be read.
    pub fn is_ended(&self) -> bool {
        self.io.is_ended() || self.is_broken()
    }

    /// Ready when nothing more can be sent to the client, as it was reset or a write failed. It is for time
    /// in which we do not read: a read tells of the end after all that came before it.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        match self.out.broken() {
            Some(error) => Poll::Ready(reason(error)),
            None => self.io.poll_reset(cx).map(|error| reason(&error)),
        }
    }

    /// Reads up to `most` bytes from the socket and throws them away; ready at the end of the client's stream.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>, most: &mut usize) -> Poll<()> {
        scratch::poll_discard_most(cx, &mut self.io, most)
    }

    /// Hangs up: our FIN, and then the client's.
    pub async fn leave(&mut self) {
        self.io.leave().await;
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads from the socket, unless it is the others' turn.
    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.holds {
            return Poll::Pending;
        }
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, buf) else {
            self.turn = 0;
            return Poll::Pending;
        };
        let n = read?;
        self.turn += n;
        self.last_read = clock::now();
        Poll::Ready(Ok(n))
    }
}

impl<S> Wire<S> {
    /// The next `n` bytes of the inbox are done with.
    fn skip(&mut self, n: usize) {
        self.seen += n;
        if self.seen == self.inbox.len() {
            self.inbox = Vec::new();
            self.seen = 0;
        }
    }
}

/// Frames on their way into the buffer.
#[derive(Debug)]
pub struct Frames<'a> {
    out: &'a mut Vec<u8>,
    is_masked: bool,
}

impl Frames<'_> {
    /// Appends one unfragmented frame (RFC 6455, section 5.2).
    #[inline]
    pub fn push(&mut self, opcode: OpCode, payload: &[u8]) {
        match u8::try_from(payload.len()) {
            // Most lines are short, and then the header is its two bytes.
            Ok(len @ 0..=125) if !self.is_masked => {
                self.out.extend_from_slice(&[0x80 | u8::from(opcode), len]);
                self.out.extend_from_slice(payload);
            }
            _ => self.push_any(opcode, payload),
        }
    }

    fn push_any(&mut self, opcode: OpCode, payload: &[u8]) {
        // Nobody may guess a client's mask (RFC 6455, section 5.3).
        let mask = self.is_masked.then(random::bytes);
        let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
        header.format(payload.len() as u64, self.out).expect("writing to a Vec can't fail");
        let start = self.out.len();
        self.out.extend_from_slice(payload);
        if let Some(mask) = mask {
            frame::unmask(&mut self.out[start..], mask);
        }
    }
}

/// tungstenite's view: the frame that was handed to it, and not a byte beyond.
impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.handed == 0 {
            return Poll::Pending;
        }
        let most = usize::try_from(self.handed).unwrap_or(usize::MAX).min(buf.len());
        if let Some(error) = self.end.take() {
            return Poll::Ready(Err(error));
        }
        let waiting = &self.inbox[self.seen..];
        let n = if waiting.is_empty() {
            ready!(self.poll_socket(cx, &mut buf[..most]))?
        } else {
            let n = most.min(waiting.len());
            buf[..n].copy_from_slice(&waiting[..n]);
            self.skip(n);
            n
        };
        self.handed -= n as u64;
        Poll::Ready(Ok(n))
    }
}

/// Writing never blocks: whoever reads from the client first looks at [`Wire::queued`].
impl<S: Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.out.buf().extend_from_slice(buf);
        let waiting = self.out.len();
        self.replies.add(buf.len(), waiting);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
