//! TLS at the listeners: an encrypted session behaves like any other, and clients that do not speak TLS are refused.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use async_tungstenite::tungstenite::Message;
use rustls::version::{TLS12, TLS13};
use support::faults::Slice;
use support::tls::{Ca, assert_serves, client, flood, openssl, read_to_end, tls, upgraded};
use support::{Backend, HttpResponse, echo, frame, handshake, start};

const KIB: usize = 1024;

#[test]
fn lines_both_ways() {
    let ca = Ca::new();
    let relay = ca.relay_to(echo(), &[]);
    let big = "x".repeat(KIB * KIB);
    for version in [&TLS12, &TLS13] {
        let mut client = support::tls::connect(&relay, "/", ca.client_of(None, &[version]));
        for text in ["hello", "", "žluťoučký kůň", &big] {
            client.send(text);
            assert!(client.recv() == text, "{} bytes", text.len());
        }
        for n in 0..1000 {
            client.0.write(Message::text(n.to_string())).unwrap();
        }
        client.0.flush().unwrap();
        for n in 0..1000 {
            assert_eq!(client.recv(), n.to_string());
        }
        client.close();
    }
}

#[test]
fn the_start_line_says_wss_and_unix_sockets_speak_tls_too() {
    let ca = Ca::new();
    let path = ca.path("socket");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--listen"]).arg(format!("unix:{}", path.display()));
    command.args(ca.options()).args(["--to", &echo().to_string()]);
    // Which of ws and wss the first line said is what start() does not mind.
    let relay = start(command);
    assert_eq!(relay.stdout_line(), format!("listening on unix:{}", path.display()));
    assert!(relay.first_line.starts_with("listening on wss://127.0.0.1:"), "{}", relay.first_line);
    let unix = format!("unix:{}", path.display());
    let said = openssl(&["s_client", "-unix", &unix[5..], "-brief"]);
    assert!(said.contains("TLSv1.3"), "{said}");
}

#[test]
fn what_rustls_holds_is_read_without_another_event() {
    let ca = Ca::new();
    let relay = ca.relay_to(echo(), &[]);
    // The request and thousands of frames in few records, then silence.
    let frames = frame(0x81, b"x").repeat(4000);
    let mut client = client(upgraded(&relay, ca.client(None), &frames));
    for _ in 0..4000 {
        assert_eq!(client.recv(), "x");
    }
    // As much again, while the relay waits for nothing but the session.
    let tls = client.0.get_mut();
    tls.write_all(&frames).unwrap();
    tls.flush().unwrap();
    for _ in 0..4000 {
        assert_eq!(client.recv(), "x");
    }
    client.close();
}

#[test]
fn records_of_one_byte_in_segments_of_one_byte() {
    let ca = Ca::new();
    let relay = ca.relay_to(echo(), &[]);
    let mut tls = tls(relay.tcp(), ca.client(None)).unwrap();
    let request = handshake("/", "").into_bytes();
    for byte in [&request[..], &frame(0x81, b"hello"), &frame(0x89, b"p")].concat() {
        tls.conn.writer().write_all(&[byte]).unwrap();
        let mut record = Vec::new();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut record).unwrap();
        }
        Slice(&tls.sock).write(record);
    }
    assert_eq!(HttpResponse::read(&mut tls).status, 101);
    let mut client = client(tls);
    let mut got = [client.0.read().unwrap(), client.0.read().unwrap()];
    got.sort_by_key(Message::is_text);
    assert_eq!(got, [Message::Pong("p".into()), Message::text("hello")]);
    client.close();
}

#[test]
fn both_ends_are_told_of_an_end() {
    let ca = Ca::new();
    let backend = Backend::listen();
    let mut relay = ca.relay_to(backend.addr, &[]);
    // The backend's: last lines, the tail, a Close, a close_notify, a FIN.
    let mut tls = upgraded(&relay, ca.client(None), b"");
    let mut peer = backend.accept();
    peer.write("x".repeat(100 * KIB) + "\nbye");
    drop(peer);
    let all = {
        tls.sock.set_read_timeout(Some(support::DEADLINE)).unwrap();
        let mut all = vec![0; 100 * KIB + 10 + 5 + 18];
        tls.read_exact(&mut all).unwrap();
        tls.write_all(&frame(0x88, &1000u16.to_be_bytes())).unwrap();
        assert_eq!(read_to_end(&mut tls), b"");
        drop(tls);
        all
    };
    assert!(all.ends_with(b"\x81\x03bye\x88\x10\x03\xe8backend closed"));
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1000", "lines_down=2"]);

    // The client's: all that it said, and a FIN.
    let mut client = ca.connect(&relay, "/");
    let mut peer = backend.accept();
    client.0.write(Message::text("x".repeat(100 * KIB))).unwrap();
    client.0.write(Message::text("bye")).unwrap();
    client.0.close(None).unwrap();
    assert_eq!(peer.read_to_end(), ("x".repeat(100 * KIB) + "\nbye\n").as_bytes());
    drop(peer);
    client.expect_end();
    drop(client);
    relay.wait_log(&["session closed", "by=\"client\"", "lines_up=2"]);
}

#[test]
fn a_client_that_hangs_up_without_a_word_has_gone() {
    let ca = Ca::new();
    let backend = Backend::listen();
    let mut relay = ca.relay_to(backend.addr, &[]);
    let mut client = ca.connect(&relay, "/");
    let mut peer = backend.accept();
    client.send("last words");
    client.0.get_ref().sock.shutdown(Shutdown::Both).unwrap();
    assert_eq!(peer.read_to_end(), b"last words\n");
    drop(peer);
    relay.wait_log(&["session closed", "by=\"client\"", "ended without a Close", "code=1006"]);
}

#[test]
fn a_backend_that_does_not_read_holds_the_client_back() {
    let ca = Ca::new();
    let backend = support::faults::Stall::backend();
    let relay = ca.relay_to(backend.addr, &[]);
    let mut tls = upgraded(&relay, ca.client(None), b"");
    let mut peer = backend.accept();
    let before = relay.rss();
    let unit = frame(0x81, &[b'x'; 16 * KIB]);
    let taken = flood(&mut tls, &unit);
    assert!(relay.rss() - before < 4 * KIB * KIB, "{} KiB", (relay.rss() - before) / KIB);
    let reader = thread::spawn(move || {
        for n in 0..taken {
            assert_eq!(peer.read_line().len(), 16 * KIB + 1, "{n}");
        }
        assert_eq!(peer.read_line(), "and this\n");
        peer.write("done\n");
        peer.expect_fin();
    });
    let mut client = client(tls);
    client.send("and this");
    assert_eq!(client.recv(), "done");
    client.0.close(None).unwrap();
    reader.join().unwrap();
    client.expect_end();
}

#[test]
fn plain_http_is_told_where_to_go() {
    let ca = Ca::new();
    let mut relay = ca.relay_to(echo(), &[]);
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", &handshake("/", "")] {
        let response = relay.http(request);
        assert_eq!(response.status, 400);
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        let want = "this port speaks TLS: use https:// or wss:// in place of http:// or ws://\n";
        assert_eq!(response.text(), want);
    }
    relay.wait_log(&["refused", "status=400", "this port speaks TLS"]);
}

#[test]
fn what_is_neither_is_dropped() {
    let ca = Ca::new();
    let mut relay = ca.relay_to(echo(), &[]);
    for garbage in
        [&b"\x00\x01\x02\x03\x04\x05"[..], b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01\x00\x02"]
    {
        let mut tcp = relay.tcp();
        tcp.write_all(garbage).unwrap();
        tcp.shutdown(Shutdown::Write).unwrap();
        // Perhaps an alert, and a FIN.
        let mut said = Vec::new();
        tcp.read_to_end(&mut said).expect("a FIN");
        let client = format!("client={}", tcp.local_addr().unwrap());
        relay.wait_log(&["connection dropped", &client, "TLS handshake failed: the client"]);
    }
    // A probe of a load balancer is not worth a line.
    let probe = relay.tcp();
    let client = format!("client={}", probe.local_addr().unwrap());
    probe.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&probe).read(&mut [0]).unwrap(), 0);
    assert_serves(&ca, &relay);
    relay.wait_log(&["session closed"]);
    assert!(!relay.seen.iter().any(|line| line.contains(&client)), "{:?}", relay.seen);
}

#[test]
fn old_versions_are_refused() {
    let ca = Ca::new();
    let mut relay = ca.relay_to(echo(), &[]);
    let to = relay.addr.to_string();
    for (version, want) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = openssl(&["s_client", "-connect", &to, "-brief", version]);
        assert!(said.contains(want), "{said}");
    }
    let old = ["s_client", "-connect", &to, "-brief", "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"];
    let said = openssl(&old);
    assert!(said.contains("alert"), "{said}");
    relay.wait_log(&["connection dropped", "the client knows no TLS 1.2 or 1.3"]);
}

#[test]
fn pages_come_by_tls_and_say_wss() {
    let ca = Ca::new();
    let relay = ca.relay_to(echo(), &[]);
    let response = ca.http(&relay, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(response.status, 426);
    assert!(response.text().contains("new WebSocket(\"wss://…\")"), "{}", response.text());
}

#[test]
fn pages_of_our_own_host_are_those_of_https() {
    let ca = Ca::new();
    let relay = ca.relay_to(echo(), &["--same-origin"]);
    for (origin, status) in [("https://test", 101), ("http://test", 403), ("https://other", 403)] {
        let response = ca.http(&relay, &handshake("/", &format!("Origin: {origin}\r\n")));
        assert_eq!(response.status, status, "{origin}");
    }
}

#[test]
fn a_stop_waits_for_no_handshake() {
    let ca = Ca::new();
    let mut relay =
        ca.relay_to(echo(), &["--handshake-timeout", "60s", "--shutdown-timeout", "60s"]);
    let mut silent = relay.tcp();
    let mut mute = tls(relay.tcp(), ca.client(None)).unwrap();
    let mut client = ca.connect(&relay, "/");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
    relay.signal("TERM");
    client.expect_close(1001, "server shutting down");
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert_eq!(read_to_end(&mut mute), b"");
    drop((silent, mute, client));
    assert!(relay.wait_exit().success());
}
