//! Limits of time on TLS connections: clients that are slow, silent, or never read.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use support::tls::{Ca, assert_serves, flood, read_to_end, tls, upgraded};
use support::{Backend, HttpResponse, Relay, echo, frame, handshake};

const KIB: usize = 1024;

/// A session whose client does not read, and what its backend could say before it was stuck.
fn stalled(
    ca: &Ca,
    options: &[&str],
) -> (Relay, support::tls::Tls, thread::JoinHandle<support::Peer>, usize) {
    let backend = Backend::listen();
    let relay = ca.relay_to(backend.addr, options);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&relay.addr.into()).unwrap();
    let tcp: std::net::TcpStream = socket.into();
    tcp.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let mut tls = tls(tcp, ca.client(None)).unwrap();
    tls.write_all(handshake("/", "").as_bytes()).unwrap();
    assert_eq!(HttpResponse::read(&mut tls).status, 101);
    let peer = backend.accept();
    let before = relay.rss();
    let line = [&[b'x'; 16 * KIB - 1][..], b"\n"].concat();
    let (taken, rest) = support::faults::Flood(&line).run(peer.tcp(), usize::MAX);
    let growth = relay.rss().saturating_sub(before);
    assert!(growth < 4 * KIB * KIB, "the relay grew by {} KiB", growth / KIB);
    let lines = (taken + rest.len()) / line.len();
    // From here on the backend is stuck in its write, until the client reads or is given up.
    let writer = thread::spawn(move || {
        let _ = peer.tcp().write_all(&rest);
        let _ = peer.tcp().shutdown(Shutdown::Write);
        peer
    });
    (relay, tls, writer, lines)
}

#[test]
fn a_client_that_takes_nothing_is_closed() {
    let ca = Ca::new();
    let (mut relay, tls, writer, _) =
        stalled(&ca, &["--write-timeout", "1s", "--close-timeout", "300ms"]);
    relay.wait_log(&["session closed", "by=\"relay\"", "reason=\"client too slow\"", "code=1008"]);
    drop((tls, writer));
}

#[test]
fn a_client_that_takes_a_little_is_not() {
    let ca = Ca::new();
    let (mut relay, mut tls, writer, lines) = stalled(&ca, &["--write-timeout", "1s"]);
    // Far longer than the limit, and less than a TLS record at a time: a record in rustls is enough for eight of these
    // reads.
    let end = Instant::now() + Duration::from_secs(4);
    let mut got = 0;
    while Instant::now() < end {
        let sip = tls.conn.read_tls(&mut (&mut tls.sock).take(2000)).expect("bytes");
        assert!(sip > 0, "an end");
        let here = tls.conn.process_new_packets().unwrap().plaintext_bytes_to_read();
        tls.conn.reader().read_exact(&mut vec![0; here]).unwrap();
        got += here;
        thread::sleep(Duration::from_millis(20));
    }
    let all = read_to_close(&mut tls, got);
    assert_eq!(all, lines * (16 * KIB - 1 + 4), "all lines, each with a header");
    drop((tls, writer));
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1000"]);
}

/// Reads up to the relay's Close and answers it; the bytes of all frames before it.
fn read_to_close(tls: &mut support::tls::Tls, mut got: usize) -> usize {
    let mut chunk = vec![0; 64 * KIB];
    let close = b"\x88\x10\x03\xe8backend closed";
    let mut last = Vec::new();
    while !last.ends_with(close) {
        let n = tls.read(&mut chunk).expect("bytes");
        assert!(n > 0, "an end without a Close");
        got += n;
        last.extend_from_slice(&chunk[..n]);
        last.drain(..last.len().saturating_sub(64));
    }
    tls.write_all(&frame(0x88, &1000u16.to_be_bytes())).unwrap();
    assert_eq!(read_to_end(tls), b"");
    got - close.len()
}

#[test]
fn a_slow_client_can_be_dropped() {
    let ca = Ca::new();
    let options = ["--slow-client", "drop", "--queue", "256KiB", "--close-timeout", "300ms"];
    let backend = Backend::listen();
    let mut relay = ca.relay_to(backend.addr, &options);
    let tls = upgraded(&relay, ca.client(None), b"");
    let peer = backend.accept();
    // The backend is never stuck: it writes until the relay hangs up.
    support::faults::Flood(&[b'x'; 4 * KIB]).forever(peer.tcp());
    drop((tls, peer));
    relay.wait_log(&["session closed", "longer than", "code=1009"]);
    let tls = upgraded(&relay, ca.client(None), b"");
    let peer = backend.accept();
    let line = [&[b'x'; 4 * KIB][..], b"\n"].concat();
    support::faults::Flood(&line).forever(peer.tcp());
    drop((tls, peer));
    relay.wait_log(&["session closed", "reason=\"client too slow\"", "code=1008"]);
}

/// Responses that are shorter than what rustls may hold back: all of one has been written, and yet none of it
/// leaves.
#[test]
fn a_client_that_asks_and_never_reads_is_cut_off() {
    let (ca, site) = (Ca::new(), tempfile::TempDir::new().unwrap());
    std::fs::write(site.path().join("file"), [b'x'; 8 * KIB]).unwrap();
    let dir = site.path().to_str().unwrap();
    let mut relay = ca.relay_to(echo(), &["--static-dir", dir, "--write-timeout", "300ms"]);
    let mut tls = tls(relay.tcp(), ca.client(None)).unwrap();
    let client = format!("client={}", tls.sock.0.local_addr().unwrap());
    let requests = "GET /file HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    flood(&mut tls, requests.as_bytes());
    relay.wait_log(&["connection dropped", &client, "took nothing of its response for 300ms"]);
}

#[test]
fn who_does_not_come_to_the_point_is_cut_off() {
    let ca = Ca::new();
    let options = ["--handshake-timeout", "500ms", "--max-sessions", "1"];
    let mut relay = ca.relay_to(echo(), &options);
    let began = Instant::now();
    // One says nothing, one says its hello byte by byte, one speaks TLS and then says nothing.
    let silent = relay.tcp();
    let slow = relay.tcp();
    let mut hello = Vec::new();
    let mut connection =
        rustls::ClientConnection::new(ca.client(None), "localhost".try_into().unwrap()).unwrap();
    connection.write_tls(&mut hello).unwrap();
    let mut writer = slow.try_clone().unwrap();
    let slowly = thread::spawn(move || {
        for byte in hello {
            if writer.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut mute = tls(relay.tcp(), ca.client(None)).unwrap();
    // None of them holds the one permit.
    assert_serves(&ca, &relay);
    for tcp in [&silent, &slow] {
        let _ = (&mut &*tcp).read(&mut [0]);
        assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
        let client = format!("client={}", tcp.local_addr().unwrap());
        relay.wait_log(&["connection dropped", &client, "no TLS handshake within 500ms"]);
    }
    assert_eq!(read_to_end(&mut mute), b"");
    let client = format!("client={}", mute.sock.local_addr().unwrap());
    relay.wait_log(&["connection dropped", &client, "no complete request within 500ms"]);
    slowly.join().unwrap();
    assert_serves(&ca, &relay);
}

/// What TLS has taken of the time is the first request's alone.
#[test]
fn later_requests_have_all_of_their_time() {
    let ca = Ca::new();
    let options = ["--handshake-timeout", "6s", "--static-dir", "tests"];
    let relay = ca.relay_to(echo(), &options);
    let (tcp, mute) = (relay.tcp(), relay.tcp());
    thread::sleep(Duration::from_secs(4));
    let mut mute = tls(mute, ca.client(None)).unwrap();
    let mut tls = tls(tcp, ca.client(None)).unwrap();
    let ask = |tls: &mut support::tls::Tls| {
        tls.write_all(b"HEAD /server.rs HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(tls.read(&mut byte).unwrap(), 1, "{}", head.escape_ascii());
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", head.escape_ascii());
    };
    ask(&mut tls);
    thread::sleep(Duration::from_secs(3));
    ask(&mut tls);
    // The first one had only what was left of it.
    mute.sock.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert_eq!(read_to_end(&mut mute), b"");
}
