//! Fuzzes the line decoder: whatever a backend sends and however reads cut it, the messages are the same and sound.
//!
//! To run it for a minute, with the stable toolchain (the sanitizer needs nightly features):
//!
//! ```sh
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run decoder -- -max_total_time=60 -max_len=256
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsrelay::framing::{
    Charset, Decoder, Eol, Framing, FramingError, LineRules, Newlines, Payload,
};

const CHARSETS: [&str; 13] = [
    "utf-8",
    "windows-1252",
    "iso-8859-2",
    "koi8-r",
    "shift_jis",
    "gb18030",
    "gbk",
    "big5",
    "euc-kr",
    "euc-jp",
    "iso-2022-jp",
    "x-user-defined",
    "cp437",
];

fuzz_target!(|data: &[u8]| {
    let Some((header, input)) = data.split_first_chunk::<9>() else {
        return;
    };
    let [charset, form, limit, cuts @ ..] = header;
    let label = CHARSETS[usize::from(*charset) % CHARSETS.len()];
    let framing = |max_line| form_of(*form, label, max_line);
    let limited = framing(usize::from(*limit));
    let rules = rules_of(&limited);
    let whole = run(&limited, [input]);
    for (reads, how) in [(input.chunks(1).collect(), "byte by byte"), (pieces(input, cuts), "cut")]
    {
        let got = run(&limited, reads);
        if rules.keep_eol {
            // The second byte of an end of line is in the same message only if one read brings both.
            let (got, whole) = (got.0.concat(), whole.0.concat());
            assert!(whole.starts_with(&got) && whole.len() - got.len() < 2, "{how}: {got:?}");
        } else {
            assert_eq!(got, whole, "{how}");
        }
    }

    let unlimited = framing(usize::MAX);
    let (messages, error, replaced) = run(&unlimited, [input]);
    assert_eq!(error, None);
    let mut flushed = Vec::new();
    let mut decoder = unlimited.decoder();
    for piece in pieces(input, cuts) {
        push(&mut decoder, piece, &mut flushed).expect("no limit");
        let visible = decoder.has_tail();
        let tail = decoder.flush().map(bytes);
        assert_eq!(tail.is_some(), visible);
        assert_ne!(tail.as_deref(), Some(&b""[..]));
        flushed.extend(tail);
    }
    flushed.extend(decoder.finish().map(bytes));
    sound(rules, &flushed);
    // Which of two charsets a line is in may be decided for its beginning and its rest apart.
    if rules.fallback.is_none() {
        assert_eq!(decoder.replaced(), replaced, "with flushes");
        let (mut flushed, mut messages) = (flushed.concat(), messages.concat());
        if rules.eol == Eol::Lf && !rules.keep_eol {
            flushed.retain(|byte| *byte != b'\r');
            messages.retain(|byte| *byte != b'\r');
        }
        assert_eq!(flushed, messages, "flushes lost or doubled something");
    }
});

/// One of the ways to frame lines.
fn form_of(form: u8, label: &str, max_line: usize) -> Framing {
    let charset = Charset::for_label(label).expect("a label of the standard");
    let mut rules = LineRules {
        eol: [Eol::Lf, Eol::Cr, Eol::Nul][usize::from(form % 3)],
        keep_eol: form / 3 % 2 == 1,
        newlines: Newlines::Split,
        charset,
        fallback: None,
        max_line,
    };
    match form / 6 % 3 {
        0 => Framing::Lines(rules),
        1 => Framing::BinaryLines(rules),
        _ => {
            (rules.charset, rules.fallback) = (Charset::UTF_8, Some(charset));
            Framing::Lines(rules)
        }
    }
}

fn rules_of(framing: &Framing) -> &LineRules {
    match framing {
        Framing::Lines(rules) | Framing::BinaryLines(rules) | Framing::Terminal(rules) => rules,
        Framing::Raw(_) => unreachable!("lines"),
    }
}

/// Messages as bytes, text in UTF-8.
type Outcome = (Vec<Vec<u8>>, Option<FramingError>, u64);

fn run<'a>(framing: &Framing, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = framing.decoder();
    let mut messages = Vec::new();
    let mut error = None;
    for read in reads {
        error = push(&mut decoder, read, &mut messages).err();
        if error.is_some() {
            break;
        }
    }
    if error.is_none() {
        messages.extend(decoder.finish().map(bytes));
    }
    sound(rules_of(framing), &messages);
    (messages, error, decoder.replaced())
}

fn push(decoder: &mut Decoder, read: &[u8], to: &mut Vec<Vec<u8>>) -> Result<(), FramingError> {
    let mut messages = decoder.push(read);
    while let Some(message) = messages.next()? {
        to.push(bytes(message));
    }
    Ok(())
}

fn bytes(message: Payload<'_>) -> Vec<u8> {
    message.as_bytes().to_vec()
}

/// What holds for every message: no end of line is left in it where it is not kept.
fn sound(rules: &LineRules, messages: &[Vec<u8>]) {
    let ends: &[u8] = match rules.eol {
        _ if rules.keep_eol => return,
        Eol::Lf | Eol::CrLf => b"\n",
        Eol::Cr => b"\r\n",
        Eol::Nul => b"\0",
    };
    for message in messages {
        let is_end = |byte: &u8| ends.contains(byte);
        assert!(!message.iter().any(is_end), "an end of line in {message:?}");
        if rules.eol == Eol::Lf {
            let is_stray = message.starts_with(b"\r") || message.ends_with(b"\r");
            assert!(!is_stray, "stray carriage return");
        }
    }
}

/// The input in pieces of these lengths, over and over; a length of 0 is an empty read, and then one of 1.
fn pieces<'a>(mut input: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if input.is_empty() {
            break;
        }
        if length == 0 {
            pieces.push(&[][..]);
        }
        let (piece, rest) = input.split_at(usize::from(length % 16).clamp(1, input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces
}
