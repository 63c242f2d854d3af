//! The clients: they open the sessions, keep a workload's windows full for a while, and check every line that comes back.

use crate::{
    backend::ACK_EVERY,
    line::{HELLO, Lines, take_hex},
    net::{Conn, Poller, READ_BUFFER, ReadOutcome, Ready},
    procs,
    stats::quantile,
    wire::{self, Decoder, Wire},
};
use serde::{Deserialize, Serialize};
use std::{
    io, mem,
    time::{Duration, Instant},
};

/// What the sessions do.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// Each keeps `window` lines in flight, to an echo and back.
    Echo,
    /// The first `senders` keep `window` lines each in flight; a line has landed when every session has it.
    Chat,
    /// One way up, acknowledged now and then; `window` is counted in acknowledgements.
    Up,
    /// One way down.
    Down,
    /// Nothing, once they are open.
    Idle,
}

/// One run, as the driver orders it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub traffic: Traffic,
    pub wire: Wire,
    pub port: u16,
    pub sessions: usize,
    pub senders: usize,
    pub window: u32,
    /// Bytes of a line.
    pub line: usize,
    /// Seconds before the measured ones, and these.
    pub warmup: f64,
    pub secs: f64,
    /// Longest wait, in seconds, for the sessions to open and for the last lines.
    pub patience: f64,
    pub relay: Option<u32>,
    pub backend: u32,
}

/// What a run came to. A line counts once for each way through the relay: an echoed line is one up and one down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    pub sessions: usize,
    pub open_secs: f64,
    pub open_cpu: f64,
    pub secs: f64,
    pub up: u64,
    pub down: u64,
    /// Round trips in µs, where a session has one line in flight.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// CPU seconds in the measured time.
    pub relay_cpu: f64,
    pub backend_cpu: f64,
    pub load_cpu: f64,
    pub others_cpu: f64,
    /// Memory of the relay before the first session, and with all of them at rest.
    pub before_kib: u64,
    pub after_kib: u64,
    pub processes: usize,
    /// Lines that did not come, came in the wrong place, or were not ours; sessions that failed.
    pub missing: u64,
    pub out_of_order: u64,
    pub bad_lines: u64,
    pub lost_sessions: usize,
    pub first_error: Option<String>,
}

/// Handshakes in flight while the sessions are opened.
const OPENING: usize = 64;

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connecting,
    Upgrading,
    Greeting,
    Open,
    Gone,
}

struct Session {
    conn: Conn,
    stage: Stage,
    /// The upgrade's response so far.
    head: Vec<u8>,
    decoder: Decoder,
    /// Lines sent: the next line's number.
    sent: u32,
    /// Lines that may be sent now.
    due: u32,
    sent_at: Instant,
}

struct Load {
    order: Order,
    poller: Poller,
    sessions: Vec<Session>,
    lines: Lines,
    outcome: Outcome,
    /// The next line's number, for each receiver and sender.
    expected: Vec<u32>,
    /// In a chat: how many have yet to hear each line in flight.
    awaited: Vec<u32>,
    /// Sessions with lines due.
    senders: Vec<usize>,
    in_flight: u64,
    running: bool,
    timing: bool,
    round_trips: Vec<u32>,
    mask: u32,
    scratch: Vec<u8>,
    batch: Vec<u8>,
}

struct Snapshot {
    at: Instant,
    up: u64,
    down: u64,
    /// CPU seconds of the relay, the backend, this process, and the machine.
    cpu: [f64; 4],
}

/// Carries out an order.
pub fn run(order: Order) -> io::Result<Outcome> {
    let relay = |order: &Order| order.relay.map(procs::tree).unwrap_or_default();
    let before = relay(&order);
    let before_cpu = procs::cpu_seconds(&before);
    let mut load = Load::new(order)?;
    load.outcome.before_kib = procs::memory_kib(&before);
    load.open()?;
    let pids = relay(&load.order);
    load.outcome.open_cpu = procs::cpu_seconds(&pids) - before_cpu;
    load.outcome.processes = pids.len();

    let (warmup, secs, patience) = (load.order.warmup, load.order.secs, load.order.patience);
    load.start();
    load.turn_until(warmup, |_| false)?;
    load.timing = load.order.window == 1;
    let begin = load.snapshot(&pids);
    load.turn_until(secs, |_| false)?;
    let end = load.snapshot(&pids);
    load.timing = false;
    load.running = false;
    load.turn_until(patience, |load| load.in_flight == 0)?;
    load.outcome.after_kib = procs::memory_kib(&relay(&load.order));
    Ok(load.report(&begin, &end))
}

impl Load {
    fn new(order: Order) -> io::Result<Self> {
        let chat = order.traffic == Traffic::Chat;
        Ok(Load {
            poller: Poller::new()?,
            sessions: Vec::with_capacity(order.sessions),
            lines: Lines::new(order.line),
            outcome: Outcome::default(),
            expected: vec![0; order.sessions * if chat { order.senders } else { 1 }],
            awaited: vec![0; order.senders * order.window as usize],
            senders: Vec::new(),
            in_flight: 0,
            running: true,
            timing: false,
            round_trips: Vec::new(),
            mask: 0x9e37_79b9,
            scratch: Vec::new(),
            batch: Vec::new(),
            order,
        })
    }

    /// Opens the sessions, `OPENING` at a time, each up to its answered hello.
    fn open(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            let settled = self.outcome.sessions + self.outcome.lost_sessions;
            let left = self.order.patience - begin.elapsed().as_secs_f64();
            if settled >= self.order.sessions || left <= 0.0 {
                break;
            }
            while self.sessions.len() < self.order.sessions.min(settled + OPENING) {
                let conn = Conn::connect(self.order.port, self.sessions.len(), &self.poller)?;
                self.sessions.push(Session {
                    conn,
                    stage: Stage::Connecting,
                    head: Vec::new(),
                    decoder: Decoder::new(self.order.wire),
                    sent: 0,
                    due: 0,
                    sent_at: begin,
                });
            }
            self.turn_until(left, |load| {
                load.outcome.sessions + load.outcome.lost_sessions > settled
            })?;
        }
        self.outcome.open_secs = begin.elapsed().as_secs_f64();
        let missing = self.order.sessions - self.outcome.sessions;
        if missing > 0 {
            self.outcome.lost_sessions = missing;
            self.note(|| format!("{missing} sessions did not open"));
        }
        Ok(())
    }

    fn start(&mut self) {
        let (count, lines) = match self.order.traffic {
            Traffic::Echo => (self.sessions.len(), 1),
            Traffic::Chat => (self.order.senders, 1),
            Traffic::Up => (self.sessions.len(), ACK_EVERY),
            Traffic::Down | Traffic::Idle => (0, 0),
        };
        for index in 0..count {
            self.allow(index, self.order.window * lines);
        }
        self.send_due();
    }

    /// Serves the sessions for so many seconds, or until `done`.
    fn turn_until(&mut self, secs: f64, done: impl Fn(&Load) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs_f64(secs);
        let (mut ready, mut buffer) = (Vec::new(), vec![0; READ_BUFFER]);
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.poller.wait(Some(left), &mut ready)?;
            for event in ready.drain(..) {
                let index = event.key;
                if self.sessions[index].stage != Stage::Gone
                    && let Err(why) = self.serve(&event, &mut buffer)
                {
                    self.lose(index, &why);
                }
                self.send_due();
            }
        }
        Ok(())
    }

    fn serve(&mut self, event: &Ready, buffer: &mut [u8]) -> Result<(), String> {
        let index = event.key;
        let session = &mut self.sessions[index];
        if event.writable && session.stage == Stage::Connecting {
            session.conn.settle().map_err(|error| format!("no connection: {error}"))?;
            if self.order.wire == Wire::Tcp {
                self.greet(index)?;
            } else {
                session.stage = Stage::Upgrading;
                let request = wire::request(&format!("127.0.0.1:{}", self.order.port));
                self.send(index, request.as_bytes())?;
            }
        } else if event.writable {
            session.conn.flush(&self.poller).map_err(|error| format!("write failed: {error}"))?;
        }
        if event.readable {
            match self.sessions[index].conn.read(buffer) {
                ReadOutcome::Data(len) => self.receive(index, &buffer[..len])?,
                ReadOutcome::Blocked => {}
                ReadOutcome::Closed => return Err("connection closed".into()),
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, data: &[u8]) -> Result<(), String> {
        self.sessions[index]
            .conn
            .send(data, &self.poller)
            .map_err(|error| format!("write failed: {error}"))
    }

    fn greet(&mut self, index: usize) -> Result<(), String> {
        self.sessions[index].stage = Stage::Greeting;
        let mut hello = Vec::new();
        let write = |to: &mut Vec<u8>| to.extend_from_slice(HELLO);
        self.order.wire.encode(next_mask(&mut self.mask), write, &mut self.scratch, &mut hello);
        self.send(index, &hello)
    }

    fn receive(&mut self, index: usize, data: &[u8]) -> Result<(), String> {
        let session = &mut self.sessions[index];
        if session.stage != Stage::Upgrading {
            return self.decode(index, data);
        }
        session.head.extend_from_slice(data);
        let Some(end) = wire::response(&session.head)? else { return Ok(()) };
        let head = mem::take(&mut session.head);
        self.greet(index)?;
        self.decode(index, &head[end..])
    }

    fn decode(&mut self, index: usize, data: &[u8]) -> Result<(), String> {
        let mut decoder =
            mem::replace(&mut self.sessions[index].decoder, Decoder::new(self.order.wire));
        let fed = decoder.feed(data, &mut |line| self.on_line(index, line));
        let replies = mem::take(&mut decoder.replies);
        self.sessions[index].decoder = decoder;
        if !replies.is_empty() {
            self.send(index, &replies)?;
        }
        fed.map_err(str::to_owned)
    }

    fn on_line(&mut self, index: usize, line: &[u8]) {
        if self.sessions[index].stage == Stage::Greeting {
            if line != HELLO {
                return self.on_bad_line(index, line);
            }
            self.sessions[index].stage = Stage::Open;
            self.outcome.sessions += 1;
            return;
        }
        if self.order.traffic == Traffic::Up {
            return self.on_ack(index, line);
        }
        let Some((sender, number)) = self.lines.check(line) else {
            return self.on_bad_line(index, line);
        };
        let sender = sender as usize;
        match self.order.traffic {
            Traffic::Echo if sender == index => {
                self.in_order(index, number);
                self.outcome.down += 1;
                self.landed(index, 1);
            }
            Traffic::Chat if sender < self.order.senders => {
                self.in_order(index * self.order.senders + sender, number);
                self.outcome.down += 1;
                let slot =
                    sender * self.order.window as usize + (number % self.order.window) as usize;
                // Wraps for a line that came twice, which `in_order` has noticed.
                self.awaited[slot] = self.awaited[slot].wrapping_sub(1);
                if self.awaited[slot] == 0 {
                    self.landed(sender, 1);
                }
            }
            Traffic::Down if sender == 0 => {
                self.in_order(index, number);
                self.outcome.down += 1;
            }
            _ => self.on_bad_line(index, line),
        }
    }

    fn on_ack(&mut self, index: usize, line: &[u8]) {
        let counts = (line.len() == 17)
            .then(|| Some((take_hex(&line[..8])?, take_hex(&line[9..])?)))
            .flatten();
        let Some((lines, wrong)) = counts else { return self.on_bad_line(index, line) };
        if wrong > 0 {
            self.outcome.out_of_order = u64::from(wrong);
            self.note(|| {
                format!("{wrong} lines came to the backend changed or in the wrong place")
            });
        }
        self.in_order(index, (lines / ACK_EVERY).wrapping_sub(1));
        self.outcome.down += 1;
        self.landed(index, ACK_EVERY);
    }

    fn on_bad_line(&mut self, index: usize, line: &[u8]) {
        self.outcome.bad_lines += 1;
        let shown = String::from_utf8_lossy(&line[..line.len().min(40)]);
        self.note(|| format!("session {index} got {} bytes nobody sent: {shown:?}", line.len()));
    }

    fn in_order(&mut self, stream: usize, number: u32) {
        let expected = mem::replace(&mut self.expected[stream], number.wrapping_add(1));
        if number != expected {
            self.outcome.out_of_order += 1;
            self.note(|| format!("stream {stream}: line {number} in the place of {expected}"));
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.outcome.first_error.get_or_insert_with(what);
    }

    fn lose(&mut self, index: usize, why: &str) {
        self.sessions[index].stage = Stage::Gone;
        self.outcome.lost_sessions += 1;
        self.note(|| format!("session {index}: {why}"));
        // Or the poller would report it for ever.
        self.sessions[index].conn.forget(&self.poller);
    }

    /// So many lines of this sender have arrived: its window moves on.
    fn landed(&mut self, sender: usize, count: u32) {
        self.outcome.up += u64::from(count);
        self.in_flight = self.in_flight.saturating_sub(u64::from(count));
        if self.timing {
            self.round_trips.push(self.sessions[sender].sent_at.elapsed().as_nanos() as u32);
        }
        if self.running {
            self.allow(sender, count);
        }
    }

    fn allow(&mut self, sender: usize, count: u32) {
        let session = &mut self.sessions[sender];
        if session.due == 0 {
            self.senders.push(sender);
        }
        session.due += count;
    }

    /// Sends what the windows allow, with one write for each session.
    fn send_due(&mut self) {
        while let Some(index) = self.senders.pop() {
            let due = mem::take(&mut self.sessions[index].due);
            if self.sessions[index].stage != Stage::Open {
                continue;
            }
            let mut batch = mem::take(&mut self.batch);
            batch.clear();
            let first = self.sessions[index].sent;
            for number in (first..).take(due as usize) {
                if self.order.traffic == Traffic::Chat {
                    let slot =
                        index * self.order.window as usize + (number % self.order.window) as usize;
                    self.awaited[slot] = self.outcome.sessions as u32;
                }
                let write = |to: &mut Vec<u8>| self.lines.write(index as u32, number, to);
                self.order.wire.encode(
                    next_mask(&mut self.mask),
                    write,
                    &mut self.scratch,
                    &mut batch,
                );
            }
            self.in_flight += u64::from(due);
            self.sessions[index].sent += due;
            self.sessions[index].sent_at = Instant::now();
            if let Err(why) = self.send(index, &batch) {
                self.lose(index, &why);
            }
            self.batch = batch;
        }
    }

    fn snapshot(&self, relay: &[u32]) -> Snapshot {
        let own = [std::process::id()];
        let [relay, backend, own] = [relay, &[self.order.backend], &own].map(procs::cpu_seconds);
        let cpu = [relay, backend, own, procs::machine_seconds()];
        Snapshot { at: Instant::now(), up: self.outcome.up, down: self.outcome.down, cpu }
    }

    fn report(mut self, begin: &Snapshot, end: &Snapshot) -> Outcome {
        self.round_trips.sort_unstable();
        let micros = |share| quantile(&self.round_trips, share).map(|nanos| f64::from(nanos) / 1e3);
        let [relay_cpu, backend_cpu, load_cpu, machine] =
            [0, 1, 2, 3].map(|who| end.cpu[who] - begin.cpu[who]);
        let missing = self.in_flight;
        if missing > 0 {
            self.outcome
                .first_error
                .get_or_insert_with(|| format!("{missing} lines did not arrive"));
        }
        Outcome {
            secs: (end.at - begin.at).as_secs_f64(),
            up: end.up - begin.up,
            down: end.down - begin.down,
            p50: micros(0.5),
            p99: micros(0.99),
            relay_cpu,
            backend_cpu,
            load_cpu,
            others_cpu: (machine - relay_cpu - backend_cpu - load_cpu).max(0.0),
            missing,
            ..self.outcome
        }
    }
}

/// A mask that is new for each frame (RFC 6455, section 5.3): xorshift, as nobody is to be fooled here.
fn next_mask(state: &mut u32) -> [u8; 4] {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    state.to_ne_bytes()
}
