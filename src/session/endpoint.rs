//! Endpoint: our end of a WebSocket after the 101, as the two directions of a session use it. It plays either role of
//! RFC 6455.

use std::mem;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::error::ProtocolError;
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Bytes, Error, Message};
use futures::io::AsyncRead;
use futures::{FutureExt, Sink, Stream};

use super::frame::Run;
use super::reason::CloseReason;
use super::wire::{Frames, Next, Wire};
use crate::framing::{Batch, Payload};
use crate::net::scratch::CHUNK;
use crate::net::stream::{ByteStream, Outlet};
use crate::text::reason;

/// The sizes of tungstenite's read buffer, in bytes, which are also the most that it reads at once. It allocates
/// the buffer at the start and zeroes it at every read, so it gets the least for control frames, and one read of
/// ours for a frame that is larger than that.
const READ_BUFFER: RangeInclusive<usize> = 512..=CHUNK;

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
const LONGEST_CONTROL: usize = 125;

/// A Close frame's reason has 123 bytes at most (RFC 6455, section 5.5).
const LONGEST_REASON: usize = 123;

/// The reason with which tungstenite answers a Close whose code may not be sent (RFC 6455, section 7.4); the code is
/// 1002. It reports this answer as if the client had sent it.
const BAD_CLOSE_CODE: &str = "Protocol violation";

/// Bytes that a message may have beyond the line limit: the one end of line that ends it.
const EOL: usize = 2;

/// Our end of a WebSocket. tungstenite is the authority on the protocol; messages are encoded straight into the
/// [`Wire`]'s buffer. A server reads plain frames without tungstenite; a client reads all of them with it.
#[derive(Debug)]
pub struct Endpoint<S = ByteStream> {
    owner: Owner<S>,
    /// The longest message, in bytes; the close reason names it.
    max_message: usize,
    /// Whether a Close frame was queued: then no other frame may follow (RFC 6455, section 5.5.1).
    closing: bool,
}

/// The owner of the wire. Between messages tungstenite has no state, so sessions that are idle or receive only
/// plain frames do not hold its 1.2 KiB.
#[derive(Debug)]
enum Owner<S> {
    /// The endpoint: the next frame may be a plain one.
    Endpoint(Wire<S>),
    /// tungstenite, while it reads a frame that was handed to it, a message in fragments, or the closing
    /// handshake.
    Tungstenite(Box<WebSocketStream<Wire<S>>>),
    /// None, while it moves from one to the other.
    Nobody,
}

/// Messages that were received.
#[derive(Debug)]
pub enum Received<'a> {
    /// One message.
    One(Payload<'a>),
    /// Text messages that one read brought.
    Batch(Batch<'a>),
}

/// The outcome of a frame.
#[derive(Debug)]
enum Frame {
    /// A whole text message.
    Text(async_tungstenite::tungstenite::Utf8Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// No message: a ping (answered already), a pong, a fragment.
    Control,
    /// The end of the stream, and its reason.
    End(CloseReason),
}

impl<S: AsyncRead + Outlet> Endpoint<S> {
    /// Takes over the connection once the 101 has passed; `early` is what was read behind the request's head
    /// (as a client: the response's), the first frames. Messages may have up to `max_message` bytes.
    pub fn new(io: S, early: &[u8], role: Role, max_message: usize) -> Self {
        let wire = Wire::new(io, early.to_vec(), role);
        Endpoint { owner: Owner::Endpoint(wire), max_message, closing: false }
    }

    /// The wire, with what waits to be sent and since when.
    #[inline]
    pub fn wire(&mut self) -> &mut Wire<S> {
        match &mut self.owner {
            Owner::Endpoint(wire) => wire,
            Owner::Tungstenite(ws) => ws.get_mut(),
            Owner::Nobody => unreachable!("nobody asks meanwhile"),
        }
    }

    /// tungstenite, which gets the wire if it does not have it.
    fn tungstenite(&mut self) -> &mut WebSocketStream<Wire<S>> {
        if let Owner::Endpoint(_) = self.owner
            && let Owner::Endpoint(wire) = mem::replace(&mut self.owner, Owner::Nobody)
        {
            let config = WebSocketConfig::default()
                .read_buffer_size(wire.handed().clamp(*READ_BUFFER.start(), *READ_BUFFER.end()))
                // The wire takes everything at once, so tungstenite's own buffer never fills. The
                // bound makes sure of it.
                .write_buffer_size(0)
                .max_write_buffer_size(4096)
                .max_message_size(Some(self.max_message + EOL))
                // It holds for control frames too, which any session must take (RFC 6455, section 5.5).
                .max_frame_size(Some((self.max_message + EOL).max(LONGEST_CONTROL)));
            // It is an async function, but reads nothing.
            let role = wire.role();
            let ws = WebSocketStream::from_raw_socket(wire, role, Some(config));
            self.owner =
                Owner::Tungstenite(Box::new(ws.now_or_never().expect("it waits for nothing")));
        }
        match &mut self.owner {
            Owner::Tungstenite(ws) => ws,
            Owner::Endpoint(_) | Owner::Nobody => unreachable!("it has the wire now"),
        }
    }

    /// Takes the wire back if tungstenite has no state.
    fn take_back(&mut self) {
        if !self.closing && self.wire().is_between_messages() {
            self.owner = match mem::replace(&mut self.owner, Owner::Nobody) {
                Owner::Tungstenite(ws) => Owner::Endpoint(ws.into_inner()),
                owner => owner,
            };
        }
    }

    /// Gives `take` the messages that one read brings, in order. Ready with the reason when nothing more will come,
    /// and then it must not be called again; else with `None`. Plain frames are taken straight from the bytes
    /// read; tungstenite reads all others.
    ///
    /// An error of `take` is such a reason too.
    pub fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(Received<'_>) -> Result<(), CloseReason>,
    ) -> Poll<Option<CloseReason>> {
        if !self.wire().is_handed() {
            let max = self.max_message + EOL;
            let plain = self.wire().poll_plain(cx, max, |run| take_run(&run, take));
            match ready!(plain) {
                Err(reason) => return Poll::Ready(Some(reason)),
                Ok(Next::Plain) => return Poll::Ready(None),
                Ok(Next::Handed) => {}
                Ok(Next::Closed(payload)) => return Poll::Ready(Some(self.echo_close(&payload))),
            }
        }
        let incoming = ready!(self.poll_next(cx));
        self.take_back();
        let taken = match incoming {
            Frame::Text(text) => take(Received::One(Payload::Text(&text))),
            Frame::Binary(bytes) => take(Received::One(Payload::Binary(&bytes))),
            Frame::Control => Ok(()),
            Frame::End(reason) => Err(reason),
        };
        Poll::Ready(taken.err())
    }

    /// The next message of the frame that was handed to tungstenite.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Frame> {
        let next = match Pin::new(self.tungstenite()).poll_next(cx) {
            // The whole frame was read, and made no message: it is a fragment.
            Poll::Pending if !self.wire().is_handed() => return Poll::Ready(Frame::Control),
            next => ready!(next),
        };
        // Pongs and Close replies leave at once, not with the next frame that tungstenite reads.
        let _ = Pin::new(self.tungstenite()).poll_flush(cx);
        Poll::Ready(match next {
            Some(Ok(Message::Text(text))) => Frame::Text(text),
            Some(Ok(Message::Binary(bytes))) => Frame::Binary(bytes),
            Some(Ok(Message::Close(frame))) => {
                self.closing = true;
                Frame::End(closed_by(frame))
            }
            Some(Ok(_)) => Frame::Control,
            Some(Err(error)) => Frame::End(self.explain(error)),
            None => Frame::End(CloseReason::ClientGone("connection ended".into())),
        })
    }

    /// Answers the client's Close as tungstenite does one that it understands.
    fn echo_close(&mut self, payload: &[u8]) -> CloseReason {
        if !self.closing {
            self.closing = true;
            self.wire().frames(0).push(OpCode::Control(Control::Close), payload);
        }
        CloseReason::ClientClosed(payload.first_chunk().copied().map(u16::from_be_bytes))
    }

    fn explain(&self, error: Error) -> CloseReason {
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                CloseReason::ClientGone("connection ended without a Close".into())
            }
            Error::Protocol(error) => CloseReason::Protocol(error.to_string()),
            Error::Utf8(_) => CloseReason::InvalidUtf8,
            Error::Capacity(_) => CloseReason::MessageTooLong(self.max_message),
            Error::Io(error) => CloseReason::ClientGone(reason(&error)),
            other => CloseReason::ClientGone(other.to_string()),
        }
    }

    /// Where messages are queued, with room for as many bytes of frames. Only before
    /// [`close`](Self::close).
    pub fn queue(&mut self, room: usize) -> FrameQueue<'_> {
        debug_assert!(!self.closing, "data after a Close frame");
        FrameQueue(self.wire().frames(room))
    }

    /// Queues a Ping.
    pub fn ping(&mut self) {
        self.wire().frames(0).push(OpCode::Control(Control::Ping), &[]);
    }

    /// Queues the Close frame of `reason`, unless one was sent.
    pub fn close(&mut self, reason: &CloseReason) {
        if self.closing {
            return;
        }
        self.closing = true;
        let code = match reason.outcome().code {
            // Codes that are never sent (RFC 6455, section 7.4.1): the client is gone.
            1005 | 1006 => CloseCode::Normal,
            code => CloseCode::from(code),
        };
        self.close_with(code, &reason.text());
    }

    /// Queues a Close frame with this code and reason (cut to what fits).
    pub fn close_with(&mut self, code: CloseCode, reason: &str) {
        self.closing = true;
        let fits = reason.floor_char_boundary(LONGEST_REASON);
        let frame = CloseFrame { code, reason: reason[..fits].into() };
        let close = Message::Close(Some(frame));
        if Pin::new(self.tungstenite()).start_send(close).is_err() {
            // tungstenite sends nothing after the client's FIN, but the client may still read.
            let payload = [&u16::from(code).to_be_bytes(), &reason.as_bytes()[..fits]].concat();
            self.wire().frames(0).push(OpCode::Control(Control::Close), &payload);
        }
    }

    /// Sends what waits; ready when all is sent.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire().poll_drain(cx)
    }
}

/// The meaning of a Close as tungstenite reports it.
fn closed_by(frame: Option<CloseFrame>) -> CloseReason {
    match frame {
        Some(frame) if frame.code == CloseCode::Protocol && frame.reason == BAD_CLOSE_CODE => {
            CloseReason::Protocol("Close with a code that is not allowed".into())
        }
        frame => CloseReason::ClientClosed(frame.map(|frame| frame.code.into())),
    }
}

/// Messages that are being queued for the peer.
#[derive(Debug)]
pub struct FrameQueue<'a>(Frames<'a>);

impl FrameQueue<'_> {
    /// Queues one message.
    #[inline]
    pub fn push(&mut self, payload: Payload<'_>) {
        match payload {
            Payload::Text(text) => self.0.push(OpCode::Data(Data::Text), text.as_bytes()),
            Payload::Binary(bytes) => self.0.push(OpCode::Data(Data::Binary), bytes),
        }
    }
}

/// Gives plain frames to `take`: text as one batch, if all of it is valid UTF-8.
fn take_run(
    run: &Run<'_>,
    take: &mut impl FnMut(Received<'_>) -> Result<(), CloseReason>,
) -> Result<(), CloseReason> {
    if run.is_text
        && let Ok(text) = simdutf8::basic::from_utf8(run.bytes)
    {
        return take(Received::Batch(Batch::new(text, run.payloads)));
    }
    for &(start, end) in run.payloads {
        let bytes = &run.bytes[start as usize..end as usize];
        let payload = match simdutf8::basic::from_utf8(bytes) {
            _ if !run.is_text => Payload::Binary(bytes),
            Ok(text) => Payload::Text(text),
            Err(_) => return Err(CloseReason::InvalidUtf8),
        };
        take(Received::One(payload))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
