//! The limit of lines in both directions, raw mode, charsets, and large amounts of data.

mod support;

use std::io::Write;

use async_tungstenite::tungstenite::Message;
use support::faults::Slice;
use support::{Backend, echo, frame, relay_to, session};

const KIB: usize = 1024;

#[test]
fn a_message_of_the_limit_goes_up_whatever_ends_it() {
    let (_relay, mut client, mut peer) = session(&["--max-line", "64KiB"]);
    let longest = "x".repeat(64 * KIB);
    for end in ["", "\n", "\r\n"] {
        client.send(&format!("{longest}{end}"));
        let line = peer.read_line();
        assert_eq!(line.len(), 64 * KIB + end.len().max(1));
    }
    client.0.close(None).unwrap();
    peer.expect_fin();
}

#[test]
fn a_longer_message_closes_1009_after_what_came_before() {
    let too_long = vec![b'x'; 64 * KIB + 1];
    let far_too_long = vec![b'x'; 1024 * KIB];
    let halves = [frame(0x01, &too_long[..40 * KIB]), frame(0x80, &too_long[..40 * KIB])].concat();
    for bytes in
        [frame(0x81, &too_long), frame(0x82, &too_long), frame(0x81, &far_too_long), halves]
    {
        let (mut relay, mut client, mut peer) = session(&["--max-line", "64KiB"]);
        client.send("before");
        let mut tcp = client.tcp();
        tcp.write_all(&bytes).unwrap();
        assert_eq!(peer.read_to_end(), b"before\n");
        drop(peer);
        client.expect_close(1009, "message longer than 64KiB");
        drop(client);
        relay.wait_log(&["session closed", "by=\"relay\"", "code=1009", "lines_up=1"]);
    }
}

#[test]
fn a_line_of_the_limit_comes_down_whatever_ends_it() {
    let (_relay, mut client, mut peer) = session(&["--max-line", "64KiB"]);
    let longest = "x".repeat(64 * KIB);
    peer.write(format!("{longest}\n{longest}\r\n{longest}\n\r{longest}"));
    drop(peer);
    for _ in 0..4 {
        assert_eq!(client.recv(), longest);
    }
    client.expect_close(1000, "backend closed");
}

#[test]
fn a_longer_line_closes_1009_after_what_came_before() {
    // With its end and without: a backend that never ends its line is found out too.
    for end in ["\n", ""] {
        let (mut relay, mut client, mut peer) = session(&["--max-line", "64KiB"]);
        peer.write(format!("one\r\n\ntwo\n{}{end}", "x".repeat(64 * KIB + 1)));
        for line in ["one", "", "two"] {
            assert_eq!(client.recv(), line);
        }
        client.expect_close(1009, "line from backend longer than 64KiB");
        drop(client);
        peer.expect_fin();
        drop(peer);
        let line = relay.wait_log(&["session closed", "by=\"relay\"", "code=1009"]);
        assert!(line.contains("WARN"), "the operator has to look at it: {line}");
        assert!(line.contains("lines_down=3"), "{line}");
    }
}

#[test]
fn a_mebibyte_goes_both_ways() {
    let relay = relay_to(echo(), &[]);
    let mut client = relay.connect("/");
    let line: String = (0..1024 * KIB).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
    for _ in 0..3 {
        client.send(&line);
        assert!(client.recv() == line);
    }
    client.send("short again");
    assert_eq!(client.recv(), "short again");
    client.close();
}

#[test]
fn a_hundred_thousand_lines_keep_their_order_and_bytes() {
    const LINES: usize = 100_000;
    let mut relay = relay_to(echo(), &[]);
    let mut client = relay.connect("/");
    let mut writer = client.tcp().try_clone().unwrap();
    let text = |n: usize| format!("{n} {}", "ä".repeat(n % 40));
    let sender = std::thread::spawn(move || {
        let mut frames = Vec::new();
        for n in 0..LINES {
            frames.extend(frame(0x81, text(n).as_bytes()));
            if frames.len() > 100_000 {
                writer.write_all(&frames).unwrap();
                frames.clear();
            }
        }
        writer.write_all(&frames).unwrap();
    });
    for n in 0..LINES {
        assert_eq!(client.recv(), text(n));
    }
    sender.join().unwrap();
    client.close();
    relay.wait_log(&["session closed", "lines_up=100000", "lines_down=100000"]);
}

#[test]
fn raw_mode_passes_bytes_verbatim() {
    let (_relay, mut client, mut peer) = session(&["--binary", "--max-line", "64KiB"]);
    let all: Vec<u8> = (0..=255).collect();
    client.0.send(Message::binary(all.clone())).unwrap();
    client.0.send(Message::binary(Vec::new())).unwrap();
    client.send("text\nis\r\nbytes");
    assert_eq!(peer.read_bytes(256 + 14), [&all[..], b"text\nis\r\nbytes"].concat());

    peer.write(&all);
    assert_eq!(client.recv_binary(), all);
    // More than one read's worth: several messages, none over 64 KiB, nothing in between lost.
    let much: Vec<u8> = (0..300_000u32).map(|i| (i * 7 + i / 256) as u8).collect();
    peer.write(&much);
    peer.shutdown_write();
    let mut got = Vec::new();
    while got.len() < much.len() {
        let message = client.recv_binary();
        assert!((1..=64 * KIB).contains(&message.len()));
        got.extend(message);
    }
    assert!(got == much);
    client.expect_close(1000, "backend closed");
    peer.expect_fin();
}

#[test]
fn raw_mode_speaks_the_subprotocol_binary_and_has_the_limit_too() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &["--binary", "--max-line", "64KiB"]);
    let offer = [("Sec-WebSocket-Protocol", "binary, base64")];
    let (mut client, response) = relay.connect_with("/", &offer);
    assert_eq!(response.headers()["sec-websocket-protocol"], "binary");
    let mut peer = backend.accept();
    client.0.send(Message::binary(vec![b'x'; 64 * KIB])).unwrap();
    client.0.send(Message::binary(vec![b'x'; 64 * KIB + 1])).unwrap();
    assert_eq!(peer.read_to_end().len(), 64 * KIB);
    drop(peer);
    client.expect_close(1009, "message longer than 64KiB");
}

#[test]
fn a_backend_may_speak_another_charset() {
    let cases: [(&str, &str, &[u8]); 4] = [
        ("windows-1252", "café “€”", b"caf\xe9 \x93\x80\x94"),
        ("iso-8859-2", "Łódź", b"\xa3\xf3d\xbc"),
        ("koi8-r", "Привет", b"\xf0\xd2\xc9\xd7\xc5\xd4"),
        ("shift_jis", "日本ソ", b"\x93\xfa\x96\x7b\x83\x5c"),
    ];
    for (label, text, bytes) in cases {
        let (_relay, mut client, mut peer) = session(&["--charset", label]);
        client.send(text);
        assert_eq!(peer.read_bytes(bytes.len() + 1), [bytes, b"\n"].concat(), "{label}");
        Slice(peer.tcp()).write([bytes, b"\r\n", bytes].concat());
        drop(peer);
        assert_eq!(client.recv(), text, "{label}");
        assert_eq!(client.recv(), text, "{label}");
        client.expect_close(1000, "backend closed");
    }
}

#[test]
fn what_a_charset_lacks_is_marked_counted_and_logged_once_each_way() {
    let (mut relay, mut client, mut peer) = session(&["--charset", "shift_jis"]);
    client.send("a🥊b");
    client.send("🥊🥊");
    assert_eq!(peer.read_line(), "a?b\n");
    assert_eq!(peer.read_line(), "??\n");
    // 0xfd is no character of Shift_JIS, and 0x93 alone is half of one.
    peer.write(b"a\xfdb\n\xfd\n\x93\n");
    assert_eq!(client.recv(), "a\u{fffd}b");
    assert_eq!(client.recv(), "\u{fffd}");
    assert_eq!(client.recv(), "\u{fffd}");
    drop(peer);
    client.close();
    relay.wait_log(&["session closed", "replaced_up=3", "replaced_down=3"]);
    for what in ["sent ? instead", "U+FFFD shown instead"] {
        let told = relay.seen.iter().filter(|line| line.contains(what) && line.contains("WARN"));
        assert_eq!(told.count(), 1, "{what}");
    }
}
