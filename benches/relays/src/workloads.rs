//! What the relays have to do.

use crate::{backend::Mode, load::Traffic, peers::Peer};

pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    pub traffic: Traffic,
    pub backend: Mode,
    pub sessions: usize,
    pub senders: usize,
    pub window: u32,
    /// Bytes of a line.
    pub line: usize,
    /// Measured seconds of a run, in a quick round and else.
    pub secs: [f64; 2],
    /// Sessions one after another, in a quick round and else.
    pub total: [u64; 2],
    /// The most rounds: enough where a run takes long and says the same each time.
    pub rounds: usize,
    /// Whether a run takes so long that a quick round leaves it out for byte relays and those with TLS.
    pub long: bool,
    /// Whether a peer that holds fewer sessions is measured with those.
    pub fewer: bool,
    /// Whether peers with TLS are measured.
    pub tls: bool,
}

impl Workload {
    pub fn secs(&self, quick: bool) -> f64 {
        self.secs[usize::from(!quick)]
    }

    /// Whether a peer is measured at all.
    pub fn is_for(&self, peer: &Peer) -> bool {
        self.tls || !peer.tls
    }

    pub fn total(&self, quick: bool) -> u64 {
        self.total[usize::from(!quick)]
    }
}

pub const ECHO: Workload = Workload {
    name: "",
    what: "",
    traffic: Traffic::Echo,
    backend: Mode::Echo,
    sessions: 64,
    senders: 1,
    window: 1,
    line: 64,
    secs: [0.3, 0.8],
    total: [0, 0],
    rounds: usize::MAX,
    long: false,
    fewer: true,
    tls: false,
};
pub const CHAT: Workload =
    Workload { traffic: Traffic::Chat, backend: Mode::Chat, sessions: 200, ..ECHO };
pub const IDLE: Workload = Workload { traffic: Traffic::Idle, secs: [0.3, 0.3], ..ECHO };

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "roundtrip",
        what: "1 session, 1 line in flight",
        sessions: 1,
        tls: true,
        ..ECHO
    },
    Workload { name: "echo", what: "64 sessions, 1 line in flight each", tls: true, ..ECHO },
    Workload {
        name: "pipeline",
        what: "64 sessions, 64 lines in flight each",
        window: 64,
        tls: true,
        ..ECHO
    },
    Workload { name: "chat-1", what: "200 sessions hear 1 sender, a line at a time", ..CHAT },
    Workload {
        name: "chat-8",
        what: "200 sessions hear 8 senders, 16 lines in flight each",
        senders: 8,
        window: 16,
        ..CHAT
    },
    Workload {
        name: "chat-1k",
        what: "1,000 sessions hear 1 sender, a line at a time",
        sessions: 1_000,
        fewer: false,
        ..CHAT
    },
    Workload {
        name: "stalled",
        what: "500 sessions hear 1 sender, a line of 4 KiB at a time; then one of them reads nothing",
        traffic: Traffic::Stalled,
        long: true,
        sessions: 500,
        window: 16,
        line: 4096,
        fewer: false,
        ..CHAT
    },
    Workload {
        name: "up",
        what: "1 session sends without pause",
        traffic: Traffic::Up,
        backend: Mode::Sink,
        sessions: 1,
        window: 16,
        ..ECHO
    },
    Workload {
        name: "down",
        what: "1 session is sent to without pause",
        traffic: Traffic::Down,
        backend: Mode::Source,
        sessions: 1,
        window: 0,
        ..ECHO
    },
    Workload {
        name: "bulk",
        what: "1 session, 8 lines of 64 KiB in flight",
        sessions: 1,
        window: 8,
        line: 65536,
        ..ECHO
    },
    Workload {
        name: "idle-1k",
        tls: true,
        what: "1,000 sessions open and then rest",
        sessions: 1_000,
        rounds: 3,
        ..IDLE
    },
    Workload {
        name: "idle-max",
        tls: true,
        what: "up to 9,500 sessions open and then rest",
        sessions: 9_500,
        rounds: 1,
        long: true,
        fewer: false,
        ..IDLE
    },
    Workload {
        name: "idle-cpu",
        what: "5,000 sessions rest, each relay with its own habit of pinging",
        traffic: Traffic::Rest,
        sessions: 5_000,
        secs: [3.0, 60.0],
        rounds: 1,
        long: true,
        fewer: false,
        ..ECHO
    },
    Workload {
        name: "churn",
        what: "sessions one after another, 32 at a time: connect, a line up, its echo down, close",
        traffic: Traffic::Churn,
        sessions: 32,
        total: [10_000, 100_000],
        secs: [3.0, 30.0],
        rounds: 1,
        long: true,
        ..ECHO
    },
];
