//! Limits on connections of all kinds: silent ones can't keep others out.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use support::configured::Configured;
use support::program::wait_until;
use support::tls::{Ca, tls};
use support::{HttpResponse, Relay, echo, handshake, relay_to, start, tcp_from};

/// A relay that may have so many descriptors, whose silent connections stay for as long as the test.
fn confined(descriptors: usize, options: &[&str]) -> Relay {
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_wsrelay"), "--listen", "0.0.0.0:0"]);
    command.args(["--to", &echo().to_string(), "--handshake-timeout", "1h"]).args(options);
    let mut relay = start(command);
    relay.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, relay.addr.port()));
    relay
}

/// The status of a handshake, or 0 if the connection is closed without an answer.
fn ask(tcp: &mut TcpStream) -> u16 {
    // It may be closed already.
    let _ = tcp.write_all(handshake("/", "").as_bytes());
    let mut first = [0];
    match tcp.peek(&mut first) {
        Ok(0) => 0,
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => 0,
        Ok(_) => HttpResponse::read(tcp).status,
        Err(e) => panic!("neither an answer nor an end: {e}"),
    }
}

/// Whether the relay has closed it; it may take a moment.
fn is_closed(tcp: &TcpStream) -> bool {
    tcp.set_nonblocking(true).unwrap();
    let read = (&*tcp).read(&mut [0]);
    tcp.set_nonblocking(false).unwrap();
    !matches!(read, Err(e) if e.kind() == ErrorKind::WouldBlock)
}

fn still_open(all: &[TcpStream]) -> usize {
    all.iter().filter(|tcp| !is_closed(tcp)).count()
}

#[test]
fn silent_connections_of_one_address_keep_nobody_else_out() {
    let mut relay = confined(256, &["--max-connections-per-ip", "50"]);
    let idle = relay.descriptors();
    let silent: Vec<_> = (0..260).map(|_| relay.tcp()).collect();
    assert_eq!(ask(&mut tcp_from([127, 0, 0, 2], relay.addr)), 101);
    wait_until("all but 50 are closed", || still_open(&silent) == 50);
    assert_eq!(ask(&mut relay.tcp()), 0);
    // A client that closes makes room.
    let one = silent.iter().find(|tcp| !is_closed(tcp)).unwrap();
    one.shutdown(std::net::Shutdown::Both).unwrap();
    wait_until("there is room for one", || ask(&mut relay.tcp()) == 101);
    drop(silent);
    wait_until("nothing stays", || relay.descriptors() <= idle);
    relay.wait_log(&["WARN", "closed connections at once", "last=127.0.0.1:"]);
    relay.signal("TERM");
    let log = relay.log_to_end();
    let told: Vec<_> = log.iter().filter(|line| line.contains("at once")).collect();
    assert!(told.iter().all(|line| line.contains("over_max_connections=0 ")), "{told:#?}");
    assert!(!log.iter().any(|line| line.contains("can't accept")), "{log:#?}");
}

/// All are logged, but not each in a line of its own.
#[test]
fn the_log_counts_those_that_were_closed() {
    let mut relay = confined(256, &["--max-connections", "10"]);
    let all: Vec<_> = (0..200).map(|_| relay.tcp()).collect();
    wait_until("all but ten are closed", || still_open(&all) == 10);
    let count = |log: &[String]| -> (u64, usize) {
        let told = log.iter().filter(|line| line.contains("closed connections at once"));
        let counts = told.map(|line| {
            let (_, rest) = line.split_once("over_max_connections=").unwrap();
            rest.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        counts.fold((0, 0), |(sum, lines), n| (sum + n, lines + 1))
    };
    wait_until("each is told of", || {
        relay.read_log();
        count(&relay.seen).0 == 190
    });
    assert!(count(&relay.seen).1 < 20, "{:#?}", relay.seen);
}

#[test]
fn by_default_there_is_room_for_the_backends_of_those_who_become_sessions() {
    let mut relay = confined(256, &[]);
    let mut all: Vec<_> = (0..260).map(|_| relay.tcp()).collect();
    wait_until("all but 128 are closed", || still_open(&all) == 128);
    all.retain(|tcp| !is_closed(tcp));
    // All that are open can become sessions, up to the limit of sessions, and the rest get its refusal; the
    // descriptors suffice.
    let statuses: Vec<_> = all.iter_mut().map(ask).collect();
    let with = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((with(101), with(503)), (96, 32), "{statuses:?}");
    drop(all);
    wait_until("the next one is served", || ask(&mut relay.tcp()) == 101);
    relay.signal("TERM");
    let log = relay.log_to_end();
    let at_the_end =
        |line: &&String| line.contains("can't accept") || line.contains("too many open files");
    assert!(!log.iter().any(|line| at_the_end(&line)), "{log:#?}");
}

#[test]
fn sessions_and_kept_connections_count() {
    let relay = relay_to(echo(), &["--max-connections-per-ip", "2"]);
    let _session = relay.connect("/");
    let mut kept = relay.tcp();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(HttpResponse::read(&mut kept).status, 426);
    assert_eq!(ask(&mut relay.tcp()), 0);
    assert_eq!(ask(&mut kept), 101);
    assert_eq!(ask(&mut relay.tcp()), 0);
    drop(kept);
    wait_until("its end makes room", || ask(&mut relay.tcp()) == 101);
}

#[test]
fn tls_and_the_redirect_count_together() {
    let ca = Ca::new();
    let options = ["--max-connections-per-ip", "2", "--redirect-port", "0"];
    let relay = ca.relay_to(echo(), &options);
    let line = relay.stdout_line();
    let redirect = line.strip_prefix("redirecting http://").unwrap().split(' ').next().unwrap();
    let port = redirect.parse::<SocketAddr>().unwrap().port();
    let redirect = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let idle = relay.descriptors();
    let (plain, silent) = (TcpStream::connect(redirect).unwrap(), relay.tcp());
    // Each at a listener of its own: those that follow could be accepted before.
    wait_until("both are accepted", || relay.descriptors() == idle + 2);
    for addr in [redirect, relay.addr] {
        let over = TcpStream::connect(addr).unwrap();
        wait_until("it is closed", || is_closed(&over));
    }
    assert!(!is_closed(&plain) && !is_closed(&silent));
    drop((plain, silent));
    wait_until("there is room", || tls(relay.tcp(), ca.client(None)).is_ok());
}

#[test]
fn proxies_that_are_trusted_and_unix_peers_are_not_limited_by_address() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("relay.sock");
    let unix = format!("unix:{}", path.display());
    let options =
        ["--max-connections-per-ip", "1", "--trust-proxy", "127.0.0.2", "--listen", &unix];
    let relay = relay_to(echo(), &options);
    let mut proxied: Vec<_> = (0..5).map(|_| tcp_from([127, 0, 0, 2], relay.addr)).collect();
    assert!(proxied.iter_mut().all(|tcp| ask(tcp) == 101));
    let local: Vec<_> = (0..5)
        .map(|_| {
            let stream = support::unix(&path);
            async_tungstenite::tungstenite::client("ws://localhost/", stream).unwrap().0
        })
        .collect();
    assert_eq!(local.len(), 5);
    let mut others: Vec<_> = (0..2).map(|_| relay.tcp()).collect();
    assert_eq!(others.iter_mut().map(ask).collect::<Vec<_>>(), [101, 0]);
}

/// A reload changes the limits, and counts all open connections, also if there was no limit before.
#[test]
fn a_reload_goes_on_counting() {
    let to = format!("to = \"{}\"\n", echo());
    for (before, after, more) in [
        ("max-connections-per-ip = 2", "max-connections-per-ip = 4", 2),
        ("max-connections-per-ip = 4", "max-connections-per-ip = 2", 0),
        ("", "max-connections-per-ip = 3", 1),
        ("max-connections-per-ip = 2", "", 5),
        ("max-connections = 2", "max-connections = 4", 2),
        ("max-connections = 4", "max-connections = 2", 0),
        ("", "max-connections = 3", 1),
        ("max-connections = 2", "", 5),
        (
            "max-connections-per-ip = 2",
            "max-connections-per-ip = 2\ntrust-proxy = \"127.0.0.1\"",
            5,
        ),
        (
            "trust-proxy = \"127.0.0.1\"\nmax-connections-per-ip = 1",
            "max-connections-per-ip = 3",
            1,
        ),
    ] {
        let mut relay = Configured::start(&format!("{to}{before}\n"), &[]);
        let mut held: Vec<_> = (0..2).map(|_| relay.relay.tcp()).collect();
        assert!(held.iter_mut().all(|tcp| ask(tcp) == 101));
        relay.reload(&format!("{to}{after}\n"), &["INFO", " reloaded", "wsrelay.toml"]);
        let mut asked: Vec<_> = (0..5).map(|_| relay.relay.tcp()).collect();
        let statuses: Vec<_> = asked.iter_mut().map(ask).collect();
        let want: Vec<_> = (0..5).map(|n| if n < more { 101 } else { 0 }).collect();
        assert_eq!(statuses, want, "{before:?} {after:?}");
    }
}
