//! The load: it opens the sessions, keeps a workload's windows full for a while, and has every line booked.

mod churn;
mod client;
mod ledger;
pub mod order;
mod rota;
mod stall;
mod usage;

pub use order::{Order, Outcome, Traffic};

use crate::{
    backend::ACK_EVERY,
    line::HELLO,
    net::{Dial, Poller, READ_BUFFER},
    procs,
    tls::{self, Tls},
    wire::Masks,
};
use client::Client;
use ledger::Ledger;
use rustls::ClientConfig;
use std::{
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};
use usage::Snapshot;

/// Handshakes in flight while the sessions are opened.
const OPENING: usize = 64;

/// Seconds that lines held back have to come when they are nudged.
const NUDGE: f64 = 1.0;

struct Load {
    poller: Poller,
    clients: Vec<Client>,
    ledger: Ledger,
    masks: Masks,
    tls: Option<Arc<ClientConfig>>,
    scratch: Vec<u8>,
    batch: Vec<u8>,
}

/// Carries out an order.
pub fn run(order: Order) -> io::Result<Outcome> {
    if order.traffic == Traffic::Churn {
        return churn::run(order);
    }
    let before = relay(&order);
    let before_cpu = procs::cpu_seconds(&before);
    let mut load = Load::new(order)?;
    load.ledger.outcome.before_kib = procs::memory_kib(&before);
    load.open()?;
    let pids = relay(&load.ledger.order);
    load.ledger.outcome.open_cpu = procs::cpu_seconds(&pids) - before_cpu;
    load.ledger.outcome.processes = pids.len();

    let Order { traffic, warmup, secs, patience, window, .. } = load.ledger.order;
    let mut stalls = traffic == Traffic::Stalled;
    let window = if stalls { 1 } else { window };
    load.start(window);
    load.turn_until(warmup, |_| false)?;
    stalls &= load.ledger.outcome.lost_sessions == 0;
    let calm_kib = if stalls { load.stall(secs, patience)? } else { 0 };
    load.ledger.timing = window == 1;
    let begin = load.snapshot(&pids);
    load.turn_until(secs, |_| false)?;
    let end = load.snapshot(&pids);
    load.ledger.timing = false;
    if stalls {
        load.resume(calm_kib, patience)?;
    }
    load.finish(patience)?;
    load.ledger.outcome.after_kib = procs::memory_kib(&relay(&load.ledger.order));
    load.prove(patience)?;
    let times = load.ledger.take_times();
    Ok(Outcome { times, ..end.since(&begin, load.ledger.close()) })
}

/// What its clients share, if they speak TLS.
fn tls_config(order: &Order) -> io::Result<Option<Arc<ClientConfig>>> {
    let config = order.tls.as_ref().map(tls::config).transpose();
    config.map_err(|error| io::Error::other(error.to_string()))
}

/// The relay's processes, if there is one.
fn relay(order: &Order) -> Vec<u32> {
    order.relay.map(procs::tree).unwrap_or_default()
}

impl Load {
    fn new(order: Order) -> io::Result<Self> {
        Ok(Load {
            poller: Poller::new()?,
            clients: Vec::with_capacity(order.sessions),
            tls: tls_config(&order)?,
            ledger: Ledger::new(order),
            masks: Masks::default(),
            scratch: Vec::new(),
            batch: Vec::new(),
        })
    }

    /// Opens the sessions, `OPENING` at a time, each up to its answered hello.
    fn open(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        let Order { sessions, patience, .. } = self.ledger.order;
        let settled = |outcome: &Outcome| outcome.sessions + outcome.lost_sessions;
        loop {
            let done = settled(&self.ledger.outcome);
            let left = patience - begin.elapsed().as_secs_f64();
            if done >= sessions || left <= 0.0 {
                break;
            }
            while self.clients.len() < sessions.min(done + OPENING) {
                self.connect()?;
            }
            self.turn_until(left, |ledger| settled(&ledger.outcome) > done)?;
        }
        self.ledger.outcome.open_secs = begin.elapsed().as_secs_f64();
        let missing = sessions - self.ledger.outcome.sessions;
        if missing > 0 {
            self.ledger.outcome.lost_sessions = missing;
            self.ledger.note(|| format!("{missing} sessions did not open"));
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        let Order { wire, port, sessions, .. } = self.ledger.order;
        let mut hello = Vec::new();
        let write = |to: &mut Vec<u8>| to.extend_from_slice(HELLO);
        wire.encode(self.masks.next(), write, &mut self.scratch, &mut hello);
        let stalls = self.ledger.order.traffic == Traffic::Stalled;
        let narrow = stalls && self.clients.len() + 1 == sessions;
        let dial = Dial { port, source: None, narrow };
        let tls = self.tls.as_ref().map(Tls::new);
        let key = self.clients.len();
        self.clients.push(Client::connect(&dial, wire, tls, key, hello, &self.poller)?);
        Ok(())
    }

    /// Serves the sessions for so many seconds, or until `done`.
    fn turn_until(&mut self, secs: f64, done: impl Fn(&Ledger) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs_f64(secs);
        let (mut ready, mut buffer) = (Vec::new(), vec![0; READ_BUFFER]);
        while !done(&self.ledger) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.poller.wait(Some(left), &mut ready)?;
            for event in ready.drain(..) {
                let (index, ledger) = (event.key, &mut self.ledger);
                let mut on_line = |line: &[u8]| ledger.on_line(index, line);
                let client = &mut self.clients[index];
                if let Err(why) = client.serve(&event, &mut buffer, &self.poller, &mut on_line) {
                    self.lose(index, &why);
                }
                self.send_due();
            }
        }
        Ok(())
    }

    fn lose(&mut self, index: usize, why: &str) {
        self.ledger.lose(index, why);
        self.clients[index].leave(&self.poller);
    }

    fn start(&mut self, window: u32) {
        self.ledger.start(window);
        self.send_due();
    }

    /// Has sessions at rest show that they live, and finds out about lines that are missing.
    fn prove(&mut self, patience: f64) -> io::Result<()> {
        if matches!(self.ledger.order.traffic, Traffic::Idle | Traffic::Rest) {
            self.count_pings();
            self.ledger.probe(1);
            self.send_due();
            self.finish(patience)?;
        }
        if self.ledger.in_flight > 0 { self.nudge() } else { Ok(()) }
    }

    /// Finds out whether the lines that did not come do so once more follow them: then the relay held them back.
    fn nudge(&mut self) -> io::Result<()> {
        let missing = self.ledger.in_flight;
        self.ledger.outcome.missing = missing;
        let more = match self.ledger.order.traffic {
            Traffic::Up => ACK_EVERY,
            Traffic::Echo => 1,
            _ => return Ok(()),
        };
        self.ledger.probe(more);
        self.send_due();
        let sent = self.ledger.in_flight - missing;
        self.turn_until(NUDGE, |ledger| ledger.in_flight <= sent)?;
        if self.ledger.in_flight <= sent {
            self.ledger.note(|| {
                format!("the last {missing} lines came only once more were sent: the relay held them back")
            });
        }
        Ok(())
    }

    fn count_pings(&mut self) {
        let pings = self.clients.iter().map(Client::pings);
        self.ledger.outcome.pings = pings.clone().map(u64::from).sum();
        self.ledger.outcome.unpinged = pings.filter(|pings| *pings == 0).count();
    }

    /// Sends no more, and waits for what is on its way.
    fn finish(&mut self, patience: f64) -> io::Result<()> {
        self.ledger.running = false;
        self.turn_until(patience, |ledger| ledger.in_flight == 0)
    }

    /// Sends what the windows allow, with one write for each session.
    fn send_due(&mut self) {
        while let Some((index, numbers)) = self.ledger.take_due() {
            let mut batch = mem::take(&mut self.batch);
            batch.clear();
            for number in numbers {
                let write = |to: &mut Vec<u8>| self.ledger.lines.write(index as u32, number, to);
                let wire = self.ledger.order.wire;
                wire.encode(self.masks.next(), write, &mut self.scratch, &mut batch);
            }
            if let Err(why) = self.clients[index].send(&batch, &self.poller) {
                self.lose(index, &why);
            }
            self.batch = batch;
        }
    }

    fn snapshot(&self, relay: &[u32]) -> Snapshot {
        Snapshot::take(relay, self.ledger.order.backend, &self.ledger.outcome)
    }
}
