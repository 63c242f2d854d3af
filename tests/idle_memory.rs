//! The memory of sessions that are idle, with TLS and without. docs/performance.md has the figures of a release build.

mod support;

use std::io::{Read, Write};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::tls::Ca;
use support::{Backend, Client, Relay, relay_to};

const KIB: usize = 1024;

/// Sessions before the first measurement: what is allocated once has been by then.
const FIRST: usize = 200;

/// Sessions between the two measurements.
const MORE: usize = 1_000;

/// Resident memory of each of the sessions that `connect` opens, in bytes. Each has relayed a line both ways.
fn of_each<S: Read + Write>(
    relay: &Relay,
    backend: &Backend,
    connect: impl Fn() -> Client<S>,
) -> usize {
    let mut sessions = Vec::new();
    let mut open_until = |count| {
        while sessions.len() < count {
            let (mut client, mut peer) = (connect(), backend.accept());
            client.send("up");
            assert_eq!(peer.read_line(), "up\n");
            peer.write("down\n");
            assert_eq!(client.recv(), "down");
            sessions.push((client, peer));
        }
        relay.rss()
    };
    let (before, after) = (open_until(FIRST), open_until(FIRST + MORE));
    after.saturating_sub(before) / MORE
}

/// Lets this process have the files that it needs: two for each session.
fn raise_the_limit_of_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    // Of both tests.
    let needed = 4 * (FIRST + MORE) as u64 + 100;
    let current = limit.maximum.unwrap_or(u64::MAX);
    assert!(current >= needed, "{needed} open files are needed: raise ulimit -Hn {current}");
}

#[test]
fn without_tls() {
    raise_the_limit_of_files();
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let size = of_each(&relay, &backend, || relay.connect("/"));
    // A release build takes 1.6 KiB.
    assert!(size < 5 * KIB / 2, "{size} bytes");
}

#[test]
fn with_tls() {
    raise_the_limit_of_files();
    let (ca, backend) = (Ca::new(), Backend::listen());
    let (relay, config) = (ca.relay_to(backend.addr, &[]), ca.client(None));
    let size = of_each(&relay, &backend, || support::tls::connect(&relay, "/", config.clone()));
    // A release build takes 4.1 KiB. The one buffer of rustls's usual connections has 4 KiB.
    assert!(size < 5 * KIB, "{size} bytes");
}
