//! The bytes of a file that a `Range` header asks for (RFC 9110, 14.1.2 and 14.2); pure.
//!
//! Our own parser, as those of http-range-header 0.4 and headers 0.4 break the RFC: both refuse a suffix longer than
//! the file (`-500` of 100 bytes), which must give the whole file.

use std::ops::Range;

/// What to send for a `Range` header.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200: the header is malformed, in another unit, or names several ranges.
    Whole,
    /// These bytes (never none), with 206.
    Part(Range<u64>),
    /// No byte of it: 416.
    Unsatisfiable,
}

/// Applies the value of a `Range` header to a file of `len` bytes.
pub fn select(value: &[u8], len: u64) -> Selection {
    match parse(value) {
        None => Selection::Whole,
        Some(Spec::From(first, _)) if first >= len => Selection::Unsatisfiable,
        Some(Spec::From(first, last)) => Selection::Part(first..last.saturating_add(1).min(len)),
        Some(Spec::Last(0)) => Selection::Unsatisfiable,
        // It is satisfiable by the RFC, but Content-Range can't express it.
        Some(Spec::Last(_)) if len == 0 => Selection::Whole,
        Some(Spec::Last(count)) => Selection::Part(len.saturating_sub(count)..len),
    }
}

enum Spec {
    /// First and last position, both included; no last position is the largest.
    From(u64, u64),
    /// This many bytes at the end.
    Last(u64),
}

fn parse(value: &[u8]) -> Option<Spec> {
    let value = std::str::from_utf8(value).ok()?;
    let (unit, spec) = value.split_once('=')?;
    let (first, last) = spec.split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", last) => Some(Spec::Last(position(last)?)),
        (first, "") => Some(Spec::From(position(first)?, u64::MAX)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(Spec::From(first, last))
        }
    }
}

fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Digits fail to parse only by overflow, and a larger number is beyond the end of any file too.
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Selection::*, select};

    #[test]
    fn every_small_range_is_what_the_rfc_says() {
        for len in 0..6u64 {
            for a in 0..8u64 {
                let suffix = match (a, len) {
                    (0, _) => Unsatisfiable,
                    (_, 0) => Whole,
                    _ => Part(len.saturating_sub(a)..len),
                };
                assert_eq!(select(format!("bytes=-{a}").as_bytes(), len), suffix, "-{a} of {len}");
                let open = if a < len { Part(a..len) } else { Unsatisfiable };
                assert_eq!(select(format!("bytes={a}-").as_bytes(), len), open, "{a}- of {len}");
                for b in 0..8u64 {
                    let closed = match () {
                        _ if a > b => Whole,
                        _ if a >= len => Unsatisfiable,
                        _ => Part(a..len.min(b + 1)),
                    };
                    let got = select(format!("bytes={a}-{b}").as_bytes(), len);
                    assert_eq!(got, closed, "{a}-{b} of {len}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_single_byte_range_selects_the_whole() {
        let odd: &[&[u8]] = &[
            b"",
            b"bytes",
            b"bytes=",
            b"bytes=-",
            b"bytes=a-b",
            b"bytes=1",
            b"bytes=+1-2",
            b"bytes=1-+2",
            b"bytes=--2",
            b"bytes= 0-1",
            b"bytes=0 - 1",
            b"bytes=0-1 ",
            b"bytes=0x0-1",
            b"bytes=0-1,3-4",
            b"bytes=0-1,",
            b"lines=0-1",
            b"0-1",
            b"bytes:0-1",
            b"bytes=0-1-2",
            b"bytes=\xff-1",
            "bytes=٣-٤".as_bytes(),
        ];
        for value in odd {
            assert_eq!(select(value, 10), Whole, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn units_ignore_case_and_huge_numbers_saturate() {
        assert_eq!(select(b"BYTES=0-0", 10), Part(0..1));
        assert_eq!(select(b"bytes=00-003", 10), Part(0..4));
        assert_eq!(select(b"bytes=1-99999999999999999999999", 10), Part(1..10));
        assert_eq!(select(b"bytes=1-18446744073709551615", 10), Part(1..10));
        assert_eq!(select(b"bytes=-99999999999999999999999", 10), Part(0..10));
        assert_eq!(select(b"bytes=99999999999999999999999-", 10), Unsatisfiable);
    }
}
