//! Starting programs: what limits it, and how a failure is reported.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::faults::client;
use support::program::{children, wait_childless, wait_until};
use support::{handshake, relay, run, start};
use tempfile::TempDir;

#[test]
fn limits_hold_for_programs_too() {
    let relay = relay(&["--max-sessions", "2", "--", "cat"]);
    let (mut one, other) = (relay.connect("/"), relay.connect("/"));
    let refused = relay.http(&handshake("/", ""));
    assert_eq!(refused.status, 503);
    assert_eq!(children(relay.pid()).len(), 2);
    other.close();
    wait_childless_but_one(&relay);
    // The permit is free once the process has ended.
    wait_until("a place is free", || relay.http(&handshake("/", "")).status == 101);
    one.send("still");
    assert_eq!(one.recv(), "still");
}

fn wait_childless_but_one(relay: &support::Relay) {
    wait_until("one child is left", || children(relay.pid()).len() == 1);
}

#[test]
fn a_program_that_is_not_there_is_told_at_the_start() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("script");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    let (dir, file) = (dir.path().to_str().unwrap(), file.to_str().unwrap());
    for (command, word) in [
        ("no-such-program", "there is no program no-such-program in the PATH"),
        ("./no-such-program", "can't start ./no-such-program: no such file or directory"),
        (dir, "is a directory"),
        (file, "is not executable: type chmod +x"),
    ] {
        let done = run(&["--port", "0", "--", command]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(word) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_program_that_cannot_be_started_is_a_refusal() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("script");
    // By another process: one that is starting here would keep the file busy.
    let write = "printf 'no script at all\\n' >\"$0\" && chmod +x \"$0\"";
    assert!(Command::new("sh").args(["-c", write]).arg(&path).status().unwrap().success());
    let name = path.to_str().unwrap();
    let mut relay = relay(&["--", name]);
    let refused = |why: &str| {
        let response = relay.http(&handshake("/", ""));
        let want = format!("can't start {name}: {why}\n");
        assert_eq!((response.status, response.text()), (502, want));
    };
    refused("exec format error: a script has to begin with a line such as #!/bin/sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    refused("permission denied: make it executable with chmod +x");
    fs::remove_file(&path).unwrap();
    refused(
        "no such file or directory: it, or the interpreter that its first line names, is not there",
    );
    // The interpreter that a script of another system asks for has never been there.
    let write = "printf '#!/bin/sh\\r\\necho lost' >\"$0\" && chmod +x \"$0\"";
    assert!(Command::new("sh").args(["-c", write]).arg(&path).status().unwrap().success());
    refused(
        "no such file or directory: it, or the interpreter that its first line names, is not there",
    );
    relay.wait_log(&["refused", "status=502", "exec format error"]);
    // It is looked for at every session, so it may come back.
    let write = "printf '#!/bin/sh\\necho back' >\"$0\" && chmod +x \"$0\"";
    assert!(Command::new("sh").args(["-c", write]).arg(&path).status().unwrap().success());
    assert_eq!(relay.connect("/").recv(), "back");
}

#[test]
fn too_many_descriptors_are_a_refusal() {
    let mut command = Command::new("sh");
    let script = r#"ulimit -n 24; exec "$@""#;
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_wsrelay")]);
    command.args(["--listen", "127.0.0.1:0", "--max-sessions", "100", "--", "cat"]);
    let mut relay = start(command);
    let mut clients = Vec::new();
    let refused = loop {
        let mut tcp = relay.tcp();
        tcp.write_all(handshake("/", "").as_bytes()).unwrap();
        let response = support::HttpResponse::read(&mut tcp);
        match response.status {
            101 => clients.push(client(tcp)),
            _ => break response,
        }
        assert!(clients.len() < 24);
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.text().contains("too many open files"), "{refused:?}");
    for client in &mut clients {
        client.send("hello");
        assert_eq!(client.recv(), "hello");
    }
    // What was opened for the one that failed is closed again.
    drop(clients);
    wait_childless(&relay);
    relay.connect("/").close();
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}

/// The threads of a relay that programs start on.
fn starters(relay: &support::Relay) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", relay.pid())).unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("blocking-")).count()
}

#[test]
fn programs_start_on_threads_that_are_there_from_the_start() {
    // Where there are as many processes as there may be, none could be started for them.
    let relay = relay(&["--", "cat"]);
    let before = starters(&relay);
    assert!(before > 0);
    let mut begun: Vec<_> = (0..100).map(|_| relay.tcp()).collect();
    for tcp in &mut begun {
        tcp.write_all(handshake("/", "").as_bytes()).unwrap();
    }
    for mut tcp in begun {
        assert_eq!(support::HttpResponse::read(&mut tcp).status, 101);
    }
    assert_eq!(starters(&relay), before);
}
