//! Prompts: what `--flush-after` shows of a line, and what becomes of its rest.

use super::reference::{charset, finish, flush, push, rules};
use crate::framing::{Eol, Framing, LineRules};

/// One step of a session with `--flush-after`.
enum Step {
    /// A read, and the messages it must give.
    Read(&'static [u8], &'static [&'static [u8]]),
    /// The timer went off: what must be shown.
    Flush(Option<&'static [u8]>),
    /// The backend closed.
    Finish(Option<&'static [u8]>),
}
use Step::{Finish, Flush, Read};

fn plays(framing: &Framing, steps: &[Step]) {
    let mut decoder = framing.decoder();
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Read(chunk, messages) => {
                let (given, error) = push(framing, &mut decoder, chunk);
                assert_eq!(
                    (&given[..], error),
                    (&messages.iter().map(|m| m.to_vec()).collect::<Vec<_>>()[..], None),
                    "{framing:?} {number}"
                );
            }
            Flush(message) => {
                assert_eq!(
                    flush(framing, &mut decoder).as_deref(),
                    message,
                    "{framing:?} {number}"
                );
            }
            Finish(message) => {
                assert_eq!(
                    finish(framing, &mut decoder).as_deref(),
                    message,
                    "{framing:?} {number}"
                );
            }
        }
    }
}

#[test]
fn the_end_of_a_line_that_was_shown_makes_no_message() {
    for framing in [
        Framing::Lines(rules(Eol::Cr, false, "utf-8")),
        Framing::BinaryLines(rules(Eol::Cr, false, "utf-8")),
    ] {
        plays(
            &framing,
            &[
                Read(b"> ", &[]),
                Flush(Some(b"> ")),
                Flush(None),
                Read(b"\r", &[]),
                Read(b"\n", &[]),
                Read(b"a\r\r", &[b"a", b""]),
                Flush(None),
                Finish(None),
            ],
        );
    }
    plays(
        &Framing::Lines(rules(Eol::Nul, false, "utf-8")),
        &[
            Read(b"a\r", &[]),
            Flush(Some(b"a\r")),
            Read(b"\nb\0", &[b"\nb"]),
            Read(b"c", &[]),
            Flush(Some(b"c")),
            Read(b"\0\0", &[b""]),
        ],
    );
    plays(
        &Framing::BinaryLines(rules(Eol::Lf, false, "utf-8")),
        &[
            Read(b"\r\xe2\x82\r", &[]),
            Flush(Some(b"\xe2\x82")),
            Read(b"\r\xac\r", &[]),
            Flush(Some(b"\xac")),
            Read(b"\n", &[]),
            Read(b"\n", &[b""]),
            Finish(None),
        ],
    );
}

/// Where messages keep their ends nothing is dropped: joined, they are what the backend sent.
#[test]
fn the_end_of_a_line_that_was_shown_is_kept() {
    plays(
        &Framing::Lines(rules(Eol::Lf, true, "utf-8")),
        &[
            Read(b"login: ", &[]),
            Flush(Some(b"login: ")),
            Read(b"\r", &[]),
            Flush(None),
            Read(b"\nabc\r", &[b"\r\n"]),
            Flush(Some(b"abc")),
            Flush(None),
            Read(b"d\n", &[b"\rd\n"]),
            Read(b"\r", &[]),
            Flush(None),
            Finish(Some(b"\r")),
            Finish(None),
        ],
    );
}

/// What was shown counts as a line where two charsets are possible.
#[test]
fn what_is_shown_is_utf8_as_far_as_it_can_be() {
    let fallback = Some(charset("windows-1252"));
    let rules = LineRules { fallback, ..rules(Eol::Lf, false, "utf-8") };
    plays(
        &Framing::Lines(rules),
        &[
            Read(b"caf\xc3", &[]),
            Flush(Some(b"caf")),
            Flush(None),
            Read(b"\xa9 ", &[]),
            Flush(Some("\u{e9} ".as_bytes())),
            Read(b"\xe9", &[]),
            Flush(None),
            Read(b"a\xc3\xa9", &[]),
            Flush(Some("\u{e9}a\u{c3}\u{a9}".as_bytes())),
            Read(b"\r\n\xc3\xa9\n", &[b"\xc3\xa9"]),
            Read(b"\xc3", &[]),
            Flush(None),
            Finish(Some("\u{c3}".as_bytes())),
        ],
    );
}
