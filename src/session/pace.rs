//! Pace: lines that wait for their time, as `--rate` lets through only so many. Pure: it is given the time.

use std::time::Instant;

use memchr::memchr;

use super::outgoing::compact;
use crate::rate::Rate;

/// Encoded lines on their way to what waits for the backend. Each goes as a whole; none is lost.
#[derive(Debug)]
pub struct Pace {
    /// `None` once the rate is lifted.
    rate: Option<Rate>,
    /// The byte that ends a line.
    end: u8,
    /// The moment that stands for the lines that have left.
    moment: Option<Instant>,
    waiting: Vec<u8>,
    /// How much of `waiting` has left already.
    sent: usize,
    /// When the next line may leave; `None` if none waits.
    next: Option<Instant>,
    /// What comes behind the last line, and does not wait any longer.
    last: Vec<u8>,
}

impl Pace {
    /// Lets lines through at this rate. Each of them ends with the byte `end`, which is nowhere inside.
    pub fn new(rate: Rate, end: u8) -> Self {
        Pace {
            rate: Some(rate),
            end,
            moment: None,
            waiting: Vec::new(),
            sent: 0,
            next: None,
            last: Vec::new(),
        }
    }

    /// Keeps `lines` until all that waits has left.
    pub fn end_with(&mut self, lines: Vec<u8>) {
        self.last = lines;
    }

    /// What was kept, if nothing waits any more.
    pub fn take_last(&mut self) -> Vec<u8> {
        if self.len() > 0 { Vec::new() } else { std::mem::take(&mut self.last) }
    }

    /// The buffer to append lines to.
    pub fn buf(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.waiting.len() - self.sent
    }

    /// When the next of the lines that wait may leave, as far as [`take_due`](Self::take_due) has looked.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Lets all lines through from now on.
    pub fn lift(&mut self) {
        self.rate = None;
    }

    /// Moves the lines that may leave at `now` to `out`, and returns how many.
    pub fn take_due(&mut self, now: Instant, out: &mut Vec<u8>) -> u64 {
        let (start, mut lines) = (self.sent, 0);
        self.next = None;
        while self.sent < self.waiting.len() {
            if let Some(rate) = self.rate {
                match rate.next(self.moment, now) {
                    Ok(moment) => self.moment = Some(moment),
                    Err(wait) => {
                        self.next = Some(now + wait);
                        break;
                    }
                }
            }
            let rest = &self.waiting[self.sent..];
            self.sent += memchr(self.end, rest).map_or(rest.len(), |at| at + 1);
            lines += 1;
        }
        out.extend_from_slice(&self.waiting[start..self.sent]);
        drop(compact(&mut self.waiting, &mut self.sent));
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pace(rate: &str) -> Pace {
        Pace::new(Rate::parse(rate).unwrap(), b'\n')
    }

    /// What leaves at each of these times, in milliseconds, of lines that all came at 0.
    #[test]
    fn a_burst_leaves_at_once_and_the_rest_in_time() {
        for (rate, lines, at, want, next) in [
            (
                "10/s:2",
                "a\nb\nc\nd\n",
                &[0, 99, 100, 300][..],
                &["a\nb\n", "", "c\n", "d\n"][..],
                None,
            ),
            ("10/s:2", "a\nb\nc\nd\n", &[0, 350], &["a\nb\n", "c\nd\n"], None),
            ("10/s:1", "\n\n\n\n", &[0, 100, 250], &["\n", "\n", "\n"], Some(350)),
            ("1/m:1", "a\nb\n", &[0, 59_999, 60_000], &["a\n", "", "b\n"], None),
            ("10/s", "one line only\n", &[0, 1000], &["one line only\n", ""], None),
            ("10/s:3", "a\nb\nc\nd\ne\n", &[0], &["a\nb\nc\n"], Some(100)),
            ("10/s:3", "", &[0, 5], &["", ""], None),
        ] {
            let (mut pace, start) = (pace(rate), Instant::now());
            pace.buf().extend_from_slice(lines.as_bytes());
            let ms = |at: u64| start + Duration::from_millis(at);
            let mut left = 0;
            for (at, want) in at.iter().zip(want) {
                let mut out = b"before ".to_vec();
                let count = pace.take_due(ms(*at), &mut out);
                left += want.len();
                assert_eq!(out, format!("before {want}").into_bytes(), "{rate} at {at} ms");
                assert_eq!(count, want.matches('\n').count() as u64);
                assert_eq!(pace.len(), lines.len() - left);
            }
            assert_eq!(pace.next(), next.map(ms), "{rate}");
        }
    }

    #[test]
    fn lines_that_come_later_wait_behind_the_others() {
        let (mut pace, start, mut out) = (pace("10/s:1"), Instant::now(), Vec::new());
        for n in 0..50 {
            pace.buf().extend_from_slice(format!("{n}\n").as_bytes());
            pace.take_due(start, &mut out);
        }
        assert_eq!(out, b"0\n");
        pace.take_due(start + Duration::from_millis(100), &mut out);
        assert_eq!(out, b"0\n1\n");
        pace.lift();
        assert_eq!(pace.take_due(start + Duration::from_millis(100), &mut out), 48);
        let all: String = (0..50).map(|n| format!("{n}\n")).collect();
        assert_eq!(out, all.as_bytes());
        assert_eq!((pace.len(), pace.next()), (0, None));
        pace.buf().extend_from_slice(b"later\n");
        assert_eq!(pace.take_due(start, &mut out), 1);
    }

    /// Whatever was written, a session whose lines have left holds nothing.
    #[test]
    fn nothing_is_kept_of_lines_that_have_left() {
        let (mut pace, start) = (pace("1000/s:1000"), Instant::now());
        for n in 0..1000_u64 {
            let line = vec![b'x'; 1000 + n as usize];
            pace.buf().extend([&line[..], b"\n"].concat());
            let mut out = Vec::new();
            pace.take_due(start + Duration::from_millis(n), &mut out);
            assert_eq!(out.len(), line.len() + 1);
            assert_eq!(pace.waiting.capacity(), 0);
        }
        pace.buf().extend(b"x\n".repeat(100_000));
        for n in 1000..100_000_u64 {
            pace.take_due(start + Duration::from_millis(n), &mut Vec::new());
            assert!(pace.waiting.capacity() <= 4 * pace.len().max(1) + 2, "{}", pace.len());
        }
    }
}
