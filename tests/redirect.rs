//! The port without TLS that sends browsers to the one with it.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use support::tls::Ca;
use support::{HttpResponse, Relay, echo, handshake, tcp_to};

/// A relay with `--redirect-port`, and where that is.
fn redirecting(ca: &Ca, options: &[&str]) -> (Relay, SocketAddr) {
    let relay = ca.relay_to(echo(), &[&["--redirect-port", "0"], options].concat());
    let line = relay.stdout_line();
    let (from, to) = line.strip_prefix("redirecting http://").unwrap().split_once(" to ").unwrap();
    assert_eq!(to, format!("https://{}", relay.addr));
    let from = from.parse().unwrap();
    (relay, from)
}

fn ask(addr: SocketAddr, request: &str) -> HttpResponse {
    let mut tcp = tcp_to(addr);
    tcp.write_all(request.as_bytes()).unwrap();
    let response = HttpResponse::read(&mut tcp);
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).expect("a FIN");
    assert_eq!(rest, b"");
    response
}

#[test]
fn a_port_that_is_taken_is_told_by_its_own_option() {
    let ca = Ca::new();
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let base = ["--listen", "127.0.0.1:0", "--to", "a:1", "--redirect-port", &port];
    let options = ca.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let done = support::run(&[&base[..], &options].concat());
    let text = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(text.contains("(--redirect-port 0 picks a free one)"), "{text}");
}

#[test]
fn requests_are_sent_to_https() {
    let ca = Ca::new();
    let (relay, addr) = redirecting(&ca, &["--header", "X-Served-By: wsrelay"]);
    let port = relay.addr.port();
    for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)] {
        for (host, to) in
            [("example.org", "example.org"), ("EXAMPLE.org:80", "example.org"), ("[::1]", "[::1]")]
        {
            let request = format!("{method} /a%20b?c=d HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let response = ask(addr, &request);
            assert_eq!(response.status, status);
            let want = format!("https://{to}:{port}/a%20b?c=d");
            assert_eq!(response.header("location"), Some(&*want));
            assert_eq!(response.header("x-served-by"), Some("wsrelay"));
        }
    }
    // A WebSocket handshake is a request like any other.
    let response = ask(addr, &handshake("/chat", ""));
    assert_eq!(response.status, 301);
    assert_eq!(response.header("location"), Some(&*format!("https://test:{port}/chat")));
}

#[test]
fn nobody_is_sent_elsewhere() {
    let ca = Ca::new();
    let (mut relay, addr) = redirecting(&ca, &[]);
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n",
        "GET / HTTP/1.1\r\nHost: user@a.example\r\n",
        "GET / HTTP/1.1\r\nHost: a.example/b\r\n",
    ] {
        let response = ask(addr, &format!("{head}\r\n"));
        assert_eq!((response.status, response.header("location")), (400, None), "{head}");
    }
    relay.wait_log(&["refused", "status=400", "no telling where to send this"]);
    // No line of the answer is the client's.
    for path in ["/%0d%0aSet-Cookie:%20a=b", "/\r\nSet-Cookie: a=b"] {
        let response = ask(addr, &format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        assert_eq!(response.header("set-cookie"), None);
    }
}

#[test]
fn slow_ones_are_cut_off_and_a_stop_waits_for_none() {
    let ca = Ca::new();
    let (mut relay, addr) = redirecting(&ca, &["--handshake-timeout", "300ms"]);
    let mut slow = tcp_to(addr);
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
    let client = format!("client={}", slow.local_addr().unwrap());
    relay.wait_log(&["connection dropped", &client, "no complete request within 300ms"]);
    drop(slow);
    let silent = tcp_to(addr);
    relay.signal("TERM");
    assert!(relay.wait_exit().success());
    drop(silent);
}
