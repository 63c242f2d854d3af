//! What decoding may cost: time in the length of a line, memory in an idle session, copies of whole lines.

use super::NO_LIMIT;
use crate::framing::Decoder;
use crate::framing::line::KEPT_CAPACITY;
use crate::framing::line::reference::{decoder, push, rules};

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
        let Decoder::Line(line) = &decoder else { unreachable!("line rules") };
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
        for reads in [&[&long[..], b"\n"][..], &[b"a\nb", &long, b"\nc\n"], &[b"\xe9\n"]] {
            for read in reads {
                push(&mut decoder, read);
            }
            let Decoder::Line(line) = &decoder else { unreachable!("line rules") };
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
