//! `--target-file`: the token of a request chooses its backend.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;

use support::program::wait_until;
use support::tls::{Ca, accept_behind_line};
use support::{Backend, HttpResponse, Refusing, Relay, Steady, echo, handshake, relay, run};
use tempfile::TempDir;

/// A file of targets, and a relay that reads it.
struct Tokens {
    dir: TempDir,
    relay: Relay,
}

impl Tokens {
    fn start(text: &str, options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("targets");
        fs::write(&path, text).unwrap();
        let relay = relay(&[&["--target-file", path.to_str().unwrap()], options].concat());
        Tokens { dir, relay }
    }

    /// Puts another file in the place of the file.
    fn replace(&self, text: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.dir.path().join("targets")).unwrap();
    }

    fn ask(&self, path: &str) -> HttpResponse {
        self.relay.http(&handshake(path, ""))
    }
}

/// A backend that greets by this name.
fn greeting(name: &'static str) -> SocketAddr {
    Backend::listen().serve(move |mut peer| {
        peer.write(format!("{name}\n"));
        peer.read_to_end();
    })
}

fn greeted(relay: &Relay, path: &str) -> String {
    relay.connect(path).recv()
}

#[test]
fn the_token_chooses() {
    let (ann, bob) = (greeting("ann"), greeting("bob"));
    let text = format!("# desktops\n\ns3cret-ann: {ann}\ns3cret bob: {bob}\r\ns3+cret: {ann}\n");
    let tokens = Tokens::start(&text, &["--log-level", "debug"]);
    let Tokens { mut relay, dir: _dir } = tokens;
    for (path, name) in [
        ("/?token=s3cret-ann", "ann"),
        ("/websockify?token=s3cret-ann", "ann"),
        ("/s3cret-ann", "ann"),
        ("/s3cret%2Dann", "ann"),
        ("/?token=s3cret%20bob", "bob"),
        ("/?token=s3cret+bob", "bob"),
        ("/?token=s3+cret", "ann"),
        ("/?token=s3%2Bcret", "ann"),
        ("/s3cret%20bob", "bob"),
        ("/s3cret-ann?token=s3cret%20bob", "bob"),
        ("/s3cret-ann?token=", "ann"),
        ("/?x=1&token=s3cret-ann&token=s3cret%20bob", "ann"),
    ] {
        assert_eq!(greeted(&relay, path), name, "{path}");
    }
    for (path, why) in [
        ("/", "a token is needed here: send it as ?token= or as the path\n"),
        ("/?token=", "a token is needed here: send it as ?token= or as the path\n"),
        ("/?token=s3cret-carl", "the token is unknown here\n"),
        ("/s3cret-ann?token=s3cret-carl", "the token is unknown here\n"),
        ("/s3cret-ann/", "the token is unknown here\n"),
        ("/?token=../../etc/passwd", "the token is unknown here\n"),
        ("/../../etc/passwd", "the token is unknown here\n"),
        ("/?token=%00", "the token is unknown here\n"),
        ("/?token=%2e%2e%2ftargets", "the token is unknown here\n"),
    ] {
        let response = relay.http(&handshake(path, ""));
        assert_eq!((response.status, response.text()), (404, why.to_owned()), "{path}");
    }
    // What never gets as far as its backend shows no token either.
    let not_a_handshake = handshake("/s3cret-ann", "").replace(": 13", ": 12");
    assert_eq!(relay.http(&not_a_handshake).status, 426);
    assert_eq!(relay.http(&not_a_handshake.replace("Host: test\r\n", "")).status, 400);
    assert_eq!(relay.get("/s3cret-ann", &[]).status, 426);
    assert_eq!(relay.get("/s3cret-ann?token=s3cret-ann", &[("Host", "b")]).status, 400);
    relay.wait_log(&["session opened", &format!("backend={bob}"), "path=\"/…\""]);
    relay.wait_log(&["session closed", &format!("backend={ann}"), "path=\"/…\""]);
    relay.wait_log(&["refused", "status=404", "path=\"/…\""]);
    relay.signal("TERM");
    let log = relay.log_to_end().join("\n");
    assert!(!log.contains("s3") && !log.contains("passwd"), "{log}");
}

#[test]
fn a_change_counts_at_once() {
    let (ann, bob) = (greeting("ann"), greeting("bob"));
    let mut tokens = Tokens::start(&format!("one: {ann}\n"), &[]);
    let mut kept = tokens.relay.connect("/one");
    assert_eq!(kept.recv(), "ann");
    for n in 0..20 {
        let (here, gone) = if n % 2 == 0 { ("two", "one") } else { ("one", "two") };
        match n % 3 {
            0 => tokens.replace(&format!("{here}: {bob}\n")),
            _ => fs::write(tokens.dir.path().join("targets"), format!("{here}: {bob}\n")).unwrap(),
        }
        assert_eq!(greeted(&tokens.relay, &format!("/{here}")), "bob", "{n}");
        assert_eq!(tokens.ask(&format!("/{gone}")).status, 404, "{n}");
    }
    tokens.relay.wait_log(&["INFO", "reloaded", "targets=1"]);
    // Sessions stay open whatever becomes of their tokens.
    kept.send("hello");
    kept.close();
}

#[test]
fn a_file_that_goes_bad_keeps_what_was_read() {
    let ann = greeting("ann");
    let mut tokens = Tokens::start(&format!("s3cret: {ann}\n"), &[]);
    let path = tokens.dir.path().join("targets");
    for (text, why) in [
        ("s3cret: localhost:1\ns4cret\n", "line 2: write a token, a colon"),
        ("s3cret: localhost\n", "line 1: \\\"localhost\\\" has no port"),
        ("", "no such file"),
    ] {
        tokens.relay.seen.clear();
        if text.is_empty() {
            fs::remove_file(&path).unwrap()
        } else {
            tokens.replace(text)
        }
        for _ in 0..3 {
            assert_eq!(greeted(&tokens.relay, "/s3cret"), "ann", "{why}");
        }
        assert_eq!(tokens.ask("/other").status, 404);
        let line = tokens.relay.wait_log(&["WARN", "what was read before is kept", why]);
        assert!(!line.contains("s3cret") && !line.contains("s4cret"), "{line}");
        tokens.relay.read_log();
        let told = tokens.relay.seen.iter().filter(|line| line.contains("is kept"));
        assert_eq!(told.count(), 1, "it is said once: {:#?}", tokens.relay.seen);
    }
    // SIGHUP reads it, too.
    tokens.replace(&format!("other: {ann}\n"));
    tokens.relay.signal("HUP");
    tokens.relay.wait_log(&["INFO", "reloaded", "targets=1"]);
    assert_eq!(greeted(&tokens.relay, "/other"), "ann");
}

#[test]
fn a_directory_of_files() {
    let (ann, bob) = (greeting("ann"), greeting("bob"));
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    write("ann", format!("a: {ann}\n"));
    let relay = relay(&["--target-file", dir.path().to_str().unwrap()]);
    assert_eq!(greeted(&relay, "/a"), "ann");
    assert_eq!(relay.http(&handshake("/b", "")).status, 404);
    write("bob", format!("b: {bob}\nc: {bob}\n"));
    assert_eq!(greeted(&relay, "/?token=b"), "bob");
    assert_eq!(greeted(&relay, "/?token=c"), "bob");
    fs::remove_file(dir.path().join("bob")).unwrap();
    assert_eq!(relay.http(&handshake("/b", "")).status, 404);
    assert_eq!(greeted(&relay, "/a"), "ann");
}

#[test]
fn all_kinds_of_servers() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    let ca = Ca::new();
    let (plain, secure) = (Backend::listen(), Backend::listen());
    let pair = ca.issue(&["localhost"], "backend");
    let text = format!(
        "plain: {}\nname: localhost:{}\nunix: unix:{}\ntheirs: unix_socket:{}\ntls: tls://localhost:{}\n",
        plain.addr,
        plain.addr.port(),
        path.display(),
        path.display(),
        secure.addr.port()
    );
    let authority = ca.path("ca.pem");
    let options = ["--backend-ca", authority.to_str().unwrap(), "--proxy-protocol", "v1"];
    let mut tokens = Tokens::start(&text, &options);
    for token in ["plain", "name"] {
        let _client = tokens.relay.connect(&format!("/{token}"));
        let line = plain.accept().read_line();
        assert!(line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{line}");
    }
    let name = format!("backend=localhost:{}", plain.addr.port());
    tokens.relay.wait_log(&["session opened", &name]);
    for token in ["unix", "theirs"] {
        let _client = tokens.relay.connect(&format!("/{token}"));
        let mut line = String::new();
        BufReader::new(unix.accept().unwrap().0).read_line(&mut line).unwrap();
        assert!(line.starts_with("PROXY TCP4 "), "{line}");
    }
    let server = std::thread::spawn(move || {
        let (line, mut tls) = accept_behind_line(&secure, &pair);
        assert!(line.starts_with("PROXY TCP4 "));
        tls.write_all(b"encrypted\n").unwrap();
        let _ = BufReader::new(tls).read_line(&mut String::new());
    });
    assert_eq!(greeted(&tokens.relay, "/tls"), "encrypted");
    server.join().unwrap();
}

#[test]
fn a_server_that_is_gone_is_told_by_its_address() {
    let refusing = Refusing::bind("127.0.0.1").addr;
    let mut tokens = Tokens::start(&format!("s3cret: {refusing}\n"), &[]);
    let response = tokens.ask("/s3cret");
    assert_eq!(response.status, 502);
    assert_eq!(response.text(), format!("backend {refusing}: connection refused\n"));
    let line = tokens.relay.wait_log(&["WARN refused", "status=502"]);
    assert!(!line.contains("s3cret"), "{line}");
    let tokens = Tokens::start(&format!("s3cret: {refusing}\n"), &["--refuse", "close"]);
    let why = format!("backend {refusing}: connection refused");
    tokens.relay.connect("/s3cret").expect_close(1013, &why);
    assert_eq!(tokens.ask("/other").status, 404);
}

#[test]
fn it_is_a_routes_own() {
    let (ann, other) = (greeting("ann"), greeting("other"));
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    write("targets", format!("s3cret: {ann}\n"));
    let routes = |to| {
        format!(
            "to = \"{other}\"\n[[route]]\npath = \"/vnc\"\ntarget-file = \"targets\"\neol = \"{to}\"\n"
        )
    };
    write("wsrelay.toml", routes("lf"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--config", "wsrelay.toml"]);
    let mut relay = support::start({
        command.current_dir(dir.path());
        command
    });
    for (path, name, shown) in [
        ("/vnc/s3cret", "ann", "/vnc/…"),
        ("/vnc?token=s3cret", "ann", "/vnc"),
        ("/vnc/?token=s3cret", "ann", "/vnc/"),
        ("/elsewhere?token=s3cret", "other", "/elsewhere"),
        ("/", "other", "/"),
    ] {
        relay.seen.clear();
        assert_eq!(greeted(&relay, path), name);
        relay.wait_log(&["session opened", &format!("path={shown:?}")]);
    }
    assert_eq!(relay.http(&handshake("/vnc/", "")).status, 404);
    // A configuration that is read again has the file, too.
    write("wsrelay.toml", routes("crlf"));
    write("targets", format!("new: {ann}\n"));
    relay.signal("HUP");
    relay.wait_log(&["reloaded", "wsrelay.toml"]);
    assert_eq!(greeted(&relay, "/vnc/new"), "ann");
}

#[test]
fn many_ask_at_the_same_time() {
    let ann = greeting("ann");
    let text: String = (0..2000).map(|n| format!("token-{n}: {ann}\n")).collect();
    let tokens = Tokens::start(&text, &[]);
    let addr = tokens.relay.addr;
    let ask = move |path: &str| {
        let mut tcp = Steady(TcpStream::connect(addr).unwrap());
        tcp.write_all(handshake(path, "").as_bytes()).unwrap();
        HttpResponse::read(&mut tcp).status
    };
    std::thread::scope(|scope| {
        for n in 0..50 {
            scope.spawn(move || {
                for m in 0..5 {
                    assert_eq!(ask(&format!("/token-{}", n * 40 + m)), 101);
                    assert_eq!(ask(&format!("/?token=x{n}")), 404);
                }
            });
        }
    });
    wait_until("nothing stays", || tokens.relay.descriptors() < 40);
}

#[test]
fn mistakes_are_explained() {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = write("good", &format!("a: {}\n", echo()));
    let bad = write("bad", "a: localhost:1\ns3cret\n");
    let credentials = write("credentials", "secret\n");
    let none = dir.path().join("none").to_str().unwrap().to_owned();
    for (options, status, expected) in [
        (&["--target-file", &*bad][..], 1, "--target-file"),
        (&["--target-file", &bad], 1, "bad: line 2: write a token, a colon, a space"),
        (&["--target-file", &none], 1, "none: no such file or directory"),
        (&["--target-file", &good, "--to", "a:1"], 2, "give one or the other"),
        (&["--target-file", &good, "--", "cat"], 2, "give one or the other"),
        (&["--target-file", &good, "--token-file", &credentials], 2, "both come as ?token="),
        (&["--target-file", &good, "--pass-env", "A"], 2, "about programs"),
        (&["--target-config", &good], 2, "--target-file"),
    ] {
        let output = run(&[&["--port", "0"], options].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert!(error.contains(expected) && !error.contains("s3cret"), "{expected}: {error}");
    }
    // It has secrets.
    let pages = dir.path().to_str().unwrap();
    let output = run(&["--port", "0", "--target-file", &good, "--static-dir", pages]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("where everybody could read it"), "{error}");
}
