//! Pings, silence and idleness: which sessions end, and when.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use support::faults::{Slice, upgrade};
use support::{Backend, Peer, Relay, frame, relay_to, session};

/// A session whose client is a bare socket, that answers nothing by itself.
fn bare_session(options: &[&str]) -> (Relay, TcpStream, Peer) {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, options);
    let mut client = relay.tcp();
    upgrade(&mut client, &[]);
    let peer = backend.accept();
    (relay, client, peer)
}

fn expect_ping(client: &mut TcpStream) {
    let mut ping = [0; 2];
    client.read_exact(&mut ping).expect("a ping within the deadline");
    assert_eq!(ping, [0x89, 0]);
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn silence_is_pinged_and_without_an_answer_it_is_the_end() {
    let began = Instant::now();
    let (mut relay, mut client, mut peer) =
        bare_session(&["--ping-interval", "200ms", "--ping-timeout", "300ms"]);
    expect_ping(&mut client);
    assert!(began.elapsed() > 150 * MS, "not before it was silent");
    peer.expect_fin();
    assert!(began.elapsed() > 400 * MS, "it was given time to answer");
    let mut said = Vec::new();
    client.write_all(&frame(0x88, b"")).unwrap();
    client.read_to_end(&mut said).unwrap();
    assert_eq!(said, [&b"\x88\x15\x03\xf0"[..], b"no answer to a ping"].concat());
    drop((client, peer));
    let why = "reason=\"no answer to a ping\"";
    relay.wait_log(&["session closed", "by=\"relay\"", why, "code=1008"]);
}

#[test]
fn a_client_that_answers_stays() {
    let began = Instant::now();
    let (_relay, mut client, mut peer) =
        session(&["--ping-interval", "100ms", "--ping-timeout", "1s"]);
    // Far more than one interval and one timeout: the library answers each when it is read.
    for _ in 0..12 {
        assert!(matches!(client.0.read().unwrap(), Message::Ping(_)));
        client.0.flush().unwrap();
    }
    assert!(began.elapsed() >= 1200 * MS, "pings follow silence only");
    client.send("still here");
    assert_eq!(peer.read_line(), "still here\n");
}

#[test]
fn any_byte_is_an_answer() {
    let (_relay, mut client, mut peer) =
        bare_session(&["--ping-interval", "100ms", "--ping-timeout", "1s"]);
    // Not even a whole frame is needed: one byte of it for each ping.
    let line = frame(0x81, b"seven b");
    for byte in &line {
        expect_ping(&mut client);
        Slice(&client).write([*byte]);
    }
    assert_eq!(peer.read_line(), "seven b\n");
}

#[test]
fn a_client_that_talks_is_not_pinged() {
    let (_relay, mut client, mut peer) =
        bare_session(&["--ping-interval", "400ms", "--ping-timeout", "1s"]);
    let began = Instant::now();
    let mut pings = 0;
    let mut last = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < 1000 * MS {
        client.write_all(&frame(0x81, b"x")).unwrap();
        assert_eq!(peer.read_line(), "x\n");
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    // Only a machine that stood still makes us ping.
    client.set_nonblocking(true).unwrap();
    let mut ping = [0; 2];
    while client.read(&mut ping).is_ok() {
        pings += 1;
    }
    assert!(pings == 0 || longest > 350 * MS, "{pings} pings, {longest:?}");
}

#[test]
fn a_client_that_only_listens_is_pinged_between_lines() {
    // What we send is no sign of life of the client's.
    let options =
        ["--ping-interval", "200ms", "--ping-timeout", "200ms", "--close-timeout", "300ms"];
    let (mut relay, mut client, mut peer) = bare_session(&options);
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = client.read_to_end(&mut said);
        (said, client)
    });
    peer.tcp().set_read_timeout(Some(20 * MS)).unwrap();
    let mut byte = [0];
    // One line every 20 ms, until the relay's FIN.
    let end = Instant::now() + support::DEADLINE;
    while peer.0.read(&mut byte).is_err() && peer.0.get_mut().write_all(b"line\n").is_ok() {
        assert!(Instant::now() < end, "the client is not missed");
    }
    drop(peer);
    relay.wait_log(&["session closed", "reason=\"no answer to a ping\"", "code=1008"]);
    let (said, _client) = reader.join().unwrap();
    assert!(said.windows(2).any(|two| two == [0x89, 0]));
}

#[test]
fn without_an_interval_there_are_no_pings() {
    let (_relay, mut client, mut peer) =
        bare_session(&["--ping-interval", "0", "--ping-timeout", "100ms"]);
    client.set_read_timeout(Some(600 * MS)).unwrap();
    assert!(client.read(&mut [0]).is_err(), "a ping, or the end");
    client.write_all(&frame(0x81, b"still here")).unwrap();
    assert_eq!(peer.read_line(), "still here\n");
}

#[test]
fn without_a_timeout_pings_go_on_unanswered() {
    let (_relay, mut client, mut peer) =
        bare_session(&["--ping-interval", "100ms", "--ping-timeout", "0"]);
    for _ in 0..6 {
        expect_ping(&mut client);
    }
    client.write_all(&frame(0x81, b"still here")).unwrap();
    assert_eq!(peer.read_line(), "still here\n");
}

#[test]
fn an_idle_session_is_closed_1000() {
    let began = Instant::now();
    let (mut relay, mut client, mut peer) = session(&["--idle-timeout", "300ms"]);
    client.expect_close(1000, "idle");
    assert!(began.elapsed() > 250 * MS);
    drop(client);
    peer.expect_fin();
    drop(peer);
    relay.wait_log(&["session closed", "by=\"relay\"", "reason=\"idle\"", "code=1000"]);
}

/// Keeps a session going by `act` every 50 ms for longer than its `--idle-timeout`, and expects it
/// to end as idle, and not before it was. `act` says whether it got through.
fn put_off(mut act: impl FnMut(&mut TcpStream, &mut Peer) -> bool) {
    let idle = 500 * MS;
    let (mut relay, mut client, mut peer) = bare_session(&["--idle-timeout", "500ms"]);
    let began = Instant::now();
    let mut last = began;
    while began.elapsed() < 1200 * MS {
        let now = Instant::now();
        if !act(&mut client, &mut peer) {
            break;
        }
        last = now;
        // The pause between two acts: a read of which nothing is expected.
        peer.tcp().set_read_timeout(Some(50 * MS)).unwrap();
        let is_ended = peer.0.read(&mut [0]).is_ok();
        peer.tcp().set_read_timeout(Some(support::DEADLINE)).unwrap();
        if is_ended {
            break;
        }
    }
    peer.expect_fin();
    assert!(last.elapsed() >= idle, "it ended {:?} after the last data", last.elapsed());
    drop((client, peer));
    relay.wait_log(&["session closed", "reason=\"idle\"", "code=1000"]);
}

#[test]
fn data_up_puts_the_idle_timeout_off() {
    put_off(|client, peer| {
        client.write_all(&frame(0x81, b"up")).is_ok() && peer.read_line() == "up\n"
    });
}

#[test]
fn data_down_puts_the_idle_timeout_off() {
    put_off(|client, peer| {
        let mut line = [0; 6];
        peer.0.get_mut().write_all(b"down\n").is_ok()
            && client.read_exact(&mut line).is_ok()
            && &line == b"\x81\x04down"
    });
}

#[test]
fn pings_are_no_data() {
    let began = Instant::now();
    let options = ["--idle-timeout", "600ms", "--ping-interval", "100ms"];
    let (_relay, mut client, mut peer) = session(&options);
    let mut pings = 0;
    // Both sides ping and are answered; the session is idle all the same.
    loop {
        match client.0.read().unwrap() {
            Message::Ping(_) => {
                pings += 1;
                client.0.send(Message::Ping("me too".into())).unwrap();
            }
            Message::Pong(_) => {}
            Message::Close(Some(close)) => {
                assert_eq!((u16::from(close.code), &*close.reason), (1000, "idle"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(pings > 0 && began.elapsed() > 500 * MS, "{pings} {:?}", began.elapsed());
    client.expect_end();
    drop(client);
    peer.expect_fin();
}
