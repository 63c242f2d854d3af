//! Trace: what was seen of a session from outside, and how it was wrong.

use std::fmt;

use wsrelay::registry::Counts;
use wsrelay::session::CloseReason;

use crate::peer::{End, Flow};
use crate::spec::{Broken, Message, ServerFrame};
use crate::story::{Ms, Side, shown};

/// What the client has sent.
#[derive(Clone, Debug)]
pub enum What {
    Message(Message),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Broken(Broken),
}

/// A message or frame of the client's.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where its first frame begins in the client's stream.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    pub what: What,
}

/// A frame that the client has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The number of the moment in which it read it.
    pub moment: usize,
    pub frame: ServerFrame,
}

/// What could be seen once nothing moved any more.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the session began.
    pub at: Ms,
    /// The number of the story's step.
    pub step: usize,
    pub client: Flow,
    pub backend: Flow,
    /// Bytes that the relay has read from the backend, whatever a stage makes of them.
    pub backend_bytes: usize,
    /// Whether the relay's socket to the peer holds all that it can.
    pub client_is_full: bool,
    pub backend_is_full: bool,
    /// Whether the peer reads all that comes.
    pub client_reads: bool,
    pub backend_reads: bool,
    /// Whether it has stopped reading. It may not read for another reason: it has reset, or waits until what it sends is
    /// taken.
    pub client_stalls: bool,
    pub backend_stalls: bool,
    /// Whether the peer's end of stream has arrived.
    pub client_has_fin: bool,
    pub backend_has_fin: bool,
    /// Whether the relay's end of stream, or its closing, has reached the peer's socket.
    pub client_is_ended: bool,
    pub backend_is_ended: bool,
    /// Whether the client has read a Close.
    pub is_closed: bool,
    /// Whether the session is over.
    pub is_over: bool,
    /// Whether the network holds back what a peer has sent.
    pub is_held: bool,
}

impl Moment {
    /// What has passed through the connection of this peer.
    pub fn flow(&self, side: Side) -> &Flow {
        match side {
            Side::Client => &self.client,
            Side::Backend => &self.backend,
        }
    }

    /// Whether this peer has stopped reading.
    pub fn stalls(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client_stalls,
            Side::Backend => self.backend_stalls,
        }
    }

    /// Whether this peer's end of stream has arrived.
    pub fn has_fin(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client_has_fin,
            Side::Backend => self.backend_has_fin,
        }
    }

    /// Whether the relay's end of stream has reached this peer's socket.
    pub fn is_ended(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client_is_ended,
            Side::Backend => self.backend_is_ended,
        }
    }
}

/// All that was seen of one session.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The step that is being taken.
    pub step: usize,
    pub moments: Vec<Moment>,
    pub sent: Vec<Sent>,
    pub backend_sent: Vec<u8>,
    pub backend_received: Vec<u8>,
    /// What its socket held when it reset.
    pub backend_lost: Vec<u8>,
    pub got: Vec<Got>,
    /// How the relay's stream to the client ended.
    pub client_end: Option<End>,
    /// How its stream to the backend ended.
    pub backend_end: Option<End>,
    /// Whether the client's stream ended in the middle of a frame.
    pub cut_frame: bool,
    /// Resets: the moment, whose, and whether what was sent before can still be read.
    pub resets: Vec<(usize, Side, bool)>,
    /// The moment in which the relay was told to stop.
    pub stop: Option<usize>,
    /// Whether time has jumped.
    pub jumps: bool,
    /// The moment in which the session was over, and its reason.
    pub over: Option<(usize, CloseReason)>,
    pub counts: Counts,
}

impl Trace {
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// The moment in which a peer has reset, and whether what it sent before can still be read.
    pub fn reset_of(&self, side: Side) -> Option<(usize, bool)> {
        let reset = self.resets.iter().find(|(_, whose, _)| *whose == side);
        reset.map(|(moment, _, keeps)| (*moment, *keeps))
    }
}

/// How a session was wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The promise that was broken, in a few words.
    pub kind: &'static str,
    /// What was seen.
    pub what: String,
}

impl Failure {
    pub fn new(kind: &'static str, what: String) -> Self {
        Failure { kind, what }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.what)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  seen (client → relay → backend | backend → relay → client, in bytes):")?;
        for (number, moment) in self.moments.iter().enumerate() {
            let Moment { at, client, backend, .. } = moment;
            write!(
                f,
                "  {:>3}. after step {:>2}, {at:>6} ms: {}/{} → {}/{} | {}/{} → {}/{}",
                number,
                moment.step + 1,
                client.read,
                client.delivered,
                backend.taken,
                backend.put,
                backend.read,
                backend.delivered,
                client.taken,
                client.put,
            )?;
            for (is, what) in [
                (!moment.client_reads, "client does not read"),
                (!moment.backend_reads, "backend does not read"),
                (moment.client_has_fin, "client's FIN"),
                (moment.backend_has_fin, "backend's FIN"),
                (moment.backend_is_ended, "FIN to the backend"),
                (moment.client_is_ended, "FIN to the client"),
                (moment.is_closed, "Close received"),
                (moment.is_over, "over"),
            ] {
                if is {
                    write!(f, ", {what}")?;
                }
            }
            writeln!(f)?;
        }
        for got in self.got.chunk_by(|a, b| a == b) {
            let (kind, bytes) = match &got[0].frame {
                ServerFrame::Text(text) => ("text", text.as_bytes().to_vec()),
                ServerFrame::Binary(bytes) => ("binary", bytes.clone()),
                ServerFrame::Ping(bytes) => ("Ping", bytes.clone()),
                ServerFrame::Pong(bytes) => ("Pong", bytes.clone()),
                ServerFrame::Close(close) => ("Close", format!("{close:?}").into_bytes()),
            };
            let times = if got.len() > 1 { format!(" {} times", got.len()) } else { String::new() };
            let (bytes, moment) = (shown(&bytes), got[0].moment);
            writeln!(f, "  client received {kind} {bytes}{times} in moment {moment}")?;
        }
        writeln!(f, "  backend received {}", shown(&self.backend_received))?;
        if let Some((moment, reason)) = &self.over {
            writeln!(f, "  over in moment {moment}: {reason:?}; {:?}", self.counts)?;
        }
        Ok(())
    }
}
