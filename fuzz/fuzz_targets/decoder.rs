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

const CHARSETS: [&str; 12] = [
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
];

fuzz_target!(|data: &[u8]| {
    let Some((header, input)) = data.split_first_chunk::<8>() else {
        return;
    };
    let [charset, limit, cuts @ ..] = header;
    let label = CHARSETS[usize::from(*charset) % CHARSETS.len()];
    let framing = |max_line| {
        Framing::Lines(LineRules {
            eol: Eol::Lf,
            newlines: Newlines::Split,
            charset: Charset::for_label(label).expect("a label of the standard"),
            max_line,
        })
    };
    let limited = framing(usize::from(*limit));
    let whole = run(limited.decoder(), [input]);
    assert_eq!(
        run(limited.decoder(), input.chunks(1)),
        whole,
        "byte by byte"
    );
    assert_eq!(
        run(limited.decoder(), pieces(input, cuts)),
        whole,
        "cut at {cuts:?}"
    );

    let unlimited = framing(usize::MAX);
    let (messages, error, replaced) = run(unlimited.decoder(), [input]);
    assert_eq!(error, None);
    let mut flushed = Vec::new();
    let mut decoder = unlimited.decoder();
    for piece in pieces(input, cuts) {
        push(&mut decoder, piece, &mut flushed).expect("no limit");
        let visible = decoder.has_tail();
        let tail = decoder.flush().map(text);
        assert_eq!(tail.is_some(), visible);
        assert_ne!(tail.as_deref(), Some(""));
        flushed.extend(tail);
    }
    flushed.extend(decoder.finish().map(text));
    sound(&flushed);
    assert_eq!(decoder.replaced(), replaced, "with flushes");
    assert_eq!(
        flushed.concat().replace('\r', ""),
        messages.concat().replace('\r', ""),
        "flushes lost or doubled something"
    );
});

type Outcome = (Vec<String>, Option<FramingError>, u64);

fn run<'a>(mut decoder: Decoder, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut messages = Vec::new();
    let mut error = None;
    for read in reads {
        error = push(&mut decoder, read, &mut messages).err();
        if error.is_some() {
            break;
        }
    }
    if error.is_none() {
        messages.extend(decoder.finish().map(text));
    }
    sound(&messages);
    (messages, error, decoder.replaced())
}

fn push(decoder: &mut Decoder, read: &[u8], to: &mut Vec<String>) -> Result<(), FramingError> {
    let mut messages = decoder.push(read);
    while let Some(message) = messages.next()? {
        to.push(text(message));
    }
    Ok(())
}

fn text(message: Payload<'_>) -> String {
    match message {
        Payload::Text(text) => text.to_owned(),
        Payload::Binary(bytes) => panic!("binary message in line mode: {bytes:?}"),
    }
}

/// What holds for every message.
fn sound(messages: &[String]) {
    for message in messages {
        assert!(!message.contains('\n'), "newline in {message:?}");
        assert_eq!(message.trim_matches('\r'), message, "stray carriage return");
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
