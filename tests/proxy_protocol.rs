//! `--proxy-protocol`: the backend learns who the client is, before anything else.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;

use support::configured::Configured;
use support::tls::{Ca, accept_behind_line};
use support::{Backend, Peer, handshake, relay, relay_to, run};
use tempfile::TempDir;

/// The signature of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the first read of a receiver brings: all of the header, or it takes the connection for broken.
fn first_read(peer: &Peer) -> Vec<u8> {
    let mut buf = [0; 4096];
    let n = peer.tcp().peek(&mut buf).unwrap();
    buf[..n].to_vec()
}

/// The value of version 2's first TLV of this type.
fn tlv(header: &[u8], kind: u8) -> Option<Vec<u8>> {
    let length = u16::from_be_bytes([header[14], header[15]]) as usize;
    let addresses = match header[13] {
        0x11 => 12,
        0x21 => 36,
        _ => 0,
    };
    let mut rest = &header[16 + addresses..16 + length];
    while let [found, high, low, tail @ ..] = rest {
        let (value, next) = tail.split_at(u16::from_be_bytes([*high, *low]) as usize);
        if *found == kind {
            return Some(value.to_vec());
        }
        rest = next;
    }
    None
}

#[test]
fn version_1_comes_first_and_whole() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &["--proxy-protocol", "v1"]);
    for _ in 0..2 {
        let mut client = relay.connect("/");
        let (ours, theirs) =
            (client.tcp().local_addr().unwrap(), client.tcp().peer_addr().unwrap());
        let mut peer = backend.accept();
        let expected = format!(
            "PROXY TCP4 {} {} {} {}\r\n",
            ours.ip(),
            theirs.ip(),
            ours.port(),
            theirs.port()
        );
        assert_eq!(first_read(&peer), expected.as_bytes());
        client.send("hello");
        assert_eq!([peer.read_line(), peer.read_line()], [expected, "hello\n".into()]);
    }
}

#[test]
fn version_2_names_the_host_and_the_connection() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--proxy-protocol", "v2"]);
    let client = relay.connect_to("http://chat.example:8082/");
    let peer = backend.accept();
    let header = first_read(&peer);
    assert!(header.starts_with(SIGNATURE) && header[12..14] == [0x21, 0x11], "{header:x?}");
    assert_eq!(header[24..26], client.tcp().local_addr().unwrap().port().to_be_bytes());
    assert_eq!(tlv(&header, 0x02).as_deref(), Some(&b"chat.example"[..]), "PP2_TYPE_AUTHORITY");
    let id = String::from_utf8(tlv(&header, 0x05).expect("PP2_TYPE_UNIQUE_ID")).unwrap();
    assert_eq!(tlv(&header, 0x20), None, "PP2_TYPE_SSL");
    relay.wait_log(&["session opened", &format!("id={id} ")]);
}

/// A listener on all interfaces has no address of its own to tell.
#[test]
fn the_destination_is_the_address_that_was_connected_to() {
    let backend = Backend::listen();
    let to = backend.addr.to_string();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--port", "0", "--to", &to, "--proxy-protocol", "v1"]);
    let relay = support::start(command);
    let port = relay.addr.port();
    for (to, family) in [("127.0.0.1", "TCP4"), ("127.0.0.9", "TCP4"), ("[::1]", "TCP6")] {
        let mut tcp = TcpStream::connect(format!("{to}:{port}")).unwrap();
        tcp.write_all(handshake("/", "").as_bytes()).unwrap();
        let from = tcp.local_addr().unwrap();
        let ip = to.trim_matches(['[', ']']);
        let expected = format!("PROXY {family} {} {ip} {} {port}\r\n", from.ip(), from.port());
        assert_eq!(backend.accept().read_line(), expected);
    }
}

#[test]
fn a_forwarded_client_is_the_source() {
    let backend = Backend::listen();
    let options = ["--proxy-protocol", "v1", "--trust-proxy", "127.0.0.1"];
    let relay = relay_to(backend.addr, &options);
    for (named, expected) in [
        ("192.0.2.7", "TCP4 192.0.2.7 127.0.0.1 0 "),
        ("2001:db8::7", "TCP6 2001:db8::7 ::ffff:127.0.0.1 0 "),
    ] {
        let _client = relay.connect_with("/", &[("X-Forwarded-For", named)]);
        let line = backend.accept().read_line();
        assert!(line.starts_with(&format!("PROXY {expected}")), "{line}");
    }
}

/// A proxy may ask us by another name than the client has asked for.
#[test]
fn a_proxy_names_the_host_that_was_asked_for() {
    let backend = Backend::listen();
    let options = ["--proxy-protocol", "v2", "--trust-proxy", "127.0.0.1"];
    let relay = relay_to(backend.addr, &options);
    for (extra, expected) in [
        ("X-Forwarded-Host: chat.example:8443\r\n", "chat.example"),
        ("X-Forwarded-Host: no host\r\n", "test"),
        ("", "test"),
    ] {
        let mut tcp = relay.tcp();
        tcp.write_all(handshake("/", extra).as_bytes()).unwrap();
        let header = first_read(&backend.accept());
        assert_eq!(tlv(&header, 0x02).as_deref(), Some(expected.as_bytes()), "{extra}");
    }
}

#[test]
fn it_comes_before_tls() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "backend");
    let backend = Backend::listen();
    let to = format!("tls://localhost:{}", backend.addr.port());
    let file = ca.path("ca.pem");
    let options = ["--to", &to, "--backend-ca", file.to_str().unwrap(), "--proxy-protocol", "v1"];
    let relay = relay(&options);
    let server = std::thread::spawn(move || {
        let (header, tls) = accept_behind_line(&backend, &pair);
        let mut tls = BufReader::new(tls);
        let mut said = String::new();
        tls.read_line(&mut said).unwrap();
        tls.get_mut().write_all(b"welcome\n").unwrap();
        (header, said)
    });
    let mut client = relay.connect("/");
    client.send("hello");
    assert_eq!(client.recv(), "welcome");
    let (header, said) = server.join().unwrap();
    assert!(header.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{header}");
    assert_eq!(said, "hello\n");
}

#[test]
fn unix_sockets_on_either_side() {
    let dir = TempDir::new().unwrap();
    let (front, back) = (dir.path().join("front"), dir.path().join("back"));
    let listener = UnixListener::bind(&back).unwrap();
    let to = format!("unix:{}", back.display());
    let listen = format!("unix:{}", front.display());
    let relay = relay(&["--to", &to, "--listen", &listen, "--proxy-protocol", "v1"]);
    let next = || {
        let (peer, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(peer).read_line(&mut line).unwrap();
        line
    };
    let _client = relay.connect("/");
    assert!(next().starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "));
    let mut unix = support::unix(&front);
    unix.write_all(handshake("/", "").as_bytes()).unwrap();
    assert_eq!(next(), "PROXY UNKNOWN\r\n");
}

#[test]
fn it_is_a_routes_own() {
    let (with, without) = (Backend::listen(), Backend::listen());
    let text = format!(
        "to = \"{}\"\n[[route]]\npath = \"/with\"\nto = \"{}\"\nproxy-protocol = \"v1\"\n",
        without.addr, with.addr
    );
    let relay = Configured::start(&text, &[]).relay;
    let mut plain = relay.connect("/");
    plain.send("hello");
    assert_eq!(without.accept().read_line(), "hello\n");
    let _named = relay.connect("/with");
    assert!(with.accept().read_line().starts_with("PROXY TCP4 "));
}

#[test]
fn mistakes_are_explained() {
    for (options, expected) in [
        (
            &["--to", "localhost:1", "--proxy-protocol", "v3"][..],
            "--proxy-protocol v3: type one of off, v1, v2",
        ),
        (
            &["--proxy-protocol", "v1", "--", "cat"],
            "is about servers, not programs: type --to ADDR, or drop it",
        ),
    ] {
        let output = run(&[&["--port", "0"], options].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
