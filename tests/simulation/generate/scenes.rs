//! Scenes: steps that belong together.

use super::{Teller, pick};
use crate::spec::{Broken, Message};
use crate::story::{Act, Side, Step, TICK};

impl Teller {
    /// Many small messages at once, and perhaps one that is not UTF-8 behind them.
    pub fn burst(&mut self, steps: &mut Vec<Step>) {
        for _ in 0..self.rng.usize(60..140) {
            let len = self.rng.usize(..4);
            let text: String = (0..len).map(|_| self.rng.alphanumeric()).collect();
            let act = Act::Say { message: Message::Text(text), cuts: Vec::new(), ping: false };
            steps.push(Step { act, settles: false, chunk: usize::MAX });
        }
        if self.one_in(3) {
            let act = Act::Break(Broken::InvalidUtf8);
            steps.push(Step { act, settles: true, chunk: usize::MAX });
        }
    }

    /// More from the client than the backend takes, all at once, an end, and perhaps a backend that reads again.
    pub fn leave(&mut self, steps: &mut Vec<Step>) {
        steps.push(self.told(Act::Stall(Side::Backend)));
        steps.push(self.told(Act::Hold(Side::Client)));
        for _ in 0..self.rng.usize(2..12) {
            let act = if self.one_in(3) { Act::Ping(Vec::new()) } else { self.say() };
            steps.push(Step { act, settles: false, chunk: usize::MAX });
        }
        if self.rng.bool() {
            steps.push(self.told(Act::Close(Some(1000), String::new())));
        }
        let act = Act::Release(Side::Client);
        steps.push(Step { act, settles: true, chunk: usize::MAX });
        let act = match self.rng.u32(..8) {
            0..3 => Act::Stop,
            3 | 4 => Act::Reset { side: Side::Client, keeps: true },
            5 => self.end(),
            _ => Act::Fin(Side::Client),
        };
        steps.push(self.told(act));
        if self.rng.bool() {
            steps.push(self.told(Act::Resume(Side::Backend)));
        }
    }

    /// A client whose many Pings were answered, and which takes no lines afterwards.
    pub fn answered(&mut self, steps: &mut Vec<Step>) {
        steps.push(self.told(Act::Resume(Side::Client)));
        let pings = Act::Pings(self.rng.usize(300..800), vec![b'p'; 125]);
        steps.push(Step { act: pings, settles: true, chunk: usize::MAX });
        steps.push(self.told(Act::Stall(Side::Client)));
        for _ in 0..self.rng.usize(1..4) {
            let len = self.rng.usize(1..self.setup.rules.max_line.min(1000));
            let line = [vec![b'x'; len], b"\n".to_vec()].concat();
            let act = Act::Write(line.repeat(100_000 / line.len()));
            steps.push(self.told(act));
        }
        let act = self.say();
        steps.push(self.told(act));
    }

    /// A line that is cut anywhere, and rests there until it may have been flushed.
    pub fn prompt(&mut self, steps: &mut Vec<Step>) {
        let charset = self.setup.rules.charset;
        let mut bytes = Vec::new();
        for _ in 0..self.rng.usize(1..10) {
            let escapes: [&[u8]; 3] = [b"\x1b(B", b"\x1b(J", b"\x1b$B"];
            match self.rng.u32(..8) {
                // Inside a character of two bytes it is open how much of it a flush shows.
                0 if charset != encoding_rs::ISO_2022_JP => bytes.push(b'\r'),
                1 if charset == encoding_rs::ISO_2022_JP => {
                    bytes.extend(pick(&mut self.rng, &escapes));
                }
                1..4 => bytes.push(self.rng.alphanumeric() as u8),
                _ => {
                    let wide = pick(&mut self.rng, &['é', 'ß', 'я', '€', '日', '本', '¥']);
                    bytes.extend(&*charset.encode(wide.encode_utf8(&mut [0; 4])).0);
                }
            }
        }
        if self.one_in(3) {
            bytes.pop();
        }
        let rest = bytes.split_off(self.rng.usize(..=bytes.len()));
        steps.push(self.told(Act::Write(bytes)));
        if let Some(mut limit) = self.setup.flush_after {
            if limit > TICK && self.rng.bool() {
                // More of it does not make it wait longer.
                steps.push(self.told(Act::Pass(TICK)));
                steps.push(self.told(Act::Write(b"x".to_vec())));
                limit -= TICK;
            }
            steps.push(self.told(Act::Pass(limit)));
        }
        let end: &[u8] = pick(&mut self.rng, &[b"\n", b"\r\n", b""]);
        steps.push(self.told(Act::Write([&rest, end].concat())));
    }

    /// A line that fills socket and queue of a client that does not read, to the byte or nearly.
    pub fn brim(&mut self, queue: usize) -> [Step; 2] {
        let room = self.setup.client_room + queue + self.rng.usize(..3);
        // The frame's header, and one less than what fits.
        let len = room.saturating_sub(2 + 1).min(self.setup.rules.max_line).min(125);
        let mut line: Vec<u8> = (0..len).map(|_| self.rng.alphanumeric() as u8).collect();
        line.push(b'\n');
        [self.told(Act::Stall(Side::Client)), self.told(Act::Write(line))]
    }

    /// Much at once, one way or the other, and perhaps an end.
    pub fn torrent(&mut self, steps: &mut Vec<Step>) {
        if self.one_in(3) {
            let side = self.side();
            steps.push(self.told(Act::Stall(side)));
        }
        if self.rng.bool() {
            let mut bytes = Vec::new();
            for _ in 0..self.rng.usize(8..40) {
                bytes.extend(self.lines());
            }
            steps.push(self.told(Act::Write(bytes)));
        } else {
            let held = Step { act: Act::Hold(Side::Client), settles: false, chunk: usize::MAX };
            steps.push(held);
            for _ in 0..self.rng.usize(8..40) {
                let act = self.say();
                steps.push(Step { act, settles: false, chunk: usize::MAX });
            }
            steps.push(self.told(Act::Release(Side::Client)));
        }
        if self.rng.bool() {
            let act = self.end();
            steps.push(self.told(act));
        }
    }

    /// An end, while a peer takes a little now and then, and everything at last.
    pub fn trickle(&mut self, steps: &mut Vec<Step>) {
        let side = self.side();
        steps.push(self.told(Act::Stall(side)));
        for _ in 0..self.rng.usize(1..4) {
            let act = if side == Side::Client { Act::Write(self.lines()) } else { self.say() };
            steps.push(self.told(act));
        }
        let act = self.end();
        steps.push(self.told(act));
        let patience = match (side, self.setup.write_timeout) {
            (Side::Client, Some(limit)) if self.one_in(2) => limit,
            _ => self.setup.close_timeout,
        };
        let pause = patience / 2 / TICK * TICK;
        for _ in 0..self.rng.usize(1..8) {
            let takes = Act::Take(side, self.rng.usize(1..=16_384));
            steps.push(self.told(takes));
            steps.push(self.told(Act::Pass(pause.max(TICK))));
        }
        steps.push(self.told(Act::Resume(side)));
    }
}
