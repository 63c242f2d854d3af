//! The server's life: signals, exhaustion, and what stays behind when clients have gone.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::program::wait_until;
use support::{Backend, Client, HttpResponse, Mute, Relay};
use support::{echo, handshake, relay_to, start};

const WSRELAY: &str = env!("CARGO_BIN_EXE_wsrelay");

fn echoes(client: &mut Client, text: &str) {
    client.send(text);
    assert_eq!(client.recv(), text);
}

/// Waits until no more descriptors are open than `most`.
fn wait_descriptors(relay: &Relay, most: usize) {
    wait_until(&format!("no more than {most} descriptors"), || relay.descriptors() <= most);
}

#[test]
fn a_signal_ends_all_sessions_in_good_order() {
    for signal in ["TERM", "INT"] {
        let mut relay = relay_to(echo(), &[]);
        let mut clients: Vec<_> = (0..200).map(|_| relay.connect("/")).collect();
        for client in &mut clients {
            echoes(client, "hello");
        }
        relay.signal(signal);
        for mut client in clients {
            client.expect_close(1001, "server shutting down");
        }
        assert_eq!(relay.wait_exit().code(), Some(0), "{signal}");
        let log = relay.log_to_end();
        assert!(
            log.iter().any(|line| line.contains("stopping") && line.contains("200")),
            "{log:#?}"
        );
        let closed = |line: &&String| line.contains("session closed") && line.contains("code=1001");
        assert_eq!(log.iter().filter(closed).count(), 200);
    }
}

#[test]
fn a_signal_right_after_the_greeting() {
    for signal in ["TERM", "INT", "HUP"].into_iter().cycle().take(30) {
        let mut command = Command::new(WSRELAY);
        command.args(["--listen", "127.0.0.1:0", "--to", "127.0.0.1:7", "--log-level", "error"]);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let signal_to_send = match signal {
            "TERM" => rustix::process::Signal::TERM,
            "INT" => rustix::process::Signal::INT,
            _ => rustix::process::Signal::HUP,
        };
        rustix::process::kill_process(pid, signal_to_send).unwrap();
        if signal == "HUP" {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        let end = Instant::now() + support::DEADLINE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                panic!("SIG{signal} was lost");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

/// A session whose client and backend both ignore that it ends.
fn stubborn_session(relay: &Relay, backend: &Backend) -> impl Sized + use<> {
    (relay.connect("/"), backend.accept())
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let backend = Backend::listen();
    let options = ["--close-timeout", "1h", "--shutdown-timeout", "1h"];
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let mut relay = relay_to(backend.addr, &options);
        let _session = stubborn_session(&relay, &backend);
        relay.signal(first);
        relay.wait_log(&["stopping", "sessions=1"]);
        relay.signal(second);
        assert_eq!(relay.wait_exit().code(), Some(0));
    }
}

/// Ends a relay with a session that stays by two signals; its log, of more than a pipe takes, is not read yet.
fn end_with_a_full_log() -> (Child, TcpStream) {
    let mut command = Command::new(WSRELAY);
    command.args(["--listen", "127.0.0.1:0", "--to", &echo().to_string()]);
    command.args(["--close-timeout", "1h", "--shutdown-timeout", "1h"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let addr = greeting.trim().strip_prefix("listening on ws://").unwrap().to_owned();
    let open = || TcpStream::connect(&addr);
    let mut busy = open().unwrap();
    let request = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(150));
    for _ in 0..1000 {
        busy.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        while busy.read(&mut answer).unwrap() == answer.len() {}
    }
    // A session that does not end, so that the first signal is not enough.
    let mut session = open().unwrap();
    session.write_all(handshake("/", "").as_bytes()).unwrap();
    session.read_exact(&mut [0; 12]).unwrap();
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    signal("TERM");
    wait_until("it listens no more", || open().is_err());
    signal("INT");
    (child, session)
}

#[test]
fn a_second_signal_takes_no_line_of_the_log() {
    let (mut child, _session) = end_with_a_full_log();
    let mut log = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    assert_eq!(log.matches("/xxx").count(), 1000);
    assert!(log.trim_end().ends_with("stopping at once"), "{}", &log[log.len() - 500..]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_a_reader_of_the_log() {
    let (mut child, _session) = end_with_a_full_log();
    wait_until("it has ended", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_session_that_does_not_leave_is_left() {
    let backend = Backend::listen();
    let options = ["--close-timeout", "1h", "--shutdown-timeout", "300ms"];
    let mut relay = relay_to(backend.addr, &options);
    let _session = stubborn_session(&relay, &backend);
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
    relay.wait_log(&["WARN", "--shutdown-timeout", "sessions=1"]);
}

#[test]
fn connections_that_are_no_sessions_do_not_hold_up_a_stop() {
    let mute = Mute::listen();
    let options =
        ["--handshake-timeout", "1h", "--connect-timeout", "1h", "--shutdown-timeout", "1h"];
    let mut relay = relay_to(mute.addr, &options);
    let silent = relay.tcp();
    let mut half = relay.tcp();
    half.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut idle = relay.tcp();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(HttpResponse::read(&mut idle).status, 426);
    let mut dialling = relay.tcp();
    dialling.write_all(handshake("/dialling", "").as_bytes()).unwrap();
    // Accepted after all of these on the same listener.
    relay.get("/", &[]);
    relay.signal("TERM");
    // Handshakes that wait for a backend get a refusal; the others need none.
    let response = HttpResponse::read(&mut dialling);
    assert_eq!((response.status, response.header("connection")), (503, Some("close")));
    for mut tcp in [silent, half, idle, dialling] {
        let mut rest = Vec::new();
        tcp.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.escape_ascii().to_string(), "");
    }
    assert_eq!(relay.wait_exit().code(), Some(0));
}

#[test]
fn nobody_new_is_accepted_while_it_stops() {
    let backend = Backend::listen();
    let mut relay = relay_to(backend.addr, &["--close-timeout", "1h"]);
    let (mut client, peer) = (relay.connect("/"), backend.accept());
    relay.signal("TERM");
    client.expect_close(1001, "server shutting down");
    let refused = TcpStream::connect(relay.addr).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop((client, peer));
    assert_eq!(relay.wait_exit().code(), Some(0));
}

#[test]
fn a_hangup_is_survived_and_noted() {
    let mut relay = relay_to(echo(), &[]);
    let mut client = relay.connect("/");
    for _ in 0..3 {
        relay.seen.clear();
        relay.signal("HUP");
        relay.wait_log(&["SIGHUP"]);
        echoes(&mut client, "still here");
    }
    relay.connect("/").close();
}

/// A relay that may have 40 descriptors.
fn confined(backend: std::net::SocketAddr) -> Relay {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", WSRELAY]);
    command.args(["--listen", "127.0.0.1:0", "--to", &backend.to_string()]);
    command.args(["--max-sessions", "100", "--max-connections", "100"]);
    command.args(["--handshake-timeout", "1h"]);
    start(command)
}

#[test]
fn without_descriptors_it_goes_on_and_recovers() {
    let mut relay = confined(echo());
    let mut session = relay.connect("/");
    echoes(&mut session, "before");
    let idle = relay.descriptors();
    let mut raw: Vec<_> = (0..60).map(|_| relay.tcp()).collect();
    let line = relay.wait_log(&["WARN", "can't accept connections"]);
    assert!(line.contains("ulimit -n"), "{line}");
    // Those who are in are served; one that needs another descriptor is told that it is not its fault.
    echoes(&mut session, "meanwhile");
    raw[0].write_all(handshake("/", "").as_bytes()).unwrap();
    let response = HttpResponse::read(&mut raw[0]);
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.header("retry-after").is_some());
    assert!(response.text().contains("too many open files"), "{}", response.text());
    drop(raw);
    // In the backlog there are some that have left; they are accepted, and go.
    echoes(&mut relay.connect("/"), "after");
    wait_descriptors(&relay, idle);
    echoes(&mut session, "and still");
}

#[test]
fn nothing_stays_behind() {
    let mut relay = relay_to(echo(), &["--log-level", "warn"]);
    let descriptors = relay.descriptors();
    let round = |n: usize| {
        let mut client = relay.connect("/");
        echoes(&mut client, "hello");
        match n % 4 {
            0 => client.close(),
            // As a browser's tab that is closed.
            1 => drop(client),
            2 => drop(relay.http(&handshake("/", "").replace(": 13", ": 8"))),
            _ => drop(relay.tcp()),
        }
    };
    (0..300).for_each(round);
    wait_descriptors(&relay, descriptors);
    let memory = relay.rss();
    (0..2000).for_each(round);
    wait_descriptors(&relay, descriptors);
    // Allocators keep some; half a KiB a round would already be more than that.
    let grown = relay.rss().saturating_sub(memory);
    assert!(grown < 1 << 20, "{grown} bytes more after 2,000 rounds");
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}
