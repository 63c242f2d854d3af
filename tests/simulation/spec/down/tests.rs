//! The contract's sentences as rows, and all short inputs.

use super::*;
use encoding_rs::{EUC_JP, GB18030, ISO_2022_JP, KOI8_R, SHIFT_JIS, WINDOWS_1252};

/// Checks what holds for any input: a prefix makes the messages that are complete with it, and no
/// message has a newline or a `\r` at its ends. Returns what all of the input makes.
fn checked(rules: &Rules, bytes: &[u8], flushes: &[usize], ended: bool) -> Down {
    let all = down(rules, bytes, flushes, ended);
    let case = format!("{bytes:x?} flushed at {flushes:?}");
    assert_eq!(all.messages.len(), all.complete_at.len(), "{case}");
    assert!(all.complete_at.is_sorted(), "{case}: {all:?}");
    assert!(all.too_long.is_none() || all.tail_since.is_none(), "{case}: {all:?}");
    for message in &all.messages {
        assert!(!message.starts_with('\r') && !message.ends_with('\r'), "{case}: {message:?}");
        assert!(!message.contains('\n'), "{case}: {message:?}");
    }
    let mut tail_since = None;
    for read in 0..=bytes.len() {
        let flushed: Vec<usize> = flushes.iter().copied().filter(|&at| at <= read).collect();
        let part = down(rules, &bytes[..read], &flushed, false);
        let tail = usize::from(ended && all.too_long.is_none());
        let mut complete = all.complete_at.iter().filter(|&&at| at <= read).count();
        if read == bytes.len() && complete > part.messages.len() {
            complete -= tail;
        }
        assert_eq!(part.messages, all.messages[..complete], "{case}, {read} read");
        assert_eq!(part.too_long, all.too_long.filter(|&at| at <= read), "{case}, {read} read");
        // The tail is there since the first prefix that has it, and is then what a flush sends.
        let mut with_flush = flushed.clone();
        with_flush.push(read);
        let sent = down(rules, &bytes[..read], &with_flush, false).messages.len() - complete;
        assert_eq!(sent, usize::from(part.tail_since.is_some()), "{case}, {read} read");
        tail_since = part.tail_since.map(|_| tail_since.unwrap_or(read));
        assert_eq!(part.tail_since, tail_since, "{case}, {read} read");
    }
    all
}

/// Bytes, flushes, and the messages if the stream then ends.
const MESSAGES: &[(&[u8], &[usize], &[&str])] = &[
    (b"", &[], &[]),
    (b"\n", &[], &[""]),
    (b"a\nb\r\nc\n\rd\n", &[], &["a", "b", "c", "d"]),
    (b"a\n\nb\n", &[], &["a", "", "b"]),
    (b"a\r\n\r\nb\r\n", &[], &["a", "", "b"]),
    (b"a\n\r\n\rb\n\r", &[], &["a", "", "b"]),
    (b"a\r\r\n", &[], &["a"]),
    (b"\ra\r\n", &[], &["a"]),
    (b"a\rb\n", &[], &["a\rb"]),
    (b"a\nb", &[], &["a", "b"]),
    (b"a\r", &[], &["a"]),
    (b"\r", &[], &[]),
    (b"a\n\r", &[], &["a"]),
    // A flush sends the tail; the end of line behind it makes nothing.
    (b"login: ", &[7], &["login: "]),
    (b"login: \nb\n", &[7], &["login: ", "b"]),
    (b"login: \r\n\n", &[7], &["login: ", ""]),
    (b"login: \r\n\n", &[8], &["login: ", ""]),
    (b"login: \n\rb\n", &[7], &["login: ", "b"]),
    (b"login: bob\n", &[7], &["login: ", "bob"]),
    (b"a\rb\n", &[1], &["a", "b"]),
    (b"a\rb\n", &[2], &["a", "b"]),
    (b"a\rb\n", &[3], &["a\rb"]),
    // A flush of nothing changes nothing.
    (b"\n\n", &[0, 1, 2], &["", ""]),
    (b"\r\n", &[1], &[""]),
    (b"ab", &[1, 1, 2, 2], &["a", "b"]),
    // Characters are never cut.
    (b"a\xc3\xa9\n", &[2], &["a", "\u{e9}"]),
    (b"a\xc3\n", &[2], &["a", "\u{fffd}"]),
    (b"a\xc3", &[2], &["a", "\u{fffd}"]),
    (b"\xc3\r\n", &[1, 2], &["\u{fffd}"]),
    (b"a\xc3\xc3\xa9", &[3], &["a\u{fffd}", "\u{e9}"]),
    (b"\xf0\x9f\x98\x80\n", &[1, 2, 3, 4], &["\u{1f600}"]),
    (b"\xff\xfe\n\xf0\x9f\n", &[], &["\u{fffd}\u{fffd}", "\u{fffd}"]),
    (b"a\r\xc3\xa9\n", &[3], &["a", "\u{e9}"]),
    (b"\xef\xbb\xbfa\n", &[], &["\u{feff}a"]),
];

#[test]
fn lines_become_messages() {
    let rules = Rules::of_tests();
    for &(bytes, flushes, messages) in MESSAGES {
        let down = checked(&rules, bytes, flushes, true);
        assert_eq!(down.messages, messages, "{bytes:x?} flushed at {flushes:?}");
        let replaced: usize = messages.iter().map(|text| text.matches('\u{fffd}').count()).sum();
        assert_eq!(down.replaced, replaced as u64, "{bytes:x?} flushed at {flushes:?}");
        assert_eq!((down.too_long, down.tail_since), (None, None));
    }
}

#[test]
fn all_short_inputs_are_lines() {
    let rules = Rules { max_line: 3, ..Rules::of_tests() };
    let no_limit = Rules::of_tests();
    let alphabet = *b"a\r\n\xc3\xa9";
    for number in 0..alphabet.len().pow(6) {
        let digit = |at: u32| alphabet[number / alphabet.len().pow(at) % alphabet.len()];
        let bytes: Vec<u8> = (0..6).map(digit).collect();
        // Without flushes: split at \n, trim \r, decode.
        let mut lines: Vec<String> = bytes
            .split(|&byte| byte == b'\n')
            .map(|line| String::from_utf8_lossy(line).trim_matches('\r').to_owned())
            .collect();
        lines.pop_if(|tail| tail.is_empty());
        assert_eq!(down(&no_limit, &bytes, &[], true).messages, lines, "{bytes:x?}");
        if number % 7 == 0 {
            checked(&rules, &bytes, &[], true);
            let flushes = [number % 5, 3, 3 + number % 3];
            let flushes = &flushes[usize::from(flushes[0] > 3)..];
            checked(&rules, &bytes, flushes, true);
            // Flushes cut lines, and neither lose nor add a character but \r.
            let flushed = down(&no_limit, &bytes, flushes, true).messages.concat();
            assert_eq!(flushed.replace('\r', ""), lines.concat().replace('\r', ""), "{bytes:x?}");
        }
    }
}

#[test]
fn a_line_over_the_limit_is_told_by_its_first_byte_beyond() {
    let rules = Rules { max_line: 4, ..Rules::of_tests() };
    /// Bytes, flushes, where the limit is exceeded, and the messages before.
    type Row<'a> = (&'a [u8], &'a [usize], Option<usize>, usize);
    let rows: &[Row] = &[
        (b"abcd\n", &[], None, 1),
        (b"abcd\r\n", &[], None, 1),
        (b"\r\rabcd\r\r\r\n", &[], None, 1),
        (b"abcd", &[], None, 0),
        (b"abcd\r\r\r", &[], None, 0),
        (b"abcde", &[], Some(5), 0),
        (b"abcde\nb\n", &[], Some(5), 0),
        (b"a\nabcd\nabcdefg\n", &[], Some(12), 2),
        (b"\rabcd\r\re\n", &[], Some(8), 0),
        (b"\xc3\xa9\xc3\xa9\n", &[], None, 1),
        (b"\xc3\xa9\xc3\xa9\xc3\n", &[], Some(5), 0),
        // After a flush the limit begins anew.
        (b"abcdefgh\n", &[4], None, 2),
        (b"abcdefghi\n", &[4], Some(9), 1),
        (b"abcd\r\refgh\n", &[4], None, 2),
        (b"abc\xc3\xa9fg\n", &[4], None, 2),
        // What a flush held back, here half a character, came before it.
        (b"abc\xc3\xa9fgh\n", &[4], None, 2),
        (b"abc\xc3\xa9fghi\n", &[4], Some(9), 1),
        // No flush comes after the limit.
        (b"abcde\n", &[5], Some(5), 0),
        (b"abcdefgh\n", &[6], Some(5), 0),
    ];
    for &(bytes, flushes, too_long, messages) in rows {
        let down = checked(&rules, bytes, flushes, false);
        assert_eq!((down.too_long, down.messages.len()), (too_long, messages), "{bytes:x?}");
    }
}

#[test]
fn a_tail_is_there_since_its_first_visible_byte() {
    let rows: &[(&[u8], &[usize], Option<usize>)] = &[
        (b"", &[], None),
        (b"a", &[], Some(1)),
        (b"abc", &[], Some(1)),
        (b"a\n", &[], None),
        (b"a\nbc\r", &[], Some(3)),
        (b"a\n\r", &[], None),
        (b"\r\ra", &[], Some(3)),
        (b"\xc3", &[], None),
        (b"\xc3\r", &[], None),
        (b"\xc3\xa9", &[], Some(2)),
        (b"\xc3\ra", &[], Some(3)),
        (b"abc", &[2], Some(3)),
        (b"abc", &[3], None),
        (b"a\xc3", &[2], None),
        (b"a\xc3\xa9b", &[2], Some(3)),
    ];
    for &(bytes, flushes, since) in rows {
        let down = checked(&Rules::of_tests(), bytes, flushes, false);
        assert_eq!(down.tail_since, since, "{bytes:x?} flushed at {flushes:?}");
        let ended = down_ended(bytes, flushes);
        assert_eq!(ended.tail_since, None);
    }
}

fn down_ended(bytes: &[u8], flushes: &[usize]) -> Down {
    checked(&Rules::of_tests(), bytes, flushes, true)
}

#[test]
fn charsets_are_decoded() {
    /// Charset, bytes, flushes, the messages at the end of the stream, and what was replaced.
    type Row<'a> = (&'static Encoding, &'a [u8], &'a [usize], &'a [&'a str], u64);
    let rows: &[Row] = &[
        (WINDOWS_1252, b"\xe9\x80\n", &[], &["é€"], 0),
        (KOI8_R, b"\xc1\xc2\n\xc1", &[1], &["а", "б", "а"], 0),
        (SHIFT_JIS, b"\x93\xfa\x96{\n", &[1, 3], &["日", "本"], 0),
        (SHIFT_JIS, b"\x93\n\x96{\n", &[], &["\u{fffd}", "本"], 1),
        (EUC_JP, b"\x8f\xb0\xa1a\n", &[1, 2, 3], &["丂", "a"], 0),
        (GB18030, b"a\x81\x30\x81\x30\n", &[2, 3, 4], &["a", "\u{80}"], 0),
        (GB18030, b"a\x81\x30", &[3], &["a", "\u{fffd}"], 1),
        // The carriage return that a flush left out still parts what it followed from what comes.
        (GB18030, b"\xe3\r\xa7\n", &[3], &["\u{fffd}", "\u{fffd}"], 2),
        // So does one behind the beginning of a character of four bytes, whose second is a character of its own.
        (GB18030, b"\x81\x30\r\x81\n", &[4], &["\u{fffd}0", "\u{fffd}"], 2),
        // Each line begins in the initial state; a flush does not.
        (ISO_2022_JP, b"\x1b$BF|\nF|\n", &[], &["日", "F|"], 0),
        (ISO_2022_JP, b"\x1b$BF|K\\\x1b(B\n", &[5, 6], &["日", "本"], 0),
        (ISO_2022_JP, b"\x1b$BF|\r\r\n", &[5, 6], &["日"], 0),
    ];
    for &(charset, bytes, flushes, messages, replaced) in rows {
        let rules = Rules { charset, ..Rules::of_tests() };
        let down = checked(&rules, bytes, flushes, true);
        assert_eq!(down.messages, messages, "{charset:?} {bytes:x?} flushed at {flushes:?}");
        assert_eq!(down.replaced, replaced, "{charset:?} {bytes:x?} flushed at {flushes:?}");
    }
}
