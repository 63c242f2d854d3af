//! The backend's bytes to messages: each table is run with its input cut at every byte, and short ones at every two.

use super::NO_LIMIT;
use crate::framing::FramingError;
use crate::framing::line::reference::{Outcome, decode, rules};

/// Runs `check` with the input whole, cut once anywhere, cut twice anywhere if short, and byte by byte.
fn cut_everywhere(input: &[u8], mut check: impl FnMut(&[&[u8]])) {
    check(&[input]);
    check(&input.chunks(1).collect::<Vec<_>>());
    for first in 0..=input.len() {
        let (head, tail) = input.split_at(first);
        check(&[head, tail]);
        if input.len() <= 40 {
            for second in 0..=tail.len() {
                let (middle, end) = tail.split_at(second);
                check(&[head, middle, end]);
            }
        }
    }
}

#[track_caller]
fn lines_are(label: &str, input: &[u8], messages: &[&str], replaced: u64) {
    let expected = Outcome {
        messages: messages.iter().map(|&text| text.to_owned()).collect(),
        error: None,
        replaced,
    };
    let rules = rules(label, NO_LIMIT);
    cut_everywhere(input, |reads| {
        let outcome = decode(&rules, reads.iter().copied());
        assert_eq!(outcome, expected, "{label}: {}", cuts(reads));
    });
}

fn cuts(reads: &[&[u8]]) -> String {
    let reads: Vec<_> = reads.iter().map(|read| read.escape_ascii().to_string()).collect();
    reads.join(" | ")
}

#[test]
fn every_kind_of_line_end() {
    for (input, messages) in [
        (&b""[..], &[][..]),
        (b"\n", &[""]),
        (b"\r\n", &[""]),
        (b"\n\r", &[""]),
        (b"\r", &[]),
        (b"a\nb\n", &["a", "b"]),
        (b"a\r\nb\r\n", &["a", "b"]),
        (b"a\n\rb\n\r", &["a", "b"]),
        (b"a\r\r\nb\r\r\r\n", &["a", "b"]),
        (b"a\r\n\r\nb\n", &["a", "", "b"]),
        (b"a\n\r\n\rb\n", &["a", "", "b"]),
        (b"a\n\rb\n", &["a", "b"]),
        (b"a\n\n\nb\n", &["a", "", "", "b"]),
        (b"\r\ra\n", &["a"]),
        // A progress bar overwrites its own line.
        (b"10%\r20%\r\r100%\r\n", &["10%\r20%\r\r100%"]),
        // The tail.
        (b"a\nlogin: ", &["a", "login: "]),
        (b"\ra\r", &["a"]),
        (b"a\r\n\r", &["a"]),
        (b"a\rb", &["a\rb"]),
        // What else is not an end of line.
        (b"a\0b\x0b\x0c\x1b[0m\n", &["a\0b\x0b\x0c\x1b[0m"]),
        ("a\u{85}b\u{2028}c\n".as_bytes(), &["a\u{85}b\u{2028}c"]),
    ] {
        lines_are("utf-8", input, messages, 0);
        if input.is_ascii() {
            lines_are("shift_jis", input, messages, 0);
        }
    }
}

#[test]
fn utf8_is_made_valid() {
    for (input, messages, replaced) in [
        (
            "n\u{e9} \u{20ac} \u{1f600}\r\n\u{65e5}".as_bytes(),
            &["n\u{e9} \u{20ac} \u{1f600}", "\u{65e5}"][..],
            0,
        ),
        ("\u{feff}a\n\u{feff}b\n".as_bytes(), &["\u{feff}a", "\u{feff}b"], 0),
        // U+FFFD sent as such is no replacement.
        ("\u{fffd}\n".as_bytes(), &["\u{fffd}"], 0),
        (b"a\xffb\n", &["a\u{fffd}b"], 1),
        (b"\xc3\n\xa9\n", &["\u{fffd}", "\u{fffd}"], 2),
        (b"\xf0\x9f\x98\r\nx", &["\u{fffd}", "x"], 1),
        (b"\xf0\x9f\x98\rx\n", &["\u{fffd}\rx"], 1),
        // Overlong, surrogate, too large: one for each byte.
        (b"\xc0\xaf\xed\xa0\x80\xf5\n", &["\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"], 6),
        (b"\xe2\x82", &["\u{fffd}"], 1),
    ] {
        lines_are("utf-8", input, messages, replaced);
    }
}

#[test]
fn other_charsets_become_utf8() {
    for (label, input, messages, replaced) in [
        ("windows-1252", &b"caf\xe9 \x80\r\n\xff"[..], &["caf\u{e9} \u{20ac}", "\u{ff}"][..], 0),
        ("iso-8859-2", b"\xb1\xea\n", &["\u{105}\u{119}"], 0),
        ("koi8-r", b"\xd0\xd2\xc9\n\xd7\n", &["\u{43f}\u{440}\u{438}", "\u{432}"], 0),
        ("shift_jis", b"\x93\xfa\x96{\r\n\x83\\\n", &["\u{65e5}\u{672c}", "\u{30bd}"], 0),
        ("shift_jis", b"\x93\r\n\x93x\xff\n", &["\u{fffd}", "\u{5ea6}\u{fffd}"], 2),
        ("gb18030", b"\xba\xba\x94\x39\xfc\x36\n\xd7\xd6", &["\u{6c49}\u{1f600}", "\u{5b57}"], 0),
        ("gb18030", b"\x81\x30\n\x81\x30x\n", &["\u{fffd}", "\u{fffd}0x"], 2),
        ("big5", b"\xba\x7e\xa6r\x88\x62\n", &["\u{6f22}\u{5b57}\u{ca}\u{304}"], 0),
        ("euc-kr", b"\xc7\xd1\xb1\xdb\n", &["\u{d55c}\u{ae00}"], 0),
        ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B!\r\nab\n", &["\u{65e5}\u{672c}!", "ab"], 0),
        // Each line begins in ASCII, whatever state the last one ended in.
        ("iso-2022-jp", b"\x1b$BF|\r\nab\n", &["\u{65e5}", "ab"], 0),
        // Carriage returns behind escape sequences are at the ends of the line too.
        ("iso-2022-jp", b"\x1b(B\ra\r\x1b(B\n", &["a"], 0),
        ("iso-2022-jp", b"\x1b(B\n", &[""], 0),
        ("iso-2022-jp", b"\x1b(B", &[], 0),
    ] {
        lines_are(label, input, messages, replaced);
    }
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
    for (input, messages, too_long) in [
        (&b"abcd\nabcd\r\n\rabcd\r\r\nabcd"[..], &["abcd", "abcd", "abcd", "abcd"][..], false),
        (b"abcde\n", &[], true),
        (b"abcde", &[], true),
        (b"a\nb\nabcde\nc\n", &["a", "b"], true),
        // Carriage returns count if they are inside.
        (b"abc\rd\n", &[], true),
        (b"\r\r\r\r\r\r\rab\rd\r\r\r\r\r\r\r\n", &["ab\rd"], false),
        (b"abc\r\r\r\r\r\r\rd", &[], true),
        (b"abcd\r\r\r\r\r\r\r", &["abcd"], false),
        (b"abcd\r\r\r\r\r\r\r\n\r\r\r\r\r\r\n", &["abcd", ""], false),
        // Bytes, not characters, and as the backend sent them.
        ("\u{e9}\u{e9}\n\u{e9}\u{e9}\u{e9}\n".as_bytes(), &["\u{e9}\u{e9}"], true),
        (b"\xff\xff\xff\xff\n", &["\u{fffd}\u{fffd}\u{fffd}\u{fffd}"], false),
    ] {
        let rules = rules("utf-8", 4);
        cut_everywhere(input, |reads| {
            let outcome = decode(&rules, reads.iter().copied());
            assert_eq!(outcome.messages, messages, "{}", cuts(reads));
            let error = too_long.then_some(FramingError::LineTooLong { limit: 4 });
            assert_eq!(outcome.error, error, "{}", cuts(reads));
        });
    }
}
