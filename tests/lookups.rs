//! Names whose look-up hangs: what waits for them, and what must not.

mod support;

use std::fs;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use support::hosts::OwnHosts;
use support::{HttpResponse, Relay, handshake, run_command, start};

const WSRELAY: &str = env!("CARGO_BIN_EXE_wsrelay");

/// More than there are threads for files and programs.
const CLIENTS: usize = 40;

/// anna's is "correct horse".
const PASSWORDS: &str = "anna:$2y$04$qKl51kldwDeT5CsCF.X40e0TdJsPdZ9oQ.aOgemw5AmkdHdTdFHa.\n";

#[test]
fn a_look_up_that_hangs_costs_its_own_sessions_a_504_and_nobody_else_anything() {
    let hosts = OwnHosts::that_hang();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("static")).unwrap();
    fs::write(at("static/a.txt"), "a file\n").unwrap();
    fs::write(at("users"), PASSWORDS).unwrap();
    let config = format!(
        "listen = \"127.0.0.1:0\"\nstatic-dir = {:?}\nconnect-timeout = \"500ms\"\n\
         [[route]]\npath = \"/hangs\"\nto = \"silent.example:7777\"\n\
         [[route]]\npath = \"/program\"\nprogram = [\"cat\"]\nauth-file = {:?}\n",
        at("static"),
        at("users")
    );
    fs::write(at("wsrelay.toml"), &config).unwrap();
    let mut command = hosts.command(WSRELAY);
    command.args(["--config", &at("wsrelay.toml")]);
    let mut relay = start(command);
    let threads = relay.threads();

    // One after the other, so that there is always one that has just begun to wait, and one that gives up.
    let begun = Instant::now();
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let due = begun + n as u32 * Duration::from_millis(20);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut tcp = relay.tcp();
        tcp.write_all(handshake("/hangs", "").as_bytes()).unwrap();
        clients.push((tcp, Instant::now()));
    }
    let others = |relay: &Relay| {
        assert_eq!(relay.get("/a.txt", &[]).text(), "a file\n");
        let (mut client, _) =
            relay.connect_with("/program", &[("Authorization", "Basic YW5uYTpjb3JyZWN0IGhvcnNl")]);
        client.send("a line");
        assert_eq!(client.recv(), "a line");
    };
    others(&relay);
    for (mut tcp, asked) in clients {
        let response = HttpResponse::read(&mut tcp);
        assert_eq!(response.status, 504, "{}", response.text());
        assert!(asked.elapsed() >= Duration::from_millis(400));
    }
    others(&relay);
    assert!(relay.threads() <= threads + 1, "{threads} threads became {}", relay.threads());

    // It outlives a reload.
    relay.signal("HUP");
    relay.wait_log(&["reloaded"]);
    assert_eq!(relay.http(&handshake("/hangs", "")).status, 504);
    assert!(relay.threads() <= threads + 1, "{threads} threads became {}", relay.threads());
    others(&relay);
}

#[test]
fn a_start_and_a_check_wait_for_a_name_only_for_a_while() {
    let hosts = OwnHosts::that_hang();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wsrelay.toml");
    let file = file.to_str().unwrap();
    fs::write(file, "listen = \"silent.example:0\"\nto = \"127.0.0.1:1\"\n").unwrap();
    let run = |args: &[&str]| {
        let mut command = hosts.command(WSRELAY);
        command.args(args);
        run_command(command)
    };
    let typed = ["--listen", "silent.example:0", "--to", "127.0.0.1:1"];
    // At the same time, as each takes so long.
    let (typed, checked) = thread::scope(|scope| {
        let typed = scope.spawn(|| run(&typed));
        let checked = run(&["check", file]);
        (typed.join().unwrap(), checked)
    });
    for (output, status) in [(typed, 2), (checked, 1)] {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains("\"silent.example\" was not resolved within 10 s"), "{said}");
    }
}
