//! Fairness between sessions: one that stalls or floods has no effect on others.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use support::faults::{Flood, Stall};
use support::{Backend, Client, Relay, echo, frame, relay_to};

const KIB: usize = 1024;
const OTHERS: usize = 50;
const ROUNDS: usize = 60;

/// A naive chat server: it writes to one client after the other, blocking. The first one gets so much that it has
/// to read to keep up.
fn broadcast(clients: Vec<TcpStream>) {
    let much = [&[b'x'; 255 * KIB][..], b"\n"].concat();
    for round in 0..ROUNDS {
        for (n, mut client) in clients.iter().enumerate() {
            if n == 0 {
                let _ = client.write_all(&much);
            }
            let _ = client.write_all(format!("round {round}\n").as_bytes());
        }
    }
}

/// One client that stalls, and fifty that do not, with a naive broadcast to all of them. Gives the
/// relay, whose log tells what became of the one.
fn chat(options: &[&str]) -> Relay {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, options);
    let stalled = Stall::client(&relay);
    let mut peers = vec![backend.accept().0.into_inner()];
    let mut others: Vec<Client> = Vec::new();
    for _ in 0..OTHERS {
        others.push(relay.connect("/"));
        peers.push(backend.accept().0.into_inner());
    }
    let server = thread::spawn(move || broadcast(peers));
    for round in 0..ROUNDS {
        for client in &mut others {
            assert_eq!(client.recv(), format!("round {round}"));
        }
    }
    server.join().unwrap();
    for client in &mut others {
        client.expect_close(1000, "backend closed");
    }
    drop((others, stalled));
    relay
}

#[test]
fn with_drop_a_stalled_client_holds_nobody_back() {
    // The default --write-timeout is longer than any of these reads waits.
    let mut relay = chat(&["--slow-client", "drop", "--queue", "64KiB"]);
    relay.wait_log(&["session closed", "id=1 ", "reason=\"client too slow\"", "code=1008"]);
}

#[test]
fn by_default_a_stalled_client_holds_others_back_for_the_write_timeout() {
    let mut relay = chat(&["--write-timeout", "1s"]);
    relay.wait_log(&["session closed", "id=1 ", "reason=\"client too slow\"", "code=1008"]);
}

/// More clients that send `first` and then `bytes` without end than there are processors do not keep an ordinary one
/// from its turn, nor the relay from stopping.
fn flooded_with(first: &[u8], bytes: &[u8]) {
    let mut relay = relay_to(echo(), &["--close-timeout", "300ms"]);
    let processors = thread::available_parallelism().unwrap().get();
    let unit = bytes.repeat(64 * KIB / bytes.len());
    let floods: Vec<_> = (0..=processors)
        .map(|_| {
            let mut flooder = Stall::client(&relay).wake();
            flooder.write_all(first).unwrap();
            let unit = unit.clone();
            // It has begun before the test goes on.
            Flood(&unit).run(&flooder, 64 * KIB);
            thread::spawn(move || Flood(&unit).forever(&flooder))
        })
        .collect();
    let mut client = relay.connect("/");
    for n in 0..5 {
        client.send(&n.to_string());
        assert_eq!(client.recv(), n.to_string());
    }
    relay.signal("TERM");
    client.expect_close(1001, "server shutting down");
    drop(client);
    assert_eq!(relay.wait_exit().code(), Some(0));
    for flood in floods {
        flood.join().unwrap();
    }
}

#[test]
fn a_flood_of_pongs_leaves_others_their_turn() {
    flooded_with(b"", &frame(0x8a, b""));
}

#[test]
fn a_flood_of_empty_fragments_leaves_others_their_turn() {
    // The message never ends: nothing that the session could see comes of it.
    flooded_with(&frame(0x01, b""), &frame(0x00, b""));
}

#[test]
fn a_flood_of_small_messages_leaves_others_their_turn() {
    flooded_with(b"", &frame(0x81, b"x"));
}

#[test]
fn a_backend_that_floods_leaves_others_their_turn() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let processors = thread::available_parallelism().unwrap().get();
    for _ in 0..=processors {
        let mut reader = Stall::client(&relay).wake();
        let flooder = backend.accept().0.into_inner();
        thread::spawn(move || Flood(&b"line\n".repeat(10_000)).forever(&flooder));
        thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    }
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    for n in 0..5 {
        client.send(&n.to_string());
        assert_eq!(peer.read_line(), format!("{n}\n"));
        peer.write(format!("{n}\n"));
        assert_eq!(client.recv(), n.to_string());
    }
}
