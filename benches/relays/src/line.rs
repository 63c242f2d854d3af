//! Numbered lines: each says who sent it and where in its row it stands, and is full of bytes that depend on that. Lines
//! too short to say it consist of such bytes alone.

use memchr::{memchr, memchr_iter};

/// Every session's first line. It is answered by the backend, through the relay: then the session counts as open.
pub const HELLO: &[u8] = b"hello";

/// `SSSSSSSS NNNNNNNN `: sender and number in hexadecimal.
const HEAD: usize = 18;

/// A prime, so that the filler of neighbouring lines never agrees by the size of some buffer.
const SHIFTS: usize = 97;

const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyz0123456789+-ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Makes lines of one length, and tells them from anything else.
pub struct Lines {
    pattern: Vec<u8>,
    len: usize,
}

impl Lines {
    /// Lines of `len` bytes, end of line not counted.
    pub fn new(len: usize) -> Self {
        // Steps that grow: no two shifts of the pattern look alike.
        let pattern = (0..len + SHIFTS).map(|at| LETTERS[(at * at / 7 + at) % LETTERS.len()]);
        Lines { pattern: pattern.collect(), len }
    }

    fn filler(&self, sender: u32, number: u32) -> &[u8] {
        let shift = (sender as usize * 31 + number as usize) % SHIFTS;
        &self.pattern[shift..shift + self.len - HEAD]
    }

    /// Whether the head does not fit: only who knows which line is due can tell whether it is that one.
    pub fn are_short(&self) -> bool {
        self.len < HEAD
    }

    /// Whether `line`, a short one, is line `number` of `sender`. Another of its row may look the same, so it is the row
    /// that proves that none is missing: soon after a gap, lines are not those that are due.
    pub fn is_short(&self, line: &[u8], sender: u32, number: u32) -> bool {
        line.len() == self.len && line.iter().copied().eq(letters(sender, number).take(self.len))
    }

    /// Appends line `number` of `sender`, without its end of line.
    pub fn write(&self, sender: u32, number: u32, out: &mut Vec<u8>) {
        if self.are_short() {
            return out.extend(letters(sender, number).take(self.len));
        }
        put_hex(sender, out);
        out.push(b' ');
        put_hex(number, out);
        out.push(b' ');
        out.extend_from_slice(self.filler(sender, number));
    }

    /// Sender and number of a line that is exactly as `write` made it, and not short.
    pub fn check(&self, line: &[u8]) -> Option<(u32, u32)> {
        if self.are_short() || line.len() != self.len || line[8] != b' ' || line[17] != b' ' {
            return None;
        }
        let (sender, number) = (take_hex(&line[..8])?, take_hex(&line[9..17])?);
        (&line[HEAD..] == self.filler(sender, number)).then_some((sender, number))
    }
}

/// Letters without end, that no other line shares but by chance: SplitMix64, begun at a place of the line's own.
fn letters(sender: u32, number: u32) -> impl Iterator<Item = u8> {
    let place = u64::from(sender) << 32 | u64::from(number);
    (1..).map(move |step: u64| {
        let mut mixed = place
            .wrapping_mul(0xd134_2543_de82_ef95)
            .wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        LETTERS[(mixed >> 58) as usize]
    })
}

/// Appends eight hexadecimal digits.
pub fn put_hex(value: u32, out: &mut Vec<u8>) {
    let digit = |shift: u32| b"0123456789abcdef"[(value >> shift & 15) as usize];
    out.extend_from_slice(&[28, 24, 20, 16, 12, 8, 4, 0].map(digit));
}

/// The value of eight hexadecimal digits, as `put_hex` writes them.
pub fn take_hex(text: &[u8]) -> Option<u32> {
    if text.len() != 8 {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u32::from(digit))
    })
}

/// Calls `on_line` for each line that `data` completes; what is left waits in `partial`.
pub fn split(partial: &mut Vec<u8>, mut data: &[u8], on_line: &mut impl FnMut(&[u8])) {
    if !partial.is_empty() {
        let Some(end) = memchr(b'\n', data) else { return partial.extend_from_slice(data) };
        partial.extend_from_slice(&data[..end]);
        on_line(partial);
        partial.clear();
        data = &data[end + 1..];
    }
    let mut start = 0;
    for end in memchr_iter(b'\n', data) {
        on_line(&data[start..end]);
        start = end + 1;
    }
    partial.extend_from_slice(&data[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_line_passes() {
        let lines = Lines::new(64);
        let mut line = Vec::new();
        lines.write(7, 4_000_000_000, &mut line);
        assert_eq!(line.len(), 64);
        assert_eq!(lines.check(&line), Some((7, 4_000_000_000)));
        for at in 0..line.len() {
            let mut changed = line.clone();
            changed[at] ^= 1;
            assert_ne!(lines.check(&changed), Some((7, 4_000_000_000)), "byte {at}");
        }
        assert_eq!(lines.check(&line[..63]), None);
    }

    #[test]
    fn halves_of_two_lines_do_not_make_a_third() {
        let lines = Lines::new(4096);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        lines.write(0, 1, &mut first);
        lines.write(0, 2, &mut second);
        first[2048..].copy_from_slice(&second[2048..]);
        assert_eq!(lines.check(&first), None);
    }

    #[test]
    fn a_row_of_short_lines_shows_every_gap() {
        for len in [1, 4, 16, HEAD - 1] {
            let lines = Lines::new(len);
            let mut line = Vec::new();
            let row: Vec<Vec<u8>> = (0..1000)
                .map(|number| {
                    line.clear();
                    lines.write(3, number, &mut line);
                    line.clone()
                })
                .collect();
            let agree = |sender, shift| {
                let due = (shift..).zip(&row);
                due.filter(|(number, line)| lines.is_short(line, sender, *number)).count()
            };
            assert_eq!(agree(3, 0), row.len());
            for shift in 1..100 {
                assert!(agree(3, shift) < 50, "{len} bytes, {shift} lines lost");
            }
            assert!(agree(4, 0) < 50, "another's lines");
            assert_eq!(lines.check(&row[0]), None);
        }
    }

    #[test]
    fn lines_are_the_same_wherever_reads_cut_them() {
        let text = b"one\n\nthree\r\nfour\nrest";
        for cut in 0..=text.len() {
            let (mut partial, mut seen) = (Vec::new(), Vec::new());
            for part in [&text[..cut], &text[cut..]] {
                split(&mut partial, part, &mut |line| seen.push(line.to_vec()));
            }
            assert_eq!(seen, [&b"one"[..], b"", b"three\r", b"four"], "cut at {cut}");
            assert_eq!(partial, b"rest");
        }
    }
}
