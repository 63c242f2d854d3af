//! Limits across a reload: clients that were counted before it are counted after it, however the limit was
//! changed.

mod support;

use std::io::Write;
use std::net::TcpStream;

use support::configured::Configured;
use support::{HttpResponse, echo, handshake};

/// More than any limit here.
const ALL: usize = 6;

/// A limit that a reload changes. In the texts `TO` is `to` with a backend, and `A` and `B` are
/// routes for `/a` and `/b`.
struct Case {
    name: &'static str,
    before: &'static str,
    /// Sessions opened before the reload, which stay open.
    open: &'static [(&'static str, usize)],
    after: &'static str,
    /// Where is asked after it.
    path: &'static str,
    /// How many are let in there, one after the other, before one is refused.
    more: usize,
}

const CASES: &[Case] = &[
    // The sessions of all routes.
    case("all: up", "max-sessions=1 TO", &[("/", 1)], "max-sessions=2 TO", "/", 1),
    case("all: down", "max-sessions=3 TO", &[("/", 2)], "max-sessions=2 TO", "/", 0),
    case("all: introduced", "TO", &[("/", 2)], "max-sessions=3 TO", "/", 1),
    case("all: removed", "max-sessions=1 TO", &[("/", 1)], "TO", "/", ALL),
    case("all: renamed", "max-sessions=2 A", &[("/a", 1)], "max-sessions=2 B", "/b", 1),
    case("all: vanished", "max-sessions=2 TO A", &[("/a", 1)], "max-sessions=2 TO", "/", 1),
    // Those of one route.
    case("route: up", "A max-sessions=1", &[("/a", 1)], "A max-sessions=2", "/a", 1),
    case("route: down", "A max-sessions=3", &[("/a", 2)], "A max-sessions=2", "/a", 0),
    case("route: introduced", "A", &[("/a", 2)], "A max-sessions=3", "/a", 1),
    case("route: removed", "A max-sessions=1", &[("/a", 1)], "A", "/a", ALL),
    case("route: renamed", "A max-sessions=2", &[("/a", 2)], "B max-sessions=2", "/b", 2),
    case("route: others", "TO A", &[("/", 2), ("/a", 1)], "TO A max-sessions=2", "/a", 1),
    // Those of an address, on all routes.
    case("ip: up", "per-ip=1 TO", &[("/", 1)], "per-ip=2 TO", "/", 1),
    case("ip: down", "per-ip=3 TO", &[("/", 2)], "per-ip=2 TO", "/", 0),
    case("ip: introduced", "TO A", &[("/", 1), ("/a", 1)], "per-ip=3 TO A", "/", 1),
    case("ip: removed", "per-ip=1 TO", &[("/", 1)], "TO", "/", ALL),
    case("ip: renamed", "per-ip=2 A", &[("/a", 1)], "per-ip=2 B", "/b", 1),
    case("ip: vanished", "per-ip=2 TO A", &[("/a", 1)], "per-ip=2 TO", "/", 1),
    // Those of an address, on one route.
    case("route's ip: up", "per-ip=9 A per-ip=1", &[("/a", 1)], "per-ip=9 A per-ip=2", "/a", 1),
    case("route's ip: down", "per-ip=9 A per-ip=3", &[("/a", 2)], "per-ip=9 A per-ip=2", "/a", 0),
    case("route's ip: introduced", "TO A", &[("/", 1), ("/a", 1)], "TO A per-ip=2", "/a", 1),
    case("route's ip: of its own", "per-ip=9 A", &[("/a", 1)], "per-ip=9 A per-ip=2", "/a", 1),
    case(
        "route's ip: removed",
        "per-ip=4 TO A per-ip=2",
        &[("/", 1), ("/a", 2)],
        "per-ip=4 TO A",
        "/a",
        1,
    ),
    case("route's ip: renamed", "A per-ip=2", &[("/a", 2)], "B per-ip=2", "/b", 2),
    case(
        "route's ip: elsewhere",
        "per-ip=2 TO A",
        &[("/", 1), ("/a", 1)],
        "per-ip=2 TO A per-ip=9",
        "/",
        1,
    ),
    // How often an address may ask: five at once, then one a minute.
    case("rate: down", "rate=5/m TO", &[("/", 5)], "rate=1/m TO", "/", 0),
    case("rate: introduced", "TO", &[("/", 5)], "rate=1/m TO", "/", 5),
    case("rate: removed", "rate=1/m TO", &[("/", 5)], "TO", "/", ALL),
    case("rate: renamed", "rate=1/m A", &[("/a", 5)], "rate=1/m B", "/b", 0),
    case("route's rate: down", "A rate=5/m", &[("/a", 5)], "A rate=1/m", "/a", 0),
    case("route's rate: of its own", "rate=5/m A", &[("/a", 5)], "A rate=1/m", "/a", 0),
    case("route's rate: removed", "A rate=5/m", &[("/a", 5)], "rate=1/m A", "/a", 0),
    case("route's rate: renamed", "A rate=1/m", &[("/a", 5)], "B rate=1/m", "/b", 5),
];

const fn case(
    name: &'static str,
    before: &'static str,
    open: &'static [(&'static str, usize)],
    after: &'static str,
    path: &'static str,
    more: usize,
) -> Case {
    Case { name, before, open, after, path, more }
}

/// The file that a case's words stand for.
fn file(words: &str, to: &str) -> String {
    let line = |word: &str| match word {
        "TO" => format!("to = \"{to}\"\n"),
        "A" | "B" => {
            let path = word.to_lowercase();
            format!("[[route]]\npath = \"/{path}\"\nto = \"{to}\"\n")
        }
        limit => match limit.split_once('=').unwrap() {
            ("max-sessions", n) => format!("max-sessions = {n}\n"),
            ("per-ip", n) => format!("max-sessions-per-ip = {n}\n"),
            ("rate", rate) => format!("connect-rate = \"{rate}\"\n"),
            other => panic!("{other:?}"),
        },
    };
    words.split(' ').map(line).collect()
}

/// Asks for a session; if there is one it lasts as long as the connection.
fn ask(relay: &Configured, path: &str) -> (TcpStream, u16) {
    let mut tcp = relay.relay.tcp();
    tcp.write_all(handshake(path, "").as_bytes()).unwrap();
    let status = HttpResponse::read(&mut tcp).status;
    (tcp, status)
}

#[test]
fn who_was_counted_before_is_counted_after() {
    let to = echo().to_string();
    let mut wrong = Vec::new();
    for Case { name, before, open, after, path, more } in CASES {
        let mut relay = Configured::start(&file(before, &to), &[]);
        let mut kept = Vec::new();
        for (path, n) in *open {
            for _ in 0..*n {
                let (tcp, status) = ask(&relay, path);
                assert_eq!(status, 101, "{name}: before");
                kept.push(tcp);
            }
        }
        relay.reload(&file(after, &to), &["INFO", " reloaded", "wsrelay.toml"]);
        let asked: Vec<_> = (0..ALL).map(|_| ask(&relay, path)).collect();
        let statuses: Vec<_> = asked.iter().map(|(_, status)| *status).collect();
        let admitted = statuses.iter().filter(|status| **status == 101).count();
        let refused_last = statuses[admitted.min(ALL - 1)..].iter().all(|status| *status != 101);
        if admitted != *more || !(refused_last || *more == ALL) {
            wrong.push(format!("{name}: {admitted} more, not {more}: {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A route that comes back is the one that it was, as long as sessions of it are open.
#[test]
fn a_route_that_comes_back_knows_its_sessions() {
    let to = echo().to_string();
    let mut relay = Configured::start(&file("A max-sessions=1", &to), &[]);
    let (_held, status) = ask(&relay, "/a");
    assert_eq!(status, 101);
    relay.reload(&file("B", &to), &["INFO", " reloaded", "wsrelay.toml"]);
    relay.reload(&file("TO", &to), &["INFO", " reloaded", "wsrelay.toml"]);
    relay.reload(&file("A max-sessions=1", &to), &["INFO", " reloaded", "wsrelay.toml"]);
    assert_eq!(ask(&relay, "/a").1, 503);
    relay.reload(&file("A max-sessions=2", &to), &["INFO", " reloaded", "wsrelay.toml"]);
    let (_second, status) = ask(&relay, "/a");
    assert_eq!((status, ask(&relay, "/a").1), (101, 503));
}

/// Guesses at a password go on counting when the rate of them changes.
#[test]
fn guesses_are_counted_on() {
    let text = |rate: &str| {
        let to = echo();
        format!(
            "to = \"{to}\"\ntoken-file = \"tokens\"\nauth-static = true\nconnect-rate = \"{rate}\"\n"
        )
    };
    let dir = tempfile::TempDir::new().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "right\n").unwrap();
    let text = |rate: &str| text(rate).replace("\"tokens\"", &format!("{tokens:?}"));
    let mut relay = Configured::start(&text("5/m"), &[]);
    let guess = |relay: &Configured| relay.relay.get("/?token=wrong", &[]).status;
    for _ in 0..5 {
        assert_eq!(guess(&relay), 401);
    }
    assert_eq!(guess(&relay), 429);
    for rate in ["4/m", "1/m"] {
        relay.reload(&text(rate), &["INFO", " reloaded", "wsrelay.toml"]);
        assert_eq!(guess(&relay), 429, "{rate}");
    }
}
