//! Directories of programs: `wsrelay --program-dir DIR`.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use support::program::{children, script, wait_childless, wait_until};
use support::{Relay, handshake, relay, run};
use tempfile::TempDir;

/// Prints its path and query, and echoes.
const SHOW: &str = "echo \"$SCRIPT_NAME|$PATH_INFO|$QUERY_STRING\"; exec cat";

/// A directory of programs beside a program that is none of them.
fn tree() -> TempDir {
    let tmp = TempDir::new().unwrap();
    for name in ["programs/show", "programs/sub/prog.sh", "programs/.hidden", "outside"] {
        script(&tmp.path().join(name), SHOW);
    }
    let dir = tmp.path().join("programs");
    fs::write(dir.join("notes.txt"), "nothing to run\n").unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
    for (target, name) in
        [("../outside", "out"), ("..", "up"), ("sub/prog.sh", "in"), ("/", "root")]
    {
        symlink(target, dir.join(name)).unwrap();
    }
    tmp
}

fn serve(tmp: &TempDir, options: &[&str]) -> Relay {
    let dir = tmp.path().join("programs");
    relay(&[&["--program-dir", dir.to_str().unwrap()], options].concat())
}

fn status(relay: &Relay, path: &str) -> (u16, String) {
    let response = relay.http(&handshake(path, ""));
    (response.status, response.text())
}

#[test]
fn the_path_names_the_program() {
    let tmp = tree();
    let mut relay = serve(&tmp, &[]);
    for (path, said) in [
        ("/show", "/show||"),
        ("/show/?a=%20", "/show|/|a=%20"),
        ("/sub/prog.sh/extra/a%20b?x", "/sub/prog.sh|/extra/a b|x"),
        ("/%73ub/prog%2Esh/.x//y", "/sub/prog.sh|/.x/y|"),
        ("//show", "/show||"),
        ("//sub///prog.sh//", "/sub/prog.sh|/|"),
        ("/in/x", "/in|/x|"),
    ] {
        let mut client = relay.connect(path);
        assert_eq!(client.recv(), said, "{path}");
        client.send("hello");
        assert_eq!(client.recv(), "hello");
        client.close();
    }
    assert_eq!(relay.connect_to("http://other.example//show//x?a").recv(), "/show|/x|a");
    relay.wait_log(&["session opened", "path=\"/show\"", "backend=show"]);
    relay.wait_log(&["session closed", "path=\"/sub/prog.sh/extra/a%20b\"", "backend=sub/prog.sh"]);
    wait_childless(&relay);
}

#[test]
fn what_is_no_program_is_not_found_and_nothing_is_started() {
    let tmp = tree();
    let relay = serve(&tmp, &["--refuse", "close"]);
    let long = format!("/{}", "x".repeat(8000));
    let deep = "/empty/..".repeat(1000) + "/show";
    for path in [
        "/",
        "/none",
        "/sub",
        "/sub/",
        "/empty",
        "/.hidden",
        "/%2ehidden",
        "/out",
        "/up/outside",
        "/root/bin/sh",
        "/../outside",
        "/sub/../show",
        "/%2e%2e/outside",
        "/.%2E/outside",
        "/..%2foutside",
        "/%2e%2e%2foutside",
        "/sub%2fprog.sh",
        "/sub\\prog.sh",
        "/..\\outside",
        "/..%5coutside",
        "/show/..",
        "/show/%2e%2e/x",
        "/show/a%2fb",
        "/notes.txt/..",
        &long,
        &deep,
    ] {
        // Not for want of capacity, so that it is no 1013 either.
        let want = (404, "there is no such program\n".to_owned());
        assert_eq!(status(&relay, path), want, "{path}");
    }
    let bad = "the path has a NUL, or a % that two hex digits do not follow\n";
    for path in ["/show%00", "/show%00.txt", "/%", "/show/%00", "/show/%zz", "/none/%2"] {
        assert_eq!(status(&relay, path), (400, bad.to_owned()), "{path}");
    }
    let want = (403, "notes.txt is not executable\n".to_owned());
    for path in ["/notes.txt", "/notes.txt/x"] {
        assert_eq!(status(&relay, path), want, "{path}");
    }
    assert!(children(relay.pid()).is_empty());
    // A request that is no handshake is answered as in front of any backend.
    for path in ["/show", "/none", "/notes.txt"] {
        assert_eq!(relay.get(path, &[]).status, 426, "{path}");
    }
}

#[test]
fn nobody_learns_what_exists_without_being_let_in() {
    let tmp = tree();
    let tokens = tmp.path().join("tokens");
    fs::write(&tokens, "ada:secret\n").unwrap();
    let options = ["--origin", "https://example.org", "--token-file", tokens.to_str().unwrap()];
    let relay = serve(&tmp, &options);
    for path in ["/show", "/none", "/notes.txt", "/sub/../show"] {
        assert_eq!(status(&relay, path).0, 401, "{path}");
        let foreign = handshake(path, "Origin: https://evil.example\r\n");
        assert_eq!(relay.http(&foreign).status, 403, "{path}");
        assert!(relay.http(&foreign).text().contains("origin"), "{path}");
    }
    for (path, want) in [("/show", 101), ("/none", 404), ("/notes.txt", 403)] {
        assert_eq!(status(&relay, &format!("{path}?token=secret")).0, want, "{path}");
    }
}

#[test]
fn programs_come_and_go_without_a_restart() {
    let tmp = tree();
    let relay = serve(&tmp, &[]);
    let late = tmp.path().join("programs/late");
    assert_eq!(status(&relay, "/late").0, 404);
    script(&late, SHOW);
    assert_eq!(relay.connect("/late").recv(), "/late||");
    fs::set_permissions(&late, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(status(&relay, "/late").0, 403);
    fs::remove_file(&late).unwrap();
    assert_eq!(status(&relay, "/late").0, 404);
    // The whole directory, by another of its name.
    let dir = tmp.path().join("programs");
    fs::rename(&dir, tmp.path().join("old")).unwrap();
    let (code, why) = status(&relay, "/show");
    assert_eq!((code, &*why), (502, "can't look for programs: no such file or directory\n"));
    script(&dir.join("new"), SHOW);
    assert_eq!(relay.connect("/new/x").recv(), "/new|/x|");
    assert_eq!(status(&relay, "/show").0, 404);
}

#[test]
fn a_program_that_cannot_be_started_is_a_bad_gateway() {
    let tmp = tree();
    let relay = serve(&tmp, &[]);
    let file = tmp.path().join("programs/broken");
    fs::write(&file, "no script at all\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    let (code, why) = status(&relay, "/broken/x");
    assert_eq!(code, 502);
    assert!(why.starts_with("can't start broken: exec format error"), "{why}");
}

#[test]
fn they_start_as_others_do() {
    let tmp = tree();
    let told = "tr '\\0' '\\n' </proc/self/environ; echo \"PWD_IS=$(pwd)\"; echo \"NAME=$0\"";
    let env = tmp.path().join("programs/sub/env");
    script(&env, told);
    let relay = serve(&tmp, &["--pass-env", "PATH,HOME"]);
    let (mut client, response) = relay
        .connect_with("/sub/env/x?y", &[("Sec-WebSocket-Protocol", "chat"), ("Proxy", "evil")]);
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "chat");
    let mut found = BTreeMap::new();
    while !found.contains_key("NAME") {
        let line = client.recv();
        let (name, value) = line.split_once('=').unwrap();
        found.insert(name.to_owned(), value.to_owned());
    }
    let here = std::env::current_dir().unwrap();
    for (name, want) in [
        ("SCRIPT_NAME", "/sub/env"),
        ("PATH_INFO", "/x"),
        ("REQUEST_URI", "/sub/env/x?y"),
        ("QUERY_STRING", "y"),
        ("WEBSOCKET_PROTOCOL", "chat"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("PWD_IS", here.to_str().unwrap()),
        ("NAME", env.to_str().unwrap()),
        ("PATH", &std::env::var("PATH").unwrap()),
    ] {
        assert_eq!(found[name], want, "{name}");
    }
    for name in ["PATH_TRANSLATED", "HTTP_PROXY"] {
        assert!(!found.contains_key(name), "{name}");
    }
}

#[test]
fn they_complain_and_end_as_others_do() {
    let tmp = tree();
    let dir = tmp.path().join("programs");
    script(&dir.join("fail"), "echo oh dear >&2; exit 3");
    script(&dir.join("deaf"), "trap '' INT TERM; echo $$; while :; do sleep 1 & wait; done");
    let mut relay = serve(&tmp, &["--kill-grace", "50ms", "--max-sessions", "1"]);
    relay.connect("/fail").expect_close(1011, "program exited with status 3");
    relay.wait_log(&["program says", "oh dear"]);
    wait_until("a place is free", || status(&relay, "/none").0 == 404);
    let mut client = relay.connect("/deaf");
    client.recv_pid();
    assert_eq!(status(&relay, "/show").0, 503);
    drop(client);
    wait_childless(&relay);
    relay.wait_log(&["session closed", "backend=deaf"]);
}

#[test]
fn wrong_directories_are_told_at_the_start() {
    let tmp = tree();
    let file = tmp.path().join("outside");
    let none = tmp.path().join("none");
    for (dir, why) in [(&none, "no such file or directory"), (&file, "not a directory")] {
        let dir = dir.to_str().unwrap();
        let done = run(&["--port", "0", "--program-dir", dir]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert_eq!(said, format!("wsrelay: can't start programs of {dir}: {why}\n"));
    }
    for other in [&["--to", "localhost:1"][..], &["--", "cat"]] {
        let done = run(&[&["--port", "0", "--program-dir", "."], other].concat());
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains("give one or the other") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn programs_that_everybody_could_read_are_told_of() {
    let tmp = tree();
    let (dir, public) = (tmp.path().join("programs"), tmp.path());
    for option in ["--program-dir", "--cgi-dir"] {
        let backend: &[&str] = if option == "--cgi-dir" { &["--", "cat"] } else { &[] };
        let dirs = [option, dir.to_str().unwrap(), "--static-dir", public.to_str().unwrap()];
        let mut relay = relay(&[&dirs, backend].concat());
        relay.wait_log(&["WARN", &format!("{option} lies in --static-dir"), "programs"]);
    }
}

#[test]
fn a_route_can_have_programs_of_its_own() {
    let tmp = tree();
    let text = "listen = [\"127.0.0.1:0\"]\nprogram = [\"cat\"]\n\n\
                [[route]]\npath = \"/run\"\nprogram-dir = \"programs\"\n";
    fs::write(tmp.path().join("wsrelay.toml"), text).unwrap();
    let start = |typed: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
        command.args(["--config", "wsrelay.toml"]).args(typed).current_dir(tmp.path());
        support::start(command)
    };
    let relay = start(&[]);
    assert_eq!(relay.connect("/run/show/x").recv(), "/run/show|/x|");
    assert_eq!(
        relay.connect("/r%75n/sub/prog.sh").recv(),
        "/r%75n/sub/prog.sh||".replace("%75", "u")
    );
    for path in ["/run", "/run/", "/run/none", "/run/../show"] {
        assert_eq!(status(&relay, path).0, 404, "{path}");
    }
    let mut client = relay.connect("/show");
    client.send("for cat");
    assert_eq!(client.recv(), "for cat");
    // Command-line options override the file, whichever form it uses.
    let relay = start(&["--program-dir", "programs/sub"]);
    assert_eq!(relay.connect("/prog.sh").recv(), "/prog.sh||");
    assert_eq!(relay.connect("/run/show").recv(), "/run/show||");
}
