//! `--rate`: lines towards the backend wait for their time, and nothing else does.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use support::faults::{Flood, reset};
use support::{Backend, frame, relay_to, run, session};

/// Expects lines `0`, `1`, … up to `count` in order, none before its time, and returns when the last one came.
fn expect_lines(
    peer: &mut support::Peer,
    start: Instant,
    count: u64,
    burst: u64,
    interval: u64,
) -> Duration {
    for n in 0..count {
        assert_eq!(peer.read_line(), format!("{n}\n"));
        let least = Duration::from_millis((n + 1).saturating_sub(burst) * interval);
        assert!(start.elapsed() >= least, "line {n} after {:?}", start.elapsed());
    }
    start.elapsed()
}

#[test]
fn a_burst_goes_through_and_the_rest_in_its_time() {
    let (_relay, mut client, mut peer) = session(&["--rate", "20/s:5"]);
    let start = Instant::now();
    for n in 0..14 {
        client.send(&n.to_string());
    }
    expect_lines(&mut peer, start, 14, 5, 50);
    client.close();
    peer.expect_fin();
}

#[test]
fn the_lines_of_one_message_count_one_by_one() {
    let (_relay, mut client, mut peer) = session(&["--rate", "20/s:2"]);
    let start = Instant::now();
    client.send("0\n1\n2\n3\n4\n5");
    expect_lines(&mut peer, start, 6, 2, 50);
}

#[test]
fn each_session_has_a_rate_of_its_own() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &["--rate", "1/m:2"]);
    for _ in 0..3 {
        let mut client = relay.connect("/");
        let mut peer = backend.accept();
        client.send("a\nb");
        assert_eq!([peer.read_line(), peer.read_line()], ["a\n", "b\n"]);
    }
}

/// Pings are answered and lines come down while lines wait on their way up.
#[test]
fn only_lines_towards_the_backend_wait() {
    let (mut relay, mut client, mut peer) = session(&["--rate", "1/m:1"]);
    for line in ["one", "two", "three"] {
        client.send(line);
    }
    for n in 0..50_u8 {
        client.0.send(Message::Ping(vec![n].into())).unwrap();
        assert_eq!(client.0.read().unwrap(), Message::Pong(vec![n].into()));
    }
    assert_eq!(peer.read_line(), "one\n");
    peer.write("down\n");
    assert_eq!(client.recv(), "down");
    // A stop does not wait, and loses nothing.
    relay.signal("TERM");
    assert_eq!(peer.read_to_end(), b"two\nthree\n");
    drop(peer);
    client.expect_close(1001, "server shutting down");
    drop(client);
    relay.wait_log(&["session closed", "lines_up=3", "bytes_up=14"]);
    assert!(relay.wait_exit().success());
}

/// By leaving, a client can't send faster; and it need not stay for its lines to arrive.
#[test]
fn lines_of_a_client_that_closes_arrive_in_their_time() {
    let (mut relay, mut client, mut peer) =
        session(&["--rate", "20/s:1", "--close-timeout", "20ms"]);
    let start = Instant::now();
    for n in 0..6 {
        client.send(&n.to_string());
    }
    client.close();
    let took = expect_lines(&mut peer, start, 6, 1, 50);
    assert!(took >= Duration::from_millis(250));
    peer.expect_fin();
    drop(peer);
    relay.wait_log(&["session closed", "by=\"client\"", "lines_up=6"]);
}

#[test]
fn the_goodbye_comes_behind_the_lines_that_wait() {
    for (rate, by_stop) in [("20/s:1", false), ("1/m:1", true)] {
        let options = ["--rate", rate, "--hello", "I AM {id}", "--goodbye", "BYE: {reason*}"];
        let (mut relay, mut client, mut peer) = session(&options);
        for line in ["a", "b", "c"] {
            client.send(line);
        }
        client.close();
        assert_eq!(peer.read_line(), "I AM 1\n");
        assert_eq!(peer.read_line(), "a\n", "our own lines do not count");
        if by_stop {
            relay.signal("TERM");
        }
        assert_eq!(peer.read_to_end(), b"b\nc\nBYE: closed by the client\n");
        drop(peer);
        relay.wait_log(&["session closed", "lines_up=3"]);
    }
}

#[test]
fn lines_of_a_client_that_resets_arrive_in_their_time() {
    let (_relay, client, mut peer) = session(&["--rate", "20/s:1", "--close-timeout", "20ms"]);
    let start = Instant::now();
    let lines: Vec<u8> = (0..5).flat_map(|n| frame(0x81, format!("{n}").as_bytes())).collect();
    client.tcp().write_all(&lines).unwrap();
    assert_eq!(peer.read_line(), "0\n");
    reset(client.tcp().try_clone().unwrap());
    drop(client);
    for n in 1..5_u32 {
        assert_eq!(peer.read_line(), format!("{n}\n"));
        assert!(start.elapsed() >= n * Duration::from_millis(50));
    }
    peer.expect_fin();
}

/// The backend of a client that has left, and a stop, both end the waiting.
#[test]
fn a_stop_does_not_wait_for_the_lines_of_clients_that_have_left() {
    let (mut relay, mut client, mut peer) = session(&["--rate", "1/m:1"]);
    for line in ["a", "b", "c"] {
        client.send(line);
    }
    client.close();
    assert_eq!(peer.read_line(), "a\n");
    relay.signal("TERM");
    assert_eq!(peer.read_to_end(), b"b\nc\n");
    drop(peer);
    assert!(relay.wait_exit().success());
}

#[test]
fn a_backend_that_ends_its_stream_gets_what_waits() {
    let (mut relay, mut client, mut peer) = session(&["--rate", "1/m:1"]);
    for line in ["a", "b", "c"] {
        client.send(line);
    }
    assert_eq!(peer.read_line(), "a\n");
    // Everything has arrived: it was read before this Ping.
    client.0.send(Message::Ping(Vec::new().into())).unwrap();
    client.0.read().unwrap();
    peer.shutdown_write();
    assert_eq!(peer.read_to_end(), b"b\nc\n");
    drop(peer);
    client.expect_close(1000, "backend closed");
    relay.wait_log(&["session closed", "by=\"backend\"", "lines_up=3"]);
}

#[test]
fn a_flood_waits_with_its_client() {
    let (mut relay, client, mut peer) = session(&["--rate", "1/m:1"]);
    let before = relay.rss();
    let line = frame(0x81, &[b'x'; 100]);
    let (taken, _) = Flood(&line).run(client.tcp(), 64 << 20);
    assert!(taken < 64 << 20, "the relay reads on without end");
    let growth = relay.rss().saturating_sub(before);
    assert!(growth < 4 << 20, "the relay grew by {growth} bytes");
    assert_eq!(peer.read_line().len(), 101);
    relay.signal("TERM");
    // What was accepted arrives, and ends with a line.
    let rest = peer.read_to_end();
    assert!(rest.len() >= 64 * 1024 && rest.len() % 101 == 0, "{}", rest.len());
    drop((client, peer));
    relay.wait_log(&["session closed", "reason=\"server shutting down\""]);
}

#[test]
fn mistakes_say_what_to_type() {
    for (options, want) in [
        (&["--rate", "10"][..], "--rate 10: a rate needs a unit; type --rate 10/s:20 or 100/m"),
        (&["--rate", "10/h"], "not a rate by the second or minute"),
        (&["--rate", "10/s:0"], "not a number from 1 to 1000000"),
        (&["--rate", "1000/s:1"], "so few at once can't reach this rate"),
        (&["--rate", "10/s", "--binary"], "--rate is about lines, and --binary knows none"),
    ] {
        let all = [&["--port", "0", "--to", "localhost:7777"], options].concat();
        let output = run(&all);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(want), "{options:?}: {text}");
    }
}
