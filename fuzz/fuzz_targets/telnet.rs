//! Fuzzes the telnet stage: whatever a backend sends and however reads cut it, text, marks and answers are the same, and no
//! answer is out of proportion.
//!
//! To run it for a minute, with the stable toolchain (the sanitizer needs nightly features):
//!
//! ```sh
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run telnet -- -max_total_time=60 -max_len=512
//! ```
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use wsrelay::framing::{Charset, Event, Mark, Payload, Stage, Telnet, TelnetRules};

fuzz_target!(|data: &[u8]| {
    let Some(([flags, cuts @ ..], input)) = data.split_first_chunk::<8>() else {
        return;
    };
    let charset = if flags & 4 == 0 { "utf-8" } else { "koi8-r" };
    let rules = TelnetRules {
        charset: Charset::for_label(charset).expect("a label of the standard"),
        has_enter: false,
        is_terminal: flags & 1 != 0,
        is_mud: flags & 2 != 0,
    };
    let silent = flags & 8 != 0;
    let whole = run(rules, silent, [input]);
    assert_eq!(run(rules, silent, input.chunks(1)), whole, "byte by byte");
    let mut rest = input;
    let pieces = cuts.iter().cycle().map_while(|cut| {
        let size = usize::from(cut % 16).max(1).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(run(rules, silent, pieces), whole, "cut at {cuts:?}");
    let (text, marks, answer, _) = whole;
    assert!(text.len() <= input.len());
    assert!(marks.is_sorted_by_key(|mark| mark.at));
    assert!(marks.iter().all(|mark| mark.at <= text.len()));
    assert!(answer.len() <= 64 + 16 * input.len(), "{} bytes", answer.len());

    // What a client says comes out again as it was, but for a NUL behind a carriage return.
    let mut telnet = Telnet::new(rules, None, Instant::now());
    let mut up = input.to_vec();
    telnet.up(&mut up, 0);
    let (mut back, mut marks) = (Vec::new(), Vec::new());
    telnet.down(&up, &mut back, &mut marks, &mut Vec::new());
    if !input.windows(2).any(|pair| pair == b"\r\0") {
        assert_eq!(back, input);
    }
    assert_eq!(marks, []);
});

type Outcome = (Vec<u8>, Vec<Mark>, Vec<u8>, u64);

fn run<'a>(rules: TelnetRules, silent: bool, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut telnet = Telnet::new(rules, Some([192, 0, 2, 7].into()), Instant::now());
    let (mut rest, mut all, mut answer) = (Vec::new(), Vec::<Mark>::new(), Vec::new());
    if silent {
        telnet.due(&mut answer);
    }
    telnet.take(Payload::Text("Core.Ping"), &mut answer);
    for read in reads {
        let mut marks = Vec::new();
        telnet.down(read, &mut rest, &mut marks, &mut answer);
        for mark in marks {
            if mark.event != Event::Prompt || all.last() != Some(&mark) {
                all.push(mark);
            }
        }
    }
    (rest, all, answer, telnet.dropped())
}
