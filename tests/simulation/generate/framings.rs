//! Framings: stories of plain lines retold for lines of other kinds.

use super::{Teller, pick};
use crate::spec::{Ends, Message};
use crate::story::{Act, Step};

impl Teller {
    /// Gives one story in three lines of another kind, and puts their ends where newlines were.
    pub fn reframe(&mut self, steps: &mut [Step]) {
        if self.setup.rules.raw || !self.one_in(3) {
            return;
        }
        let ends = [Ends::Newline, Ends::NewlineOrCr, Ends::Nul];
        self.setup.rules.ends = pick(&mut self.rng, &ends);
        // What a stage takes out may have been between the two bytes of an end of line.
        self.setup.rules.keep_eol = self.one_in(3) && !self.setup.stage;
        match self.rng.u32(..3) {
            0 => self.setup.rules.binary_lines = true,
            1 => {
                self.setup.rules.charset = encoding_rs::UTF_8;
                // Of one byte a character: what a flush cuts is clear.
                let fallbacks = [encoding_rs::WINDOWS_1252, encoding_rs::KOI8_R];
                self.setup.rules.fallback = Some(pick(&mut self.rng, &fallbacks));
            }
            _ => {}
        }
        let mut newlines = 0;
        let mut last = 0;
        for step in steps {
            match &mut step.act {
                Act::Say { message: Message::Text(text), .. } => {
                    let end = |c: char| match u8::try_from(c) {
                        Ok(byte) if c.is_ascii() => {
                            char::from(self.replaced_end(byte, &mut newlines))
                        }
                        _ => c,
                    };
                    *text = text.chars().map(end).collect();
                }
                Act::Say { message: Message::Binary(bytes), .. } => {
                    bytes
                        .iter_mut()
                        .for_each(|byte| *byte = self.replaced_end(*byte, &mut newlines));
                }
                Act::Write(bytes) => {
                    for byte in bytes {
                        *byte = self.replaced_end(*byte, &mut newlines);
                        *byte = self.unpaired(last, *byte);
                        last = *byte;
                    }
                }
                _ => {}
            }
        }
    }

    /// What stands in place of a byte of a plain line.
    fn replaced_end(&self, byte: u8, newlines: &mut usize) -> u8 {
        *newlines += usize::from(byte == b'\n');
        match (self.setup.rules.ends, byte) {
            (Ends::Nul, b'\n') => 0,
            (Ends::Nul, 0) => b'\n',
            (Ends::NewlineOrCr, b'\n') if newlines.is_multiple_of(2) => b'\r',
            _ => byte,
        }
    }

    /// The byte, if it is not the second one of an end of line that is kept: which message that is in depends on how
    /// much is read at once.
    fn unpaired(&self, last: u8, byte: u8) -> u8 {
        let is_pair = match self.setup.rules.ends {
            Ends::Newline => (last, byte) == (b'\n', b'\r'),
            Ends::NewlineOrCr => matches!((last, byte), (b'\n', b'\r') | (b'\r', b'\n')),
            Ends::Nul => false,
        };
        if self.setup.rules.keep_eol && is_pair { b'x' } else { byte }
    }
}
