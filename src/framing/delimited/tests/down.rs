//! The backend's bytes to messages: each row is run with its input cut at every byte, and at every two.

use super::reference::{Outcome, decode, joined_ends, line_rules, rules};
use crate::framing::{Eol, Framing, FramingError, LineRules};

/// Runs `check` with the input whole, cut once anywhere, cut twice anywhere, and byte by byte.
fn cut_everywhere(input: &[u8], mut check: impl FnMut(&[&[u8]])) {
    check(&[input]);
    check(&input.chunks(1).collect::<Vec<_>>());
    for first in 0..=input.len() {
        let (head, tail) = input.split_at(first);
        check(&[head, tail]);
        for second in 0..=tail.len() {
            let (middle, end) = tail.split_at(second);
            check(&[head, middle, b"", end]);
        }
    }
}

#[track_caller]
fn lines_are(framing: &Framing, input: &[u8], messages: &[&[u8]], replaced: u64) {
    let messages: Vec<_> = messages.iter().map(|message| message.to_vec()).collect();
    let expected = Outcome { messages, error: None, replaced };
    assert_eq!(decode(framing, [input]), expected, "{}", input.escape_ascii());
    let LineRules { eol, keep_eol, .. } = *line_rules(framing);
    cut_everywhere(input, |reads| {
        let mut outcome = decode(framing, reads.iter().copied());
        if keep_eol {
            assert_eq!(outcome.messages.concat(), expected.messages.concat(), "{reads:x?}");
            outcome.messages = joined_ends(eol, outcome.messages);
        }
        assert_eq!(outcome, expected, "{reads:x?}");
    });
}

type Row = (&'static [u8], &'static [&'static [u8]]);

#[test]
fn a_lone_carriage_return_ends_a_line_too() {
    let framing = Framing::Lines(rules(Eol::Cr, false, "utf-8"));
    let table: &[Row] = &[
        (b"", &[]),
        (b"1.25\r", &[b"1.25"]),
        (b"a\rb\rc", &[b"a", b"b", b"c"]),
        (b"\r", &[b""]),
        (b"\r\r", &[b"", b""]),
        (b"\n\n", &[b"", b""]),
        (b"\r\n", &[b""]),
        (b"\n\r", &[b""]),
        (b"a\r\nb\n\rc\nd\re\r\r\n", &[b"a", b"b", b"c", b"d", b"e", b""]),
        (b"a\r\n\rb\n\r\nc", &[b"a", b"", b"b", b"", b"c"]),
        (b"a\n\n\r\r\n", &[b"a", b"", b""]),
        (b"a\0b\x0b\r", &[b"a\0b\x0b"]),
    ];
    for (input, messages) in table {
        lines_are(&framing, input, messages, 0);
    }
}

#[test]
fn only_nul_ends_a_line() {
    let framing = Framing::Lines(rules(Eol::Nul, false, "utf-8"));
    let table: &[Row] = &[
        (b"", &[]),
        (b"\0", &[b""]),
        (b"\0\0", &[b"", b""]),
        (b"<a/>\0<b>\r\n</b>\n\0", &[b"<a/>", b"<b>\r\n</b>\n"]),
        (b"\r\n\0\r", &[b"\r\n", b"\r"]),
        (b"a\nb", &[b"a\nb"]),
    ];
    for (input, messages) in table {
        lines_are(&framing, input, messages, 0);
    }
}

#[test]
fn messages_keep_the_end_they_came_with() {
    type Row = (Eol, &'static [u8], &'static [&'static [u8]]);
    let table: &[Row] = &[
        (Eol::Lf, b"", &[]),
        (Eol::Lf, b"a\nb\r\nc\n\rd", &[b"a\n", b"b\r\n", b"c\n\r", b"d"]),
        (Eol::CrLf, b"a\nb\r\nc\n\rd", &[b"a\n", b"b\r\n", b"c\n\r", b"d"]),
        (Eol::Lf, b"\n\n\r\n", &[b"\n", b"\n\r", b"\n"]),
        (Eol::Lf, b"\n\r\n", &[b"\n\r", b"\n"]),
        // A carriage return behind a whole end, as of a progress bar, is the next line's.
        (Eol::Lf, b"a\r\n\r10%\r20%\r\n", &[b"a\r\n", b"\r10%\r20%\r\n"]),
        (Eol::Lf, b"a\r\r\nb\r\r", &[b"a\r\r\n", b"b\r\r"]),
        (Eol::Lf, b"\r", &[b"\r"]),
        (Eol::Lf, b"a\n\r", &[b"a\n\r"]),
        (Eol::Cr, b"a\rb\nc\r\nd\n\re", &[b"a\r", b"b\n", b"c\r\n", b"d\n\r", b"e"]),
        (Eol::Cr, b"\r\r\n\n", &[b"\r", b"\r\n", b"\n"]),
        (Eol::Cr, b"a\n\r\nb", &[b"a\n\r", b"\n", b"b"]),
        (Eol::Cr, b"a\r\n\r\nb\r", &[b"a\r\n", b"\r\n", b"b\r"]),
        (Eol::Nul, b"a\n\0b\0\r\n", &[b"a\n\0", b"b\0", b"\r\n"]),
    ];
    for (eol, input, messages) in table {
        lines_are(&Framing::Lines(rules(*eol, true, "utf-8")), input, messages, 0);
        lines_are(&Framing::BinaryLines(rules(*eol, true, "utf-8")), input, messages, 0);
        lines_are(&Framing::Lines(rules(*eol, true, "iso-2022-jp")), input, messages, 0);
    }
}

#[test]
fn binary_lines_are_the_bytes_that_the_backend_sent() {
    let every: Vec<u8> = (1..=u8::MAX).filter(|byte| !b"\r\n".contains(byte)).collect();
    for label in ["utf-8", "koi8-r"] {
        let framing = Framing::BinaryLines(rules(Eol::CrLf, false, label));
        lines_are(&framing, b"a\r\nb\n\rc\n\nd\r\r\n", &[b"a", b"b", b"c", b"", b"d"], 0);
        lines_are(
            &framing,
            b"caf\xe9\r\n\xe2\x82\n\r\xff\0\xff",
            &[b"caf\xe9", b"\xe2\x82", b"\xff\0\xff"],
            0,
        );
        lines_are(&framing, b"\ra\rb\r\n\r", &[b"a\rb"], 0);
        let line = [&every[..], b"\r\n"].concat();
        assert_eq!(decode(&framing, line.chunks(3)).messages, [&every[..]]);
    }
}

#[test]
fn text_is_in_the_charset() {
    type Row = (Eol, bool, &'static str, &'static [u8], &'static [&'static str], u64);
    let table: &[Row] = &[
        (Eol::Cr, false, "windows-1252", b"\xe9\r\x80\n", &["\u{e9}", "\u{20ac}"], 0),
        (
            Eol::Cr,
            false,
            "utf-8",
            b"\xc3\r\xa9\n\xe2\x82",
            &["\u{fffd}", "\u{fffd}", "\u{fffd}"],
            3,
        ),
        (
            Eol::Nul,
            false,
            "shift_jis",
            b"\x93\xfa\x83\\\0\x93\0",
            &["\u{65e5}\u{30bd}", "\u{fffd}"],
            1,
        ),
        (
            Eol::Lf,
            true,
            "shift_jis",
            b"\x93\xfa\n\r\x83\\\r\n",
            &["\u{65e5}\n\r", "\u{30bd}\r\n"],
            0,
        ),
        // Each line begins in ASCII, and its end is no text.
        (Eol::Lf, true, "iso-2022-jp", b"\x1b$BF|\r\nab\n", &["\u{65e5}\r\n", "ab\n"], 0),
        (Eol::Cr, false, "iso-2022-jp", b"\x1b$BF|\rab\n", &["\u{65e5}", "ab"], 0),
        (Eol::Lf, true, "utf-8", b"\xf0\x9f\x98\n\rx", &["\u{fffd}\n\r", "x"], 1),
    ];
    for (eol, keep, label, input, messages, replaced) in table {
        let messages: Vec<_> = messages.iter().map(|text| text.as_bytes()).collect();
        lines_are(&Framing::Lines(rules(*eol, *keep, label)), input, &messages, *replaced);
    }
}

#[test]
fn a_line_is_utf8_or_the_fallbacks() {
    type Row = (&'static str, &'static [u8], &'static [&'static str], u64);
    let table: &[Row] = &[
        ("windows-1252", b"caf\xc3\xa9\r\ncaf\xe9\n", &["caf\u{e9}", "caf\u{e9}"], 0),
        // All of a line is of one charset.
        ("windows-1252", b"\xc3\xa9 \xe9\n", &["\u{c3}\u{a9} \u{e9}"], 0),
        ("windows-1252", b"\xe2\x82\n\xe2\x82\xac", &["\u{e2}\u{201a}", "\u{20ac}"], 0),
        ("windows-1252", b"\xf0\x9f\x98", &["\u{f0}\u{178}\u{2dc}"], 0),
        ("koi8-r", b"\xf0\xd2\xc9\n\xd0\xbf\n", &["\u{41f}\u{440}\u{438}", "\u{43f}"], 0),
        ("shift_jis", b"\x93\xfa\n\x93\n", &["\u{65e5}", "\u{fffd}"], 1),
        ("windows-1252", b"\r\xe9\r\n\r", &["\u{e9}"], 0),
        ("windows-1252", b"\xef\xbf\xbd\n", &["\u{fffd}"], 0),
    ];
    for (label, input, messages, replaced) in table {
        let messages: Vec<_> = messages.iter().map(|text| text.as_bytes()).collect();
        let fallback = Some(super::reference::charset(label));
        let framing = Framing::Lines(LineRules { fallback, ..rules(Eol::Lf, false, "utf-8") });
        lines_are(&framing, input, &messages, *replaced);
    }
}

#[test]
fn the_limit_is_of_a_line_without_its_end() {
    type Row = (Eol, bool, &'static [u8], &'static [&'static [u8]], bool);
    let table: &[Row] = &[
        (Eol::Cr, false, b"abcd\r\nabcde", &[b"abcd"], true),
        (Eol::Cr, false, b"abcd\rabcde\r", &[b"abcd"], true),
        (Eol::Nul, false, b"ab\r\n\0ab\r\n\n\0", &[b"ab\r\n"], true),
        (Eol::Lf, true, b"abcd\r\nabcd\n\rabcd\n", &[b"abcd\r\n", b"abcd\n\r", b"abcd\n"], false),
        (Eol::Lf, true, b"abc\r\r\nabcd\r\r\n", &[b"abc\r\r\n"], true),
        (Eol::Lf, true, b"abcd\r", &[b"abcd\r"], false),
        (Eol::Lf, true, b"abcd\r\r", &[], true),
        (Eol::Lf, true, b"a\n\r\rabc\n", &[b"a\n\r", b"\rabc\n"], false),
        (Eol::Lf, true, b"a\n\r\rabcd\n", &[b"a\n\r"], true),
        (Eol::Cr, true, b"abcd\r\nabcde", &[b"abcd\r\n"], true),
    ];
    for (eol, keep, input, messages, is_too_long) in table {
        let base = LineRules { max_line: 4, ..rules(*eol, *keep, "utf-8") };
        for framing in [Framing::Lines(base.clone()), Framing::BinaryLines(base.clone())] {
            if matches!(&framing, Framing::Lines(rules) if rules.are_plain()) {
                continue;
            }
            cut_everywhere(input, |reads| {
                let outcome = decode(&framing, reads.iter().copied());
                let mut given = joined_ends(*eol, outcome.messages);
                // The second byte of an end that came later is in the line that is too long.
                if let (true, Some(last), Some(want)) =
                    (*is_too_long && *keep, given.last_mut(), messages.last())
                    && want.starts_with(last)
                {
                    *last = want.to_vec();
                }
                assert_eq!(given, *messages, "{eol:?} {keep} {reads:x?}");
                let error = is_too_long.then_some(FramingError::LineTooLong { limit: 4 });
                assert_eq!(outcome.error, error, "{eol:?} {keep} {reads:x?}");
            });
        }
    }
}

/// However many carriage returns come, they take no memory where they are dropped.
#[test]
fn endless_carriage_returns_take_no_memory() {
    let framing = Framing::BinaryLines(LineRules { max_line: 4, ..rules(Eol::Lf, false, "utf-8") });
    let mut decoder = framing.decoder();
    for _ in 0..1000 {
        for chunk in [&b"\r\r"[..], b"a", &[b'\r'; 65536]] {
            assert_eq!(decoder.push(chunk).next(), Ok(None));
        }
        let crate::framing::Decoder::Delimited(inner) = &decoder else {
            unreachable!("binary lines")
        };
        let held = inner.unfinished.as_ref().map(|line| format!("{:?}", line.content).len());
        assert!(held < Some(100), "{held:?}");
        let (given, error) = super::reference::push(&framing, &mut decoder, b"\n");
        assert_eq!((given, error), (vec![b"a".to_vec()], None));
    }
}

/// Were each piece to look at all before it, this would take hours.
#[test]
fn a_long_line_in_small_pieces_takes_linear_time() {
    let fallback = Some(super::reference::charset("koi8-r"));
    let either = LineRules { fallback, ..rules(Eol::Lf, false, "utf-8") };
    for framing in [Framing::Lines(either), Framing::BinaryLines(rules(Eol::Lf, false, "utf-8"))] {
        let mut decoder = framing.decoder();
        for piece in 0..1_000_000 {
            let piece: &[u8] = if piece % 2 == 0 { b"\r" } else { b"x" };
            assert_eq!(decoder.push(piece).next(), Ok(None));
            std::hint::black_box(decoder.has_tail());
        }
        let mut messages = decoder.push(b"\n");
        assert_eq!(messages.next().expect("no limit").expect("a line").len(), 999_999);
    }
}
