//! Messages to the backend's bytes.

use super::reference::rules;
use crate::framing::{Encoder, Eol, Framing, FramingError, LineRules, Newlines, Payload};

fn encode(rules: LineRules, message: Payload<'_>) -> Result<(String, u64), FramingError> {
    let mut encoder = Framing::Lines(rules).encoder();
    assert!(matches!(encoder, Encoder::Delimited(_)));
    let mut out = b"before|".to_vec();
    let lines = encoder.encode(message, &mut out);
    let written = String::from_utf8_lossy(&out[7..]).into_owned();
    assert!(lines.is_ok() || written.is_empty(), "{written:?}");
    lines.map(|lines| (written, lines))
}

#[test]
fn messages_become_lines() {
    use Newlines::{Reject, Space, Split};
    // The message; its lines and their number; the same with a space for each end inside. `None`: it has none.
    type Row = (&'static str, &'static str, u64, Option<&'static str>);
    let cr: &[Row] = &[
        ("", "\r", 1, None),
        ("a", "a\r", 1, None),
        ("a\r", "a\r", 1, None),
        ("a\n", "a\r", 1, None),
        ("a\r\n", "a\r", 1, None),
        ("\r", "\r", 1, None),
        ("a\0b", "a\0b\r", 1, None),
        ("a\rb", "a\rb\r", 2, Some("a b\r")),
        ("a\nb\n", "a\rb\r", 2, Some("a b\r")),
        ("a\r\nb\r\n", "a\rb\r", 2, Some("a b\r")),
        ("a\r\r", "a\r\r", 2, Some("a \r")),
        ("a\n\r", "a\r\r", 2, Some("a \r")),
        ("\n\n", "\r\r", 2, Some(" \r")),
        ("a\r\r\nb", "a\r\rb\r", 3, Some("a  b\r")),
    ];
    let nul: &[Row] = &[
        ("", "\0", 1, None),
        ("<a/>", "<a/>\0", 1, None),
        ("<a/>\0", "<a/>\0", 1, None),
        ("a\r\nb\n", "a\r\nb\n\0", 1, None),
        ("\r", "\r\0", 1, None),
        ("a\0b", "a\0b\0", 2, Some("a b\0")),
        ("a\0\0", "a\0\0", 2, Some("a \0")),
        ("a\n\0\n", "a\n\0\n\0", 2, Some("a\n \n\0")),
    ];
    for (eol, table) in [(Eol::Cr, cr), (Eol::Nul, nul)] {
        for &(message, split, lines, space) in table {
            for message in [Payload::Text(message), Payload::Binary(message.as_bytes())] {
                let written = |newlines| {
                    encode(LineRules { newlines, ..rules(eol, false, "utf-8") }, message)
                };
                let context = format!("{eol:?} {message:?}");
                assert_eq!(written(Split), Ok((split.to_owned(), lines)), "{context}");
                let space_want = space.unwrap_or(split).to_owned();
                assert_eq!(written(Space), Ok((space_want, 1)), "{context}");
                let reject_want = match space {
                    Some(_) => Err(FramingError::NewlineInMessage),
                    None => Ok((split.to_owned(), 1)),
                };
                assert_eq!(written(Reject), reject_want, "{context}");
            }
        }
    }
}

#[test]
fn the_limit_leaves_out_one_end_of_line() {
    let limit = FramingError::MessageTooLong { limit: 4 };
    for (eol, message, fits) in [
        (Eol::Cr, "abcd\r\n", true),
        (Eol::Cr, "abcd\r", true),
        (Eol::Cr, "abcd\r\r", false),
        (Eol::Cr, "ab\u{e9}", true),
        (Eol::Cr, "abc\u{e9}", false),
        (Eol::Nul, "abcd\0", true),
        (Eol::Nul, "abcd\n", false),
    ] {
        let rules = LineRules { max_line: 4, ..rules(eol, false, "utf-8") };
        let written = encode(rules, Payload::Text(message));
        assert_eq!(written.err(), (!fits).then_some(limit), "{eol:?} {message:?}");
    }
}

#[test]
fn text_is_encoded_and_bytes_are_not() {
    for (eol, message, expected) in [
        (Eol::Cr, "\u{65e5}\n\u{672c}\u{1f600}\r\n", &b"\x1b$BF|\x1b(B\r\x1b$BK\\\x1b(B?\r"[..]),
        (Eol::Nul, "\u{65e5}\0\u{672c}\u{1f600}\0", b"\x1b$BF|\x1b(B\0\x1b$BK\\\x1b(B?\0"),
    ] {
        let mut encoder = Framing::Lines(rules(eol, false, "iso-2022-jp")).encoder();
        let mut out = Vec::new();
        assert_eq!(encoder.encode(Payload::Text(message), &mut out), Ok(2));
        assert_eq!((&out[..], encoder.replaced()), (expected, 1));
        let mut binary = Framing::BinaryLines(rules(eol, false, "iso-2022-jp")).encoder();
        out.clear();
        assert_eq!(binary.encode(Payload::Text("\u{e9}"), &mut out), Ok(1));
        assert_eq!(binary.encode(Payload::Binary(b"\xff"), &mut out), Ok(1));
        let eol = eol.bytes();
        assert_eq!(out, [b"\xc3\xa9", eol, b"\xff", eol].concat());
    }
}
