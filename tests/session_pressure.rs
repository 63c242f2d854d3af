//! Peers that send without end or do not read: memory stays bounded, nothing is lost, and no session waits
//! without end.

mod support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use async_tungstenite::tungstenite::Message;
use support::faults::{Flood, SlowReader, Stall, client, reset, upgrade};
use support::{Backend, Client, Peer, Relay, echo, frame, relay_to};

const KIB: usize = 1024;

/// How much a relay's memory may grow with one session under pressure. Its buffers make up a tenth.
const GROWTH: usize = 4 * 1024 * KIB;

fn session(options: &[&str]) -> (Relay, Client, Peer) {
    let backend = Stall::backend();
    let relay = relay_to(backend.addr, options);
    let client = relay.connect("/");
    let peer = backend.accept();
    (relay, client, peer)
}

/// A session whose client does not read.
fn stalled_client(options: &[&str]) -> (Relay, SlowReader, Peer) {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, options);
    let client = SlowReader::connect(&relay);
    let peer = backend.accept();
    (relay, client, peer)
}

fn assert_bounded(relay: &Relay, before: usize) {
    let growth = relay.rss().saturating_sub(before);
    assert!(growth < GROWTH, "the relay grew by {} KiB", growth / KIB);
}

/// Lets some time pass, as measured by the relay's own keepalive: a client that answers no ping is
/// thrown out after `--ping-interval` and `--ping-timeout`, `times` times.
fn outlast_keepalive(relay: &mut Relay, backend: &Backend, times: usize) {
    for _ in 0..times {
        let silent = Stall::client(relay);
        let peer = backend.accept();
        let tcp = silent.wake();
        let client = format!("client={}", tcp.local_addr().unwrap());
        let mut peer = peer;
        peer.expect_fin();
        drop((peer, tcp));
        relay.wait_log(&["session closed", &client, "no answer to a ping"]);
    }
}

#[test]
fn a_client_that_pings_and_never_reads_does_not_grow_the_relay() {
    let (mut relay, client, mut peer) = stalled_client(&["--write-timeout", "1s"]);
    let before = relay.rss();
    for payload in [&[b'p'; 125][..], b""] {
        let (taken, _) = Flood(&frame(0x89, payload).repeat(500)).run(client.tcp(), 64 << 20);
        assert!(taken < 64 << 20, "the relay reads on without end");
        assert_bounded(&relay, before);
    }
    // It is not kept for ever, nor is its backend.
    peer.expect_fin();
    drop((client, peer));
    relay.wait_log(&["session closed", "by=\"relay\"", "reason=\"client too slow\"", "code=1008"]);
}

#[test]
fn a_client_that_stalls_is_closed_and_its_backend_freed() {
    let (mut relay, client, mut peer) =
        stalled_client(&["--write-timeout", "1s", "--close-timeout", "15s"]);
    let before = relay.rss();
    let line = [&[b'x'; 16 * KIB][..], b"\n"].concat();
    let (_, rest) = Flood(&line).run(peer.tcp(), usize::MAX);
    assert_bounded(&relay, before);
    // From here on the backend is stuck in its write, until the relay gives the client up.
    peer.write(&rest);
    peer.expect_fin();
    peer.write(line.repeat(64));
    drop((client, peer));
    relay.wait_log(&["session closed", "by=\"relay\"", "reason=\"client too slow\"", "code=1008"]);
}

#[test]
fn a_client_that_reads_now_and_then_is_not_stalled() {
    let (relay, mut client, mut peer) = stalled_client(&["--write-timeout", "3s"]);
    let line = [&[b'x'; 16 * KIB][..], b"\n"].concat();
    let (taken, rest) = Flood(&line).run(peer.tcp(), usize::MAX);
    let lines = (taken + rest.len()) / line.len();
    let writer = thread::spawn(move || {
        peer.write(&rest);
        peer.shutdown_write();
        peer
    });
    // A slow reader, but one that reads.
    for _ in 0..100 {
        client.sip(16 * KIB);
    }
    let mut client = client.hurry();
    for _ in 0..lines {
        assert_eq!(client.recv().len(), 16 * KIB);
    }
    client.expect_close(1000, "backend closed");
    writer.join().unwrap().expect_fin();
    drop(relay);
}

#[test]
fn with_drop_the_backend_is_never_stuck_and_the_client_gets_its_queue_and_1008() {
    let options = ["--slow-client", "drop", "--queue", "256KiB", "--close-timeout", "15s"];
    let (mut relay, client, peer) = stalled_client(&options);
    let before = relay.rss();
    let mut reader = Peer(std::io::BufReader::new(peer.tcp().try_clone().unwrap()));
    let dropped = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = peer;
            for n in 0.. {
                peer.write(format!("{n} {}\n", "x".repeat(4 * KIB)));
                if dropped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        reader.expect_fin();
        dropped.store(true, Ordering::Relaxed);
    });
    assert_bounded(&relay, before);
    let mut client = client.hurry();
    for want in 0.. {
        match client.next() {
            Message::Text(text) => assert!(text.starts_with(&format!("{want} ")), "{want}"),
            Message::Close(Some(frame)) => {
                assert_eq!((u16::from(frame.code), &*frame.reason), (1008, "client too slow"));
                assert!(want > 256 / 4, "the queue was full");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    client.expect_end();
    drop((client, reader));
    relay.wait_log(&["session closed", "by=\"relay\"", "reason=\"client too slow\"", "code=1008"]);
}

#[test]
fn a_client_that_floods_a_backend_that_does_not_read_is_held_back_and_kept() {
    let backend = Stall::backend();
    let keepalive = ["--ping-interval", "200ms", "--ping-timeout", "200ms"];
    let mut relay = relay_to(backend.addr, &keepalive);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    let before = relay.rss();
    let text = "x".repeat(16 * KIB);
    let (taken, rest) = Flood(&frame(0x81, text.as_bytes())).run(client.tcp(), usize::MAX);
    assert_bounded(&relay, before);
    outlast_keepalive(&mut relay, &backend, 2);
    assert_bounded(&relay, before);

    // The backend reads again: everything arrives.
    let lines = (taken + rest.len()) / (16 * KIB + 8);
    let reader = thread::spawn(move || {
        for _ in 0..lines {
            assert_eq!(peer.read_line().len(), 16 * KIB + 1);
        }
        assert_eq!(peer.read_line(), "the end\n");
        peer.write("still there\n");
        peer.expect_fin();
    });
    let mut tcp = client.tcp();
    tcp.write_all(&rest).unwrap();
    client.send("the end");
    assert_eq!(client.recv(), "still there");
    client.0.close(None).unwrap();
    reader.join().unwrap();
    assert!(matches!(client.next(), Message::Close(_)));
    client.expect_end();
}

#[test]
fn control_frames_are_answered_while_the_backend_is_slow() {
    let (_relay, mut client, mut peer) = session(&[]);
    let text = "x".repeat(8 * KIB);
    // A ping behind each line: its pong says that the relay has read the line, although nobody
    // takes it. 64 KiB find room in any case, and more until the kernel's buffers are full too.
    let mut sent = 0;
    loop {
        client.0.send(Message::text(text.as_str())).unwrap();
        client.0.send(Message::Ping(sent.to_string().into())).unwrap();
        sent += 1;
        if sent * 8 > 64 {
            let limit = std::time::Duration::from_millis(500);
            client.tcp().set_read_timeout(Some(limit)).unwrap();
        }
        match client.0.read() {
            Ok(message) => assert_eq!(message, Message::Pong((sent - 1).to_string().into())),
            Err(_) if sent * 8 > 64 => break,
            Err(error) => panic!("{error}"),
        }
    }
    for _ in 0..sent {
        assert_eq!(peer.read_line().len(), text.len() + 1);
    }
    client.tcp().set_read_timeout(Some(support::DEADLINE)).unwrap();
    assert_eq!(client.0.read().unwrap(), Message::Pong((sent - 1).to_string().into()));
}

#[test]
fn a_client_that_vanishes_before_a_backend_that_does_not_read_is_noticed() {
    let keepalive = ["--ping-interval", "200ms", "--close-timeout", "300ms"];
    let (mut relay, client, peer) = session(&keepalive);
    Flood(&frame(0x81, &[b'x'; 16 * KIB])).run(client.tcp(), usize::MAX);
    reset(client.tcp().try_clone().unwrap());
    drop(client);
    relay.wait_log(&["session closed", "by=\"client\"", "code=1006"]);
    drop(peer);
}

#[test]
fn a_client_that_does_not_read_for_a_while_may_go_on_sending() {
    for options in [&[][..], &["--slow-client", "drop", "--queue", "64MiB"]] {
        let (_relay, client, peer) = stalled_client(options);
        let line = [&[b'x'; 16 * KIB][..], b"\n"].concat();
        let (taken, rest) = Flood(&line).run(peer.tcp(), 8 << 20);
        let lines_down = (taken + rest.len()) / line.len();
        // The backend listens, so what the client says gets through, although it does not read.
        let (heard_all, is_heard) = channel();
        let mut peer = peer;
        let backend = thread::spawn(move || {
            for n in 0..200 {
                assert!(peer.read_line() == format!("{n} {}\n", "y".repeat(16 * KIB)), "line {n}");
            }
            heard_all.send(()).unwrap();
            peer.write(&rest);
            peer.read_to_end()
        });
        let mut tcp = client.tcp();
        for n in 0..200 {
            let text = format!("{n} {}", "y".repeat(16 * KIB));
            tcp.write_all(&frame(0x81, text.as_bytes())).unwrap();
        }
        is_heard.recv_timeout(support::DEADLINE).expect("the backend hears all of it");
        let mut client = client.hurry();
        for _ in 0..lines_down {
            assert_eq!(client.recv().len(), 16 * KIB);
        }
        client.0.close(None).unwrap();
        assert_eq!(backend.join().unwrap(), b"");
        client.expect_end();
    }
}

#[test]
fn a_thousand_lines_and_an_immediate_end_reach_a_slow_reader() {
    let (mut relay, mut client, mut peer) = stalled_client(&[]);
    let line = |n: usize| format!("{n} {}", "x".repeat(8 * KIB));
    let writer = thread::spawn(move || {
        for n in 0..1000 {
            peer.write(format!("{}\n", line(n)));
        }
    });
    for _ in 0..200 {
        client.sip(1000);
    }
    let mut client = client.hurry();
    for n in 0..1000 {
        assert_eq!(client.recv(), line(n));
    }
    client.expect_close(1000, "backend closed");
    drop(client);
    writer.join().unwrap();
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1000", "lines_down=1000"]);
}

/// What waits when the backend has ended is given as long as at any other time.
#[test]
fn a_client_that_pauses_after_the_end_gets_it_all() {
    let drop_and_idle = ["--slow-client", "drop", "--queue", "64MiB", "--idle-timeout", "600ms"];
    let backend = Backend::listen();
    let mut relay =
        relay_to(backend.addr, &[&drop_and_idle[..], &["--close-timeout", "100ms"]].concat());
    let client = SlowReader::connect(&relay);
    let mut peer = backend.accept();
    let line = "x".repeat(64 * KIB);
    for _ in 0..256 {
        peer.write(format!("{line}\n"));
    }
    drop(peer);
    // The pause, several times as long as that timeout: another session has to become idle meanwhile.
    let mut other = relay.connect("/");
    let _other_peer = backend.accept();
    other.expect_close(1000, "idle");
    let mut client = client.hurry();
    for _ in 0..256 {
        assert_eq!(client.recv(), line);
    }
    client.expect_close(1000, "backend closed");
    drop(client);
    relay.wait_log(&["session closed", "by=\"backend\"", "code=1000", "lines_down=256"]);
}

#[test]
fn an_echo_with_much_in_flight_both_ways_does_not_lock_up() {
    let relay = relay_to(echo(), &[]);
    let mut client = relay.connect("/");
    let text = "x".repeat(64 * KIB - 1);
    let unit = frame(0x81, text.as_bytes());
    // Nothing is read until nothing can be written any more.
    let (taken, rest) = Flood(&unit).run(client.tcp(), usize::MAX);
    let mut tcp = client.tcp().try_clone().unwrap();
    let before = (taken + rest.len()) / unit.len();
    let writer = thread::spawn(move || {
        tcp.write_all(&rest).unwrap();
        for _ in 0..128 {
            tcp.write_all(&unit).unwrap();
        }
    });
    for _ in 0..before + 128 {
        assert!(client.recv() == text);
    }
    writer.join().unwrap();
    client.close();
}

#[test]
fn frames_in_the_same_segment_as_the_request_are_not_lost() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    // Whole frames, and the beginning of one.
    let last = frame(0x81, b"and three");
    let early = [&frame(0x81, b"one"), &frame(0x81, b"two"), &last[..7]].concat();
    let mut tcp = relay.tcp();
    upgrade(&mut tcp, &early);
    let mut peer = backend.accept();
    assert_eq!(peer.read_line(), "one\n");
    assert_eq!(peer.read_line(), "two\n");
    tcp.write_all(&last[7..]).unwrap();
    assert_eq!(peer.read_line(), "and three\n");
    peer.write("hello\n");
    assert_eq!(client(tcp).recv(), "hello");

    // Far more than any buffer, and a Close behind it.
    let big = frame(0x81, &[b'x'; 900]).repeat(1000);
    let mut tcp = relay.tcp();
    let mut writer = tcp.try_clone().unwrap();
    let sender = thread::spawn(move || {
        let request = support::handshake("/", "").into_bytes();
        writer.write_all(&[request, big, frame(0x88, b"")].concat()).unwrap();
    });
    let mut peer = backend.accept();
    assert_eq!(peer.read_to_end(), [&[b'x'; 900][..], b"\n"].concat().repeat(1000));
    sender.join().unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"\r\n\r\n\x88\x00"));
}
