//! `--accept-proxy`: proxies in front name their clients before anything else is said.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use support::faults::{Slice, client};
use support::program::{relay_sh, wait_until};
use support::tls::{Ca, Tls};
use support::{
    Backend, Client, HttpResponse, Relay, Steady, echo, frame, handshake, relay, relay_to, run,
    tcp_to,
};

/// A header of version 1.
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n";

/// The command PROXY of version 2.
const PROXY: u8 = 0x21;

/// A header of version 2: the command, the family, addresses and TLVs.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length[..], rest].concat()
}

/// Version 2 of what [`V1`] says, then `tlvs`.
fn tcp4(tlvs: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0x13, 0x88, 0x01, 0xbb];
    v2(PROXY, 0x11, &[&addresses, tlvs].concat())
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

/// A relay that takes the headers of this machine.
fn accepting(backend: std::net::SocketAddr, options: &[&str]) -> Relay {
    relay_to(backend, &[&["--accept-proxy", "--trust-proxy", "127.0.0.1"], options].concat())
}

/// A connection on which nothing was sent.
fn tcp(relay: &Relay) -> TcpStream {
    tcp_to(relay.addr)
}

/// The response to a handshake behind this header, in one segment.
fn ask(relay: &Relay, header: &[u8], extra: &str) -> (HttpResponse, TcpStream) {
    let mut tcp = tcp(relay);
    tcp.write_all(&[header, handshake("/", extra).as_bytes()].concat()).unwrap();
    (HttpResponse::read(&mut tcp), tcp)
}

/// Makes sure that the connection is closed without an answer.
fn expect_closed(mut tcp: TcpStream, what: &str) {
    match tcp.read(&mut [0]) {
        Ok(0) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn the_client_is_the_one_that_is_named() {
    let backend = Backend::listen();
    let mut relay = accepting(backend.addr, &["--proxy-protocol", "v1"]);
    let unix = v2(PROXY, 0x31, &[0; 216]);
    let own = |tcp: &TcpStream| tcp.local_addr().unwrap().to_string();
    let v6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n";
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 5000 443\r\n";
    for (header, named) in [
        (V1, Some(("TCP4 192.0.2.7 198.51.100.1 5000 443", "192.0.2.7:5000"))),
        (&tcp4(b""), Some(("TCP4 192.0.2.7 198.51.100.1 5000 443", "192.0.2.7:5000"))),
        (v6, Some(("TCP6 2001:db8::7 2001:db8::1 5000 443", "[2001:db8::7]:5000"))),
        (mapped, Some(("TCP4 192.0.2.7 198.51.100.1 5000 443", "192.0.2.7:5000"))),
        // The connection's own addresses.
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN 192.0.2.7 198.51.100.1 5000 443\r\n", None),
        (&v2(0x20, 0x00, b""), None),
        (&v2(0x20, 0x11, &tcp4(b"")[16..]), None),
        (&v2(PROXY, 0x00, b""), None),
        (&unix, None),
    ] {
        relay.seen.clear();
        let (response, tcp) = ask(&relay, header, "");
        assert_eq!(response.status, 101);
        let ours = own(&tcp);
        let (ip, port) = ours.split_once(':').unwrap();
        let to = relay.addr.port();
        let (line, logged) = match named {
            Some((line, logged)) => (line.to_owned(), logged),
            None => (format!("TCP4 {ip} {ip} {port} {to}"), &*ours),
        };
        let mut peer = backend.accept();
        assert_eq!(peer.read_line(), format!("PROXY {line}\r\n"));
        let line = relay.wait_log(&["session opened"]);
        assert!(line.contains(&format!("client={logged} ")), "{line}");
        let mut client = client(tcp);
        client.send("hello");
        assert_eq!(peer.read_line(), "hello\n");
        drop(peer);
        client.expect_close(1000, "backend closed");
        drop(client);
        let line = relay.wait_log(&["session closed"]);
        assert!(line.contains(&format!("client={logged} ")), "{line}");
    }
}

/// All that is said of a client goes by the header.
#[test]
fn facts_are_those_of_the_header() {
    let backend = Backend::listen();
    let hello = "{ip} {port} {local-ip} {local-port} {secure} {user}";
    let relay = accepting(backend.addr, &["--hello", hello]);
    let tls = [&[7, 0, 0, 0, 0][..], &tlv(0x22, b"ada lovelace")].concat();
    for (header, said) in [
        (V1, "192.0.2.7 5000 198.51.100.1 443 - -"),
        (&tcp4(&tlv(0x20, &tls)), "192.0.2.7 5000 198.51.100.1 443 secure ada_lovelace"),
    ] {
        let (response, _tcp) = ask(&relay, header, "");
        assert_eq!(response.status, 101);
        assert_eq!(backend.accept().read_line(), format!("{said}\n"));
    }
}

/// What follows the header is the client's, wherever segments end.
#[test]
fn segments_may_end_anywhere() {
    let relay = accepting(echo(), &[]);
    for header in [V1, &tcp4(&tlv(0x05, b"an id"))] {
        let all = [header, handshake("/", "").as_bytes(), &frame(0x81, b"hello")].concat();
        let answers = |tcp: TcpStream| {
            let mut steady = Steady(tcp);
            assert_eq!(HttpResponse::read(&mut steady).status, 101);
            let mut client = client(steady.0);
            assert_eq!(client.recv(), "hello");
        };
        for end in 1..header.len() + 3 {
            let mut tcp = tcp(&relay);
            tcp.write_all(&all[..end]).unwrap();
            tcp.write_all(&all[end..]).unwrap();
            answers(tcp);
        }
        let tcp = tcp(&relay);
        Slice(&tcp).write(&all);
        answers(tcp);
    }
}

#[test]
fn a_header_has_room_for_much() {
    let backend = Backend::listen();
    let relay = accepting(backend.addr, &["--proxy-protocol", "v1"]);
    let header = tcp4(&tlv(0xe0, &vec![b'x'; 65_535 - 12 - 3]));
    let (response, _tcp) = ask(&relay, &header, "");
    assert_eq!(response.status, 101);
    assert!(backend.accept().read_line().starts_with("PROXY TCP4 192.0.2.7 "));
}

#[test]
fn tls_comes_behind_it() {
    let ca = Ca::new();
    let options = ["--accept-proxy", "--trust-proxy", "127.0.0.1"];
    let mut relay = ca.relay_to(echo(), &options);
    for (header, in_one) in [(V1.to_vec(), true), (tcp4(b""), true), (tcp4(b""), false)] {
        relay.seen.clear();
        let name = ServerName::try_from("localhost").unwrap();
        let mut conn = ClientConnection::new(ca.client(None), name).unwrap();
        let mut hello = Vec::new();
        conn.write_tls(&mut hello).unwrap();
        let mut tcp = tcp(&relay);
        match in_one {
            true => tcp.write_all(&[header, hello].concat()).unwrap(),
            false => Slice(&tcp).write([header, hello].concat()),
        }
        let mut tls: Tls = StreamOwned::new(conn, Steady(tcp));
        tls.write_all(handshake("/", "").as_bytes()).unwrap();
        assert_eq!(HttpResponse::read(&mut tls).status, 101);
        let mut client: Client<Tls> = support::tls::client(tls);
        client.send("hello");
        assert_eq!(client.recv(), "hello");
        relay.wait_log(&["session opened", "client=192.0.2.7:5000 "]);
    }
    // Without the header TLS is not begun.
    expect_closed(hello_alone(&ca, &relay), "TLS alone");
}

fn hello_alone(ca: &Ca, relay: &Relay) -> TcpStream {
    let name = ServerName::try_from("localhost").unwrap();
    let mut conn = ClientConnection::new(ca.client(None), name).unwrap();
    let mut tcp = tcp(relay);
    conn.write_tls(&mut tcp).unwrap();
    tcp
}

#[test]
fn what_is_no_header_is_closed_without_an_answer() {
    let request = handshake("/", "");
    for (bytes, why) in [
        (request.as_bytes(), "there is no PROXY header"),
        (b"\x16\x03\x01\x02\0\x01", "there is no PROXY header"),
        (b"PROXY TCP4 192.0.2.7\r\n", "version 1 is malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\n", "version 1 is malformed"),
        (&[b"PROXY UNKNOWN ", &[b'x'; 5000][..]].concat(), "longer than 107 bytes"),
        (&v2(0x22, 0x11, &tcp4(b"")[16..]), "another version"),
        (&v2(PROXY, 0x11, &[0; 11]), "version 2 is malformed"),
        (&tcp4(&[0x02, 0xff, 0xff, b'x']), "version 2 is malformed"),
    ] {
        let mut relay = accepting(echo(), &[]);
        let mut tcp = tcp(&relay);
        let _ = tcp.write_all(bytes);
        expect_closed(tcp, why);
        let line = relay.wait_log(&["WARN", "no PROXY header that counts", why]);
        assert!(line.contains("last=127.0.0.1:") && line.contains("connections=1 "), "{line}");
    }
}

/// Whatever there is of a header, its end is no header.
#[test]
fn a_header_that_is_cut_short_is_none() {
    let mut relay = accepting(echo(), &[]);
    let tls = [&[7, 0, 0, 0, 0][..], &tlv(0x22, b"ada")].concat();
    let mut cut = 0;
    for header in [V1, &tcp4(&tlv(0x20, &tls))] {
        for end in 1..header.len() {
            let mut tcp = tcp(&relay);
            tcp.write_all(&header[..end]).unwrap();
            tcp.shutdown(Shutdown::Write).unwrap();
            expect_closed(tcp, &format!("{end} bytes"));
            cut += 1;
        }
    }
    // All are logged, and not each in a line of its own.
    let told = |relay: &mut Relay| -> (usize, usize) {
        relay.read_log();
        let told = relay.seen.iter().filter(|line| line.contains("ended within the PROXY header"));
        let counts = told.map(|line| {
            let (_, rest) = line.split_once("connections=").unwrap();
            rest.split(' ').next().unwrap().parse::<usize>().unwrap()
        });
        counts.fold((0, 0), |(sum, lines), n| (sum + n, lines + 1))
    };
    wait_until("each is told of", || told(&mut relay).0 == cut);
    assert!(told(&mut relay).1 < cut, "{:#?}", relay.seen);
    let (response, _tcp) = ask(&relay, V1, "");
    assert_eq!(response.status, 101);
}

#[test]
fn a_slow_header_is_cut_off() {
    let mut relay = accepting(echo(), &["--handshake-timeout", "300ms"]);
    for start in [&V1[..0], &V1[..20], &tcp4(b"")[..20]] {
        let mut relay = accepting(echo(), &["--handshake-timeout", "300ms"]);
        let began = Instant::now();
        let mut tcp = tcp(&relay);
        tcp.write_all(start).unwrap();
        expect_closed(tcp, "in silence");
        assert!(began.elapsed().as_millis() >= 300);
        relay.wait_log(&["no whole PROXY header came in time", "connections=1 "]);
    }
    // A header does not begin the time anew.
    let mut tcp = tcp(&relay);
    tcp.write_all(V1).unwrap();
    let _ = tcp.read_to_end(&mut Vec::new());
    relay.wait_log(&["connection dropped", "client=192.0.2.7:5000 "]);
}

#[test]
fn nobody_else_may_name_clients() {
    let options = ["--accept-proxy", "--trust-proxy", "10.0.0.0/8,unix"];
    let mut relay = relay_to(echo(), &options);
    let mut tcp = tcp(&relay);
    let _ = tcp.write_all(&[V1, handshake("/", "").as_bytes()].concat());
    expect_closed(tcp, "a stranger");
    let line = relay.wait_log(&["no PROXY header that counts", "is none of --trust-proxy"]);
    assert!(line.contains("last=127.0.0.1:") && !line.contains("192.0.2.7"), "{line}");
}

/// A client in front of a TCP proxy writes what headers it likes.
#[test]
fn the_headers_of_a_named_client_are_its_own() {
    let backend = Backend::listen();
    let options = ["--accept-proxy", "--trust-proxy", "127.0.0.1,192.0.2.0/28"];
    let relay = relay_to(backend.addr, &[&options[..], &["--proxy-protocol", "v1"]].concat());
    let spoof = "X-Forwarded-For: 203.0.113.9\r\n";
    for (header, source) in [
        (&b"PROXY TCP4 198.51.100.7 198.51.100.1 5000 443\r\n"[..], "198.51.100.7"),
        // A trusted proxy in front of the proxy.
        (V1, "203.0.113.9"),
        (b"PROXY UNKNOWN\r\n", "203.0.113.9"),
    ] {
        let (response, _tcp) = ask(&relay, header, spoof);
        assert_eq!(response.status, 101);
        let line = backend.accept().read_line();
        assert!(line.starts_with(&format!("PROXY TCP4 {source} ")), "{line}");
    }
}

#[test]
fn limits_are_of_named_clients() {
    let mut relay =
        accepting(echo(), &["--max-connections-per-ip", "2", "--max-sessions-per-ip", "1"]);
    let of = |last: u8| format!("PROXY TCP4 192.0.2.{last} 198.51.100.1 5000 443\r\n").into_bytes();
    let (first, one) = ask(&relay, &of(1), "");
    let (second, _two) = ask(&relay, &of(1), "");
    assert_eq!((first.status, second.status), (101, 429));
    let mut third = tcp(&relay);
    let _ = third.write_all(&[&of(1)[..], handshake("/", "").as_bytes()].concat());
    expect_closed(third, "the third of an address");
    relay.wait_log(&["too many are open", "over_max_connections_per_ip=1 ", "last=192.0.2.1:5000"]);
    // The proxy itself has any number.
    let others: Vec<_> = (2..9).map(|last| ask(&relay, &of(last), "")).collect();
    assert!(others.iter().all(|(response, _)| response.status == 101));
    // The session holds both permits to its end.
    one.shutdown(Shutdown::Both).unwrap();
    wait_until("there is room again", || {
        let mut tcp = tcp(&relay);
        let _ = tcp.write_all(&[&of(1)[..], handshake("/", "").as_bytes()].concat());
        let mut first = [0; 12];
        tcp.read_exact(&mut first).is_ok() && &first == b"HTTP/1.1 101"
    });
}

#[test]
fn tls_and_certificates_of_the_proxy_count() {
    let script = "printf '%s %s %s\\n' \"$HTTPS\" \"$REMOTE_USER\" \"$REMOTE_ADDR\"; cat";
    let options = ["--accept-proxy", "--trust-proxy", "127.0.0.1", "--same-origin"];
    let relay = relay_sh(script, &options);
    let ssl = |flags: u8, verify: u8| {
        let cn = tlv(0x22, b"ada");
        tcp4(&tlv(0x20, &[&[flags, 0, 0, 0, verify], &cn[..]].concat()))
    };
    for (header, says) in [
        (tcp4(b""), "  192.0.2.7"),
        (ssl(1, 1), "on  192.0.2.7"),
        (ssl(7, 0), "on ada 192.0.2.7"),
        (ssl(7, 18), "on  192.0.2.7"),
    ] {
        let (response, tcp) = ask(&relay, &header, "");
        assert_eq!(response.status, 101);
        assert_eq!(client(tcp).recv(), says);
    }
    // --same-origin compares the scheme.
    for (header, status) in [(ssl(1, 1), 101), (tcp4(b""), 403)] {
        let (response, _tcp) = ask(&relay, &header, "Origin: https://test\r\n");
        assert_eq!(response.status, status, "{}", response.text());
    }
}

/// HAProxy's checks by HTTP may have no other host than that of the header.
#[test]
fn a_health_check_names_its_host() {
    let (first, second) = (Backend::listen(), Backend::listen());
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("wsrelay.toml");
    let text = format!(
        "accept-proxy = true\ntrust-proxy = \"127.0.0.1\"\nproxy-protocol = \"v1\"\nto = \"{}\"\n[[route]]\nhost = \"chat.example\"\nto = \"{}\"\n",
        first.addr, second.addr
    );
    std::fs::write(&file, text).unwrap();
    let relay = relay(&["--config", file.to_str().unwrap()]);
    let host = tlv(0x02, b"chat.example");
    let (response, _check) = ask(&relay, &v2(0x20, 0x00, &host), "");
    assert_eq!(response.status, 101);
    let header = second.accept().read_line();
    assert!(header.starts_with("PROXY TCP4 127.0.0.1 "), "{header}");
    // A client's own Host counts.
    let (response, _client) = ask(&relay, &tcp4(&host), "");
    assert_eq!(response.status, 101);
    drop(first.accept());
}

#[test]
fn the_port_of_redirects_takes_it_too_and_a_unix_socket_does_not() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("front");
    let listen = format!("unix:{}", path.display());
    let relay = accepting(echo(), &["--listen", &listen]);
    let mut unix = support::wait_for_unix(&path);
    unix.write_all(handshake("/", "").as_bytes()).unwrap();
    assert_eq!(HttpResponse::read(&mut unix).status, 101);
    drop(relay);
    let ca = Ca::new();
    let options = ["--accept-proxy", "--trust-proxy", "127.0.0.1", "--redirect-port", "0"];
    let relay = ca.relay_to(echo(), &options);
    let line = relay.stdout_line();
    let (_, rest) = line.split_once("http://").unwrap();
    let addr: std::net::SocketAddr = rest.split([' ', '/']).next().unwrap().parse().unwrap();
    let request = b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut tcp = Steady(TcpStream::connect(addr).unwrap());
    tcp.write_all(&[V1, request].concat()).unwrap();
    assert_eq!(HttpResponse::read(&mut tcp).status, 301);
    let mut plain = TcpStream::connect(addr).unwrap();
    let _ = plain.write_all(request);
    expect_closed(plain, "a redirect without a header");
}

#[test]
fn a_stop_does_not_wait_for_headers() {
    let mut relay = accepting(echo(), &[]);
    let mut waiting = tcp(&relay);
    waiting.write_all(&V1[..10]).unwrap();
    let (response, named) = ask(&relay, V1, "");
    assert_eq!(response.status, 101);
    relay.signal("TERM");
    expect_closed(waiting, "a stop");
    let mut client = client(named);
    client.expect_close(1001, "server shutting down");
    drop(client);
    assert!(relay.wait_exit().success());
}

#[test]
fn it_needs_a_proxy_that_is_trusted() {
    let output = run(&["--port", "0", "--to", "localhost:1", "--accept-proxy"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("--trust-proxy 10.0.0.1"), "{error}");
}
