//! Clients that do not finish their request, speak another protocol, or leave in between: they are
//! disconnected, without an effect on others.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use support::program::wait_until;
use support::{HttpResponse, Mute, Relay, echo, handshake, relay_to};

/// What the relay still says, up to its FIN. A reset is no good end.
fn read_to_fin(tcp: &mut TcpStream) -> String {
    let mut all = Vec::new();
    tcp.read_to_end(&mut all).unwrap_or_else(|e| panic!("{e} after {:?}", all.escape_ascii()));
    String::from_utf8(all).unwrap()
}

fn assert_serves(relay: &Relay) {
    let mut client = relay.connect("/");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
    client.close();
}

#[test]
fn a_request_that_never_becomes_complete() {
    let timeout = Duration::from_millis(400);
    let mut relay = relay_to(echo(), &["--handshake-timeout", "400ms", "--max-sessions", "1"]);
    let began = Instant::now();
    let request = handshake("/slow", "X-Slow: and so on\r\n");
    let mut tcp = relay.tcp();
    let mut slow = tcp.try_clone().unwrap();
    let slowloris = std::thread::spawn(move || {
        for byte in request.bytes().cycle().take(100_000) {
            // What counts is the whole head, not that something comes all the time.
            if slow.write_all(&[if byte < b' ' { b'x' } else { byte }]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // Meanwhile it neither takes the one permit nor delays other clients.
    assert_serves(&relay);
    assert_eq!(read_to_fin(&mut tcp), "");
    assert!(began.elapsed() >= timeout, "{:?}", began.elapsed());
    let client = format!("client={}", tcp.local_addr().unwrap());
    relay.wait_log(&["connection dropped", &client, "no complete request within 400ms"]);
    // The relay has hung up altogether, or else this one would write for ever.
    slowloris.join().unwrap();
    assert_serves(&relay);
}

#[test]
fn a_connection_that_says_nothing() {
    let mut relay = relay_to(echo(), &["--handshake-timeout", "300ms"]);
    let mut session = relay.connect("/");
    let mut silent: Vec<_> = (0..20).map(|_| relay.tcp()).collect();
    let mut idle = relay.tcp();
    idle.write_all(b"GET /page HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(HttpResponse::read(&mut idle).status, 426);
    for tcp in &mut silent {
        assert_eq!(read_to_fin(tcp), "");
        let client = format!("client={}", tcp.local_addr().unwrap());
        relay.wait_log(&["connection dropped", &client]);
    }
    assert_eq!(read_to_fin(&mut idle), "");
    // The timeout is about requests: it ends with the 101.
    session.send("still here");
    assert_eq!(session.recv(), "still here");
}

#[test]
fn a_client_that_leaves_before_its_request_is_complete() {
    let mut relay = relay_to(echo(), &["--max-sessions", "1", "--log-level", "debug"]);
    for n in [0, 1, 10, 100] {
        let mut tcp = relay.tcp();
        tcp.write_all(&handshake("/", "").as_bytes()[..n]).unwrap();
        tcp.shutdown(Shutdown::Write).unwrap();
        let answer = read_to_fin(&mut tcp);
        assert_eq!(answer.starts_with("HTTP/1.1 400 "), n > 0, "{n}: {answer}");
        if n > 0 {
            let client = format!("client={}", tcp.local_addr().unwrap());
            relay.wait_log(&["refused", &client, "status=400", "before its request was complete"]);
        }
    }
    assert_serves(&relay);
}

#[test]
fn a_client_that_ends_its_stream_behind_its_requests() {
    let mut relay = relay_to(echo(), &[]);
    let get = "GET /page HTTP/1.1\r\nHost: test\r\n\r\n";
    let no_key = handshake("/", "").replace("Sec-WebSocket-Key", "X-Other");
    let cases = [
        (get.to_owned(), &[426][..]),
        (format!("{get}{get}"), &[426, 426]),
        (format!("{get}garbage\n"), &[426, 400]),
        (format!("{get}GET /half"), &[426, 400]),
        (no_key, &[400]),
    ];
    // It finds request and FIN together.
    relay.signal("STOP");
    let mut waiting: Vec<_> =
        cases.iter().cycle().take(50).map(|case| (relay.tcp(), case)).collect();
    for (tcp, (requests, _)) in &mut waiting {
        tcp.write_all(requests.as_bytes()).unwrap();
        tcp.shutdown(Shutdown::Write).unwrap();
    }
    relay.signal("CONT");
    for (mut tcp, (requests, want)) in waiting {
        for status in *want {
            assert_eq!(HttpResponse::read(&mut tcp).status, *status, "{requests:?}");
        }
        assert_eq!(read_to_fin(&mut tcp), "", "{requests:?}");
        if want.ends_with(&[400]) {
            let client = format!("client={}", tcp.local_addr().unwrap());
            relay.wait_log(&["refused", "status=400", &client]);
        }
    }
    assert_serves(&relay);
}

#[test]
fn a_client_that_leaves_while_its_backend_is_dialled() {
    let mute = Mute::listen();
    let options = ["--max-sessions", "1", "--connect-timeout", "1h", "--log-level", "debug"];
    let mut relay = relay_to(mute.addr, &options);
    // While the backend is connected to, the client that was not refused holds the permit.
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut tcp = relay.tcp();
        tcp.write_all(handshake("/", "").as_bytes()).unwrap();
        tcp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        waiting.push(tcp);
    }
    wait_until("one of them is answered", || {
        waiting.retain(|tcp| tcp.peek(&mut [0]).is_err());
        waiting.len() == 1
    });
    let client = format!("client={}", waiting[0].local_addr().unwrap());
    assert!(!relay.wait_log(&["refused", "status=503"]).contains(&client));

    drop(waiting);
    relay.wait_log(&["connection ended", &client]);
    let backend = mute.accept_from_now_on();
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    peer.write("welcome\n");
    assert_eq!(client.recv(), "welcome");
}

#[test]
fn other_protocols_and_requests_that_are_none() {
    let mut relay = relay_to(echo(), &[]);
    // The beginning of a ClientHello, as browsers send it to wss:// on a ws:// port.
    let mut client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    client_hello.extend((0..506u32).map(|n| (n * 7) as u8));
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let everything: Vec<u8> = (0..=255).collect();
    let get = |rest: &str| format!("GET / HTTP/1.1\r\nHost: t\r\n{rest}\r\n\r\n").into_bytes();
    let long = |n: usize| get(&format!("X: {}", "x".repeat(n)));
    let none = "this is no HTTP request";
    for (bytes, status, want) in [
        (&client_hello[..], 400, "TLS on a port without TLS"),
        (h2, 400, "an HTTP/2 connection preface: this port speaks HTTP/1.1"),
        (&h2[..18], 400, "an HTTP/2 connection preface"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 400, "SSH"),
        (b"SSH-2.0-libssh\r\n", 400, "SSH"),
        (b"\x04\x01\0\x50\x7f\0\0\x01\0", 400, "SOCKS4"),
        (b"\x05\x01\0", 400, "SOCKS5"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n", 400, "PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 400, "PROXY protocol"),
        (b"hello\n", 400, none),
        (b"NICK me\r\nUSER me 0 * :me\r\n", 400, "has no version"),
        (b"\xff\xfb\x01\xff\xfb\x03\r\n", 400, "telnet"),
        (b"GET\r\n\r\n", 400, none),
        (b"GET /\r\n\r\n", 400, "has no version"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "HTTP/9.9"),
        (b"GET / HTTP/1.2\r\n\r\n", 400, "HTTP/1.2"),
        (b"GET  /two-spaces HTTP/1.1\r\n\r\n", 400, "a space"),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400, "%20"),
        (b"GET /\x1b[31m HTTP/1.1\r\n\r\n", 400, "control character"),
        (&get("no colon"), 400, "no colon"),
        (&get("A: b\r\n folded"), 400, "folded"),
        (&get("A : b"), 400, "before its colon"),
        (&get("Content-Length: -1"), 400, "Content-Length"),
        (&get("Content-Length: 1\r\nContent-Length: 2"), 400, "Content-Length"),
        (&get("Transfer-Encoding: gzip"), 400, "Transfer-Encoding"),
        (b"G\0T / HTTP/1.1\r\n\r\n", 400, none),
        (&[0; 4096], 400, none),
        (&everything, 400, none),
        (&long(17_000), 431, "16 KiB"),
        (&long(33_000), 431, "16 KiB"),
        (&long(1_000_000), 431, "16 KiB"),
        (&get(&"X: 1\r\n".repeat(300)), 431, "100 headers"),
        // With more behind it than anybody will read.
        (&b"hello\n".repeat(50_000), 400, none),
    ] {
        let shown = bytes[..bytes.len().min(40)].escape_ascii();
        // At once, and as a second request on a connection.
        for first in ["", "GET /first HTTP/1.1\r\nHost: t\r\n\r\n"] {
            let mut tcp = relay.tcp();
            let (mut writer, all) = (tcp.try_clone().unwrap(), [first.as_bytes(), bytes].concat());
            let writer = std::thread::spawn(move || {
                let _ = writer.write_all(&all);
                let _ = writer.shutdown(Shutdown::Write);
            });
            if !first.is_empty() {
                assert_eq!(HttpResponse::read(&mut tcp).status, 426);
            }
            let answer = HttpResponse::read(&mut tcp);
            assert_eq!(read_to_fin(&mut tcp), "");
            writer.join().unwrap();
            assert_eq!(answer.status, status, "{shown}: {answer:?}");
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{shown}");
            assert_eq!(answer.header("connection"), Some("close"), "{shown}");
            let text = answer.text();
            assert!(text.contains(want), "{shown}: {text:?}");
            assert!(text.ends_with('\n') && text.lines().count() == 1, "{shown}: {text:?}");
            let client = format!("client={}", tcp.local_addr().unwrap());
            let status = format!("status={status}");
            let line = relay.wait_log(&["refused", &status, text.trim(), &client, "why="]);
            assert!(!line.contains(char::is_control), "{}", line.escape_debug());
        }
    }
    assert_serves(&relay);
}

#[test]
fn a_client_that_goes_on_after_a_refusal() {
    let mut relay = relay_to(echo(), &["--max-sessions", "1"]);
    let _only = relay.connect("/only");
    // Its first line is on the way already: it is no second request, and no reset may overtake the
    // answer because of it.
    let mut tcp = relay.tcp();
    let mut all = handshake("/second", "").into_bytes();
    all.extend(support::frame(0x81, &b"hello".repeat(10_000)));
    tcp.write_all(&all).unwrap();
    let response = HttpResponse::read(&mut tcp);
    assert_eq!((response.status, response.header("connection")), (503, Some("close")));
    assert_eq!(read_to_fin(&mut tcp), "");
    relay.get("/mark", &[]);
    relay.wait_log(&["/mark"]);
    let client = format!("client={}", tcp.local_addr().unwrap());
    let lines = relay.seen.iter().filter(|line| line.contains(&client)).count();
    assert_eq!(lines, 1, "{:#?}", relay.seen);
}

/// Only an incomplete request is logged as dropped.
#[test]
fn an_answered_connection_that_stays_silent_ends_without_a_word() {
    let options = ["--handshake-timeout", "300ms", "--log-level", "debug"];
    let mut relay = relay_to(echo(), &options);
    let request = b"GET /missing HTTP/1.1\r\nHost: test\r\n\r\n";
    for (rest, level, event) in [
        (&b""[..], "DEBUG", "connection ended"),
        (b"GET /more HTTP/1.1\r\n", "INFO", "connection dropped"),
    ] {
        let mut tcp = relay.tcp();
        tcp.write_all(request).unwrap();
        let mut answer = [0; 12];
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 426");
        tcp.write_all(rest).unwrap();
        let client = format!("client={}", tcp.local_addr().unwrap());
        read_to_fin(&mut tcp);
        relay.wait_log(&[level, event, &client]);
    }
    relay.signal("TERM");
    let log = relay.log_to_end();
    let dropped = log.iter().filter(|line| line.contains("connection dropped"));
    assert_eq!(dropped.count(), 1, "{log:#?}");
}
