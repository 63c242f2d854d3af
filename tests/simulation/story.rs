//! Story: what happens to one session, step by step, as a value that can be printed, shortened and run again.

use std::fmt;

use crate::spec::rate::Rate;
use crate::spec::{Broken, Ends, Message, Newlines, Rules};

/// Milliseconds, always whole ticks of the clock.
pub type Ms = u64;

/// The clock's tick: a deadline fires at the first tick that is not before it.
pub const TICK: Ms = 5;

/// One of the two peers of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Backend,
}

/// The settings of a session, and how its peers and the network behave.
#[derive(Clone, Debug)]
pub struct Setup {
    pub rules: Rules,
    /// Whether there is a stage between the backend and the framing.
    pub stage: bool,
    /// Whether the backend is told of the client, first and last.
    pub hello: bool,
    pub goodbye: bool,
    /// `--rate`, of lines.
    pub rate: Option<Rate>,
    pub flush_after: Option<Ms>,
    /// `--slow-client drop` with this `--queue`, in bytes; else `wait`.
    pub queue: Option<usize>,
    pub ping_interval: Option<Ms>,
    pub ping_timeout: Option<Ms>,
    pub write_timeout: Option<Ms>,
    pub idle_timeout: Option<Ms>,
    pub close_timeout: Ms,
    /// Bytes that a socket holds in each direction, by side.
    pub client_room: usize,
    pub backend_room: usize,
    /// Bytes of the first step that come with the request.
    pub early: usize,
    /// Whether the client answers a Ping with a Pong.
    pub answers_pings: bool,
    /// Whether the client answers a Close with one, and the end of the stream with its own.
    pub answers_close: bool,
    /// Whether the backend ends its stream when it sees the end of ours.
    pub answers_fin: bool,
    /// Whether a peer reads only once all that it has sent has left, as a program does that blocks on its writes.
    pub client_blocks: bool,
    pub backend_blocks: bool,
    /// Varies the masks of the client's frames.
    pub masks: u64,
}

impl Default for Setup {
    /// No limit of time, sockets that hold much, and peers that do their part.
    fn default() -> Self {
        Setup {
            rules: Rules::default(),
            stage: false,
            hello: false,
            goodbye: false,
            rate: None,
            flush_after: None,
            queue: None,
            ping_interval: None,
            ping_timeout: None,
            write_timeout: None,
            idle_timeout: None,
            close_timeout: 1000,
            client_room: 65_536,
            backend_room: 65_536,
            early: 0,
            answers_pings: true,
            answers_close: true,
            answers_fin: true,
            client_blocks: false,
            backend_blocks: false,
            masks: 1,
        }
    }
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Act {
    /// The client sends a message, cut into fragments at these bytes, with a Ping between them.
    Say { message: Message, cuts: Vec<usize>, ping: bool },
    /// The client sends a Ping.
    Ping(Vec<u8>),
    /// The client sends so many Pings at once.
    Pings(usize, Vec<u8>),
    /// The client sends a Pong that nobody asked for.
    Pong(Vec<u8>),
    /// The client sends a Close.
    Close(Option<u16>, String),
    /// The client breaks the protocol.
    Break(Broken),
    /// The backend sends bytes.
    Write(Vec<u8>),
    /// A peer ends its stream behind what it has sent.
    Fin(Side),
    /// A peer resets its connection. What it sent before and has arrived can still be read if `keeps`.
    Reset { side: Side, keeps: bool },
    /// A peer stops reading.
    Stall(Side),
    /// A peer that has stopped reading reads so many bytes.
    Take(Side, usize),
    /// A peer reads again.
    Resume(Side),
    /// The network holds back what a peer sends.
    Hold(Side),
    /// The network delivers it.
    Release(Side),
    /// Time passes, and every deadline fires when it is due.
    Pass(Ms),
    /// Time jumps, as when a machine was suspended: deadlines fire late.
    Jump(Ms),
    /// The relay is told to stop.
    Stop,
}

/// An act, and what the network does with it.
#[derive(Clone, Debug)]
pub struct Step {
    pub act: Act,
    /// Whether the session runs until nothing moves any more before the next step; else both happen at once.
    pub settles: bool,
    /// Bytes that the network delivers at once.
    pub chunk: usize,
}

/// A session's life.
#[derive(Clone, Debug)]
pub struct Story {
    pub setup: Setup,
    pub steps: Vec<Step>,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Client => "client",
            Side::Backend => "backend",
        })
    }
}

/// Bytes as a person reads them: long ones by their length and beginning.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    match bytes.len() {
        0..=SHOWN => format!("\"{text}\""),
        len => format!("\"{text}\"… ({len} bytes)"),
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Say { message, cuts, ping } => {
                let (kind, bytes) = match message {
                    Message::Text(text) => ("text", text.as_bytes()),
                    Message::Binary(bytes) => ("binary", bytes.as_slice()),
                };
                write!(f, "client sends {kind} {}", shown(bytes))?;
                if !cuts.is_empty() {
                    write!(f, " in fragments cut at {cuts:?}")?;
                }
                if *ping { f.write_str(" with a Ping between them") } else { Ok(()) }
            }
            Act::Pings(count, payload) => {
                write!(f, "client sends {count} Pings {}", shown(payload))
            }
            Act::Ping(payload) => write!(f, "client sends Ping {}", shown(payload)),
            Act::Pong(payload) => write!(f, "client sends Pong {}", shown(payload)),
            Act::Close(code, reason) => {
                write!(f, "client sends Close {code:?} {}", shown(reason.as_bytes()))
            }
            Act::Break(broken) => write!(f, "client breaks the protocol: {broken:?}"),
            Act::Write(bytes) => write!(f, "backend sends {}", shown(bytes)),
            Act::Fin(side) => write!(f, "{side} ends its stream"),
            Act::Reset { side, keeps: true } => write!(f, "{side} resets behind what it sent"),
            Act::Reset { side, keeps: false } => {
                write!(f, "{side} resets, and what it sent is lost")
            }
            Act::Stall(side) => write!(f, "{side} stops reading"),
            Act::Take(side, n) => write!(f, "{side} reads {n} bytes"),
            Act::Resume(side) => write!(f, "{side} reads again"),
            Act::Hold(side) => write!(f, "network holds back what {side} sends"),
            Act::Release(side) => write!(f, "network delivers what {side} sent"),
            Act::Pass(ms) => write!(f, "{ms} ms pass"),
            Act::Jump(ms) => write!(f, "time jumps by {ms} ms"),
            Act::Stop => f.write_str("relay is told to stop"),
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = &self.rules;
        write!(f, "  options:")?;
        if rules.raw {
            write!(f, " --binary")?;
        }
        if rules.crlf {
            write!(f, " --eol crlf")?;
        }
        match rules.ends {
            Ends::Newline => {}
            Ends::NewlineOrCr => write!(f, " --eol cr")?,
            Ends::Nul => write!(f, " --eol nul")?,
        }
        if rules.keep_eol {
            write!(f, " --keep-eol")?;
        }
        if rules.binary_lines {
            write!(f, " --binary-lines")?;
        }
        if let Some(fallback) = rules.fallback {
            write!(f, " --charset-fallback {}", fallback.name())?;
        }
        match rules.newlines {
            Newlines::Split => {}
            Newlines::Space => write!(f, " --newlines space")?,
            Newlines::Reject => write!(f, " --newlines reject")?,
        }
        write!(f, " --charset {} --max-line {}", rules.charset.name(), rules.max_line)?;
        if let Some(rate) = self.rate {
            write!(f, " --rate {}/s:{}", rate.count, rate.burst)?;
        }
        if let Some(queue) = self.queue {
            write!(f, " --slow-client drop --queue {queue}")?;
        }
        let limits = [
            ("flush-after", self.flush_after),
            ("ping-interval", self.ping_interval),
            ("ping-timeout", self.ping_timeout),
            ("write-timeout", self.write_timeout),
            ("idle-timeout", self.idle_timeout),
            ("close-timeout", Some(self.close_timeout)),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit {
                write!(f, " --{name} {limit}ms")?;
            }
        }
        write!(
            f,
            "\n  sockets hold {} (client) and {} (backend) bytes",
            self.client_room, self.backend_room
        )?;
        if self.early > 0 {
            write!(f, "; up to {} bytes come with the request", self.early)?;
        }
        for (answers, what) in [
            (!self.stage, "a stage takes commands out"),
            (!self.hello, "the backend is told hello"),
            (!self.goodbye, "the backend is told goodbye"),
            (self.answers_pings, "client answers no Ping"),
            (self.answers_close, "client answers no Close"),
            (self.answers_fin, "backend does not answer our FIN"),
            (!self.client_blocks, "client reads only when it has sent everything"),
            (!self.backend_blocks, "backend reads only when it has sent everything"),
        ] {
            if !answers {
                write!(f, "; {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setup)?;
        for (number, step) in self.steps.iter().enumerate() {
            let at_once = if step.settles { "" } else { ", and at once:" };
            let chunk = match step.chunk {
                usize::MAX => String::new(),
                chunk => format!(" ({chunk} bytes at a time)"),
            };
            writeln!(f, "  {:>3}. {}{chunk}{at_once}", number + 1, step.act)?;
        }
        Ok(())
    }
}
