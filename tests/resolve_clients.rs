//! `--resolve-clients`: backends and programs are told the name of the client's address.

mod support;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use support::hosts::OwnHosts;
use support::{Backend, HttpResponse, Peer, Relay, handshake, run, start, tcp_from};
use tempfile::TempDir;

const HOSTS: &str = "127.0.0.1 localhost\n127.0.0.2 ann.example ann\n127.0.0.3 no!name\n";

/// A relay among these names, in front of `backend`, with these options.
fn relay(hosts: &OwnHosts, backend: SocketAddr, options: &[&str]) -> Relay {
    let mut command = hosts.command(env!("CARGO_BIN_EXE_wsrelay"));
    let to = backend.to_string();
    command.args(["--listen", "127.0.0.1:0", "--to", &to, "--resolve-clients"]).args(options);
    start(command)
}

/// A client from this address, whose handshake is sent.
fn client(relay: &Relay, ip: &str) -> TcpStream {
    let mut tcp = tcp_from(ip.parse::<IpAddr>().unwrap(), relay.addr);
    tcp.write_all(handshake("/", "").as_bytes()).unwrap();
    tcp
}

#[test]
fn a_backend_is_told_names_that_are_confirmed() {
    let hosts = OwnHosts::with(HOSTS);
    let backend = Backend::listen();
    let relay = relay(&hosts, backend.addr, &["--hello", "HELLO {host} {ip}"]);
    for (ip, name) in [
        ("127.0.0.1", "localhost"),
        ("127.0.0.2", "ann.example"),
        ("127.0.0.2", "ann.example"),
        // What no host is called.
        ("127.0.0.3", "127.0.0.3"),
        // No name at all.
        ("127.0.0.4", "127.0.0.4"),
    ] {
        let mut tcp = client(&relay, ip);
        assert_eq!(backend.accept().read_line(), format!("HELLO {name} {ip}\n"));
        assert_eq!(HttpResponse::read(&mut tcp).status, 101);
    }
}

#[test]
fn a_client_that_a_proxy_names_is_looked_up_and_not_the_proxy() {
    let hosts = OwnHosts::with("127.0.0.1 proxy.example\n192.0.2.7 bob.example\n");
    let backend = Backend::listen();
    let options = ["--hello", "HELLO {host}", "--trust-proxy", "127.0.0.1"];
    let relay = relay(&hosts, backend.addr, &options);
    for (forwarded, name) in [("192.0.2.7", "bob.example"), ("192.0.2.8", "192.0.2.8")] {
        let _client = relay.connect_with("/", &[("X-Forwarded-For", forwarded)]);
        assert_eq!(backend.accept().read_line(), format!("HELLO {name}\n"));
    }
}

#[test]
fn programs_have_the_name_in_their_environment() {
    let hosts = OwnHosts::with(HOSTS);
    let dir = TempDir::new().unwrap();
    let script = dir.path().join("host");
    fs::write(
        &script,
        "#!/bin/sh\necho \"Content-Type: text/plain\"\necho\necho \"$REMOTE_HOST $REMOTE_ADDR\"\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = hosts.command(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--resolve-clients", "--cgi-dir"]).arg(dir.path());
    command.args(["--", "sh", "-c", "echo $REMOTE_HOST $REMOTE_ADDR"]);
    let relay = start(command);
    assert_eq!(relay.connect("/").recv(), "localhost 127.0.0.1");
    assert_eq!(relay.get("/host", &[]).text(), "localhost 127.0.0.1\n");
}

#[test]
fn a_look_up_that_hangs_costs_a_client_its_name_only() {
    let hosts = OwnHosts::that_hang();
    let backend = Backend::listen();
    let limit = Duration::from_millis(500);
    let options = ["--hello", "HELLO {host}", "--connect-timeout", "500ms"];
    let relay = relay(&hosts, backend.addr, &options);
    let threads = relay.threads();
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..20).map(|_| client(&relay, "127.0.0.1")).collect();
    let mut peers: Vec<Peer> = clients.iter().map(|_| backend.accept()).collect();
    assert!(begun.elapsed() < support::DEADLINE / 2, "the backend does not wait for names");
    for (tcp, peer) in clients.iter_mut().zip(&mut peers) {
        assert_eq!(HttpResponse::read(tcp).status, 101);
        assert_eq!(peer.read_line(), "HELLO 127.0.0.1\n");
    }
    assert!(begun.elapsed() >= limit);
    assert!(relay.threads() <= threads + 2, "{threads} threads became {}", relay.threads());
}

#[test]
fn a_client_whose_backend_refuses_does_not_wait_for_its_name() {
    let hosts = OwnHosts::that_hang();
    let refusing = support::Refusing::bind("127.0.0.1");
    let options = ["--hello", "HELLO {host}", "--connect-timeout", "1h"];
    let relay = relay(&hosts, refusing.addr, &options);
    assert_eq!(HttpResponse::read(&mut client(&relay, "127.0.0.1")).status, 502);
}

#[test]
fn it_is_of_no_use_where_nobody_is_told() {
    let output =
        run(&["--port", "0", "--to", "localhost:1", "--hello", "{ip}", "--resolve-clients"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    let expected = "--resolve-clients is about {host} in lines for the backend, and about programs: add --hello \
                    'CLIENT {host}', or drop it";
    assert!(error.contains(expected), "{error}");
}
