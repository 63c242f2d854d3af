//! How sessions end: what both peers see, and what the log says.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use support::faults::{Flood, HalfClose, RefuseThenAccept, Reset, Stall, reset, upgrade};
use support::{Backend, Peer, Relay, frame, handshake, relay_to};

/// A relay with these options, a client's bare socket, and the backend's side of the session.
fn session(options: &[&str]) -> (Relay, TcpStream, Peer) {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, options);
    let (client, peer) = join(&relay, &backend);
    (relay, client, peer)
}

fn join(relay: &Relay, backend: &Backend) -> (TcpStream, Peer) {
    let mut client = relay.tcp();
    upgrade(&mut client, &[]);
    (client, backend.accept())
}

/// A short frame as the relay sends it (unmasked).
fn told(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, payload.len() as u8], payload].concat()
}

fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

fn told_close(code: u16, reason: &str) -> Vec<u8> {
    told(0x88, &close_payload(code, reason))
}

/// All that the relay says up to its FIN; a reset fails the test.
fn read_to_fin(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("a FIN, not a reset");
    all
}

fn expect(got: &[u8], want: &[u8]) {
    assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
}

#[test]
fn the_clients_close_is_echoed_and_the_backend_gets_all_and_a_fin() {
    for (payload, code) in [
        (close_payload(1000, "bye"), "code=1000"),
        (close_payload(4321, ""), "code=4321"),
        (Vec::new(), "code=1005"),
    ] {
        let (mut relay, mut client, mut peer) = session(&[]);
        let frames = [frame(0x81, b"one"), frame(0x81, b"two"), frame(0x88, &payload)].concat();
        client.write_all(&frames).unwrap();
        // The client does not have to wait for the backend, which takes its time.
        expect(&read_to_fin(&mut client), &told(0x88, &payload));
        drop(client);
        expect(&peer.read_to_end(), b"one\ntwo\n");
        // Its last words are read, although nobody wants to hear them: no reset.
        peer.write(vec![b'x'; 8 << 20]);
        drop(peer);
        let why = "reason=\"closed by the client\"";
        relay.wait_log(&["session closed", "by=\"client\"", why, code, "lines_up=2 bytes_up=8"]);
    }
}

#[test]
fn a_backend_that_never_closes_is_left_after_the_close_timeout() {
    let (mut relay, mut client, mut peer) = session(&["--close-timeout", "300ms"]);
    let began = Instant::now();
    client.write_all(&frame(0x88, b"")).unwrap();
    expect(&read_to_fin(&mut client), &told(0x88, b""));
    drop(client);
    peer.expect_fin();
    relay.wait_log(&["session closed", "by=\"client\"", "code=1005"]);
    assert!(began.elapsed() >= Duration::from_millis(300), "it was given time");
}

#[test]
fn the_clients_fin_without_a_close_ends_it_like_a_close() {
    let (mut relay, mut client, mut peer) = session(&[]);
    // The last frame is cut short: no message.
    let cut = frame(0x81, b"never");
    client.write_all(&[frame(0x81, b"one"), cut[..8].to_vec()].concat()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    expect(&peer.read_to_end(), b"one\n");
    drop(peer);
    expect(&read_to_fin(&mut client), &told_close(1000, "connection ended without a Close"));
    drop(client);
    let why = "reason=\"connection ended without a Close\"";
    relay.wait_log(&["session closed", "by=\"client\"", why, "code=1006", "lines_up=1"]);
}

#[test]
fn the_clients_reset_ends_it() {
    let (mut relay, mut client, mut peer) = session(&[]);
    client.write_all(&frame(0x81, b"one")).unwrap();
    assert_eq!(peer.read_line(), "one\n");
    reset(client);
    peer.expect_fin();
    drop(peer);
    let why = "reason=\"connection reset by peer\"";
    relay.wait_log(&["session closed", "by=\"client\"", why, "code=1006"]);
}

#[test]
fn the_backends_end_delivers_every_line_and_the_tail_and_then_closes() {
    let (mut relay, mut client, mut peer) = session(&[]);
    peer.write("one\r\n\ntail");
    drop(peer);
    let lines = [told(0x81, b"one"), told(0x81, b""), told(0x81, b"tail")].concat();
    let want = [lines, told_close(1000, "backend closed")].concat();
    let mut got = vec![0; want.len()];
    client.read_exact(&mut got).unwrap();
    expect(&got, &want);
    client.write_all(&frame(0x88, &close_payload(1000, ""))).unwrap();
    expect(&read_to_fin(&mut client), b"");
    drop(client);
    let why = "reason=\"backend closed\"";
    let line = relay.wait_log(&["session closed", "by=\"backend\"", why, "code=1000"]);
    assert!(line.contains("INFO") && line.contains("lines_down=3 bytes_down=10"), "{line}");
}

#[test]
fn a_backend_that_resets_is_told_as_1011_after_what_came_before() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &[]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    peer.write("one\ntail");
    assert_eq!(client.recv(), "one");
    peer.reset();
    assert_eq!(client.recv(), "tail");
    client.expect_close(1011, "backend failed: connection reset by peer");
    drop(client);
    let why = "reason=\"backend failed: connection reset by peer\"";
    let line = relay.wait_log(&["session closed", "by=\"backend\"", why, "code=1011"]);
    assert!(line.contains("WARN"), "the operator has to look at it: {line}");
}

#[test]
fn a_reset_after_so_many_bytes_does_not_take_the_lines_before_it() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    // All in one go: the reset is there before the relay has read a byte.
    peer.write("one\ntwo\nthree");
    client.send("four");
    let heard = Reset { after: 5 }.run(peer.0.into_inner());
    expect(&heard, b"four\n");
    for line in ["one", "two", "three"] {
        assert_eq!(client.recv(), line);
    }
    client.expect_close(1011, "backend failed: connection reset by peer");
}

#[test]
fn a_reset_that_a_write_meets_first_is_1011_too() {
    let backend = Stall::backend();
    let mut relay = relay_to(backend.addr, &[]);
    let mut client = relay.connect("/");
    let peer = backend.accept();
    // Nothing more goes to the backend: a write waits in the relay, and meets the reset.
    let (_, rest) = Flood(&frame(0x81, &[b'x'; 60_000])).run(client.tcp(), usize::MAX);
    peer.reset();
    client.tcp().write_all(&rest).unwrap();
    client.expect_close(1011, "backend failed: connection reset by peer");
    drop(client);
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1011"]);
}

#[test]
fn a_backend_that_only_listens_any_more_gets_what_was_received() {
    let backend = Stall::backend();
    let mut relay = relay_to(backend.addr, &[]);
    let client = relay.connect("/");
    let peer = backend.accept();
    let text = [b'x'; 60_000];
    let (taken, _) = Flood(&frame(0x81, &text)).run(client.tcp(), usize::MAX);
    let backend = HalfClose::new(peer.0.into_inner());
    let heard = backend.heard();
    assert!(heard.len() < taken + 64 * 1024);
    assert_eq!(heard.len() % (text.len() + 1), 0, "whole lines only");
    assert!(heard.chunks(text.len() + 1).all(|line| line[..text.len()] == text));
    drop(client);
    let bytes = format!("bytes_up={}", heard.len());
    relay.wait_log(&["session closed", "reason=\"backend closed\"", "code=1000", &bytes]);
}

#[test]
fn breaking_the_protocol_closes_1002() {
    let mut unmasked = frame(0x81, b"");
    unmasked[1] = 0;
    for (what, bytes) in [
        ("unmasked", unmasked),
        ("a reserved bit", frame(0xc1, b"x")),
        ("a reserved opcode", frame(0x83, b"x")),
        ("a reserved control opcode", frame(0x8b, b"x")),
        ("a ping in pieces", frame(0x09, b"x")),
        ("a long ping", frame(0x89, &[b'x'; 126])),
        ("the middle of nothing", frame(0x80, b"x")),
        ("a message within a message", [frame(0x01, b"x"), frame(0x81, b"y")].concat()),
        ("a Close of one byte", frame(0x88, b"x")),
    ] {
        broken_client(what, &bytes, 1002);
    }
}

#[test]
fn text_that_is_not_utf8_closes_1007() {
    for (what, bytes) in [
        ("a message", frame(0x81, b"caf\xe9")),
        ("cut short", frame(0x81, b"caf\xc3")),
        ("a surrogate", frame(0x81, b"\xed\xa0\x80")),
        ("in pieces", [frame(0x01, b"caf\xc3"), frame(0x80, b"x")].concat()),
        ("a Close's reason", frame(0x88, &[3, 232, 0xff])),
    ] {
        broken_client(what, &bytes, 1007);
    }
}

/// A client that says something good and then `bytes`: it is told so, and the backend gets the good.
fn broken_client(what: &str, bytes: &[u8], code: u16) {
    let (mut relay, mut client, mut peer) = session(&[]);
    // It goes on sending, which must not turn the Close into a reset.
    let rubbish = vec![0xff; 200_000];
    client.write_all(&[&frame(0x81, b"before"), bytes, &rubbish].concat()).unwrap();
    let said = read_to_fin(&mut client);
    assert_eq!(said[0], 0x88, "{what}: {}", said.escape_ascii());
    assert_eq!(said[2..4], code.to_be_bytes(), "{what}: {}", said.escape_ascii());
    assert_eq!(said.len(), 2 + usize::from(said[1]), "{what}: nothing after the Close");
    assert!(said.len() > 4, "{what}: the Close says why");
    drop(client);
    expect(&peer.read_to_end(), b"before\n");
    drop(peer);
    relay.wait_log(&["session closed", "by=\"relay\"", &format!("code={code}"), "lines_up=1"]);
}

#[test]
fn a_close_code_that_must_not_be_sent_is_answered_with_1002() {
    for code in [0, 999, 1005, 1006, 1015, 5000] {
        let (_relay, mut client, mut peer) = session(&[]);
        client.write_all(&frame(0x88, &close_payload(code, ""))).unwrap();
        let said = read_to_fin(&mut client);
        assert_eq!((said[0], &said[2..4]), (0x88, &1002u16.to_be_bytes()[..]), "{code}");
        peer.expect_fin();
    }
}

#[test]
fn sigterm_closes_1001_and_exits_0() {
    for signal in ["TERM", "INT"] {
        let backend = Backend::listen();
        let mut relay = relay_to(backend.addr, &[]);
        let mut clients: Vec<_> = (0..3).map(|_| relay.connect("/")).collect();
        let mut peers: Vec<_> = (0..3).map(|_| backend.accept()).collect();
        // One of them is in the middle of something.
        clients[0].send("hello");
        assert_eq!(peers[0].read_line(), "hello\n");
        relay.signal(signal);
        for client in &mut clients {
            client.expect_close(1001, "server shutting down");
        }
        drop(clients);
        for peer in &mut peers {
            peer.expect_fin();
        }
        drop(peers);
        assert_eq!(relay.wait_exit().code(), Some(0));
        relay.wait_log(&["session closed", "by=\"relay\"", "server shutting down", "code=1001"]);
    }
}

#[test]
fn sigterm_does_not_wait_for_peers_that_do_not_answer() {
    let (mut relay, mut client, mut peer) = session(&["--close-timeout", "300ms"]);
    relay.signal("TERM");
    peer.expect_fin();
    // Neither side closes.
    assert_eq!(relay.wait_exit().code(), Some(0));
    expect(&read_to_fin(&mut client), &told_close(1001, "server shutting down"));
}

#[test]
fn a_client_that_does_not_answer_the_close_is_left_after_the_close_timeout() {
    let (mut relay, mut client, peer) = session(&["--close-timeout", "300ms"]);
    let began = Instant::now();
    drop(peer);
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1000"]);
    assert!(began.elapsed() >= Duration::from_millis(300), "it was given time");
    expect(&read_to_fin(&mut client), &told_close(1000, "backend closed"));
}

#[test]
fn a_close_right_behind_a_message_that_is_refused_is_not_waited_for() {
    let (mut relay, mut client, mut peer) =
        session(&["--newlines", "reject", "--close-timeout", "60s"]);
    let close = frame(0x88, &close_payload(1000, "bye"));
    client.write_all(&[frame(0x81, b"one"), frame(0x81, b"a\nb"), close].concat()).unwrap();
    expect(&read_to_fin(&mut client), &told_close(1008, "newline inside a message"));
    expect(&peer.read_to_end(), b"one\n");
    drop((client, peer));
    relay.wait_log(&["session closed", "by=\"relay\"", "code=1008"]);
}

#[test]
fn what_follows_the_clients_close_is_no_reason_for_a_reset() {
    let (_relay, mut client, mut peer) = session(&[]);
    let close = frame(0x88, &close_payload(1000, "bye"));
    let more = [frame(0x81, b"late"), frame(0x89, b"ping")].concat().repeat(100_000);
    client.write_all(&[frame(0x81, b"one"), close, more].concat()).unwrap();
    expect(&read_to_fin(&mut client), &told_close(1000, "bye"));
    expect(&peer.read_to_end(), b"one\n");
}

#[test]
fn what_a_client_says_around_the_relays_close_is_no_reason_for_a_reset() {
    let (_relay, mut client, mut peer) = session(&[]);
    client.write_all(&frame(0x81, b"one")).unwrap();
    assert_eq!(peer.read_line(), "one\n");
    let lines: Vec<u8> = (0..1000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    peer.write(&lines);
    peer.shutdown_write();
    let mut want: Vec<u8> = (0..1000).flat_map(|n| told(0x81, n.to_string().as_bytes())).collect();
    want.extend(told_close(1000, "backend closed"));
    let mut got = vec![0; want.len()];
    client.read_exact(&mut got).unwrap();
    assert!(got == want);
    // It has not seen the Close yet, and says a lot before it answers; no frame follows a Close.
    let more = [frame(0x81, b"late"), frame(0x89, b"ping")].concat().repeat(100_000);
    client.write_all(&more).unwrap();
    client.write_all(&frame(0x88, &close_payload(1000, ""))).unwrap();
    client.write_all(b"rubbish").unwrap();
    expect(&read_to_fin(&mut client), b"");
    peer.expect_fin();
}

#[test]
fn a_backend_that_comes_up_later_is_found() {
    let backend = RefuseThenAccept::bind("127.0.0.1");
    let relay = relay_to(backend.addr, &[]);
    assert_eq!(relay.http(&handshake("/", "")).status, 502);
    let backend = backend.accept_from_now_on();
    let (mut client, mut peer) = join(&relay, &backend);
    client.write_all(&frame(0x81, b"hello")).unwrap();
    assert_eq!(peer.read_line(), "hello\n");
}
