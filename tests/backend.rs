//! Backends of every kind of address, that come and go.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use support::program::wait_until;
use support::{Backend, Refusing, echo, handshake, relay};
use tempfile::TempDir;

#[test]
fn a_name_and_literal_addresses() {
    for (listen, to) in
        [("127.0.0.1:0", "localhost"), ("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")]
    {
        let listener = TcpListener::bind(listen).unwrap();
        let to = format!("{to}:{}", listener.local_addr().unwrap().port());
        let mut relay = relay(&["--to", &to]);
        let mut client = relay.connect("/");
        let (mut peer, _) = listener.accept().unwrap();
        client.send("hello");
        let mut line = String::new();
        BufReader::new(&peer).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
        peer.write_all(b"welcome\n").unwrap();
        assert_eq!(client.recv(), "welcome");
        relay.wait_log(&["session opened", &format!("backend={to}")]);
    }
}

/// Zones are of this machine: the loopback interface has the number 1, and others their names.
#[test]
fn addresses_with_zones() {
    let mut addresses = vec!["::1%1".to_owned()];
    for line in std::fs::read_to_string("/proc/net/if_inet6").unwrap().lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let bits = u128::from_str_radix(words[0], 16).unwrap();
        let address = std::net::Ipv6Addr::from_bits(bits);
        if address.is_unicast_link_local() {
            addresses.push(format!("{address}%{}", words[5]));
        }
    }
    for address in addresses {
        let listen = format!("[{address}]:0");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
        command.args(["--listen", &listen, "--to", &echo().to_string()]);
        let behind = support::start(command);
        // A line server of its own, in the relay's place: what it says first is its answer.
        let to = format!("[{address}]:{}", behind.addr.port());
        let mut relay = relay(&["--to", &to]);
        let mut client = relay.connect("/");
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.recv(), "HTTP/1.1 426 Upgrade Required", "{address}");
        relay.wait_log(&["session opened", &format!("backend={to}")]);
    }
}

/// A name of both ends that no file has.
#[test]
fn abstract_unix_sockets() {
    let name = format!("@wsrelay-test-{}", std::process::id());
    let listen = format!("unix:{name}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--listen", &listen]);
    command.args(["--to", &echo().to_string()]);
    let behind = support::start(command);
    assert_eq!(behind.stdout_line(), format!("listening on {listen}"));
    let mut relay = relay(&["--to", &listen]);
    let mut client = relay.connect("/");
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.recv(), "HTTP/1.1 426 Upgrade Required");
    relay.wait_log(&["session opened", &format!("backend={listen}")]);
    let other = support::run(&["--listen", &listen, "--to", "localhost:1"]);
    let error = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("can't listen on {listen}: ")), "{error}");
    drop(behind);
    let gone = relay.http(&handshake("/", ""));
    assert_eq!(gone.text(), format!("backend {listen}: connection refused\n"));
    assert!(!Path::new(&name).exists());
}

#[test]
fn the_name_is_shown_and_not_the_address() {
    let refusing = Refusing::bind("127.0.0.1");
    let to = format!("localhost:{}", refusing.addr.port());
    let response = relay(&["--to", &to]).http(&handshake("/", ""));
    assert_eq!(response.status, 502);
    assert_eq!(response.text(), format!("backend {to}: connection refused\n"));
}

#[test]
fn a_backend_that_is_gone_is_told_as_a_warning() {
    let to = Refusing::bind("127.0.0.1").addr.to_string();
    let mut relay = relay(&["--to", &to, "--log-level", "warn"]);
    relay.http(&handshake("/", "").replace(": 13", ": 8"));
    relay.http(&handshake("/", ""));
    let line = relay.wait_log(&["refused"]);
    assert!(line.contains("WARN refused id=2") && line.contains("status=502"), "{line}");
    let mut relay = support::relay(&["--to", &to, "--refuse", "close", "--log-level", "warn"]);
    relay.connect("/").expect_close(1013, &format!("backend {to}: connection refused"));
    relay.wait_log(&["WARN refused id=1", "status=101"]);
}

/// A listener at `path` that greets and echoes one connection.
fn greet_one(path: &Path) -> std::thread::JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"hello from the socket\n").unwrap();
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        peer.write_all(b"and good bye").unwrap();
        all
    })
}

/// Waits until nobody listens at `path`. A process that another test is just starting holds all
/// that is open here, this listener too, until it becomes its program.
fn wait_refused(path: &Path) {
    wait_until("nobody listens any more", || UnixStream::connect(path).is_err());
}

#[test]
fn a_unix_socket() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("chat.sock");
    let to = format!("unix:{}", path.display());
    let mut relay = relay(&["--to", &to]);

    let missing = relay.http(&handshake("/", ""));
    assert_eq!(missing.status, 502);
    assert_eq!(missing.text(), format!("backend {to}: no such file or directory\n"));

    for _ in 0..2 {
        // The first server's socket file is still there when the second starts.
        let _ = std::fs::remove_file(&path);
        let server = greet_one(&path);
        let mut client = relay.connect("/");
        assert_eq!(client.recv(), "hello from the socket");
        client.send("one");
        client.send("two");
        client.close();
        // The FIN reaches the server through a Unix socket too.
        assert_eq!(server.join().unwrap(), b"one\ntwo\n");

        wait_refused(&path);
        let gone = relay.http(&handshake("/", ""));
        assert_eq!(gone.status, 502);
        assert_eq!(gone.text(), format!("backend {to}: connection refused\n"));
    }
    relay.wait_log(&["session closed", &to, "bytes_up=8"]);
}

#[test]
fn a_unix_socket_with_a_full_backlog() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("busy.sock");
    let addr = socket2::SockAddr::unix(&path).unwrap();
    let socket = || {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        socket.unwrap()
    };
    let listener = socket();
    listener.bind(&addr).unwrap();
    listener.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let one = socket();
        one.set_nonblocking(true).unwrap();
        if one.connect(&addr).is_err() {
            break;
        }
        waiting.push(one);
    }
    let to = format!("unix:{}", path.display());
    let relay = relay(&["--to", &to, "--connect-timeout", "300ms"]);
    let response = relay.http(&handshake("/", ""));
    assert_eq!(
        (response.status, response.text().as_str()),
        (504, "the backend did not answer in 300ms\n")
    );

    // A backlog that has room in time is used.
    let mut tcp = relay.tcp();
    tcp.write_all(handshake("/", "").as_bytes()).unwrap();
    for _ in &waiting {
        listener.accept().unwrap();
    }
    let (peer, _) = listener.accept().unwrap();
    assert_eq!(support::HttpResponse::read(&mut tcp).status, 101);
    drop(peer);
}

#[test]
fn a_backend_that_comes_up_later() {
    let refusing = Refusing::bind("127.0.0.1");
    let relay = support::relay_to(refusing.addr, &[]);
    for _ in 0..3 {
        assert_eq!(relay.http(&handshake("/", "")).status, 502);
    }
    let backend = refusing.accept_from_now_on();
    let mut client = relay.connect("/");
    backend.accept().write("up again\n");
    assert_eq!(client.recv(), "up again");
}

#[test]
fn each_session_has_a_connection_of_its_own() {
    let backend = Backend::listen();
    let relay = support::relay_to(backend.addr, &[]);
    let mut sessions: Vec<_> = (0..20)
        .map(|n| {
            let mut client = relay.connect("/");
            client.send(&n.to_string());
            (client, backend.accept())
        })
        .collect();
    for (n, (client, peer)) in sessions.iter_mut().enumerate().rev() {
        assert_eq!(peer.read_line(), format!("{n}\n"));
        peer.write(format!("answer {n}\n"));
        assert_eq!(client.recv(), format!("answer {n}"));
    }
    // One that ends leaves the others alone.
    let (mut client, peer) = sessions.swap_remove(10);
    peer.reset();
    assert!(matches!(client.next(), async_tungstenite::tungstenite::Message::Close(_)));
    for (client, peer) in &mut sessions {
        client.send("still");
        assert_eq!(peer.read_line(), "still\n");
    }
}

#[test]
fn a_backend_that_hangs_up_at_once() {
    let addr = Backend::listen().serve(drop);
    let relay = support::relay_to(addr, &[]);
    for _ in 0..20 {
        let mut client = relay.connect("/");
        client.expect_close(1000, "backend closed");
    }
    let relay = support::relay_to(echo(), &[]);
    relay.connect("/").close();
}
