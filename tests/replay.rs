//! `wsrelay replay`: what a backend said is said again, and what the client says is compared.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use support::program::wait_until;
use support::{Backend, Peer, Relay, relay_to, run, tcp_to};

/// `wsrelay replay`, until it is dropped.
struct Replay {
    child: Option<Child>,
    addr: SocketAddr,
}

impl Replay {
    fn start(file: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wsrelay"))
            .arg("replay")
            .arg(file)
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let addr =
            line.trim_end().strip_prefix("listening on tcp://").expect(&line).parse().unwrap();
        Replay { child: Some(child), addr }
    }

    fn connect(&self) -> Peer {
        Peer(BufReader::new(tcp_to(self.addr)))
    }

    /// Waits for it to end by itself, and returns its exit status and what it said at last.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut child = self.child.take().unwrap();
        wait_until("it ends", || child.try_wait().unwrap().is_some());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A file with these lines.
fn file(dir: &tempfile::TempDir, lines: &[&str]) -> PathBuf {
    let path = dir.path().join("recording");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

const HEAD: &str = r#"{"wsrelay":1,"eol":"\n"}"#;

/// A chat with prompts, bytes that are no UTF-8, and pauses.
fn chat(peer: &mut Peer) {
    peer.write("name: ");
    let name = peer.read_line();
    peer.write(format!("welcome, {name}\r\n\n"));
    let _ = peer.read_line();
    std::thread::sleep(Duration::from_millis(200));
    peer.write(b"caf\xe9\n\xf0\x9f\x90\x88\nbye");
}

/// What a client of that chat does; returns all that it got.
fn visit(relay: &Relay) -> Vec<Message> {
    let mut client = relay.connect("/");
    let mut got = vec![client.next()];
    client.send("anna");
    got.extend([client.next(), client.next(), client.next()]);
    client.send("how are you?\nand you?");
    loop {
        match client.0.read() {
            Ok(Message::Close(close)) => {
                assert_eq!(close.unwrap().reason, "backend closed");
                client.expect_end();
                return got;
            }
            Ok(message) => got.push(message),
            Err(error) => panic!("{error}"),
        }
    }
}

fn only_file(dir: &Path) -> PathBuf {
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// A chat is recorded by one relay and replayed behind another: the client sees no difference, and the check none either.
#[test]
fn a_client_sees_again_what_it_saw() {
    let tmp = tempfile::tempdir().unwrap();
    let backend = Backend::listen().serve(|mut peer| chat(&mut peer));
    let options = ["--flush-after", "50ms"];
    let dir = tmp.path().to_str().unwrap();
    let mut relay = relay_to(backend, &[&options[..], &["--record", dir]].concat());
    let seen = visit(&relay);
    assert_eq!(seen.len(), 7);
    relay.signal("TERM");
    assert!(relay.wait_exit().success());
    let recording = only_file(tmp.path());
    let replay = Replay::start(&recording, &["--check"]);
    let relay = relay_to(replay.addr, &options);
    assert_eq!(visit(&relay), seen);
    let (code, said) = replay.wait();
    assert!(code == Some(0) && said.contains("the same: 3 lines"), "{said}");
    // Faster, and to several clients.
    let replay = Replay::start(&recording, &["--speed", "1000"]);
    let relay = relay_to(replay.addr, &[]);
    for _ in 0..2 {
        let mut client = relay.connect("/");
        let texts: Vec<_> = (0..4).map(|_| client.recv()).collect();
        assert_eq!(texts, ["name: welcome, anna", "", "", "caf\u{fffd}"]);
    }
}

#[test]
fn bytes_are_said_again_as_they_were() {
    let tmp = tempfile::tempdir().unwrap();
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let bytes = all.clone();
    let backend = Backend::listen().serve(move |mut peer| {
        peer.write(&bytes);
        let _ = peer.0.read_exact(&mut [0; 3]);
    });
    let mut relay = relay_to(backend, &["--binary", "--record", tmp.path().to_str().unwrap()]);
    let visit = |relay: &Relay| {
        let mut client = relay.connect("/");
        client.0.send(Message::binary(&b"\xff\r\n"[..])).unwrap();
        let mut got = Vec::new();
        while got.len() < all.len() {
            got.extend(client.recv_binary());
        }
        client.expect_close(1000, "backend closed");
        got
    };
    assert!(visit(&relay) == all);
    relay.signal("TERM");
    assert!(relay.wait_exit().success());
    let replay = Replay::start(&only_file(tmp.path()), &["--check", "--speed", "10"]);
    assert!(visit(&relay_to(replay.addr, &["--binary"])) == all);
    let (code, said) = replay.wait();
    assert!(code == Some(0) && said.contains("the same: 3 bytes"), "{said}");
}

#[test]
fn each_line_comes_at_its_time() {
    let tmp = tempfile::tempdir().unwrap();
    let file = file(
        &tmp,
        &[
            HEAD,
            r#"{"t":0,"d":"down","line":"first"}"#,
            r#"{"t":400,"d":"down","line":"second"}"#,
            r#"{"t":800,"d":"end","by":"backend"}"#,
        ],
    );
    for (options, least) in [(&[][..], [400, 800]), (&["--speed", "4"], [100, 200])] {
        let replay = Replay::start(&file, options);
        let mut peer = replay.connect();
        let start = Instant::now();
        let since = |ms: u64| assert!(start.elapsed() >= Duration::from_millis(ms - 20));
        assert_eq!(peer.read_line(), "first\n");
        assert_eq!(peer.read_line(), "second\n");
        since(least[0]);
        peer.expect_fin();
        since(least[1]);
    }
}

#[test]
fn the_first_difference_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let file = file(
        &tmp,
        &[
            HEAD,
            r#"{"t":0,"d":"up","line":"one"}"#,
            r#"{"t":1,"d":"up","b64":"/w=="}"#,
            r#"{"t":2,"d":"down","line":"answer"}"#,
            r#"{"t":2,"d":"end","by":"client"}"#,
        ],
    );
    for (said, code, want) in [
        (&b"one\n\xff\n"[..], 0, "the same: 2 lines"),
        (b"one\r\n\xff\r\n", 0, "the same: 2 lines"),
        (b"one\ntwo\n", 1, "line 2: the client said \"two\""),
        (b"one\n", 1, "line 2: the client left without it"),
        (b"", 1, "line 1: the client left without it, and \"one\" was recorded"),
        (
            b"one\n\xff\nmore\n",
            1,
            "line 3: the client said \"more\", and no further line was recorded",
        ),
    ] {
        let replay = Replay::start(&file, &["--check"]);
        let mut peer = replay.connect();
        peer.write(said);
        if code == 0 {
            assert_eq!(peer.read_line(), "answer\n");
        }
        peer.tcp().shutdown(Shutdown::Write).unwrap();
        let (got, text) = replay.wait();
        assert!(got == Some(code) && text.contains(want), "{got:?}: {text}");
    }
    // One that leaves without a word more, or is told to stop.
    let replay = Replay::start(&file, &["--check"]);
    let peer = replay.connect();
    let pid = replay.child.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let (code, text) = replay.wait();
    assert!(code == Some(1) && text.contains("stopped before the client left"), "{text}");
    drop(peer);
}

/// A client that does not read, and one that resets, are no reason to end.
#[test]
fn clients_that_misbehave_disturb_nobody() {
    let tmp = tempfile::tempdir().unwrap();
    let long = format!(r#"{{"t":0,"d":"down","line":"{}"}}"#, "x".repeat(50_000));
    let mut lines = vec![HEAD];
    lines.extend([&*long; 200]);
    let file = file(&tmp, &lines);
    let replay = Replay::start(&file, &[]);
    let silent = replay.connect();
    support::faults::reset(replay.connect().tcp().try_clone().unwrap());
    let mut peer = replay.connect();
    let mut flood = peer.tcp().try_clone().unwrap();
    std::thread::spawn(move || while flood.write_all(&[b'y'; 4096]).is_ok() {});
    for _ in 0..200 {
        assert_eq!(peer.read_line().len(), 50_001);
    }
    drop(silent);
}

#[test]
fn a_file_that_was_cut_is_said_as_far_as_it_goes() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("cut");
    fs::write(
        &path,
        format!("{HEAD}\n{{\"t\":0,\"d\":\"down\",\"line\":\"a\"}}\n{{\"t\":1,\"d\":\"do"),
    )
    .unwrap();
    let mut replay = Replay::start(&path, &[]);
    let mut peer = replay.connect();
    assert_eq!(peer.read_to_end(), b"a\n");
    let mut child = replay.child.take().unwrap();
    child.kill().unwrap();
    let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(log.contains("WARN") && log.contains("the end of the recording is missing"), "{log}");
}

#[test]
fn mistakes_say_what_is_wrong_and_where() {
    let tmp = tempfile::tempdir().unwrap();
    let bad = file(&tmp, &[HEAD, r#"{"t":0,"d":"down","line":"a"}"#, "oops", "{}"]);
    let bad = bad.to_str().unwrap();
    let gone = tmp.path().join("gone");
    for (options, code, want) in [
        (&["replay", bad, "--port", "0"][..], 1, "/recording, line 3: it is not JSON"),
        (&["replay", gone.to_str().unwrap(), "--port", "0"], 1, "no such file or directory"),
        (&["replay", "/dev/null", "--port", "0"], 1, "line 1: it is no recording: record one with"),
        (&["replay", bad], 2, "say where to listen, once: add --port 7777"),
        (&["replay", "--port", "0"], 2, "a file is missing: wsrelay replay --help"),
        (&["replay", bad, "--port", "0", "--speed", "0"], 2, "--speed 0: not a number above 0"),
        (&["replay", bad, "--port", "0", "--speed", "fast"], 2, "type --speed 2 or 0.5"),
        (&["replay", bad, "--port", "0", "--speed", "inf"], 2, "not a number above 0"),
    ] {
        let output = run(options);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && text.contains(want), "{options:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
