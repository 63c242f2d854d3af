//! The log, as the command line asks for it: its formats and levels, and that it shows what people
//! say only with `--trace`.

mod support;

use std::fs::OpenOptions;
use std::io::Read;
use std::process::Command;

use async_tungstenite::tungstenite::Message;
use serde_json::Value;
use support::{Backend, Relay, echo, handshake, relay_to, start};

const UP: &str = "payload-up-\u{1b}[31m\u{202e}\"quoted\"";
const DOWN: &str = "payload-down-\u{1b}[31m\u{9b}2J";

/// A relay that has seen a session with payloads in all places, a refusal, a dropped connection,
/// and its end.
fn busy_relay(options: &[&str]) -> Relay {
    let backend = Backend::listen();
    let options = [options, &["--handshake-timeout", "100ms"]].concat();
    let mut relay = relay_to(backend.addr, &options);
    let headers = [("Cookie", "payload-cookie"), ("Authorization", "Bearer payload-token")];
    let (mut client, _) = relay.connect_with("/chat?payload-query", &headers);
    let mut peer = backend.accept();
    client.send(UP);
    assert_eq!(peer.read_line(), format!("{UP}\n"));
    peer.write(format!("{DOWN}\n"));
    assert_eq!(client.recv(), DOWN);
    client.0.send(Message::Binary("payload-binary\0\u{ff}".into())).unwrap();
    assert_eq!(peer.read_line(), "payload-binary\0\u{ff}\n");
    client.0.send(Message::Ping("payload-ping".into())).unwrap();
    assert!(matches!(client.0.read().unwrap(), Message::Pong(_)));
    let close = async_tungstenite::tungstenite::protocol::CloseFrame {
        code: 4000.into(),
        reason: "payload-reason".into(),
    };
    client.0.close(Some(close)).unwrap();
    client.expect_end();
    drop((client, peer));
    assert_eq!(relay.http(&handshake("/bad?payload-query", "").replace(": 13", ": 8")).status, 426);
    assert_eq!(relay.http("payload as no HTTP\r\n\r\n").status, 400);
    let mut silent = relay.tcp();
    assert_eq!(silent.read_to_end(&mut Vec::new()).unwrap(), 0);
    drop(silent);
    relay.signal("TERM");
    relay.wait_exit();
    relay
}

/// No client fills a disk by one request.
#[test]
fn a_long_path_is_cut() {
    let mut relay = relay_to(echo(), &[]);
    relay.connect(&format!("/{}", "é".repeat(2000))).close();
    for event in ["session opened", "session closed"] {
        let line = relay.wait_log(&[event]);
        assert!(line.len() < 500 && line.contains("…\""), "{line}");
    }
}

#[test]
fn payloads_are_never_logged_unasked() {
    for format in ["text", "json"] {
        // Not even where libraries log whatever they like.
        let options = ["--log-level", "trace", "--log-format", format];
        let mut relay = busy_relay(&options);
        let log = relay.log_to_end();
        assert!(log.iter().any(|line| line.contains("session closed")), "{log:#?}");
        for line in log {
            assert!(!line.contains("payload"), "{line}");
            assert!(!line.contains(char::is_control), "{}", line.escape_debug());
        }
    }
}

#[test]
fn trace_shows_messages_escaped() {
    for format in ["text", "json"] {
        let mut relay = busy_relay(&["--trace", "--log-format", format]);
        let log = relay.log_to_end();
        for word in ["payload-up-", "payload-down-", "payload-binary"] {
            let seen = log.iter().filter(|line| line.contains(word)).count();
            assert_eq!(seen, 1, "{word} in {log:#?}");
        }
        if format == "json" {
            let up = log.iter().find(|line| line.contains("payload-up-")).unwrap();
            let up: Value = serde_json::from_str(up).unwrap();
            assert_eq!(up["up"], UP.replace('\u{202e}', "\\u{202e}"));
        }
        for line in log {
            assert!(!line.contains(char::is_control), "{}", line.escape_debug());
            assert!(!line.contains('\u{202e}'), "{}", line.escape_debug());
            for word in ["cookie", "token", "query", "ping", "reason-"] {
                assert!(!line.contains(&format!("payload-{word}")), "{line}");
            }
        }
    }
}

#[test]
fn json_is_one_object_per_line() {
    let mut relay = busy_relay(&["--log-format", "json"]);
    let mut closed = None;
    for line in relay.log_to_end() {
        let Ok(Value::Object(object)) = serde_json::from_str(line) else {
            panic!("not an object: {line}");
        };
        for name in ["timestamp", "level", "message"] {
            assert!(object[name].is_string(), "{line}");
        }
        if object["message"] == "session closed" {
            closed = Some(object);
        }
    }
    let closed = closed.expect("a session was closed");
    for (name, value) in [
        ("level", Value::from("INFO")),
        ("id", 1.into()),
        ("path", "/chat".into()),
        ("lines_up", 2.into()),
        ("bytes_up", (UP.len() + 1 + "payload-binary\0\u{ff}\n".len()).into()),
        ("lines_down", 1.into()),
        ("bytes_down", (DOWN.len() + 1).into()),
        ("by", "client".into()),
        ("code", 4000.into()),
    ] {
        assert_eq!(closed[name], value, "{name} in {closed:?}");
    }
    assert!(closed["seconds"].is_number() && closed["client"].is_string(), "{closed:?}");
    assert!(closed["backend"].is_string() && closed["reason"].is_string(), "{closed:?}");
}

#[test]
fn levels() {
    for (level, shown, hidden) in [
        ("error", None, Some("session opened")),
        ("warn", None, Some("session opened")),
        ("info", Some("session opened"), Some("DEBUG")),
        ("debug", Some("session opened"), None),
    ] {
        let mut relay = busy_relay(&["--log-level", level]);
        let log = relay.log_to_end();
        if let Some(shown) = shown {
            assert!(log.iter().any(|line| line.contains(shown)), "{level}: {log:#?}");
        }
        if let Some(hidden) = hidden {
            assert!(!log.iter().any(|line| line.contains(hidden)), "{level}: {log:#?}");
        }
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("log");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Open for both, so that it has a reader, and is full after 64 KiB.
    let _reader = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let mut command = Command::new("sh");
    let script = r#"fifo=$1; shift; exec "$@" 2>"$fifo""#;
    command.args(["-c", script, "sh"]).arg(&fifo).arg(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--trace", "--to", &echo().to_string()]);
    let mut relay = start(command);
    for _ in 0..50 {
        let mut client = relay.connect("/");
        let line = "x".repeat(1000);
        client.send(&line);
        assert_eq!(client.recv(), line);
    }
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}
