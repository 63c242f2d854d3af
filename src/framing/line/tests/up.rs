//! Messages to the backend's bytes.

use super::NO_LIMIT;
use crate::framing::LineRules;
use crate::framing::line::reference::rules;
use crate::framing::{Eol, Framing, FramingError, Newlines, Payload};

#[track_caller]
fn encodes(
    eol: Eol,
    newlines: Newlines,
    message: &str,
    expected: Result<(&str, u64), FramingError>,
) {
    let mut rules = rules("utf-8", 8);
    (rules.eol, rules.newlines) = (eol, newlines);
    for message in [Payload::Text(message), Payload::Binary(message.as_bytes())] {
        let mut out = b"before|".to_vec();
        let lines = Framing::Lines(rules.clone()).encoder().encode(message, &mut out);
        let written = String::from_utf8_lossy(&out[7..]);
        let context = format!("{message:?} {eol:?} {newlines:?}");
        assert_eq!(lines, expected.map(|(_, lines)| lines), "{context}");
        assert_eq!(written, expected.map_or("", |(bytes, _)| bytes), "{context}");
    }
}

#[test]
fn messages_become_lines() {
    use Newlines::{Reject, Space, Split};
    for newlines in [Split, Space, Reject] {
        for (message, lf, crlf) in [
            ("a", "a\n", "a\r\n"),
            ("", "\n", "\r\n"),
            ("a\n", "a\n", "a\r\n"),
            ("a\r\n", "a\r\n", "a\r\n"),
            ("\n", "\n", "\r\n"),
            ("\r\n", "\r\n", "\r\n"),
            ("a\rb", "a\rb\n", "a\rb\r\n"),
            ("a\r", "a\n", "a\r\n"),
            ("\r", "\n", "\r\n"),
            ("a\r\r", "a\r\n", "a\r\r\n"),
            ("a\r\r\n", "a\r\r\n", "a\r\r\n"),
            ("12345678\r", "12345678\n", "12345678\r\n"),
            ("12345678\r\n", "12345678\r\n", "12345678\r\n"),
        ] {
            encodes(Eol::Lf, newlines, message, Ok((lf, 1)));
            encodes(Eol::CrLf, newlines, message, Ok((crlf, 1)));
        }
    }
    for (message, lines, lf, crlf, space) in [
        ("a\nb", 2, "a\nb\n", "a\r\nb\r\n", "a b"),
        ("a\r\nb\n", 2, "a\r\nb\n", "a\r\nb\r\n", "a b"),
        ("a\nb\r", 2, "a\nb\n", "a\r\nb\r\n", "a b"),
        ("a\n\r", 2, "a\n\n", "a\r\n\r\n", "a "),
        ("\n\n", 2, "\n\n", "\r\n\r\n", " "),
        ("a\r\r\nb\rc", 2, "a\r\r\nb\rc\n", "a\r\r\nb\rc\r\n", "a\r b\rc"),
        ("\na\n\r\nb", 4, "\na\n\r\nb\n", "\r\na\r\n\r\nb\r\n", " a  b"),
    ] {
        encodes(Eol::Lf, Split, message, Ok((lf, lines)));
        encodes(Eol::CrLf, Split, message, Ok((crlf, lines)));
        let own_eol = if message.ends_with("\r\n") { "\r\n" } else { "\n" };
        encodes(Eol::Lf, Space, message, Ok((&format!("{space}{own_eol}"), 1)));
        encodes(Eol::CrLf, Space, message, Ok((&format!("{space}\r\n"), 1)));
        encodes(Eol::Lf, Reject, message, Err(FramingError::NewlineInMessage));
        encodes(Eol::CrLf, Reject, message, Err(FramingError::NewlineInMessage));
    }
    for message in [
        "123456789",
        "123456789\n",
        "1234567\n\n\n",
        "123456789\r",
        "12345678\r\r",
        "1234567\u{e9}",
    ] {
        for newlines in [Split, Space, Reject] {
            encodes(Eol::Lf, newlines, message, Err(FramingError::MessageTooLong { limit: 8 }));
        }
    }
}

/// A carriage return inside a message belongs to its end of line, and not to the text whose state (here: Roman, for the
/// yen sign) is left before it.
#[test]
fn no_escape_sequence_comes_between_cr_and_lf() {
    for (eol, expected) in [
        (Eol::Lf, &b"\x1b(J\\\x1b(B\r\n\x1b(J\\\x1b(B\n"[..]),
        (Eol::CrLf, b"\x1b(J\\\x1b(B\r\n\x1b(J\\\x1b(B\r\n"),
    ] {
        let rules = LineRules { eol, ..rules("iso-2022-jp", NO_LIMIT) };
        let mut out = Vec::new();
        let lines =
            Framing::Lines(rules).encoder().encode(Payload::Text("\u{a5}\r\n\u{a5}"), &mut out);
        assert_eq!((lines, out.as_slice()), (Ok(2), expected));
    }
}

#[test]
fn text_is_encoded_and_bytes_are_not() {
    let message = "\u{65e5}\n\u{672c}\u{1f600}\r\n";
    for (label, expected) in [
        ("shift_jis", &b"\x93\xfa\n\x96{?\r\n"[..]),
        ("iso-2022-jp", b"\x1b$BF|\x1b(B\n\x1b$BK\\\x1b(B?\r\n"),
    ] {
        let mut encoder = Framing::Lines(rules(label, NO_LIMIT)).encoder();
        let mut out = Vec::new();
        assert_eq!(encoder.encode(Payload::Text(message), &mut out), Ok(2));
        assert_eq!(out, expected, "{label}");
        assert_eq!(encoder.replaced(), 1);
        out.clear();
        assert_eq!(encoder.encode(Payload::Binary(b"\xe6\x97\n\xff"), &mut out), Ok(2));
        assert_eq!(out, b"\xe6\x97\n\xff\n");
        assert_eq!(encoder.replaced(), 1);
    }
}
