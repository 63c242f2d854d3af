//! `--record`: a file for each session, written on a thread of its own; and disks that are full, gone or read-only.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_tungstenite::tungstenite::Message;
use serde_json::{Value, json};
use support::program::{wait_for, wait_until};
use support::{Backend, Client, Peer, Relay, echo, relay_to, run, start};

const KIB: usize = 1024;

/// A directory for recordings, and a relay to `backend` that records into it.
fn recording(backend: std::net::SocketAddr, options: &[&str]) -> (tempfile::TempDir, Relay) {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().to_str().unwrap().to_owned();
    let relay = relay_to(backend, &[&["--record", &dir], options].concat());
    (tmp, relay)
}

/// The files there, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// The recording of this number in order, once it is there.
fn nth(dir: &Path, number: usize) -> PathBuf {
    wait_for("the recording is there", || files(dir).into_iter().nth(number))
}

/// The lines of a recording, each of which is JSON.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Waits until a recording has its end.
fn ended(file: &Path) -> Vec<Value> {
    wait_for("the recording has its end", || {
        // It may be looked at in the middle of a write.
        fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'))?;
        let all = lines(file);
        let last = all.last()?;
        (last["d"] == "end" || last[1] == "m").then_some(all)
    })
}

/// An entry without its time.
fn timeless(mut entry: Value) -> Value {
    assert!(entry["t"].is_u64(), "{entry}");
    entry.as_object_mut().unwrap().remove("t");
    entry
}

#[test]
fn a_session_becomes_a_file_of_json_lines() {
    let backend = Backend::listen();
    let (tmp, relay) = recording(backend.addr, &["--charset", "iso-8859-2", "--eol", "crlf"]);
    let (mut client, _) =
        relay.connect_with("/chat?token=secret", &[("Sec-WebSocket-Protocol", "irc")]);
    let mut peer = backend.accept();
    client.send("hello");
    assert_eq!(peer.read_line(), "hello\r\n");
    peer.write(b"login: ");
    peer.write(b"\xe1\r\nlast");
    assert_eq!(client.recv(), "login: á");
    drop(peer);
    assert_eq!(client.recv(), "last");
    client.expect_close(1000, "backend closed");
    let file = &nth(tmp.path(), 0);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("Z-1.jsonl"), "{name}");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let all = ended(file);
    let head = &all[0];
    for (key, want) in [
        ("wsrelay", json!(1)),
        ("id", json!(1)),
        ("route", json!("/")),
        ("path", json!("/chat")),
        ("backend", json!(backend.addr.to_string())),
        ("subprotocol", json!("irc")),
        ("charset", json!("ISO-8859-2")),
        ("eol", json!("\r\n")),
        ("user", Value::Null),
    ] {
        assert_eq!(head[key], want, "{key}");
    }
    assert!(head["client"].as_str().unwrap().starts_with("127.0.0.1:"));
    let since = head["since"].as_str().unwrap();
    assert_eq!(name.split("-1.").next().unwrap(), since.replace(':', "-"));
    let entries: Vec<_> = all[1..].iter().cloned().map(timeless).collect();
    let want = [
        json!({"d": "up", "line": "hello"}),
        json!({"d": "down", "b64": "bG9naW46IOE="}),
        json!({"d": "down", "line": "last", "end": ""}),
        json!({"d": "end", "by": "backend"}),
    ];
    assert_eq!(entries, want);
    // What was said is nowhere else.
    drop(relay);
}

#[test]
fn bytes_become_an_asciicast() {
    let backend = Backend::listen();
    let (tmp, relay) = recording(backend.addr, &["--binary"]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    client.0.send(Message::binary(&b"ls\r"[..])).unwrap();
    peer.read_bytes(3);
    peer.write("\u{1b}[1mé".as_bytes());
    client.recv_binary();
    peer.write(b"\xff\x00");
    client.recv_binary();
    client.close();
    peer.expect_fin();
    drop(peer);
    let file = &nth(tmp.path(), 0);
    assert!(file.to_str().unwrap().ends_with("-1.cast"));
    let all = ended(file);
    assert_eq!(
        (&all[0]["version"], &all[0]["width"], &all[0]["height"]),
        (&json!(2), &json!(80), &json!(24))
    );
    assert_eq!(all[0]["wsrelay"]["path"], "/");
    let events: Vec<_> =
        all[1..].iter().map(|event| (event[1].clone(), event[2].clone())).collect();
    let want = [
        ("i", "ls\r"),
        ("o", "\u{1b}[1mé"),
        ("b", "/wA="),
        ("o", "\u{fffd}\0"),
        ("m", "ended by the client"),
    ];
    assert_eq!(events, want.map(|(code, data)| (json!(code), json!(data))));
    assert!(all[1..].iter().all(|event| event[0].is_f64()));
}

/// Commands of telnet are no lines, and what they say is not said by either side.
#[test]
fn telnet_is_taken_out_of_recordings() {
    let backend = Backend::listen();
    let (tmp, relay) = recording(backend.addr, &["--telnet"]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    // WILL SGA, and a prompt that ends with GA.
    peer.write(b"\xff\xfb\x03login: \xff\xf9");
    assert_eq!(client.recv(), "login: ");
    client.send("me");
    assert_eq!(peer.read_bytes(7), b"\xff\xfd\x03me\r\n");
    peer.write(b"hello\r\n");
    assert_eq!(client.recv(), "hello");
    client.close();
    peer.read_to_end();
    drop(peer);
    let all = ended(&nth(tmp.path(), 0));
    assert_eq!(all[0]["eol"], "\r\n");
    let entries: Vec<_> = all[1..4].iter().cloned().map(timeless).collect();
    let want = [
        json!({"d": "down", "line": "login: ", "end": ""}),
        json!({"d": "up", "line": "me"}),
        json!({"d": "down", "line": "hello"}),
    ];
    assert_eq!(entries, want);
}

/// Lines that are longer than any buffer, both ways.
#[test]
fn long_lines_are_recorded_whole() {
    let backend = Backend::listen();
    let (tmp, relay) = recording(backend.addr, &["--max-line", "16MiB"]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    let long = "é".repeat(5 << 20) + "\n";
    // One after the other: a disk that is too slow for both would end the recording.
    let has_grown = |to: u64| {
        wait_until("the recording has grown", || {
            let file = files(tmp.path()).into_iter().next();
            file.is_some_and(|file| fs::metadata(file).unwrap().len() > to)
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(peer.read_line() == long));
        client.send(long.trim_end());
    });
    has_grown(10 << 20);
    std::thread::scope(|scope| {
        scope.spawn(|| peer.write(&long));
        assert!(client.recv() == long.trim_end());
    });
    has_grown(20 << 20);
    client.close();
    drop(peer);
    let file = &nth(tmp.path(), 0);
    let all = ended(file);
    for side in ["up", "down"] {
        let said = all.iter().filter(|entry| entry["d"] == side);
        let text: String = said
            .map(|entry| {
                let end = entry["end"].as_str().unwrap_or("\n");
                assert!(entry.to_string().len() < 300 * KIB);
                format!("{}{end}", entry["line"].as_str().expect("no character is cut"))
            })
            .collect();
        assert!(text == long, "{side}: {} bytes", text.len());
    }
}

#[test]
fn greetings_and_waiting_lines_are_recorded_as_the_backend_gets_them() {
    let backend = Backend::listen();
    let (tmp, relay) =
        recording(backend.addr, &["--hello", "I AM {id}", "--goodbye", "BYE", "--rate", "20/s:1"]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    client.send("a\nb\nc");
    client.close();
    assert_eq!(peer.read_to_end(), b"I AM 1\na\nb\nc\nBYE\n");
    drop(peer);
    let all = ended(&nth(tmp.path(), 0));
    let said: Vec<_> = all.iter().filter_map(|entry| entry["line"].as_str()).collect();
    assert_eq!(said, ["I AM 1", "a", "b", "c", "BYE"]);
    let at: Vec<_> = all[1..].iter().map(|entry| entry["t"].as_u64().unwrap()).collect();
    assert!(at.is_sorted() && at[3] >= at[1] + 95, "{at:?}");
}

#[test]
fn a_route_can_record_and_others_not() {
    let tmp = tempfile::tempdir().unwrap();
    let (backend, dir) = (echo(), tmp.path().join("recordings"));
    let file = tmp.path().join("wsrelay.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nto = \"{backend}\"\nrecord-max = \"1MiB\"\n[[route]]\npath = \"/seen\"\n\
         to = \"{backend}\"\nrecord = {dir:?}\n"
    );
    fs::write(&file, text).unwrap();
    let run = |dir: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
        command.arg("--config").arg(&file);
        assert!(!dir || !support::run_command(command).status.success());
    };
    run(true);
    fs::create_dir(&dir).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.arg("--config").arg(&file);
    let mut relay = start(command);
    for path in ["/", "/seen", "/"] {
        let mut client = relay.connect(path);
        client.send("x");
        assert_eq!(client.recv(), "x");
        client.close();
    }
    assert_eq!(ended(&nth(&dir, 0))[0]["route"], "/seen");
    assert_eq!(files(&dir).len(), 1);
    // A reload goes on with the same recorder, and with open sessions.
    let mut client = relay.connect("/seen");
    client.send("before");
    assert_eq!(client.recv(), "before");
    relay.signal("HUP");
    relay.wait_log(&["reloaded"]);
    client.send("after");
    assert_eq!(client.recv(), "after");
    client.close();
    let said = ended(&nth(&dir, 1));
    assert_eq!(said.iter().filter(|entry| entry["d"] == "down").count(), 2);
}

#[test]
fn the_end_of_sessions_that_a_stop_ends_is_written() {
    let (tmp, mut relay) = recording(echo(), &[]);
    let clients: Vec<_> = (0..20).map(|_| relay.connect("/")).collect();
    for mut client in clients {
        client.send("x");
        assert_eq!(client.recv(), "x");
        std::thread::spawn(move || client.expect_close(1001, "server shutting down"));
    }
    relay.signal("TERM");
    assert!(relay.wait_exit().success());
    for file in files(tmp.path()) {
        let all = lines(&file);
        assert_eq!((all.len(), &all[3]["by"]), (4, &json!("relay")));
    }
}

/// The oldest recordings go, those of open sessions stay.
#[test]
fn recordings_take_no_more_room_than_they_may() {
    let (tmp, relay) = recording(echo(), &["--record-max", "64KiB"]);
    let other = tmp.path().join("notes.txt");
    fs::write(&other, [b'x'; 100 * KIB]).unwrap();
    let mut open = relay.connect("/");
    open.send("first");
    assert_eq!(open.recv(), "first");
    for _ in 0..20 {
        let mut client = relay.connect("/");
        client.send(&"x".repeat(5 * KIB));
        client.recv();
        client.close();
    }
    let sizes = || {
        let all = files(tmp.path()).into_iter().filter(|file| *file != other);
        // One may go meanwhile.
        all.filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).collect::<Vec<_>>()
    };
    wait_until("the oldest are gone", || sizes().len() < 8);
    assert!(sizes().iter().sum::<u64>() <= 64 * KIB as u64);
    assert!(other.exists());
    open.send("last");
    assert_eq!(open.recv(), "last");
    open.close();
    let all = ended(&nth(tmp.path(), 0));
    assert_eq!(all[0]["id"], 1, "the oldest, but it was open");
    assert_eq!(all.len(), 6);
}

#[test]
fn a_session_that_alone_takes_too_much_is_not_recorded_further() {
    let (tmp, mut relay) = recording(echo(), &["--record-max", "32KiB"]);
    let mut client = relay.connect("/");
    for n in 0..20 {
        client.send(&format!("{n} {}", "x".repeat(4 * KIB)));
        client.recv();
    }
    relay.wait_log(&[
        "WARN",
        "recording stopped: sessions go on without it",
        "--record-max is reached",
    ]);
    client.send("still here");
    assert_eq!(client.recv(), "still here");
    let all = lines(&nth(tmp.path(), 0));
    assert!((3..10).contains(&all.len()), "{}", all.len());
    assert!(fs::metadata(nth(tmp.path(), 0)).unwrap().len() <= 32 * KIB as u64);
}

/// A small disk, for as long as it lives. Only root can mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(options: &str) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(tmp.path())
            .status();
        assert!(mount.unwrap().success(), "this test needs root, to mount a small disk");
        Tmpfs(tmp)
    }

    fn remount(&self, options: &str) {
        let mount = Command::new("mount").args(["-o", options]).arg(self.0.path()).status();
        assert!(mount.unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Fifty sessions that say and hear lines, and go on doing so.
struct Fifty(Vec<Client>);

impl Fifty {
    fn connect(relay: &Relay) -> Self {
        Fifty((0..50).map(|_| relay.connect("/")).collect())
    }

    fn talk(&mut self, size: usize) {
        for (n, client) in self.0.iter_mut().enumerate() {
            client.send(&format!("{n} {}", "x".repeat(size)));
            assert!(client.recv().starts_with(&format!("{n} x")));
        }
    }
}

fn warnings(relay: &mut Relay) -> Vec<String> {
    relay.read_log();
    relay.seen.iter().filter(|line| line.contains("WARN")).cloned().collect()
}

#[test]
fn a_disk_that_fills_up_ends_recordings_and_no_session() {
    let disk = Tmpfs::mount("size=256k");
    let dir = disk.0.path();
    let mut relay = relay_to(echo(), &["--record", dir.to_str().unwrap()]);
    let mut all = Fifty::connect(&relay);
    for _ in 0..10 {
        all.talk(KIB);
    }
    let warning = relay.wait_log(&["WARN", "recording stopped: sessions go on without it"]);
    assert!(warning.contains("no space left on device"), "{warning}");
    all.talk(10 * KIB);
    let late = Fifty::connect(&relay);
    drop(late);
    all.talk(1);
    assert_eq!(warnings(&mut relay).len(), 1, "{:?}", relay.seen);
    // Each recording has whole entries.
    let recorded = files(dir);
    assert!(recorded.iter().all(|file| !lines(file).is_empty()));
    // With room again, sessions that begin then are recorded; those that have a gap are not.
    for file in &recorded[..recorded.len() / 2] {
        fs::remove_file(file).unwrap();
    }
    let before = files(dir).len();
    wait_until("sessions are recorded again", || {
        let mut client = relay.connect("/");
        client.send("again");
        assert_eq!(client.recv(), "again");
        client.close();
        files(dir).len() > before
    });
    relay.wait_log(&["recording again"]);
    all.talk(1);
}

#[test]
fn a_directory_that_is_removed_ends_recordings_and_no_session() {
    let (tmp, mut relay) = recording(echo(), &[]);
    let dir = tmp.path().to_owned();
    let mut all = Fifty::connect(&relay);
    all.talk(10);
    fs::remove_dir_all(&dir).unwrap();
    all.talk(10);
    relay.wait_log(&["WARN", "recording stopped", "the file was removed"]);
    drop(Fifty::connect(&relay));
    all.talk(10);
    assert_eq!(warnings(&mut relay).len(), 1, "{:?}", relay.seen);
    fs::create_dir(&dir).unwrap();
    wait_until("sessions are recorded again", || {
        let mut client = relay.connect("/");
        client.send("again");
        assert_eq!(client.recv(), "again");
        client.close();
        !files(&dir).is_empty()
    });
}

#[test]
fn a_disk_that_becomes_read_only_ends_recordings_and_no_session() {
    let disk = Tmpfs::mount("size=8m");
    let dir = disk.0.path().to_str().unwrap();
    let mut relay = relay_to(echo(), &["--record", dir]);
    let first = Fifty::connect(&relay);
    drop(first);
    wait_until("all have their ends", || {
        files(disk.0.path()).iter().all(|file| lines(file).len() == 2)
    });
    disk.remount("remount,ro");
    let mut all = Fifty::connect(&relay);
    all.talk(10);
    let warning = relay.wait_log(&["WARN", "recording stopped"]);
    assert!(warning.contains("read-only file system"), "{warning}");
    all.talk(10);
    assert_eq!(warnings(&mut relay).len(), 1);
}

#[test]
fn a_directory_must_be_there_and_not_be_public() {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("file"), "").unwrap();
    fs::create_dir_all(at("public/recordings")).unwrap();
    let disk = Tmpfs::mount("size=64k,ro");
    let read_only = disk.0.path().to_str().unwrap().to_owned();
    let public = at("public");
    for (options, code, want) in [
        (vec!["--record", &at("gone")], 1, "no such file or directory: make it, or drop --record"),
        (vec!["--record", &at("file")], 1, "not a directory"),
        (vec!["--record", &read_only], 1, "read-only file system"),
        (
            vec!["--record", &at("public/recordings"), "--static-dir", &public],
            1,
            "everybody could read it",
        ),
        (vec!["--record-max", "1MiB"], 2, "--record-max is about recordings: add --record DIR"),
        (
            vec!["--record", "/tmp", "--record-max", "much"],
            2,
            "type a size such as --record-max 64KiB",
        ),
    ] {
        let output = run(&[&["--port", "0", "--to", "localhost:7777"], &options[..]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && text.contains(want), "{options:?}: {text}");
    }
}

#[test]
fn nothing_is_recorded_where_nobody_asked_for_it() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let threads = relay.threads();
    let mut client = relay.connect("/");
    let mut peer: Peer = backend.accept();
    client.send("x");
    assert_eq!(peer.read_line(), "x\n");
    assert_eq!(relay.threads(), threads);
    let tmp = tempfile::tempdir().unwrap();
    let other = relay_to(backend.addr, &["--record", tmp.path().to_str().unwrap()]);
    assert_eq!(other.threads(), threads + 1, "one thread writes");
}
