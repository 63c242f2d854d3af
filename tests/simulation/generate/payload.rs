//! Payload: what the client's messages and the backend's lines hold.

use super::{Teller, Theme, pick};
use crate::spec::Message;

impl Teller {
    pub fn message(&mut self) -> Message {
        let max = self.setup.rules.max_line;
        let len = match self.rng.u32(..20) {
            0 => max + self.rng.usize(..4),
            1 => max.saturating_sub(self.rng.usize(..3)),
            2 => self.rng.usize(..=max),
            3 => 125 + self.rng.usize(..3),
            _ => self.rng.usize(..30),
        };
        let is_large = match self.theme {
            Theme::Flood => !self.one_in(4),
            theme => theme == Theme::Torrent,
        };
        let len = if is_large { self.rng.usize(..max) } else { len };
        let len = self.spend(len);
        if self.one_in(6) {
            return Message::Binary((0..len).map(|_| self.byte()).collect());
        }
        let mut text = String::new();
        if is_large {
            text.extend((0..len).map(|_| self.rng.alphanumeric()));
        }
        while text.len() < len {
            let room = len - text.len();
            let next = self.character();
            text.push(if next.len_utf8() <= room { next } else { 'x' });
        }
        if self.setup.rules.charset == encoding_rs::ISO_2022_JP && self.one_in(3) {
            // Its state is not that of ASCII before the end of line.
            text.push_str("¥\r\n¥");
        }
        if self.one_in(4) {
            text.push_str(pick(&mut self.rng, &["\n", "\r\n", "\r", "\n\r"]));
        }
        Message::Text(text)
    }

    /// What is left of a length that the story can afford.
    pub fn spend(&mut self, len: usize) -> usize {
        let len = len.min(self.budget);
        self.budget -= len;
        len
    }

    fn character(&mut self) -> char {
        match self.rng.u32(..40) {
            0 => pick(&mut self.rng, &['\n', '\r']),
            1 => pick(
                &mut self.rng,
                &['é', 'ß', 'ž', 'я', '€', '日', '本', '¥', '😀', '\u{feff}', '\u{fffd}'],
            ),
            3 if self.setup.stage => '#',
            2 => pick(&mut self.rng, &['\0', '\x1b', '\x7f', '\\', '~', ' ']),
            _ => self.rng.alphanumeric(),
        }
    }

    pub fn byte(&mut self) -> u8 {
        match self.rng.u32(..20) {
            0 => b'\n',
            1 => b'\r',
            2 => self.rng.u8(..),
            3 if self.setup.stage => b'#',
            _ => self.rng.alphanumeric() as u8,
        }
    }

    /// What the backend sends at once: lines, parts of lines, anything.
    pub fn lines(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.setup.stage && self.one_in(6) {
            // Answers that a backend does not read are bounded too.
            let count = if self.theme == Theme::Flood { 60_000 } else { 40 };
            return b"#7".repeat(self.spend(count));
        }
        let max = self.setup.rules.max_line;
        let count = match self.rng.u32(..10) {
            0 => self.rng.usize(..60),
            _ => self.rng.usize(1..4),
        };
        for _ in 0..count {
            let len = match self.rng.u32(..30) {
                0 => max + self.rng.usize(..3),
                1 => max.saturating_sub(self.rng.usize(..3)),
                2 => 125 + self.rng.usize(..3),
                _ => self.rng.usize(..25),
            };
            let is_large = match self.theme {
                Theme::Flood => !self.one_in(3),
                theme => theme == Theme::Torrent,
            };
            let len = if is_large { self.rng.usize(..=max) } else { len };
            let len = self.spend(len);
            self.line(len, &mut bytes);
            if !self.one_in(8) {
                let ends: [&[u8]; 6] = [b"\n", b"\n", b"\n", b"\r\n", b"\n\r", b"\r\r\n"];
                bytes.extend(pick(&mut self.rng, &ends));
            }
        }
        bytes
    }

    fn line(&mut self, len: usize, bytes: &mut Vec<u8>) {
        let end = bytes.len() + len;
        let is_plain = matches!(self.theme, Theme::Flood | Theme::Torrent);
        if is_plain || self.one_in(2) {
            bytes.resize_with(end, || self.rng.alphanumeric() as u8);
            return;
        }
        while bytes.len() < end {
            let room = end - bytes.len();
            let next = match self.one_in(12) {
                true => vec![self.byte()],
                false => {
                    let text = self.character().to_string();
                    self.setup.rules.charset.encode(&text).0.into_owned()
                }
            };
            match next.len() <= room && next != b"\n" {
                true => bytes.extend(next),
                false => bytes.push(b'x'),
            }
        }
    }
}
