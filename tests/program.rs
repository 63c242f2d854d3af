//! Programs as backends: `wsrelay -- CMD ARG…`.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use async_tungstenite::tungstenite::Message;
use support::faults::{Flood, client, upgrade};
use support::program::{children, relay_sh, wait_childless, wait_until};
use support::{Client, frame, relay, start};
use tempfile::TempDir;

#[test]
fn cat_echoes() {
    let mut relay = relay(&["--", "cat"]);
    let mut client = relay.connect("/");
    for text in ["hello", "", "ünïcödé", &"x".repeat(100_000)] {
        client.send(text);
        assert_eq!(client.recv(), text);
    }
    client.close();
    relay.wait_log(&["session opened", "backend=cat"]);
    relay.wait_log(&["session closed", "backend=cat", "lines_up=4", "lines_down=4"]);
}

#[test]
fn each_session_has_a_process_and_a_group_of_its_own() {
    let relay = relay_sh("echo $$; exec cat", &[]);
    let mut clients: Vec<Client> = (0..5).map(|_| relay.connect("/")).collect();
    let mut pids: Vec<u32> = clients.iter_mut().map(Client::recv_pid).collect();
    for pid in &pids {
        assert_eq!(support::program::find(*pid).unwrap().group, *pid);
    }
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 5);
}

#[test]
fn a_program_inherits_nothing_of_the_relay() {
    // The shell's own look at itself. What the test has inherited, the program may have too.
    let script = "ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let mut alone = Command::new("sh");
    let alone = alone.args(["-c", script]).stdin(Stdio::null()).output().unwrap();
    let alone = String::from_utf8(alone.stdout).unwrap();
    // Signals that are ignored here, as after a shell's &, are not ignored in a program if the relay
    // handles them.
    let ignored = |line: &str| {
        let mask = line.strip_prefix("SigIgn:")?.trim();
        Some(u64::from_str_radix(mask, 16).unwrap())
    };
    let relay = relay_sh(script, &[]);
    let _others: Vec<Client> = (0..5).map(|_| relay.connect("/")).collect();
    let mut client = relay.connect("/");
    for want in alone.lines() {
        let got = client.recv();
        match (ignored(&got), ignored(want)) {
            (Some(got), Some(want)) => assert_eq!(got & !want, 0, "{got:x} of {want:x}"),
            _ => assert_eq!(got, want),
        }
    }
    client.expect_close(1000, "program exited");
}

#[test]
fn a_program_may_open_as_many_files_as_if_it_ran_alone() {
    let script = "ulimit -Sn 100; exec \"$0\" --listen 127.0.0.1:0 -- sh -c 'read line; ulimit -Sn; ulimit -Hn'";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_wsrelay")]);
    let relay = start(command);
    let hard = Command::new("sh").args(["-c", "ulimit -Hn"]).output().unwrap().stdout;
    let hard = String::from_utf8(hard).unwrap();
    let mut client = relay.connect("/");
    client.send("now");
    assert_eq!([client.recv(), client.recv()], ["100", hard.trim()]);
    client.expect_close(1000, "program exited");
    // The relay itself has raised its own limit.
    let mut many: Vec<Client> = (0..60).map(|_| relay.connect("/")).collect();
    many[59].send("now");
    assert_eq!(many[59].recv(), "100");
}

#[test]
fn stdin_can_be_opened_by_its_name() {
    let relay = relay_sh("exec cat /dev/stdin >/dev/stdout", &[]);
    let mut client = relay.connect("/");
    client.send("through the name");
    assert_eq!(client.recv(), "through the name");
}

#[test]
fn arguments_are_passed_on_as_they_are() {
    let args =
        ["--", "sh", "-c", "printf '<%s>\\n' \"$0\" \"$@\"", "--to", "", "a b", "--", "-h", "é"];
    let relay = relay(&args);
    let mut client = relay.connect("/");
    for want in ["<--to>", "<>", "<a b>", "<-->", "<-h>", "<é>"] {
        assert_eq!(client.recv(), want);
    }
    client.expect_close(1000, "program exited");
}

#[test]
fn the_output_is_delivered_to_the_last_byte() {
    let relay = relay_sh("printf 'one\\r\\n\\ntail'", &[]);
    for _ in 0..20 {
        let mut client = relay.connect("/");
        assert_eq!([client.recv(), client.recv(), client.recv()], ["one", "", "tail"]);
        client.expect_close(1000, "program exited");
    }
    let lines = 200_000;
    let relay = relay_sh(&format!("seq {lines}; printf end; exit 1"), &[]);
    let mut client = relay.connect("/");
    for n in 1..=lines {
        assert_eq!(client.recv(), n.to_string());
    }
    assert_eq!(client.recv(), "end");
    client.expect_close(1011, "program exited with status 1");
}

#[test]
fn how_it_ended_is_told() {
    for (script, code, reason) in [
        ("exit 0", 1000, "program exited"),
        ("exit 1", 1011, "program exited with status 1"),
        ("exit 255", 1011, "program exited with status 255"),
        ("kill -s KILL $$", 1011, "program killed by signal 9"),
        ("kill -s SEGV $$", 1011, "program killed by signal 11"),
    ] {
        let mut relay = relay_sh(script, &[]);
        relay.connect("/").expect_close(code, reason);
        let line = relay.wait_log(&["session closed"]);
        let (reason, code) = (format!("reason={reason:?}"), format!("code={code}"));
        assert!(line.contains(&reason) && line.contains(&code), "{line}");
        assert!(line.contains("by=\"backend\""), "{line}");
        assert_eq!(line.contains("WARN"), code != "code=1000", "{line}");
    }
}

#[test]
fn raw_mode() {
    let relay = relay(&["--binary", "--", "cat"]);
    let mut client = relay.connect("/");
    let bytes = b"no end of line\0\xff".to_vec();
    client.0.send(Message::binary(bytes.clone())).unwrap();
    assert_eq!(client.recv_binary(), bytes);
}

#[test]
fn stderr_is_logged_line_by_line_and_escaped() {
    let script = "printf 'plain\\n\\033[31mred\\r\\nlast \\377' >&2";
    for format in ["text", "json"] {
        let mut relay = relay_sh(script, &["--log-format", format]);
        relay.connect("/").expect_close(1000, "program exited");
        for word in ["plain", "red", "last"] {
            let line = relay.wait_log(&["program says", word]);
            assert!(!line.contains(char::is_control), "{}", line.escape_debug());
        }
        relay.wait_log(&["session closed"]);
    }
}

#[test]
fn json_has_what_stderr_says_as_it_is() {
    let mut relay = relay_sh("echo '{\"a\": 1}' >&2", &["--log-format", "json"]);
    relay.connect("/").expect_close(1000, "program exited");
    let line = relay.wait_log(&["program says"]).to_owned();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["stderr"], "{\"a\": 1}", "{line}");
}

/// Writes so many bytes to stderr without an end of line, then one line to stdout.
const LOUD: &str = "head -c 10485760 /dev/zero | tr '\\0' x >&2; echo done";

#[test]
fn a_long_complaint_is_logged_in_pieces() {
    let mut relay = relay_sh(LOUD, &[]);
    let mut client = relay.connect("/");
    assert_eq!(client.recv(), "done");
    client.expect_close(1000, "program exited");
    relay.signal("TERM");
    let pieces = relay.log_to_end().iter().filter(|line| line.contains("program says"));
    let lengths: Vec<usize> = pieces.map(|line| line.matches('x').count()).collect();
    assert_eq!(lengths.iter().sum::<usize>(), 10 << 20);
    assert!(lengths.iter().all(|len| *len <= 4096), "{lengths:?}");
}

#[test]
fn a_complaint_that_nobody_reads_stops_nobody() {
    let dir = TempDir::new().unwrap();
    let fifo = dir.path().join("log");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Open for both, so that it has a reader, and is full after 64 KiB.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut command = Command::new("sh");
    let script = r#"fifo=$1; shift; exec "$@" 2>"$fifo""#;
    command.args(["-c", script, "sh"]).arg(&fifo).arg(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--", "sh", "-c", LOUD]);
    let mut relay = start(command);
    for _ in 0..3 {
        let mut client = relay.connect("/");
        assert_eq!(client.recv(), "done");
        client.expect_close(1000, "program exited");
    }
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}

#[test]
fn a_program_that_never_reads_while_its_client_floods() {
    // Pings detect that the client has gone, as the relay does not read from it.
    let relay = relay_sh("exec yes", &["--ping-interval", "200ms"]);
    // A little goes through before its size is taken.
    relay.connect("/").recv();
    let before = relay.rss();
    let mut tcp = relay.tcp();
    upgrade(&mut tcp, &[]);
    let (taken, _) = Flood(&frame(0x81, &[b'x'; 1000])).run(&tcp, 64 << 20);
    assert!(taken < 32 << 20, "{taken} bytes went nowhere");
    let grown = relay.rss().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more");
    // It has been writing all the time.
    let mut client = client(tcp);
    for _ in 0..1000 {
        assert_eq!(client.recv(), "y");
    }
    drop(client);
    wait_childless(&relay);
}

#[test]
fn sessions_leave_no_process_and_no_descriptor() {
    let relay = relay(&["--", "cat"]);
    relay.connect("/").close();
    wait_childless(&relay);
    let before = relay.descriptors();
    for round in 0..4 {
        let mut clients: Vec<Client> = (0..25).map(|_| relay.connect("/")).collect();
        for client in &mut clients {
            client.send("hello");
            assert_eq!(client.recv(), "hello");
        }
        assert_eq!(children(relay.pid()).len(), 25);
        for (n, client) in clients.into_iter().enumerate() {
            match (n + round) % 2 {
                0 => client.close(),
                _ => drop(client),
            }
        }
    }
    wait_childless(&relay);
    wait_until("descriptors are given back", || relay.descriptors() <= before);
}

/// As in a container: whoever loses its parent becomes a child of the relay, and is reaped by nobody else.
#[test]
fn the_first_process_of_a_container_reaps_orphans_and_knows_how_its_programs_ended() {
    // One in a session of its own, one in a group of its own, and one that stays in the program's.
    let script = "(setsid sh -c 'sleep 0.1; echo orphan' &)
                  (set -m; sh -c 'sleep 0.1; echo orphan' &)
                  (sh -c 'sleep 0.1; echo orphan' &)
                  read line; exit \"$line\"";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(env!("CARGO_BIN_EXE_wsrelay")).args(["--listen", "127.0.0.1:0"]);
    command.args(["--", "bash", "-c", script]);
    let relay = start(command);
    let [first] = children(relay.pid()).into_keys().collect::<Vec<_>>()[..] else {
        panic!("unshare has one child");
    };
    let mut clients: Vec<_> = (0..10).map(|_| relay.connect("/")).collect();
    for client in &mut clients {
        for _ in 0..3 {
            assert_eq!(client.recv(), "orphan");
        }
    }
    wait_until("orphans are reaped", || children(first).len() == clients.len());
    for (mut client, code) in clients.into_iter().zip(3..) {
        client.send(&code.to_string());
        client.expect_close(1011, &format!("program exited with status {code}"));
    }
    wait_until("nobody is left", || children(first).is_empty());
}
