//! The books of a run: which lines are on their way, and whether each comes once, in order and unchanged.

use super::{
    order::{Order, Outcome, Stall, Times, Traffic},
    rota::Rota,
};
use crate::{
    backend::ACK_EVERY,
    line::{HELLO, Lines, take_hex},
    stats::quantile,
};
use std::{mem, ops::Range, time::Instant};

struct Session {
    /// Whether its hello has been answered.
    open: bool,
    /// Lines sent: the next line's number.
    sent: u32,
    /// Lines that may be sent now.
    due: u32,
    sent_at: Instant,
}

/// The session that reads nothing.
struct Stalled {
    index: usize,
    /// The first line that is sent after it reads again.
    mark: Option<u32>,
}

pub struct Ledger {
    pub order: Order,
    pub lines: Lines,
    pub outcome: Outcome,
    /// Lines sent that have not landed.
    pub in_flight: u64,
    /// Whether a line that has landed is followed by another.
    pub running: bool,
    pub timing: bool,
    sessions: Vec<Session>,
    /// The next line's number, for each receiver and sender.
    expected: Vec<u32>,
    /// In a chat: how many have yet to hear each line in flight.
    awaited: Vec<u32>,
    /// Sessions with lines due.
    senders: Vec<usize>,
    /// Nanoseconds.
    timed: Vec<u32>,
    stalled: Option<Stalled>,
    rota: Rota,
}

impl Ledger {
    pub fn new(order: Order) -> Self {
        let chat = matches!(order.traffic, Traffic::Chat | Traffic::Stalled);
        let session = || Session { open: false, sent: 0, due: 0, sent_at: Instant::now() };
        Ledger {
            lines: Lines::new(order.line),
            outcome: Outcome::default(),
            in_flight: 0,
            running: false,
            timing: false,
            sessions: (0..order.sessions).map(|_| session()).collect(),
            expected: vec![0; order.sessions * if chat { order.senders } else { 1 }],
            awaited: vec![0; order.senders * order.window as usize],
            senders: Vec::new(),
            timed: Vec::new(),
            stalled: None,
            rota: Rota::default(),
            order,
        }
    }

    /// Fills the windows with so much, and keeps them full from now on.
    pub fn start(&mut self, window: u32) {
        self.running = true;
        if self.order.traffic == Traffic::Turns {
            self.rota = Rota::new(self.sessions.len());
            (0..self.order.senders).for_each(|_| self.next_turn());
        }
        let (count, lines) = match self.order.traffic {
            Traffic::Echo => (self.sessions.len(), 1),
            Traffic::Chat | Traffic::Stalled => (self.order.senders, 1),
            Traffic::Up => (self.sessions.len(), ACK_EVERY),
            Traffic::Turns | Traffic::Down | Traffic::Churn | Traffic::Idle | Traffic::Rest => {
                (0, 0)
            }
        };
        for index in 0..count {
            self.allow(index, window * lines);
        }
    }

    /// Has every session send so many lines.
    pub fn probe(&mut self, lines: u32) {
        for index in 0..self.sessions.len() {
            self.allow(index, lines);
        }
    }

    /// A session, and the numbers of the lines that it is to send now.
    pub fn take_due(&mut self) -> Option<(usize, Range<u32>)> {
        loop {
            let index = self.senders.pop()?;
            let session = &mut self.sessions[index];
            let due = mem::take(&mut session.due);
            if !session.open {
                continue;
            }
            let numbers = session.sent..session.sent.wrapping_add(due);
            session.sent = numbers.end;
            session.sent_at = Instant::now();
            self.in_flight += u64::from(due);
            if matches!(self.order.traffic, Traffic::Chat | Traffic::Stalled) {
                let hearers = self.outcome.sessions - usize::from(self.stalled.is_some());
                for number in numbers.clone() {
                    let slot = self.slot(index, number);
                    self.awaited[slot] = hearers as u32;
                }
            }
            return Some((index, numbers));
        }
    }

    /// A line has come to session `index`.
    pub fn on_line(&mut self, index: usize, line: &[u8]) {
        if !self.sessions[index].open {
            if line != HELLO {
                return self.on_bad_line(index, line);
            }
            self.sessions[index].open = true;
            self.outcome.sessions += 1;
            return;
        }
        if self.order.traffic == Traffic::Up {
            return self.on_ack(index, line);
        }
        let Some((sender, number)) = self.identify(index, line) else {
            return self.on_bad_line(index, line);
        };
        let sender = sender as usize;
        match self.order.traffic {
            Traffic::Echo | Traffic::Turns | Traffic::Idle | Traffic::Rest if sender == index => {
                self.in_order(index, number);
                self.outcome.down += 1;
                self.landed(index, 1);
            }
            Traffic::Chat | Traffic::Stalled if sender < self.order.senders => {
                self.heard(index, sender, number)
            }
            Traffic::Down if sender == 0 => {
                self.in_order(index, number);
                self.outcome.down += 1;
            }
            _ => self.on_bad_line(index, line),
        }
    }

    /// Sender and number of a line; short ones are the line that is due, or nobody's.
    fn identify(&self, index: usize, line: &[u8]) -> Option<(u32, u32)> {
        if !self.lines.are_short() {
            return self.lines.check(line);
        }
        let due = (index as u32, *self.expected.get(index)?);
        self.lines.is_short(line, due.0, due.1).then_some(due)
    }

    /// A line of a chat has come to one of those who hear it.
    fn heard(&mut self, index: usize, sender: usize, number: u32) {
        if self.is_stalled(index) {
            return self.heard_late(index, number);
        }
        self.in_order(index * self.order.senders + sender, number);
        self.outcome.down += 1;
        let slot = self.slot(sender, number);
        // Wraps for a line that came twice, which `in_order` has noticed.
        self.awaited[slot] = self.awaited[slot].wrapping_sub(1);
        if self.order.traffic == Traffic::Stalled {
            self.time(sender);
        }
        if self.awaited[slot] == 0 {
            self.landed(sender, 1);
        }
    }

    /// A line has come to the stalled session. It may miss lines, but not get one twice or before another.
    fn heard_late(&mut self, index: usize, number: u32) {
        let expected = mem::replace(&mut self.expected[index], number.wrapping_add(1));
        let after_mark =
            self.stalled.as_ref().is_some_and(|it| it.mark.is_some_and(|m| number >= m));
        if number < expected {
            self.outcome.out_of_order += 1;
            self.note(|| format!("stalled session: line {number} after {}", expected - 1));
        }
        if let Some(stall) = &mut self.outcome.stall {
            stall.skipped += u64::from(number.saturating_sub(expected));
            stall.caught_up |= after_mark;
        }
    }

    /// Session `index` reads nothing from now on; whoever awaits its lines would wait in vain.
    pub fn stall(&mut self, index: usize, calm: Times) {
        self.stalled = Some(Stalled { index, mark: None });
        self.outcome.stall = Some(Stall { calm, ..Stall::default() });
    }

    /// The stalled session reads again.
    pub fn resume(&mut self) {
        let sent = self.sent();
        if let Some(stalled) = &mut self.stalled {
            stalled.mark = Some(sent);
        }
    }

    /// Lines that the first session has sent.
    pub fn sent(&self) -> u32 {
        self.sessions[0].sent
    }

    fn is_stalled(&self, index: usize) -> bool {
        self.stalled.as_ref().is_some_and(|stalled| stalled.index == index)
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

    /// Keeps the first thing that went wrong.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        self.outcome.first_error.get_or_insert_with(what);
    }

    /// A session has ended before its time.
    pub fn lose(&mut self, index: usize, why: &str) {
        self.sessions[index].open = false;
        if self.is_stalled(index)
            && let Some(stall) = &mut self.outcome.stall
        {
            stall.ended = Some(why.to_owned());
            return;
        }
        self.outcome.lost_sessions += 1;
        self.note(|| format!("session {index}: {why}"));
    }

    /// So many lines of this sender have arrived: its window moves on.
    fn landed(&mut self, sender: usize, count: u32) {
        self.outcome.up += u64::from(count);
        self.in_flight = self.in_flight.saturating_sub(u64::from(count));
        if self.order.traffic != Traffic::Stalled {
            self.time(sender);
        }
        if self.running {
            if self.order.traffic == Traffic::Turns {
                self.rota.rest(sender);
                self.next_turn();
            } else {
                self.allow(sender, count);
            }
        }
    }

    /// Lets the session whose turn it is send a line.
    fn next_turn(&mut self) {
        if let Some(sender) = self.rota.next() {
            self.allow(sender, 1);
        }
    }

    /// Times what has come of a sender's line, if it is time for that.
    fn time(&mut self, sender: usize) {
        if self.timing {
            self.timed.push(self.sessions[sender].sent_at.elapsed().as_nanos() as u32);
        }
    }

    fn allow(&mut self, sender: usize, count: u32) {
        let session = &mut self.sessions[sender];
        if session.due == 0 {
            self.senders.push(sender);
        }
        session.due += count;
    }

    fn slot(&self, sender: usize, number: u32) -> usize {
        sender * self.order.window as usize + (number % self.order.window) as usize
    }

    /// The quantiles of all that was timed since the last call.
    pub fn take_times(&mut self) -> Times {
        let mut timed = mem::take(&mut self.timed);
        timed.sort_unstable();
        let micros = |share| quantile(&timed, share).map(|nanos| f64::from(nanos) / 1e3);
        Times { p50: micros(0.5), p99: micros(0.99), max: micros(1.0) }
    }

    /// What it came to, now that nothing more is waited for.
    pub fn close(mut self) -> Outcome {
        let missing = match self.outcome.missing {
            0 => self.in_flight,
            found => found,
        };
        if missing > 0 {
            self.note(|| format!("{missing} lines did not arrive"));
        }
        Outcome { missing, ..self.outcome }
    }
}

#[cfg(test)]
mod tests;
