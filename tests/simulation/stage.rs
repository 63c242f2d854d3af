//! Escapes: a stage between the backend and the framing, with the protocol of [`spec::stage`](crate::spec::stage).

use wsrelay::framing::{Mark, Stage};

/// Takes commands out, answers them, and doubles each `#` on the way up.
#[derive(Debug, Default)]
pub struct Escapes {
    is_command: bool,
}

impl Stage for Escapes {
    fn down(&mut self, bytes: &[u8], rest: &mut Vec<u8>, _: &mut Vec<Mark>, answer: &mut Vec<u8>) {
        for byte in bytes {
            match (std::mem::take(&mut self.is_command), byte) {
                (false, b'#') => self.is_command = true,
                (true, byte) if *byte != b'#' => answer.extend([b'#', *byte]),
                (_, byte) => rest.push(*byte),
            }
        }
    }

    fn up(&mut self, out: &mut Vec<u8>, start: usize) {
        let lines = out.split_off(start);
        for byte in lines {
            out.extend(std::iter::repeat_n(byte, if byte == b'#' { 2 } else { 1 }));
        }
    }
}
