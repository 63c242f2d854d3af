//! Client: the simulated browser. It sends the frames of the story, and answers as browsers do.

use std::io::Write;

use fastrand::Rng;

use crate::peer::Peer;
use crate::spec::{Broken, Message, Opcode, ServerFrame, ServerFrames, frame};
use crate::story::{Act, Setup};
use crate::trace::{Failure, Got, Sent, Trace, What};

/// The client, with what it has sent.
pub struct Client {
    pub peer: Peer,
    /// All frames and messages, in order of their ends.
    pub sent: Vec<Sent>,
    /// Whether it has received a Close.
    pub is_closed: bool,
    /// Bytes of all frames.
    length: usize,
    has_sent_close: bool,
    frames: ServerFrames,
    masks: Rng,
    max_line: usize,
    answers_pings: bool,
    answers_close: bool,
}

impl Client {
    pub fn new(peer: Peer, setup: &Setup) -> Self {
        Client {
            peer,
            sent: Vec::new(),
            is_closed: false,
            length: 0,
            has_sent_close: false,
            frames: ServerFrames::default(),
            masks: Rng::with_seed(setup.masks),
            max_line: setup.rules.max_line,
            answers_pings: setup.answers_pings,
            answers_close: setup.answers_close,
        }
    }

    /// Whether an act is a frame that the client sends.
    pub fn is_client(act: &Act) -> bool {
        matches!(
            act,
            Act::Say { .. }
                | Act::Ping(_)
                | Act::Pings(..)
                | Act::Pong(_)
                | Act::Close(..)
                | Act::Break(_)
        )
    }

    /// Does one of those.
    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Say { message, cuts, ping } => self.say(message, cuts, *ping),
            Act::Ping(payload) => self.control(Opcode::Ping, payload, What::Ping(payload.clone())),
            Act::Pings(count, payload) => {
                for _ in 0..*count {
                    self.control(Opcode::Ping, payload, What::Ping(payload.clone()));
                }
            }
            Act::Pong(payload) => self.control(Opcode::Pong, payload, What::Pong),
            Act::Close(code, reason) => self.close(*code, reason),
            Act::Break(broken) => self.break_protocol(broken),
            _ => {}
        }
    }

    fn mask(&mut self) -> [u8; 4] {
        // No mask at all is a mask too.
        if self.masks.u8(..8) == 0 { [0; 4] } else { self.masks.u32(..).to_le_bytes() }
    }

    fn send(&mut self, bytes: &[u8]) {
        if self.can_send() {
            self.peer.outbox.write_all(bytes).expect("it takes all");
            self.length += bytes.len();
        }
    }

    fn can_send(&self) -> bool {
        !self.peer.has_fin && !self.peer.has_reset && !self.peer.wants_fin
    }

    fn frame(&mut self, fin: bool, opcode: Opcode, payload: &[u8]) {
        let mask = self.mask();
        let bytes = frame(fin, opcode, payload, mask);
        self.send(&bytes);
    }

    fn note(&mut self, start: usize, what: What) {
        if self.can_send() {
            self.sent.push(Sent { start, end: self.length, what });
        }
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], what: What) {
        let start = self.length;
        self.frame(true, opcode, payload);
        self.note(start, what);
    }

    fn say(&mut self, message: &Message, cuts: &[usize], ping: bool) {
        let start = self.length;
        let (mut opcode, bytes) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, bytes.as_slice()),
        };
        let mut from = 0;
        for cut in cuts.iter().copied().filter(|cut| *cut <= bytes.len()) {
            self.frame(false, opcode, &bytes[from..cut.max(from)]);
            from = from.max(cut);
            opcode = Opcode::Continuation;
            if ping {
                self.control(Opcode::Ping, b"inside", What::Ping(b"inside".to_vec()));
            }
        }
        self.frame(true, opcode, &bytes[from..]);
        self.note(start, What::Message(message.clone()));
    }

    fn close(&mut self, code: Option<u16>, reason: &str) {
        let payload = match code {
            Some(code) => [&code.to_be_bytes(), reason.as_bytes()].concat(),
            None => Vec::new(),
        };
        self.has_sent_close = true;
        self.control(Opcode::Close, &payload, What::Close(code));
    }

    fn break_protocol(&mut self, broken: &Broken) {
        let start = self.length;
        let mask = self.mask();
        let bytes = broken.bytes(self.max_line, mask);
        self.send(&bytes);
        self.note(start, What::Broken(*broken));
    }

    /// Takes what the relay has sent, and answers.
    pub fn received(
        &mut self,
        bytes: &[u8],
        ended: bool,
        moment: usize,
        trace: &mut Trace,
    ) -> Result<(), Failure> {
        let frames = self.frames.push(bytes).map_err(|what| Failure::new("bad frame", what))?;
        for frame in frames {
            match &frame {
                ServerFrame::Ping(payload) if self.answers_pings => {
                    self.control(Opcode::Pong, payload, What::Pong);
                }
                ServerFrame::Close(close) => {
                    self.is_closed = true;
                    if self.answers_close && !self.has_sent_close {
                        self.close(close.as_ref().map(|(code, _)| *code), "");
                    }
                }
                _ => {}
            }
            trace.got.push(Got { moment, frame });
        }
        if ended {
            trace.client_end = self.peer.end;
            if self.frames.rest() > 0 {
                trace.cut_frame = true;
            }
            if self.answers_close {
                self.peer.wants_fin = true;
            }
        }
        Ok(())
    }
}
