//! SIGHUP reads every file again that is named, typed or in the file; one that can't be used changes
//! nothing, and is named in the log.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use rustls::{ServerConnection, StreamOwned};
use support::configured::Configured;
use support::tls::{Ca, Pair, server_config};
use support::{Backend, Relay, Steady, echo, handshake, relay, relay_to};
use tempfile::TempDir;

/// A backend with this certificate that echoes a line.
fn tls_echo(pair: &Pair) -> SocketAddr {
    let config = server_config(pair);
    Backend::listen().serve(move |peer| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut tls = BufReader::new(StreamOwned::new(connection, Steady(peer.0.into_inner())));
        let mut line = Vec::new();
        if tls.read_until(b'\n', &mut line).is_ok() {
            let _ = tls.get_mut().write_all(&line);
        }
    })
}

fn status(relay: &Relay) -> u16 {
    relay.http(&handshake("/", "")).status
}

/// Requests a reload, and waits for the log line with the result.
fn hup(relay: &mut Relay, words: &[&str]) -> String {
    relay.seen.clear();
    relay.signal("HUP");
    relay.wait_log(words)
}

#[test]
fn a_typed_backend_ca() {
    let (old, new) = (Ca::new(), Ca::new());
    let addr = tls_echo(&new.issue(&["localhost"], "backend"));
    let (to, file) = (format!("tls://localhost:{}", addr.port()), old.path("ca.pem"));
    let file = file.to_str().unwrap();
    let mut relay = relay(&["--to", &to, "--backend-ca", file]);
    assert_eq!(status(&relay), 502);
    // One that is wrong, and one that is gone, change nothing.
    fs::write(file, "nonsense").unwrap();
    let line = hup(&mut relay, &["WARN", "--backend-ca", file]);
    assert!(line.contains("has no certificate"), "{line}");
    fs::remove_file(file).unwrap();
    hup(&mut relay, &["WARN", "--backend-ca", file, "can't read"]);
    assert_eq!(status(&relay), 502);
    fs::write(file, &new.pem).unwrap();
    hup(&mut relay, &["INFO", "reloaded", file]);
    assert_eq!(status(&relay), 101);
    // It is the file that counts, and not what was believed before.
    fs::write(file, &old.pem).unwrap();
    hup(&mut relay, &["INFO", "reloaded", file]);
    assert_eq!(status(&relay), 502);
}

#[test]
fn a_backend_ca_of_the_file() {
    let ca = Ca::new();
    let addr = tls_echo(&ca.issue(&["localhost"], "backend"));
    let file = ca.path("ca.pem");
    let text = format!("to = \"tls://localhost:{}\"\nbackend-ca = {file:?}\n", addr.port());
    let mut relay = Configured::start(&text, &[]);
    assert_eq!(relay.status("/"), 101);
    relay.relay.wait_log(&["session closed"]);
    // The rest of the configuration does not wait for the file.
    fs::write(&file, "nonsense").unwrap();
    let more = format!("{text}max-sessions = 1\n");
    relay.reload(&more, &["WARN", "--backend-ca", "has no certificate"]);
    let _client = relay.relay.connect("/");
    assert_eq!(relay.status("/"), 503);
    // One that is named for the first time has to be right.
    let other = format!("{text}[[route]]\npath = \"/a\"\nto = \"tls://localhost:1\"\n");
    let other = format!("{other}backend-ca = \"nowhere\"\n");
    relay.reload(&other, &["WARN", "not reloaded", "nowhere"]);
}

/// The way a new version of a site is put in the place of the old one: another directory of that name,
/// or a link that is turned.
#[test]
fn a_directory_that_was_replaced() {
    let dir = TempDir::new().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("index.html"), name).unwrap();
    }
    let (site, next) = (dir.path().join("site"), dir.path().join("next"));
    let turn = |to: &str| {
        symlink(to, &next).unwrap();
        fs::rename(&next, &site).unwrap();
    };
    turn("one");
    let shown = site.to_str().unwrap();
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, "secret\n").unwrap();
    let options = ["--static-dir", shown, "--token-file", tokens.to_str().unwrap()];
    let mut typed = relay_to(echo(), &options);
    let text = format!("to = \"{}\"\nstatic-dir = {site:?}\n", echo());
    let mut configured = Configured::start(&text, &[]);
    for relay in [&mut typed, &mut configured.relay] {
        let page = |relay: &Relay| relay.get("/", &[]).text().to_owned();
        assert_eq!(page(relay), "one");
        turn("two");
        hup(relay, &["INFO", "reloaded", shown]);
        assert_eq!(page(relay), "two");
        fs::remove_file(&site).unwrap();
        hup(relay, &["WARN", "--static-dir", shown]);
        assert_eq!(page(relay), "two", "what was open is served on");
        turn("one");
        hup(relay, &["INFO", "reloaded", shown]);
        assert_eq!(page(relay), "one");
    }
    // One in which a secret lies is not served.
    fs::copy(&tokens, dir.path().join("two/tokens")).unwrap();
    fs::remove_file(&tokens).unwrap();
    symlink("two/tokens", &tokens).unwrap();
    turn("two");
    hup(&mut typed, &["WARN", "--token-file", "lies in --static-dir"]);
    assert_eq!(typed.get("/", &[]).text(), "one");
    assert_ne!(typed.get("/tokens", &[]).status, 200);
}

/// The directory of an authority that hangs up once it was asked something: its address, and what it was
/// asked. It does not answer
/// the first connection until `held` ends.
fn directory(pair: &Pair, held: Option<Receiver<()>>) -> (SocketAddr, Receiver<String>) {
    let config = server_config(pair);
    let (sender, asked) = channel();
    let held = Arc::new(Mutex::new(held));
    let addr = Backend::listen().serve(move |peer| {
        let first = held.lock().unwrap().take();
        if let Some(held) = first {
            let _ = sender.send("connected".into());
            let _ = held.recv();
        }
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut tls = BufReader::new(StreamOwned::new(connection, Steady(peer.0.into_inner())));
        let mut line = String::new();
        if tls.read_line(&mut line).is_ok_and(|n| n > 0) {
            let _ = sender.send(line);
        }
    });
    (addr, asked)
}

/// A relay that gets its certificates there, and the file of `--acme-ca`.
fn acme(addr: SocketAddr, ca: &Ca) -> (Relay, String) {
    let file = ca.path("ca.pem").to_str().unwrap().to_owned();
    let (cache, directory) = (ca.path("cache"), format!("https://{addr}/directory"));
    let relay = relay(&[
        "--to=127.0.0.1:9",
        "--acme-domain=relay.example",
        "--acme-cache",
        cache.to_str().unwrap(),
        "--acme-directory",
        &directory,
        "--acme-ca",
        &file,
    ]);
    (relay, file)
}

#[test]
fn the_authorities_of_an_acme_directory() {
    let (old, new) = (Ca::new(), Ca::new());
    let (addr, asked) = directory(&new.issue(&["127.0.0.1"], "directory"), None);
    let (mut relay, file) = acme(addr, &old);
    relay.wait_log(&["ERROR", "can't get a certificate"]);
    assert!(asked.try_recv().is_err(), "it is not believed");
    fs::write(&file, "nonsense").unwrap();
    hup(&mut relay, &["WARN", "--acme-ca", &file]);
    fs::write(&file, &new.pem).unwrap();
    hup(&mut relay, &["INFO", "reloaded", &file]);
    let line = asked.recv_timeout(support::DEADLINE).expect("it is asked again");
    assert!(line.starts_with("GET /directory "), "{line}");
}

/// A reload while an order lasts, which began with the old file, is not lost when that fails.
#[test]
fn the_authorities_of_an_acme_directory_that_is_slow() {
    let (old, new) = (Ca::new(), Ca::new());
    let (release, held) = channel();
    let (addr, asked) = directory(&new.issue(&["127.0.0.1"], "directory"), Some(held));
    let (mut relay, file) = acme(addr, &old);
    assert_eq!(asked.recv_timeout(support::DEADLINE).unwrap(), "connected");
    fs::write(&file, &new.pem).unwrap();
    hup(&mut relay, &["INFO", "reloaded", &file]);
    drop(release);
    let line = asked.recv_timeout(support::DEADLINE).expect("it is asked again");
    assert!(line.starts_with("GET /directory "), "{line}");
}
