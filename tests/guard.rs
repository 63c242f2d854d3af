//! The checks of a client on the real binary: origins, trusted proxies, limits per address and rates; and the
//! headers that the operator adds.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;

use support::{Backend, HttpResponse, Relay, echo, handshake, relay_to};

/// Sends a handshake with these lines, and returns the response. A refusal must have one line of text, and
/// one line of log that says the same.
fn knock(relay: &mut Relay, path: &str, extra: &str) -> HttpResponse {
    let mut tcp = relay.tcp();
    tcp.write_all(handshake(path, extra).as_bytes()).unwrap();
    let response = HttpResponse::read(&mut tcp);
    if response.status == 101 {
        return response;
    }
    let text = response.text();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
    assert_eq!(response.header("connection"), Some("close"), "{response:?}");
    tcp.shutdown(Shutdown::Write).unwrap();
    assert_eq!(tcp.read_to_end(&mut Vec::new()).unwrap(), 0);
    let status = format!("status={}", response.status);
    let client = format!("client={}", tcp.local_addr().unwrap());
    let line = relay.wait_log(&["refused", &format!("path={path:?}"), &status, &client]);
    assert!(line.contains(&format!("why={:?}", text.trim())), "{line}");
    response
}

#[test]
fn any_origin_unless_told_otherwise() {
    let relay = relay_to(echo(), &[]);
    for origin in ["https://anywhere.example", "null", "nonsense"] {
        let (mut client, _) = relay.connect_with("/", &[("Origin", origin)]);
        client.send("hello");
        assert_eq!(client.recv(), "hello");
    }
}

#[test]
fn only_the_origins_of_the_list() {
    let backend = Backend::listen();
    let options = ["--origin", "https://a.example,https://*.b.example", "--origin=null"];
    let mut relay = relay_to(backend.addr, &options);
    for (n, (origin, want)) in [
        ("Origin: https://a.example\r\n", 101),
        ("Origin: https://A.example:443\r\n", 101),
        ("Origin: https://www.b.example\r\n", 101),
        ("Origin: null\r\n", 101),
        ("", 101),
        ("Origin: http://a.example\r\n", 403),
        ("Origin: https://b.example\r\n", 403),
        ("Origin: https://a.example.attacker.com\r\n", 403),
        ("Origin: https://attacker.com/a.example\r\n", 403),
        ("Origin: https://a.example@attacker.com\r\n", 403),
        ("Origin: https://aXexample\r\n", 403),
        ("Origin:\r\n", 403),
        ("Origin: https://a.example\r\nOrigin: https://a.example\r\n", 403),
        ("Origin: https://a.example\r\nOrigin: https://attacker.com\r\n", 403),
        ("Origin: https://a.example, https://attacker.com\r\n", 403),
        ("Origin: https://a.example\x01\r\n", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{n}");
        if want == 400 {
            // Not HTTP at all.
            assert_eq!(relay.http(&handshake(&path, origin)).status, want);
            continue;
        }
        let response = knock(&mut relay, &path, origin);
        assert_eq!(response.status, want, "{origin:?}: {response:?}");
        if want == 101 {
            backend.accept();
        }
    }
    let text = knock(&mut relay, "/text", "Origin: https://x.example\r\n").text();
    assert_eq!(
        text,
        "origin https://x.example is not allowed here: add --origin https://x.example\n"
    );
    assert!(!backend.is_called(), "nothing is dialled for who is refused");
}

#[test]
fn an_origin_that_is_required() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--origin-required"]);
    let text = knock(&mut relay, "/none", "").text();
    assert!(text.contains("--origin-required"), "{text}");
    assert!(!backend.is_called());
    assert_eq!(knock(&mut relay, "/", "Origin: https://a.example\r\n").status, 101);
}

#[test]
fn pages_of_the_same_host() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--same-origin"]);
    // The request's Host is "test".
    assert_eq!(knock(&mut relay, "/", "Origin: http://test\r\n").status, 101);
    backend.accept();
    for (path, origin, word) in [
        ("/port", "http://test:8082", "add --origin http://test:8082 (this is http://test)"),
        ("/host", "http://other", "add --origin http://other"),
        ("/tls", "https://test", "--trust-proxy"),
        // Sent by a peer that is not trusted.
        ("/claim", "https://test\r\nX-Forwarded-Proto: https", "--trust-proxy"),
    ] {
        let response = knock(&mut relay, path, &format!("Origin: {origin}\r\n"));
        assert_eq!(response.status, 403);
        assert!(response.text().contains(word), "{}", response.text());
    }
    assert!(!backend.is_called());
}

#[test]
fn behind_a_proxy_that_ends_tls() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--same-origin", "--trust-proxy", "127.0.0.1"]);
    for (n, said) in [
        "X-Forwarded-Proto: https\r\nOrigin: https://test\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: chat.example\r\nOrigin: https://chat.example\r\n",
        "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: chat.example\r\nX-Forwarded-Port: 8443\r\nOrigin: https://chat.example:8443\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(knock(&mut relay, &format!("/{n}"), said).status, 101, "{said}");
        backend.accept();
    }
    relay.wait_log(&["session opened", "path=\"/2\"", "forwarded_for=192.0.2.7"]);
    relay.wait_log(&["session closed", "path=\"/2\"", "forwarded_for=192.0.2.7"]);
    let said = "X-Forwarded-For: 192.0.2.9\r\nOrigin: https://test\r\n";
    assert_eq!(knock(&mut relay, "/refused", said).status, 403);
    relay.wait_log(&["refused", "path=\"/refused\"", "forwarded_for=192.0.2.9"]);
}

/// A header of another kind is the client's own, and says nothing.
#[test]
fn the_one_header_that_names_the_client() {
    let backend = Backend::listen();
    for (header, said, named) in [
        ("forwarded", "Forwarded: for=192.0.2.7", "192.0.2.7"),
        ("forwarded", "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=192.0.2.7", "192.0.2.7"),
        ("X-Real-IP", "X-Real-IP: 2001:db8::7", "2001:db8::7"),
        (
            "cf-connecting-ip",
            "X-Forwarded-For: 203.0.113.9\r\nCF-Connecting-IP: 192.0.2.7",
            "192.0.2.7",
        ),
        ("x-forwarded-for", "X-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.7", "192.0.2.7"),
    ] {
        let options = ["--trust-proxy", "127.0.0.1", "--forwarded-header", header];
        let mut relay = relay_to(backend.addr, &options);
        assert_eq!(knock(&mut relay, "/", &format!("{said}\r\n")).status, 101);
        relay.wait_log(&["session opened", &format!("forwarded_for={named} ")]);
        // Without it, what the others say does not count.
        let others = "X-Forwarded-Proto: x\r\nTrue-Client-IP: 203.0.113.9\r\n";
        assert_eq!(knock(&mut relay, "/others", others).status, 101);
        let line = relay.wait_log(&["session opened", "path=\"/others\""]);
        assert!(!line.contains("forwarded_for"), "{line}");
    }
    let output = support::run(&["--port", "0", "--to", "a:1", "--forwarded-header", "x-real-ip"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--forwarded-header takes the word of trusted proxies only"), "{error}");
}

#[test]
fn a_share_of_the_sessions() {
    let backend = Backend::listen();
    let options = ["--max-sessions-per-ip", "2", "--trust-proxy", "127.0.0.1"];
    let mut relay = relay_to(backend.addr, &options);
    let (first, _second) = (relay.connect("/first"), relay.connect("/second"));
    let (mut peer, _peer) = (backend.accept(), backend.accept());
    let response = knock(&mut relay, "/third", "");
    assert_eq!(response.status, 429);
    assert!(response.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(
        response.text().contains("127.0.0.1 has reached its limit of open sessions (2)"),
        "{}",
        response.text()
    );
    assert!(!backend.is_called());

    // Other addresses have a limit of their own, but not those of the same IPv6 network.
    for (client, status) in [
        ("192.0.2.7", 101),
        ("192.0.2.7", 101),
        ("192.0.2.7", 429),
        ("192.0.2.8", 101),
        ("2001:db8::1", 101),
        ("2001:db8::2", 101),
        ("2001:db8::3", 429),
        ("2001:db8:0:1::1", 101),
    ] {
        let headers = [("X-Forwarded-For", client)];
        if status == 101 {
            // Left open, on both sides, until the test ends.
            std::mem::forget((relay.connect_with("/", &headers), backend.accept()));
        } else {
            let path = format!("/{}", client.replace(':', "-"));
            let response = knock(&mut relay, &path, &format!("X-Forwarded-For: {client}\r\n"));
            assert_eq!(response.status, status, "{client}");
        }
    }

    first.close();
    peer.expect_fin();
    drop(peer);
    relay.wait_log(&["session closed", "/first"]);
    relay.connect("/again");
    backend.accept();
}

#[test]
fn a_refused_client_takes_no_share() {
    let refusing = support::Refusing::bind("127.0.0.1");
    let mut relay = relay_to(refusing.addr, &["--max-sessions-per-ip", "1"]);
    for n in 0..3 {
        assert_eq!(knock(&mut relay, &format!("/{n}"), "").status, 502);
    }
    let backend = refusing.accept_from_now_on();
    relay.connect("/");
    backend.accept();
}

#[test]
fn a_rate_of_connecting() {
    let backend = Backend::listen();
    // So slow that the test never waits for it, even on a slow machine.
    let options = ["--connect-rate", "1/m", "--trust-proxy", "127.0.0.1"];
    let mut relay = relay_to(backend.addr, &options);
    for _ in 0..5 {
        relay.connect("/").close();
        backend.accept();
    }
    let response = knock(&mut relay, "/sixth", "");
    assert_eq!(response.status, 429);
    let seconds: u32 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(response.text().contains("too many connections from 127.0.0.1: try again in"));
    assert!(!backend.is_called());
    assert_eq!(knock(&mut relay, "/other", "X-Forwarded-For: 192.0.2.7\r\n").status, 101);
    // Pages are read in dozens.
    for _ in 0..10 {
        assert_eq!(relay.get("/", &[]).status, 426);
    }
}

#[test]
fn unix_peers_are_not_counted() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("relay.sock");
    let unix = format!("unix:{}", path.display());
    let options = ["--listen", &unix, "--max-sessions-per-ip", "1", "--connect-rate", "1/m"];
    let _relay = relay_to(echo(), &options);
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let stream = support::unix(&path);
            async_tungstenite::tungstenite::client("ws://localhost/", stream).unwrap().0
        })
        .collect();
    assert_eq!(clients.len(), 10);
}

#[test]
fn refuse_close_tells_the_page_that_it_is_too_much() {
    let backend = Backend::listen();
    let options = ["--refuse", "close", "--max-sessions-per-ip", "1", "--origin", "http://test"];
    let mut relay = relay_to(backend.addr, &options);
    let _only = relay.connect("/only");
    let (mut client, _) = relay.connect_with("/second", &[]);
    client.expect_close(
        1013,
        "127.0.0.1 has reached its limit of open sessions (1): close one first",
    );
    relay.wait_log(&["refused", "/second", "1013"]);
    // What the client may never do gets a status.
    assert_eq!(knock(&mut relay, "/origin", "Origin: http://other\r\n").status, 403);
}

#[test]
fn what_is_wrong_with_a_request_goes_first() {
    let mut relay = relay_to(echo(), &["--origin", "https://a.example", "--connect-rate", "1/m"]);
    let origin = "Origin: https://b.example\r\n";
    for n in 0..10 {
        let bad = handshake(&format!("/{n}"), origin).replace("Key", "Kee");
        assert_eq!(relay.http(&bad).status, 400);
        assert_eq!(knock(&mut relay, &format!("/origin-{n}"), origin).status, 403);
    }
    // None of them counted.
    assert_eq!(knock(&mut relay, "/", "").status, 101);
}

#[test]
fn headers_of_the_operator() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("index.html"), "hello").unwrap();
    let options = [
        "--static-dir",
        dir.path().to_str().unwrap(),
        "--header=X-All: all",
        "--header-ws",
        "X-Ws: ws",
        "--header-http",
        "X-Http: http",
        "--header-http",
        "Cache-Control: no-store",
        "--origin",
        "https://a.example",
    ];
    let mut relay = relay_to(echo(), &options);
    let names = |response: &HttpResponse| {
        let values = ["x-all", "x-ws", "x-http"].map(|name| response.header(name).is_some());
        assert_eq!(response.header("x-all"), Some("all"), "{response:?}");
        values
    };
    let accepted = knock(&mut relay, "/", "");
    assert_eq!((accepted.status, names(&accepted)), (101, [true, true, false]));
    let refused = knock(&mut relay, "/refused", "Origin: https://b.example\r\n");
    assert_eq!((refused.status, names(&refused)), (403, [true, true, false]));
    for (path, status) in [("/", 200), ("/missing", 404)] {
        let response = relay.get(path, &[]);
        assert_eq!((response.status, names(&response)), (status, [true, false, true]));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.head.matches("cache-control").count(), 1, "{}", response.head);
    }
    // A client whose session is relayed sees no difference.
    let mut client = relay.connect("/");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
}
