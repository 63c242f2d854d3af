//! Completed handshakes: what the 101 says, however the request came, and what it leaves in the log.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use support::{Backend, HttpResponse, echo, frame, handshake, relay_to};

/// The answer to the key in [`handshake`] (RFC 6455, section 1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A server's short text frame, as it is on the wire.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, u8::try_from(text.len()).unwrap()];
    frame.extend(text.as_bytes());
    frame
}

/// Expects exactly these bytes next.
fn expect_bytes(mut from: impl Read, want: &[u8]) {
    let mut got = vec![0; want.len()];
    from.read_exact(&mut got).unwrap();
    assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
}

#[test]
fn the_101() {
    let relay = relay_to(echo(), &[]);
    let extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    for extra in ["", extensions, "Origin: https://example.org\r\n"] {
        let response = relay.http(&handshake("/", extra));
        assert_eq!(response.status, 101);
        assert_eq!(response.header("upgrade"), Some("websocket"));
        assert_eq!(response.header("connection"), Some("Upgrade"));
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        for name in [
            "sec-websocket-extensions",
            "sec-websocket-protocol",
            "content-length",
            "transfer-encoding",
        ] {
            assert_eq!(response.header(name), None, "{}", response.head);
        }
    }
}

#[test]
fn the_same_request_in_other_words() {
    let relay = relay_to(echo(), &[]);
    let plain = handshake("/", "");
    for request in [
        plain.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        plain.replace("Connection: Upgrade", "connection:upgrade"),
        plain.replace("Connection: Upgrade", "Connection: keep-alive\r\nConnection: ,UPGRADE,"),
        plain.replace("Upgrade: websocket", "UPGRADE: WebSocket"),
        plain.replace("Upgrade: websocket", "Upgrade: h2c, websocket"),
        plain.replace("Sec-WebSocket-Key: ", "sec-websocket-key:\t "),
        plain.replace("dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAB=="),
        plain.replace("GET /", "GET http://example.org:80/a?b"),
        plain.replace("GET /", "GET //"),
        plain.replace("GET /", "GET /?"),
        plain.replace("GET /", "GET /%ff%00/../.."),
        plain.replace("\r\n", "\n"),
        format!("\r\n{plain}"),
        handshake("/", "Content-Length: 0\r\n"),
    ] {
        let mut tcp = relay.tcp();
        tcp.write_all(request.as_bytes()).unwrap();
        let response = HttpResponse::read(&mut tcp);
        assert_eq!(response.status, 101, "{request:?}: {}", response.text());
        tcp.write_all(&frame(0x81, b"hello")).unwrap();
        expect_bytes(&tcp, &text_frame("hello"));
    }
}

#[test]
fn subprotocols() {
    let echoing = relay_to(echo(), &[]);
    let choosing = relay_to(echo(), &["--subprotocol", " v2, v1"]);
    for (offers, echoed, chosen) in [
        (&[][..], None, None),
        (&["v1"], Some("v1"), Some("v1")),
        (&["v1, v2"], Some("v1"), Some("v1")),
        (&["v2", "v1"], Some("v2"), Some("v2")),
        (&[" chat ,v1"], Some("chat"), Some("v1")),
        (&["chat"], Some("chat"), None),
        (&["V1"], Some("V1"), None),
        (&["v1.0"], Some("v1.0"), None),
        (&[""], None, None),
        (&[",,"], None, None),
        // No names at all: nothing that could be echoed without harm.
        (&["\"v1\""], None, None),
        (&["v 1"], None, None),
        (&["\u{1f980}"], None, None),
    ] {
        let lines = offers.iter().map(|names| format!("Sec-WebSocket-Protocol: {names}\r\n"));
        let request = handshake("/", &lines.collect::<String>());
        for (relay, want) in [(&echoing, echoed), (&choosing, chosen)] {
            let response = relay.http(&request);
            assert_eq!(response.status, 101, "{offers:?}: {}", response.text());
            assert_eq!(response.header("sec-websocket-protocol"), want, "{offers:?}");
            let said = response.head.matches("sec-websocket-protocol").count();
            assert_eq!(said, usize::from(want.is_some()));
        }
    }
}

#[test]
fn bytes_behind_the_request_are_the_first_lines() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let mut all = handshake("/", "").into_bytes();
    let mut want = String::new();
    // More than the 4 KiB that are read at once, and less than the 64 KiB that may wait.
    for n in 0..500 {
        all.extend(frame(0x81, format!("early line {n}").as_bytes()));
        want += &format!("early line {n}\n");
    }
    let mut tcp = relay.tcp();
    tcp.write_all(&all).unwrap();
    assert_eq!(HttpResponse::read(&mut tcp).status, 101);
    let mut peer = backend.accept();
    for line in want.split_inclusive('\n') {
        assert_eq!(peer.read_line(), line);
    }
    peer.write("late\n");
    expect_bytes(&tcp, &text_frame("late"));
}

#[test]
fn a_whole_session_in_one_segment() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let mut all = handshake("/", "").into_bytes();
    all.extend(frame(0x81, b"hello"));
    all.extend(frame(0x88, &1000u16.to_be_bytes()));
    let mut tcp = relay.tcp();
    tcp.write_all(&all).unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    let mut peer = backend.accept();
    assert_eq!(peer.read_line(), "hello\n");
    peer.expect_fin();
    drop(peer);
    assert_eq!(HttpResponse::read(&mut tcp).status, 101);
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x88, 2, 3, 0xe8]);
}

#[test]
fn byte_by_byte() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let mut all = handshake("/", "").into_bytes();
    all.extend(frame(0x81, "in kleinen Stücken".as_bytes()));
    let mut tcp = relay.tcp();
    for byte in all {
        // Without Nagle's algorithm each write is a segment of its own.
        tcp.write_all(&[byte]).unwrap();
    }
    assert_eq!(HttpResponse::read(&mut tcp).status, 101);
    assert_eq!(backend.accept().read_line(), "in kleinen Stücken\n");
}

#[test]
fn after_other_requests_on_the_same_connection() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let get = "GET /page HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut tcp = relay.tcp();
    for _ in 0..3 {
        tcp.write_all(get.as_bytes()).unwrap();
        assert_eq!(HttpResponse::read(&mut tcp).status, 426);
    }
    tcp.write_all(handshake("/", "").as_bytes()).unwrap();
    assert_eq!(HttpResponse::read(&mut tcp).status, 101);
    tcp.write_all(&frame(0x81, b"hello")).unwrap();
    assert_eq!(backend.accept().read_line(), "hello\n");

    // The same without waiting for the answers.
    let mut all = [get, get, &handshake("/", "")].concat().into_bytes();
    all.extend(frame(0x81, b"pipelined"));
    let mut tcp = relay.tcp();
    tcp.write_all(&all).unwrap();
    for status in [426, 426, 101] {
        assert_eq!(HttpResponse::read(&mut tcp).status, status);
    }
    assert_eq!(backend.accept().read_line(), "pipelined\n");
    assert!(!backend.is_called());
}

#[test]
fn the_log_shows_neither_queries_nor_control_characters() {
    let backend = Backend::listen();
    for format in ["text", "json"] {
        let mut relay = relay_to(backend.addr, &["--log-format", format]);
        // In headers these are allowed (RFC 9110, section 5.5: obs-text), and a terminal obeys some.
        let odd = "\u{9b}2J\u{202e}\u{85}\u{2028}\t\"\\";
        let extra = format!(
            "User-Agent: agent-{odd}\r\nOrigin: http://{odd}\r\nCookie: secret\r\n\
             Sec-WebSocket-Protocol: {odd}, x{odd}\r\nX-Forwarded-For: {odd}\r\n"
        );
        for (request, status) in [
            (handshake("/path?token=secret", &extra), 101),
            (handshake("/é?token=secret", ""), 101),
            (handshake("/\"quoted\"?secret", ""), 101),
            (handshake("http://user:secret@example.org/abs?secret", ""), 400),
            (handshake("/a%0d%0a%1b[31mb?secret", ""), 101),
            (handshake("/\u{9b}2J\u{202e}\u{85}?secret", ""), 101),
            (handshake("/\u{1b}[31m?secret", ""), 400),
            (handshake("/esc", "X-Escape: \u{1b}[31m secret\r\n"), 400),
            (handshake("/refused?secret", "Content-Length: secret\r\n"), 400),
            ("GET /plain?secret HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 426),
            ("GET /plain#secret HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 426),
        ] {
            assert_eq!(relay.http(&request).status, status, "{request:?}");
        }
        while backend.is_called() {}
        relay.get("/last", &[]);
        relay.wait_log(&["/last"]);
        for line in &relay.seen {
            assert!(!line.contains("secret"), "{line}");
            assert!(!line.contains(char::is_control), "{}", line.escape_debug());
            assert!(!line.contains(['\u{202e}', '\u{2028}']), "{}", line.escape_debug());
        }
        assert!(relay.seen.iter().any(|line| line.contains("/path")), "{:#?}", relay.seen);
        assert!(relay.seen.iter().any(|line| line.contains("/plain")), "{:#?}", relay.seen);
    }
}
