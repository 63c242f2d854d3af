//! Line mode by example: each table is run with its input cut at every byte, and short ones at every two bytes.

use super::super::{Decoder, Eol, Framing, FramingError, Newlines, Payload};
use super::KEPT_CAPACITY;
use super::reference::{Outcome, decode, decoder, push, rules, text};

const NO_LIMIT: usize = usize::MAX;

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
    let reads: Vec<_> = reads
        .iter()
        .map(|read| read.escape_ascii().to_string())
        .collect();
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
        (
            "\u{feff}a\n\u{feff}b\n".as_bytes(),
            &["\u{feff}a", "\u{feff}b"],
            0,
        ),
        // U+FFFD sent as such is no replacement.
        ("\u{fffd}\n".as_bytes(), &["\u{fffd}"], 0),
        (b"a\xffb\n", &["a\u{fffd}b"], 1),
        (b"\xc3\n\xa9\n", &["\u{fffd}", "\u{fffd}"], 2),
        (b"\xf0\x9f\x98\r\nx", &["\u{fffd}", "x"], 1),
        (b"\xf0\x9f\x98\rx\n", &["\u{fffd}\rx"], 1),
        // Overlong, surrogate, too large: one for each byte.
        (
            b"\xc0\xaf\xed\xa0\x80\xf5\n",
            &["\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"],
            6,
        ),
        (b"\xe2\x82", &["\u{fffd}"], 1),
    ] {
        lines_are("utf-8", input, messages, replaced);
    }
}

#[test]
fn other_charsets_become_utf8() {
    for (label, input, messages, replaced) in [
        (
            "windows-1252",
            &b"caf\xe9 \x80\r\n\xff"[..],
            &["caf\u{e9} \u{20ac}", "\u{ff}"][..],
            0,
        ),
        ("iso-8859-2", b"\xb1\xea\n", &["\u{105}\u{119}"], 0),
        (
            "koi8-r",
            b"\xd0\xd2\xc9\n\xd7\n",
            &["\u{43f}\u{440}\u{438}", "\u{432}"],
            0,
        ),
        (
            "shift_jis",
            b"\x93\xfa\x96{\r\n\x83\\\n",
            &["\u{65e5}\u{672c}", "\u{30bd}"],
            0,
        ),
        (
            "shift_jis",
            b"\x93\r\n\x93x\xff\n",
            &["\u{fffd}", "\u{5ea6}\u{fffd}"],
            2,
        ),
        (
            "gb18030",
            b"\xba\xba\x94\x39\xfc\x36\n\xd7\xd6",
            &["\u{6c49}\u{1f600}", "\u{5b57}"],
            0,
        ),
        (
            "gb18030",
            b"\x81\x30\n\x81\x30x\n",
            &["\u{fffd}", "\u{fffd}0x"],
            2,
        ),
        (
            "big5",
            b"\xba\x7e\xa6r\x88\x62\n",
            &["\u{6f22}\u{5b57}\u{ca}\u{304}"],
            0,
        ),
        ("euc-kr", b"\xc7\xd1\xb1\xdb\n", &["\u{d55c}\u{ae00}"], 0),
        (
            "iso-2022-jp",
            b"\x1b$BF|K\\\x1b(B!\r\nab\n",
            &["\u{65e5}\u{672c}!", "ab"],
            0,
        ),
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
        (
            &b"abcd\nabcd\r\n\rabcd\r\r\nabcd"[..],
            &["abcd", "abcd", "abcd", "abcd"][..],
            false,
        ),
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
        (
            "\u{e9}\u{e9}\n\u{e9}\u{e9}\u{e9}\n".as_bytes(),
            &["\u{e9}\u{e9}"],
            true,
        ),
        (
            b"\xff\xff\xff\xff\n",
            &["\u{fffd}\u{fffd}\u{fffd}\u{fffd}"],
            false,
        ),
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

/// One step of a session with `--flush-after`.
enum Step {
    /// A read, and the messages it must give.
    Read(&'static [u8], &'static [&'static str]),
    /// The timer went off: what must be shown.
    Flush(Option<&'static str>),
    /// The backend closed.
    Finish(Option<&'static str>),
}
use Step::{Finish, Flush, Read};

#[test]
fn prompts_are_shown_and_their_line_goes_on() {
    for (label, steps) in [
        (
            "utf-8",
            &[
                Read(b"a\nlogin: ", &["a"]),
                Flush(Some("login: ")),
                Flush(None),
                Read(b"b\n", &["b"]),
            ][..],
        ),
        // The end of a line that was shown makes no message, wherever it is cut.
        (
            "utf-8",
            &[
                Read(b"abc", &[]),
                Flush(Some("abc")),
                Read(b"\r\n", &[]),
                Read(b"def\n", &["def"]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"abc\r", &[]),
                Flush(Some("abc")),
                Flush(None),
                Read(b"\ndef\n", &["def"]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"abc\r", &[]),
                Flush(Some("abc")),
                Read(b"\r", &[]),
                Read(b"\n", &[]),
                Read(b"\n", &[""]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"abc", &[]),
                Flush(Some("abc")),
                Read(b"\n\r", &[]),
                Read(b"\n", &[""]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"abc\r", &[]),
                Flush(Some("abc")),
                Read(b"def\n", &["def"]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"abc", &[]),
                Flush(Some("abc")),
                Read(b"\rdef\r", &[]),
                Flush(Some("def")),
                Finish(None),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"abc", &[]),
                Flush(Some("abc")),
                Read(b"xyz\n\n", &["xyz", ""]),
            ],
        ),
        // Nothing to show.
        (
            "utf-8",
            &[
                Flush(None),
                Read(b"\r", &[]),
                Flush(None),
                Read(b"\n", &[""]),
                Flush(None),
                Finish(None),
            ],
        ),
        // An incomplete character waits, a broken one does not.
        (
            "utf-8",
            &[
                Read(b"a\xe2\x82", &[]),
                Flush(Some("a")),
                Flush(None),
                Read(b"\xac\n", &["\u{20ac}"]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"a\xe2\x82", &[]),
                Flush(Some("a")),
                Read(b"\n", &["\u{fffd}"]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"a\xe2\x82", &[]),
                Flush(Some("a")),
                Read(b"\rb\n", &["\u{fffd}\rb"]),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"a\r\xe2", &[]),
                Flush(Some("a")),
                Finish(Some("\u{fffd}")),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"\xe2\x82", &[]),
                Flush(None),
                Read(b"x", &[]),
                Flush(Some("\u{fffd}x")),
            ],
        ),
        (
            "utf-8",
            &[
                Read(b"\xe2", &[]),
                Flush(None),
                Read(b"\r", &[]),
                Flush(None),
                Read(b"\n", &["\u{fffd}"]),
            ],
        ),
        (
            "shift_jis",
            &[
                Read(b"a\x93", &[]),
                Flush(Some("a")),
                Flush(None),
                Read(b"\xfa\n", &["\u{65e5}"]),
            ],
        ),
        (
            "gb18030",
            &[
                Read(b"a\x94\x39", &[]),
                Flush(Some("a")),
                Read(b"\xfc\x36", &[]),
                Flush(Some("\u{1f600}")),
            ],
        ),
        // A shifted state outlives a flush, but not its line.
        (
            "iso-2022-jp",
            &[
                Read(b"\x1b$BF|", &[]),
                Flush(Some("\u{65e5}")),
                Read(b"K\\", &[]),
                Flush(Some("\u{672c}")),
                Read(b"\x1b(B", &[]),
                Flush(None),
                Read(b"\r\nK\n", &["K"]),
            ],
        ),
    ] {
        let mut decoder = decoder(&rules(label, NO_LIMIT));
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Read(chunk, messages) => {
                    let (given, error) = push(&mut decoder, chunk);
                    assert_eq!(
                        (given.as_slice(), error),
                        (&messages.map_to_owned()[..], None),
                        "{number}"
                    );
                }
                Flush(message) => {
                    assert_eq!(decoder.has_tail(), message.is_some(), "{number}");
                    assert_eq!(decoder.flush().map(text).as_deref(), message, "{number}");
                    assert!(!decoder.has_tail(), "{number}");
                }
                Finish(message) => {
                    assert_eq!(decoder.finish().map(text).as_deref(), message, "{number}");
                }
            }
        }
    }
}

trait MapToOwned {
    fn map_to_owned(&self) -> Vec<String>;
}

impl MapToOwned for [&str] {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|&text| text.to_owned()).collect()
    }
}

#[test]
fn the_limit_starts_anew_after_a_flush() {
    let mut decoder = decoder(&rules("utf-8", 4));
    for _ in 0..3 {
        assert_eq!(push(&mut decoder, b"abcd"), (vec![], None));
        assert_eq!(decoder.flush(), Some(Payload::Text("abcd")));
    }
    let too_long = FramingError::LineTooLong { limit: 4 };
    assert_eq!(push(&mut decoder, b"abcde"), (vec![], Some(too_long)));
}

#[test]
fn a_long_line_in_small_pieces_takes_linear_time() {
    // Were each piece to look at all before it, this would take hours.
    let mut decoder = decoder(&rules("utf-8", NO_LIMIT));
    for piece in 0..1_000_000 {
        let piece: &[u8] = if piece % 2 == 0 { b"\r" } else { b"x" };
        assert_eq!(decoder.push(piece).next(), Ok(None));
        std::hint::black_box(decoder.has_tail());
    }
    let mut messages = decoder.push(b"\n");
    let line = messages.next().expect("no limit").expect("a line");
    assert_eq!(line.len(), 999_999);
}

#[test]
fn endless_carriage_returns_take_no_memory() {
    let mut decoder = decoder(&rules("utf-8", 4));
    for _ in 0..1000 {
        assert_eq!(push(&mut decoder, b"a"), (vec![], None));
        assert_eq!(push(&mut decoder, &[b'\r'; 65536]), (vec![], None));
        let Decoder::Line(line) = &decoder else {
            unreachable!("line rules")
        };
        let held = line.unfinished.as_ref().map(|line| line.text.capacity());
        assert!(held < Some(100), "{held:?}");
        assert_eq!(push(&mut decoder, b"\n"), (vec!["a".to_owned()], None));
    }
}

#[test]
fn an_idle_decoder_holds_no_buffer() {
    for label in ["utf-8", "windows-1252"] {
        let mut decoder = decoder(&rules(label, NO_LIMIT));
        let long = [b'\xe9'; 100_000];
        for reads in [
            &[&long[..], b"\n"][..],
            &[b"a\nb", &long, b"\nc\n"],
            &[b"\xe9\n"],
        ] {
            for read in reads {
                push(&mut decoder, read);
            }
            let Decoder::Line(line) = &decoder else {
                unreachable!("line rules")
            };
            assert!(line.unfinished.is_none());
            assert!(line.message.capacity() <= KEPT_CAPACITY);
        }
    }
}

#[test]
fn a_whole_line_is_lent_from_the_chunk() {
    for label in ["utf-8", "shift_jis", "iso-2022-jp"] {
        let chunk = b"GET the message, not a copy\r\n";
        let mut decoder = decoder(&rules(label, NO_LIMIT));
        let mut messages = decoder.push(chunk);
        let message = messages.next().expect("no limit").expect("a line");
        assert_eq!(message.as_bytes().as_ptr(), chunk.as_ptr(), "{label}");
    }
}

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
        let lines = Framing::Lines(rules.clone())
            .encoder()
            .encode(message, &mut out);
        let written = String::from_utf8_lossy(&out[7..]);
        let context = format!("{message:?} {eol:?} {newlines:?}");
        assert_eq!(lines, expected.map(|(_, lines)| lines), "{context}");
        assert_eq!(
            written,
            expected.map_or("", |(bytes, _)| bytes),
            "{context}"
        );
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
            ("a\r", "a\r\n", "a\r\r\n"),
            ("12345678\r\n", "12345678\r\n", "12345678\r\n"),
        ] {
            encodes(Eol::Lf, newlines, message, Ok((lf, 1)));
            encodes(Eol::CrLf, newlines, message, Ok((crlf, 1)));
        }
    }
    for (message, lines, lf, crlf, space) in [
        ("a\nb", 2, "a\nb\n", "a\r\nb\r\n", "a b"),
        ("a\r\nb\n", 2, "a\r\nb\n", "a\r\nb\r\n", "a b"),
        ("\n\n", 2, "\n\n", "\r\n\r\n", " "),
        (
            "a\r\r\nb\rc",
            2,
            "a\r\r\nb\rc\n",
            "a\r\r\nb\rc\r\n",
            "a\r b\rc",
        ),
        (
            "\na\n\r\nb",
            4,
            "\na\n\r\nb\n",
            "\r\na\r\n\r\nb\r\n",
            " a  b",
        ),
    ] {
        encodes(Eol::Lf, Split, message, Ok((lf, lines)));
        encodes(Eol::CrLf, Split, message, Ok((crlf, lines)));
        let own_eol = if message.ends_with("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        encodes(
            Eol::Lf,
            Space,
            message,
            Ok((&format!("{space}{own_eol}"), 1)),
        );
        encodes(Eol::CrLf, Space, message, Ok((&format!("{space}\r\n"), 1)));
        encodes(
            Eol::Lf,
            Reject,
            message,
            Err(FramingError::NewlineInMessage),
        );
        encodes(
            Eol::CrLf,
            Reject,
            message,
            Err(FramingError::NewlineInMessage),
        );
    }
    for message in ["123456789", "123456789\n", "1234567\n\n\n", "1234567\u{e9}"] {
        for newlines in [Split, Space, Reject] {
            encodes(
                Eol::Lf,
                newlines,
                message,
                Err(FramingError::MessageTooLong { limit: 8 }),
            );
        }
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
        assert_eq!(
            encoder.encode(Payload::Binary(b"\xe6\x97\n\xff"), &mut out),
            Ok(2)
        );
        assert_eq!(out, b"\xe6\x97\n\xff\n");
        assert_eq!(encoder.replaced(), 1);
    }
}
