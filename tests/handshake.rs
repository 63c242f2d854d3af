//! Refused handshakes: the status, the one line of text, the one line of log, and that nothing is
//! dialled for a client that is refused.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use async_tungstenite::tungstenite::Message;
use support::{Backend, Client, HttpResponse, Mute, Refusing, Relay, echo, handshake, relay_to};

/// Sends a request on a connection of its own, and expects this status, one line of plain text,
/// one line of log, and nothing else.
fn refused(relay: &mut Relay, request: &str, status: u16) -> HttpResponse {
    let mut tcp = relay.tcp();
    tcp.write_all(request.as_bytes()).unwrap();
    let response = HttpResponse::read(&mut tcp);
    assert_eq!(response.status, status, "{request:?}: {response:?}");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"), "{response:?}");
    let text = response.text();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
    assert!(text.trim().len() > 10, "it says what was wrong: {text:?}");
    tcp.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.escape_ascii().to_string(), "");

    let path = request.split(' ').nth(1).unwrap().split('?').next().unwrap();
    let line = relay.wait_log(&["refused", &format!("path={path:?}"), &format!("status={status}")]);
    let why = format!("why={:?}", text.trim());
    assert!(line.contains(&why), "the log says the same: {line}");
    let client = tcp.local_addr().unwrap();
    assert!(line.contains(&format!("client={client}")), "{line}");
    assert_eq!(log_lines(relay, &client.to_string()).len(), 1, "{:#?}", relay.seen);
    response
}

/// All lines of the log so far that contain `word`.
fn log_lines(relay: &mut Relay, word: &str) -> Vec<String> {
    // What is logged before this one has been logged when this one is.
    let mark = format!("/mark-{}", relay.seen.len());
    relay.get(&mark, &[]);
    relay.wait_log(&[&mark]);
    relay.seen.iter().filter(|line| line.contains(word)).cloned().collect()
}

#[test]
fn plain_requests_are_told_to_upgrade() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    for request in [
        "GET /plain HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /nohost HTTP/1.0\r\n\r\n",
        "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /post HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
        "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
        "DELETE /delete HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET /h2c HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let response = refused(&mut relay, request, 426);
        assert_eq!(response.header("upgrade"), Some("websocket"), "{request:?}");
        assert!(response.text().contains("WebSocket"), "{}", response.text());
    }
    // A handshake as a proxy without WebSocket configuration forwards it.
    let request = handshake("/stripped", "").replace("Upgrade: websocket\r\n", "");
    assert!(refused(&mut relay, &request, 426).text().contains("proxy"));
    assert!(!backend.is_called());
}

#[test]
fn a_head_request_gets_a_head() {
    let relay = relay_to(echo(), &[]);
    let mut tcp = relay.tcp();
    tcp.write_all(b"HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = String::new();
    tcp.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 426 "), "{all}");
    assert!(all.ends_with("\r\n\r\n"), "{all}");
}

#[test]
fn malformed_handshakes() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (what, from, to, word) in [
        ("no key", key, "", "Sec-WebSocket-Key"),
        ("two keys", key, &key.repeat(2), "Sec-WebSocket-Key"),
        ("empty key", "dGhlIHNhbXBsZSBub25jZQ==", "", "Sec-WebSocket-Key"),
        ("short key", "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "16 bytes"),
        ("no base64", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", "base64"),
        ("no Connection", "Connection: Upgrade\r\n", "", "Connection"),
        ("another Connection", "Connection: Upgrade", "Connection: keep-alive", "Connection"),
        ("HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1"),
        ("POST", "GET", "POST", "GET"),
        ("PUT", "GET", "PUT", "GET"),
        ("chunked", version, &format!("{version}Transfer-Encoding: chunked\r\n"), "body"),
        ("a body", version, &format!("{version}Content-Length: 5\r\n"), "body"),
    ] {
        let path = format!("/{}", what.replace([' ', '/'], "-"));
        let request = handshake(&path, "").replacen(from, to, 1);
        assert_ne!(request, handshake(&path, ""), "{what}");
        let response = refused(&mut relay, &request, 400);
        assert!(response.text().contains(word), "{what}: {}", response.text());
    }
    assert!(!backend.is_called());
}

/// RFC 9112, section 3.2: what proxies could read in two ways is not served in one of them.
#[test]
fn requests_for_no_host_or_for_several() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    let host =
        handshake("/", "").lines().find(|line| line.starts_with("Host: ")).unwrap().to_owned();
    for (what, to) in [
        ("none", String::new()),
        ("two", format!("{host}\r\nHost: other\r\n")),
        ("twice", format!("{host}\r\n{host}\r\n")),
        ("list", format!("{host}, other\r\n")),
        ("path", format!("{host}/x\r\n")),
        ("user", "Host: user@test\r\n".into()),
        ("port", "Host: test:x\r\n".into()),
    ] {
        let request = handshake(&format!("/{what}"), "").replacen(&format!("{host}\r\n"), &to, 1);
        assert!(refused(&mut relay, &request, 400).text().contains("Host"), "{what}");
        let plain = request.replace("Upgrade: websocket\r\n", "");
        relay.seen.clear();
        assert!(refused(&mut relay, &plain, 400).text().contains("Host"), "{what}");
        relay.seen.clear();
    }
    assert!(!backend.is_called());
}

#[test]
fn another_version_is_told_ours() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    for version in ["8", "14", "013", "+13", "13, 8", "thirteen", ""] {
        let request =
            handshake("/version", "").replace("Version: 13", &format!("Version: {version}"));
        let response = refused(&mut relay, &request, 426);
        assert_eq!(response.header("sec-websocket-version"), Some("13"), "{version}");
        assert_eq!(response.header("upgrade"), Some("websocket"), "{version}");
        relay.seen.clear();
    }
    assert!(!backend.is_called());
}

#[test]
fn heads_too_large() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    let long = |n: usize| format!("Cookie: {}\r\n", "x".repeat(n));
    let many = |n: usize| (0..n).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();

    let text = refused(&mut relay, &handshake("/long", &long(16 * 1024)), 431).text();
    assert!(text.contains("16 KiB"), "{text}");
    // Five headers are in every handshake.
    let text = refused(&mut relay, &handshake("/many", &many(96)), 431).text();
    assert!(text.contains("100 headers"), "{text}");
    let path = format!("/{}", "p".repeat(16 * 1024));
    assert_eq!(relay.http(&handshake(&path, "")).status, 431);
    let line = relay.wait_log(&["refused", "ppp…", "status=431"]);
    assert!(line.len() < 500, "no request should fill the log: {line}");
    refused(&mut relay, &format!("GET /plain HTTP/1.1\r\n{}\r\n", long(17_000)), 431);

    // Far beyond the limits the headers are not counted any more; the response is the same.
    let path = format!("/{}", "p".repeat(100_000));
    for request in [
        handshake("/", &long(100_000)),
        handshake("/", &many(1000)),
        handshake(&path, ""),
        // As slow readers of it would see: the head never ends.
        format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000)),
    ] {
        relay.seen.clear();
        assert_eq!(relay.http(&request).status, 431);
        relay.wait_log(&["refused", "status=431"]);
    }
    assert!(!backend.is_called());

    for extra in [long(16 * 1024 - 300), many(95)] {
        let response = relay.http(&handshake("/", &extra));
        assert_eq!(response.status, 101, "{}", response.text());
        backend.accept();
    }
}

#[test]
fn too_many_sessions() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--max-sessions", "2"]);
    let (first, mut second) = (relay.connect("/first"), relay.connect("/second"));
    let mut peers = (backend.accept(), backend.accept());
    let response = refused(&mut relay, &handshake("/third", ""), 503);
    let seconds: u32 = response.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert!(response.text().contains('2'), "it says how many: {}", response.text());
    // An error of the request comes before the limit of sessions.
    refused(&mut relay, &handshake("/nokey", "").replace("Key", "Kee"), 400);
    refused(&mut relay, "GET /plain HTTP/1.1\r\nHost: test\r\n\r\n", 426);
    assert!(!backend.is_called());

    // The permit is free again when a session has ended, by its client or by its backend.
    first.close();
    peers.0.expect_fin();
    drop(peers.0);
    relay.wait_log(&["session closed", "/first"]);
    let _third = relay.connect("/again");
    let _peer = backend.accept();
    refused(&mut relay, &handshake("/fourth", ""), 503);
    drop(peers.1);
    second.expect_close(1000, "backend closed");
    drop(second);
    relay.wait_log(&["session closed", "/second"]);
    relay.connect("/at-last");
}

#[test]
fn a_refused_client_takes_no_place() {
    let refusing = Refusing::bind("127.0.0.1");
    let mut relay = relay_to(refusing.addr, &["--max-sessions", "1"]);
    for n in 0..5 {
        refused(&mut relay, &handshake(&format!("/{n}"), ""), 502);
    }
    let backend = refusing.accept_from_now_on();
    relay.connect("/");
    backend.accept();
}

#[test]
fn a_backend_that_refuses() {
    let refusing = Refusing::bind("127.0.0.1");
    let mut relay = relay_to(refusing.addr, &[]);
    let text = refused(&mut relay, &handshake("/chat?token=secret", ""), 502).text();
    assert!(text.contains("connection refused"), "{text}");
    assert!(text.contains(&refusing.addr.to_string()), "{text}");
}

#[test]
fn a_backend_without_an_address() {
    let mut relay = support::relay(&["--to", "backend.invalid:7777"]);
    let text = refused(&mut relay, &handshake("/", ""), 502).text();
    assert!(text.contains("backend.invalid:7777"), "{text}");
    assert!(text.contains("does not resolve"), "{text}");
}

#[test]
fn a_backend_that_does_not_answer() {
    let mute = Mute::listen();
    // The time for the request is another time.
    let options = ["--connect-timeout", "600ms", "--handshake-timeout", "200ms"];
    let mut relay = relay_to(mute.addr, &options);
    let text = refused(&mut relay, &handshake("/", ""), 504).text();
    assert!(text.contains("600ms"), "{text}");
}

#[test]
fn while_we_stop() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    let mut witness = relay.connect("/witness");
    let peer = backend.accept();
    let request = handshake("/late", "");
    let (begin, rest) = request.split_at(20);
    let mut late = relay.tcp();
    late.write_all(begin.as_bytes()).unwrap();
    // Answered after it on the same listener: so the half request was accepted.
    relay.get("/after", &[]);
    relay.signal("TERM");
    witness.expect_close(1001, "server shutting down");
    late.write_all(rest.as_bytes()).unwrap();
    let response = HttpResponse::read(&mut late);
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.text(), "server shutting down\n");
    assert_eq!(late.read_to_end(&mut Vec::new()).unwrap(), 0);
    relay.wait_log(&["refused", "/late", "status=503"]);
    drop((late, peer, witness));
    assert_eq!(relay.wait_exit().code(), Some(0));
    assert!(!backend.is_called());
}

/// Expects an upgrade that is closed at once with 1013 and a reason that contains `word`.
fn closed_at_once(relay: &mut Relay, path: &str, word: &str) {
    let (mut client, response): (Client, _) = relay.connect_with(path, &[]);
    assert_eq!(response.status(), 101);
    let close = match client.next() {
        Message::Close(Some(close)) => close,
        other => panic!("expected a Close, got {other:?}"),
    };
    assert_eq!(u16::from(close.code), 1013);
    assert!(close.reason.contains(word), "{close:?}");
    client.expect_end();
    let line = relay.wait_log(&["refused", path]);
    assert!(line.contains(word) && line.contains("1013"), "{line}");
    assert_eq!(log_lines(relay, path).len(), 1, "{:#?}", relay.seen);
}

#[test]
fn refuse_close_says_why_by_a_close_frame() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--refuse", "close", "--max-sessions", "1"]);
    let _only = relay.connect("/only");
    let _peer = backend.accept();
    closed_at_once(&mut relay, "/second", "limit of open sessions");
    // The client's own errors still get an HTTP status.
    refused(&mut relay, &handshake("/version", "").replace(": 13", ": 8"), 426);
    refused(&mut relay, &handshake("/nokey", "").replace("Key", "Kee"), 400);
    refused(&mut relay, &handshake("/large", &format!("X: {}\r\n", "x".repeat(17_000))), 431);
    refused(&mut relay, "GET /plain HTTP/1.1\r\nHost: test\r\n\r\n", 426);
    assert!(!backend.is_called());

    let refusing = Refusing::bind("127.0.0.1");
    let mut relay = relay_to(refusing.addr, &["--refuse=close"]);
    closed_at_once(&mut relay, "/refused", "connection refused");

    let mute = Mute::listen();
    let mut relay = relay_to(mute.addr, &["--refuse=close", "--connect-timeout=200ms"]);
    closed_at_once(&mut relay, "/mute", "did not answer in 200ms");
}
