//! Frames as RFC 6455, section 5.7, shows them, and frames that must be refused.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The same frame as a relay sends it.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(first, payload, [0; 4]);
    frame[1] &= !MASKED;
    let mask_at = frame.len() - payload.len() - 4;
    frame.drain(mask_at..mask_at + 4);
    frame
}

#[test]
fn a_frame_is_as_the_rfc_shows_it() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(frame(true, Opcode::Text, b"Hello", MASK), hello);
    assert_eq!(frame(false, Opcode::Continuation, b"", MASK)[..2], [0x00, 0x80]);
    let header = |length| frame(true, Opcode::Binary, &vec![0; length], MASK)[1..4].to_vec();
    assert_eq!(header(125)[0], 0xfd);
    assert_eq!(header(126), [0xfe, 0, 126]);
    assert_eq!(header(65535), [0xfe, 0xff, 0xff]);
    assert_eq!(header(65536), [0xff, 0, 0]);
}

#[test]
fn broken_frames_are_broken_in_one_way() {
    let first = |broken: Broken| broken.bytes(10, MASK)[..2].to_vec();
    let rows = [
        (Broken::ReservedOpcode(3), [0x83, 0x81]),
        (Broken::ReservedOpcode(15), [0x8f, 0x81]),
        (Broken::ReservedBit(1), [0xc1, 0x81]),
        (Broken::ReservedBit(2), [0xa1, 0x81]),
        (Broken::ReservedBit(3), [0x91, 0x81]),
        (Broken::Unmasked, [0x81, 0x01]),
        (Broken::FragmentedControl, [0x09, 0x81]),
        (Broken::LongControl(126), [0x89, 0xfe]),
        (Broken::OrphanContinuation, [0x80, 0x81]),
        (Broken::DataInsideFragments, [0x01, 0x81]),
        (Broken::CloseWithOneByte, [0x88, 0x81]),
        (Broken::CloseWithBadCode(1005), [0x88, 0x82]),
        (Broken::TooLong, [0x81, 0x8d]),
        (Broken::TooLongInFragments, [0x01, 0x8a]),
        (Broken::HugeLength, [0x82, 0xff]),
    ];
    for (broken, bytes) in rows {
        assert_eq!(first(broken), bytes, "{broken:?}");
    }
}

#[test]
fn a_fault_is_certain_inside_the_bytes() {
    for max_line in [2, 125, 126, 65535, 65536] {
        for broken in Broken::ALL {
            let all = broken.bytes(max_line, MASK).len();
            let certain = broken.certain_after(max_line);
            assert!((1..=all).contains(&certain), "{broken:?}: {certain} of {all}");
            assert!(matches!(broken.code(), 1002 | 1007 | 1009), "{broken:?}");
        }
    }
    assert_eq!(Broken::ReservedBit(1).certain_after(10), 1);
    assert_eq!(Broken::DataInsideFragments.certain_after(10), 8);
    assert_eq!(Broken::TooLong.certain_after(10), 2);
    assert_eq!(Broken::TooLong.certain_after(200), 4);
    assert_eq!(Broken::TooLong.certain_after(65536), 10);
    assert_eq!(Broken::TooLongInFragments.certain_after(10), 18);
    assert_eq!(Broken::CloseWithBadCode(999).certain_after(10), 8);
}

#[test]
fn the_relays_frames_are_read_wherever_they_are_split() {
    let sent = [
        (0x81, b"Hello".to_vec(), ServerFrame::Text("Hello".into())),
        (0x81, b"".to_vec(), ServerFrame::Text(String::new())),
        (0x82, vec![0xff; 126], ServerFrame::Binary(vec![0xff; 126])),
        (0x89, b"p".to_vec(), ServerFrame::Ping(b"p".to_vec())),
        (0x8a, vec![7; 125], ServerFrame::Pong(vec![7; 125])),
        (0x82, vec![1; 65536], ServerFrame::Binary(vec![1; 65536])),
        (0x88, b"\x03\xe8bye".to_vec(), ServerFrame::Close(Some((1000, "bye".into())))),
    ];
    let bytes: Vec<u8> = sent.iter().flat_map(|(first, load, _)| unmasked(*first, load)).collect();
    let frames: Vec<ServerFrame> = sent.into_iter().map(|(_, _, frame)| frame).collect();
    for step in [1, 2, 3, 127, 60_000, bytes.len()] {
        let mut parser = ServerFrames::default();
        let got: Vec<_> = bytes.chunks(step).flat_map(|part| parser.push(part).unwrap()).collect();
        assert!(got == frames, "in steps of {step}");
        assert_eq!(parser.rest(), 0);
        assert!(parser.push(b"").is_ok());
        assert!(parser.push(&[0x81]).unwrap_err().contains("after the Close"));
    }
    let mut parser = ServerFrames::default();
    assert_eq!(parser.push(&[0x88, 0x00]), Ok(vec![ServerFrame::Close(None)]));
    let mut parser = ServerFrames::default();
    assert_eq!(parser.push(&[0x81, 0x02, b'a']), Ok(vec![]));
    assert_eq!(parser.rest(), 3);
}

#[test]
fn what_a_relay_may_not_send_is_refused() {
    let mut close_then_text = unmasked(0x88, b"");
    close_then_text.extend(unmasked(0x81, b"a"));
    let rows: &[(&[u8], &str)] = &[
        (&frame(true, Opcode::Text, b"a", MASK), "masked"),
        (&[0xc1], "reserved bit"),
        (&[0xa1], "reserved bit"),
        (&[0x91], "reserved bit"),
        (&[0x83], "reserved opcode 3"),
        (&[0x8b], "reserved opcode 11"),
        (&[0x01], "fragment"),
        (&[0x80], "fragment"),
        (&[0x09], "fragment"),
        (&[0x89, 126], "more than 125"),
        (&[0x81, 126, 0, 125], "length 125 in 2 bytes"),
        (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "length 65535 in 8 bytes"),
        (&[0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], "most significant bit"),
        (&unmasked(0x81, b"\xc3"), "invalid UTF-8"),
        (&unmasked(0x88, b"\x03\xe8\xff"), "invalid UTF-8"),
        (&unmasked(0x88, b"\x03"), "one byte"),
        (&unmasked(0x88, &999_u16.to_be_bytes()), "close code 999"),
        (&unmasked(0x88, &1005_u16.to_be_bytes()), "close code 1005"),
        (&unmasked(0x88, &1015_u16.to_be_bytes()), "close code 1015"),
        (&unmasked(0x88, &5000_u16.to_be_bytes()), "close code 5000"),
        (&close_then_text, "after the Close"),
    ];
    for (bytes, error) in rows {
        let got = ServerFrames::default().push(bytes);
        assert!(got.as_ref().is_err_and(|e| e.contains(error)), "{bytes:x?}: {got:?}");
    }
}
