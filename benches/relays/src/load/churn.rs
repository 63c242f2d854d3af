//! Sessions one after another: each connects, sends a line, hears its echo and takes its leave.

use super::{Order, Outcome, client::Client, order::Churned, relay, tls_config, usage::Snapshot};
use crate::{
    line::Lines,
    net::{Dial, Poller, READ_BUFFER, Ready},
    procs,
    tls::Tls,
    wire::Masks,
};
use rustls::ClientConfig;
use std::{
    io,
    net::Ipv4Addr,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

/// Whoever closes first keeps its port for a minute: clients use so many addresses, with 28,000 ports each.
const SOURCES: u64 = 16;

/// How long a relay may take to wind up its last sessions before its memory is measured, and how long that lasts at least.
const WIND_UP: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_millis(200);

struct Visit {
    client: Client,
    /// Which session this is: says its line, too.
    number: u32,
    heard: bool,
    leaving: bool,
}

struct Churn {
    order: Order,
    poller: Poller,
    lines: Lines,
    /// The sessions of the moment.
    visits: Vec<Option<Visit>>,
    masks: Masks,
    tls: Option<Arc<ClientConfig>>,
    begun: u64,
    outcome: Outcome,
    churned: Churned,
}

/// Carries out an order of this kind: a tenth of the sessions, then the others, and a look at the relay after each part.
pub fn run(order: Order) -> io::Result<Outcome> {
    let before = relay(&order);
    let (tenth, patience) = (order.total.div_ceil(10), order.patience);
    let mut churn = Churn::new(order)?;
    churn.outcome.before_kib = procs::memory_kib(&before);
    let begin = Snapshot::take(&before, churn.order.backend, &churn.outcome);

    churn.turn(tenth, churn.order.secs / 10.0, patience)?;
    let pids = churn.wind_up(before.len());
    churn.churned.first_kib = procs::memory_kib(&pids);
    churn.churned.first_sessions = churn.outcome.sessions as u64;
    churn.turn(churn.order.total, 0.9 * churn.order.secs, patience)?;
    let pids = churn.wind_up(before.len());
    let end = Snapshot::take(&pids, churn.order.backend, &churn.outcome);

    let Churn { mut outcome, churned, .. } = churn;
    outcome.after_kib = procs::memory_kib(&pids);
    outcome.processes = pids.len();
    outcome.churn = Some(churned);
    Ok(end.since(&begin, outcome))
}

impl Churn {
    fn new(order: Order) -> io::Result<Self> {
        Ok(Churn {
            poller: Poller::new()?,
            lines: Lines::new(order.line),
            visits: (0..order.sessions).map(|_| None).collect(),
            masks: Masks::default(),
            tls: tls_config(&order)?,
            begun: 0,
            outcome: Outcome::default(),
            churned: Churned::default(),
            order,
        })
    }

    /// Begins sessions until there have been `total`, or for so many seconds, and waits for those begun to end.
    fn turn(&mut self, total: u64, secs: f64, patience: f64) -> io::Result<()> {
        let begin = Instant::now();
        let stop = begin + Duration::from_secs_f64(secs);
        let deadline = stop + Duration::from_secs_f64(patience);
        let (mut ready, mut buffer) = (Vec::new(), vec![0; READ_BUFFER]);
        loop {
            if Instant::now() < stop {
                self.fill(total)?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.visits.iter().all(Option::is_none) || left.is_zero() {
                break;
            }
            self.poller.wait(Some(left), &mut ready)?;
            for event in ready.drain(..) {
                self.serve(&event, &mut buffer);
            }
        }
        self.churned.secs += begin.elapsed().as_secs_f64();
        for index in 0..self.visits.len() {
            self.end(index, "not done in time");
        }
        Ok(())
    }

    /// Begins as many sessions as there is room for.
    fn fill(&mut self, total: u64) -> io::Result<()> {
        for index in 0..self.visits.len() {
            if self.visits[index].is_none() && self.begun < total {
                self.visits[index] = Some(self.connect(index)?);
            }
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) -> io::Result<Visit> {
        let number = self.begun as u32;
        let (mut scratch, mut line) = (Vec::new(), Vec::new());
        let write = |to: &mut Vec<u8>| self.lines.write(number, 0, to);
        self.order.wire.encode(self.masks.next(), write, &mut scratch, &mut line);
        let source = Ipv4Addr::new(127, 0, 1, 1 + (self.begun % SOURCES) as u8);
        self.begun += 1;
        let dial = Dial { port: self.order.port, source: Some(source), narrow: false };
        let tls = self.tls.as_ref().map(Tls::new);
        let client = Client::connect(&dial, self.order.wire, tls, index, line, &self.poller)?;
        Ok(Visit { client, number, heard: false, leaving: false })
    }

    fn serve(&mut self, event: &Ready, buffer: &mut [u8]) {
        let Some(visit) = &mut self.visits[event.key] else { return };
        let (outcome, lines) = (&mut self.outcome, &self.lines);
        let (number, heard) = (visit.number, &mut visit.heard);
        let mut on_line = |line: &[u8]| match lines.check(line) {
            Some(at) if at == (number, 0) && !*heard => *heard = true,
            Some(_) => outcome.out_of_order += 1,
            None => outcome.bad_lines += 1,
        };
        let mut served = visit.client.serve(event, buffer, &self.poller, &mut on_line);
        if served.is_ok() && visit.heard && !visit.leaving {
            visit.leaving = true;
            served = visit.client.close(self.masks.next(), &self.poller);
        }
        if let Err(why) = served {
            self.end(event.key, &why);
        }
    }

    /// A session is over: well, if it had heard its line and was about to leave.
    fn end(&mut self, index: usize, why: &str) {
        let Some(visit) = self.visits[index].take() else { return };
        if visit.client.is_closed() {
            self.outcome.sessions += 1;
            self.outcome.up += 1;
            self.outcome.down += 1;
            self.churned.unanswered += u64::from(!visit.client.is_answered());
            return;
        }
        self.outcome.missing += u64::from(!visit.heard);
        self.outcome.lost_sessions += 1;
        let number = visit.number;
        self.outcome.first_error.get_or_insert_with(|| format!("session {number}: {why}"));
    }

    /// Waits until the relay has no more processes than at first; returns those it has.
    fn wind_up(&self, processes: usize) -> Vec<u32> {
        let begin = Instant::now();
        sleep(REST);
        loop {
            let pids = relay(&self.order);
            if pids.len() <= processes || begin.elapsed() > WIND_UP {
                return pids;
            }
            sleep(REST / 10);
        }
    }
}
