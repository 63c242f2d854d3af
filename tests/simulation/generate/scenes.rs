//! Scenes: steps that belong together.

use super::Teller;
use crate::spec::Message;
use crate::story::{Act, Side, Step, TICK};

impl Teller {
    /// Many small messages at once.
    pub fn burst(&mut self, steps: &mut Vec<Step>) {
        for _ in 0..self.rng.usize(60..140) {
            let len = self.rng.usize(..4);
            let text: String = (0..len).map(|_| self.rng.alphanumeric()).collect();
            let act = Act::Say { message: Message::Text(text), cuts: Vec::new(), ping: false };
            steps.push(Step { act, settles: false, chunk: usize::MAX });
        }
    }

    /// Much at once, one way or the other, and perhaps an end.
    pub fn torrent(&mut self, steps: &mut Vec<Step>) {
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
