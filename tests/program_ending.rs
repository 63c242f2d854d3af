//! Ending programs, also those that resist.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use support::faults::reset;
use support::program::{children, find, relay_sh, wait_childless, wait_dead, wait_until};
use support::{Client, relay};

/// So short that a test can wait for every step, so long that steps are told apart.
const QUICK: [&str; 2] = ["--kill-grace", "100ms"];

/// Longer than any test takes: no signal is sent.
const NEVER: [&str; 2] = ["--kill-grace", "1h"];

/// Prints its process number, and ignores the signals that it can.
const STUBBORN: &str = "trap '' INT TERM; echo $$; while :; do sleep 1000; done";

#[test]
fn the_end_of_stdin_is_enough_for_most() {
    let mut relay = relay_sh("wc -l >&2; exit 3", &NEVER);
    let vanish = |client: Client| reset(client.0.into_inner().0);
    for leave in [Client::close as fn(Client), drop, vanish] {
        relay.seen.clear();
        let mut client = relay.connect("/");
        client.send("one");
        client.send("two");
        leave(client);
        relay.wait_log(&["program says", "2"]);
        relay.wait_log(&["program exited with status 3"]);
        relay.wait_log(&["session closed", "by=\"client\""]);
        wait_childless(&relay);
    }
}

#[test]
fn all_that_the_client_said_arrives_before_the_end() {
    let mut relay = relay_sh("wc -c >&2", &NEVER);
    let mut client = relay.connect("/");
    let line = "x".repeat(99_999);
    for _ in 0..100 {
        client.send(&line);
    }
    client.close();
    relay.wait_log(&["program says", "10000000"]);
}

#[test]
fn signals_follow_one_after_the_other() {
    let script = "trap 'echo INT >&2' INT; trap 'echo TERM >&2' TERM; echo ready; \
                  while :; do sleep 1000; done";
    let mut relay = relay_sh(script, &QUICK);
    let mut client = relay.connect("/");
    assert_eq!(client.recv(), "ready");
    let began = Instant::now();
    client.close();
    relay.wait_log(&["session closed"]);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let told = ["\"INT\"", "\"TERM\"", "program killed by signal 9", "session closed"];
    let at = told.map(|word| relay.seen.iter().position(|line| line.contains(word)));
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?} of {:#?}", relay.seen);
    wait_childless(&relay);
}

#[test]
fn one_that_heeds_a_signal_gets_no_other() {
    for (signal, status) in [("INT", 11), ("TERM", 12)] {
        let script = format!(
            "trap '' INT TERM; trap 'exit {status}' {signal}; echo ready; \
                              while :; do sleep 0.05; done"
        );
        // More than it takes to heed a signal, on a busy machine too.
        let mut relay = relay_sh(&script, &["--kill-grace", "1s"]);
        let mut client = relay.connect("/");
        assert_eq!(client.recv(), "ready");
        client.close();
        relay.wait_log(&[&format!("program exited with status {status}")]);
        wait_childless(&relay);
    }
}

#[test]
fn a_place_is_free_only_when_the_process_is_gone() {
    let mut relay = relay_sh(STUBBORN, &[&QUICK[..], &["--max-sessions", "1"]].concat());
    let mut client = relay.connect("/");
    let pid = client.recv_pid();
    client.close();
    wait_until("the place is free", || relay.http(&support::handshake("/", "")).status != 503);
    assert_eq!(find(pid), None);
    relay.wait_log(&["session closed", "by=\"client\""]);
    // What has just taken the place would outlive a relay that is killed.
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}

/// However many clients come and go, there is one process for the one permit.
#[test]
fn a_client_that_vanishes_while_its_program_starts_keeps_its_place_until_that_is_gone() {
    let deaf = "trap '' INT TERM; while :; do sleep 0.1; done";
    let served = support::cgi::cgi(&[("deaf", deaf)], &["--max-sessions", "1"]);
    let session = relay_sh(deaf, &["--max-sessions", "1"]);
    for (relay, request) in [
        (&served.relay, "GET /deaf HTTP/1.1\r\nHost: t\r\n\r\n".to_owned()),
        (&session, support::handshake("/", "")),
    ] {
        for _ in 0..10 {
            for _ in 0..100 {
                let mut tcp = relay.tcp();
                tcp.write_all(request.as_bytes()).unwrap();
            }
            // All of them have been accepted when this one is answered.
            assert_eq!(relay.get("/", &[]).status, 426);
            let running = children(relay.pid());
            assert!(running.len() <= 1, "{running:?}");
        }
    }
}

#[test]
fn what_it_forks_is_ended_with_it() {
    for fork in ["sleep 1000 & echo $!", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"] {
        // The program exits, and its child goes on: with its stdout, or without.
        let mut relay = relay_sh(&format!("{fork}; exit 4"), &QUICK);
        let mut client = relay.connect("/");
        let child = client.recv_pid();
        client.expect_close(1011, "program exited with status 4");
        drop(client);
        wait_dead(child);
        relay.wait_log(&["session closed"]);

        // The client leaves, and nobody listens.
        let relay = relay_sh(&format!("trap '' INT TERM; {fork}; wait"), &QUICK);
        let mut client = relay.connect("/");
        let child = client.recv_pid();
        client.close();
        wait_dead(child);
        wait_childless(&relay);
    }
}

#[test]
fn what_a_child_still_says_is_delivered() {
    let script = "(trap 'echo last words; exit' TERM; echo ready; while :; do sleep 0.02; done) & ";
    let relay = relay_sh(script, &QUICK);
    let mut client = relay.connect("/");
    assert_eq!(client.recv(), "ready");
    assert_eq!(client.recv(), "last words");
    client.expect_close(1000, "program exited");
}

#[test]
fn one_that_has_left_the_group_does_not_hold_the_session() {
    let relay = relay_sh("setsid sleep 1000 & echo $!", &QUICK);
    let mut client = relay.connect("/");
    let left = client.recv_pid();
    client.expect_close(1000, "program exited");
    wait_childless(&relay);
    // It may have been caught before it had left.
    let _ = std::process::Command::new("kill").args(["-s", "KILL", &left.to_string()]).output();
    wait_dead(left);
}

#[test]
fn one_that_closes_its_stdout_and_lives_on() {
    let mut relay = relay_sh("echo $$; exec >&-; trap '' INT; sleep 1000; sleep 1000", &QUICK);
    let mut client = relay.connect("/");
    let pid = client.recv_pid();
    client.expect_close(1000, "program closed its output");
    relay.wait_log(&["program killed by signal 15"]);
    wait_dead(pid);

    // One that only has some work to do afterwards has time for it.
    let relay = relay_sh("exec >&-; cat; exit 5", &["--kill-grace", "10s"]);
    relay.connect("/").expect_close(1011, "program exited with status 5");
}

#[test]
fn one_that_closes_its_stdin_goes_on_talking() {
    let relay = relay_sh("exec <&-; echo ready; sleep 0.1; seq 1000", &[]);
    let mut client = relay.connect("/");
    assert_eq!(client.recv(), "ready");
    for _ in 0..10 {
        client.send("into nowhere");
    }
    for n in 1..=1000 {
        assert_eq!(client.recv(), n.to_string());
    }
    client.expect_close(1000, "program exited");
}

#[test]
fn a_stop_leaves_no_process() {
    for (script, options) in [
        ("echo $$; exec cat", &NEVER[..]),
        (STUBBORN, &QUICK),
        // At the end of the time for it, whatever step it is at.
        (STUBBORN, &["--kill-grace", "1h", "--shutdown-timeout", "300ms"]),
    ] {
        let mut relay = relay_sh(script, options);
        let mut clients: Vec<Client> = (0..10).map(|_| relay.connect("/")).collect();
        let pids: Vec<u32> = clients.iter_mut().map(Client::recv_pid).collect();
        assert_eq!(children(relay.pid()).len(), 10);
        relay.signal("TERM");
        for mut client in clients {
            client.expect_close(1001, "server shutting down");
        }
        assert_eq!(relay.wait_exit().code(), Some(0));
        pids.into_iter().for_each(wait_dead);
    }
}

#[test]
fn a_second_signal_leaves_none_either() {
    let mut relay = relay_sh(STUBBORN, &NEVER);
    let mut client = relay.connect("/");
    let pid = client.recv_pid();
    relay.signal("TERM");
    client.expect_close(1001, "server shutting down");
    relay.signal("INT");
    assert_eq!(relay.wait_exit().code(), Some(0));
    wait_dead(pid);
}

#[test]
fn one_that_is_stopped_is_ended_all_the_same() {
    let relay = relay(&[&QUICK[..], &["--", "sh", "-c", "echo $$; kill -s STOP $$"]].concat());
    let mut client = relay.connect("/");
    client.recv_pid();
    client.close();
    wait_childless(&relay);
}
