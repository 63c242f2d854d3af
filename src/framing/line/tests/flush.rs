//! Prompts: what `--flush-after` shows of a line, and what becomes of its rest.

use super::NO_LIMIT;
use crate::framing::line::reference::{decoder, push, rules, text};
use crate::framing::{FramingError, Payload};

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
            &[Read(b"abc", &[]), Flush(Some("abc")), Read(b"\r\n", &[]), Read(b"def\n", &["def"])],
        ),
        (
            "utf-8",
            &[Read(b"abc\r", &[]), Flush(Some("abc")), Flush(None), Read(b"\ndef\n", &["def"])],
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
        ("utf-8", &[Read(b"abc", &[]), Flush(Some("abc")), Read(b"\n\r", &[]), Read(b"\n", &[""])]),
        ("utf-8", &[Read(b"abc\r", &[]), Flush(Some("abc")), Read(b"def\n", &["def"])]),
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
        ("utf-8", &[Read(b"abc", &[]), Flush(Some("abc")), Read(b"xyz\n\n", &["xyz", ""])]),
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
        ("utf-8", &[Read(b"a\xe2\x82", &[]), Flush(Some("a")), Read(b"\n", &["\u{fffd}"])]),
        ("utf-8", &[Read(b"a\xe2\x82", &[]), Flush(Some("a")), Read(b"\rb\n", &["\u{fffd}\rb"])]),
        ("utf-8", &[Read(b"a\r\xe2", &[]), Flush(Some("a")), Finish(Some("\u{fffd}"))]),
        (
            "utf-8",
            &[Read(b"\xe2\x82", &[]), Flush(None), Read(b"x", &[]), Flush(Some("\u{fffd}x"))],
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
            &[Read(b"a\x93", &[]), Flush(Some("a")), Flush(None), Read(b"\xfa\n", &["\u{65e5}"])],
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
                    assert_eq!(given, messages, "{number}");
                    assert_eq!(error, None, "{number}");
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

#[test]
fn the_limit_starts_anew_after_a_flush() {
    let mut ascii = decoder(&rules("utf-8", 4));
    for _ in 0..3 {
        assert_eq!(push(&mut ascii, b"abcd"), (vec![], None));
        assert_eq!(ascii.flush(), Some(Payload::Text("abcd")));
    }
    let too_long = FramingError::LineTooLong { limit: 4 };
    assert_eq!(push(&mut ascii, b"abcde"), (vec![], Some(too_long)));

    // In the middle of a shifted state too.
    let mut shifted = decoder(&rules("iso-2022-jp", 5));
    assert_eq!(push(&mut shifted, b"\x1b$B"), (vec![], None));
    for _ in 0..3 {
        assert_eq!(push(&mut shifted, b"F|"), (vec![], None));
        assert_eq!(shifted.flush(), Some(Payload::Text("\u{65e5}")));
    }
    let too_long = FramingError::LineTooLong { limit: 5 };
    assert_eq!(push(&mut shifted, b"F|F|F|"), (vec![], Some(too_long)));
}
