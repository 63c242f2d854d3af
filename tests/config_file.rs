//! The configuration file, as its user meets it.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{echo, start};
use tempfile::TempDir;

const WSRELAY: &str = env!("CARGO_BIN_EXE_wsrelay");

/// A directory with a `wsrelay.toml` of this text in it.
fn dir_with(text: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("wsrelay.toml"), text).unwrap();
    dir
}

/// Runs `wsrelay` there to its end: exit status, stdout, stderr.
fn run_in(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let done = Command::new(WSRELAY).args(args).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

#[test]
fn a_file_configures_and_options_override_it() {
    let backend = echo();
    let text =
        format!("port = 0\nto = \"{backend}\"\neol = \"crlf\"\nsubprotocol = [\"a\", \"b\"]\n");
    let dir = dir_with(&text);
    for (options, subprotocol) in [(&[][..], "b"), (&["--subprotocol", "c,b,a"], "c")] {
        let mut command = Command::new(WSRELAY);
        command.args(["--config", "wsrelay.toml"]).args(options).current_dir(dir.path());
        let relay = start(command);
        let offers = [("Sec-WebSocket-Protocol", "d, c, b")];
        let (mut client, response) = relay.connect_with("/", &offers);
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], subprotocol);
        client.send("hello");
        assert_eq!(client.recv(), "hello");
    }
}

#[test]
fn mistakes_name_file_line_and_key() {
    for (text, want) in [
        (
            "port = 8082\nprot = 1\n",
            "wsrelay.toml, line 2: prot: there is no option prot: did you mean port?",
        ),
        (
            "port = 8082\nto = \"a:1\"\nping-interval = 30\n",
            "wsrelay.toml, line 3: --ping-interval 30: a duration needs a unit",
        ),
        ("port = 0\nto = \"a:1\"\nbinary = 1\n", "wsrelay.toml, line 3: binary: it is on or off"),
        (
            "port = 0\nto = \"a:1\"\nbinary = true\neol = \"lf\"\n",
            "wsrelay.toml, line 4: --eol is about lines",
        ),
        ("port = 0\nlisten = [\"127.0.0.1:0\"]\nto = \"a:1\"\n", "--port takes every interface"),
        ("port = 0\nto = \n", "wsrelay.toml, line 2: not TOML"),
        ("port = 0\n", "add --to localhost:7777"),
    ] {
        let dir = dir_with(text);
        for args in [&["--config", "wsrelay.toml"][..], &["check", "wsrelay.toml"]] {
            let (status, stdout, stderr) = run_in(dir.path(), args);
            assert!(matches!(status, Some(1 | 2)), "{args:?}: {status:?} {stderr}");
            assert_eq!((&*stdout, stderr.lines().count()), ("", 1), "{args:?}: {stderr}");
            assert!(stderr.contains(want), "{args:?}: {stderr}");
        }
    }
    let (status, _, stderr) = run_in(Path::new("/"), &["--config", "/nonexistent.toml"]);
    assert_eq!(status, Some(1));
    assert_eq!(stderr, "wsrelay: can't read /nonexistent.toml: no such file or directory\n");
}

#[test]
fn check_prints_all_that_holds_as_such_a_file() {
    let text = "listen = [\"127.0.0.1:1\", \"unix:/tmp/a b\"]\nto = \"[::1]:7777\"\ncharset = \"koi8-r\"\n\
                slow-client = \"drop\"\nflush-after = \"250ms\"\nsubprotocol = \"a,b\"\nmax-sessions = 7\n";
    let dir = dir_with(text);
    let (status, said, stderr) = run_in(dir.path(), &["check", "wsrelay.toml"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    for line in [
        "listen = [\"127.0.0.1:1\", \"unix:/tmp/a b\"]",
        "to = \"[::1]:7777\"",
        "charset = \"koi8-r\"",
        "queue = \"1MiB\"",
        "flush-after = \"250ms\"",
        "ping-interval = \"30s\"",
        "idle-timeout = 0",
        "log-level = \"info\"",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in:\n{said}");
    }
    // What it says holds, and says the same again.
    let again = dir_with(&said);
    assert_eq!(run_in(again.path(), &["check", "wsrelay.toml"]), (Some(0), said, String::new()));
}

#[test]
fn check_prints_what_can_not_be_shown_as_toml_has_it() {
    let text = "port = 1\nprogram = [\"printf\", \"\\u001b[2J\\u0000\", \"\\u200d'\\t\\\"\\\\é\"]\n\
                static-dir = \"a\\u0007b\"\nheader = [\"X: \\u00a0\"]\n";
    let dir = dir_with(text);
    fs::create_dir(dir.path().join("a\u{7}b")).unwrap();
    let (status, said, stderr) = run_in(dir.path(), &["check", "wsrelay.toml"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    for line in [
        r#"program = ["printf", "\U0000001B[2J\U00000000", "\U0000200D'\U00000009\"\\é"]"#,
        r#"static-dir = "a\U00000007b""#,
        r#"header = ["X: \U000000A0"]"#,
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in:\n{said}");
    }
    // What it says is read the same.
    fs::write(dir.path().join("wsrelay.toml"), &said).unwrap();
    assert_eq!(run_in(dir.path(), &["check", "wsrelay.toml"]), (Some(0), said, String::new()));
}

#[test]
fn check_looks_for_what_is_named() {
    let above = "listen = [\"127.0.0.1:0\"]\n";
    let below = "[[route]]\npath = \"/x\"\nto = \"a:1\"\n";
    for (text, why) in [
        ("program = [\"./nothing\"]\n", "can't start ./nothing: no such file or directory"),
        ("program = [\"./wsrelay.toml\"]\n", "type chmod +x ./wsrelay.toml"),
        ("program-dir = \"p\"\n", "p"),
        ("to = \"a:1\"\ncgi-dir = \"c\"\n", "c"),
        ("to = \"a:1\"\nstatic-dir = \"pages\"\n", "pages"),
        ("to = \"a:1\"\nauth-file = \"users\"\n", "users"),
        ("to = \"a:1\"\ntoken-file = \"tokens\"\n", "tokens"),
        ("to = \"tls://a:1\"\nbackend-ca = \"ca.pem\"\n", "ca.pem"),
        ("to = \"a:1\"\ntls-cert = \"wsrelay.toml\"\n", "wsrelay.toml"),
        ("to = \"a:1\"\ntls-cert = \"cert.pem\"\ntls-key = \"key.pem\"\n", "cert.pem"),
        ("[[route]]\nprogram = [\"./gone\"]\n", "./gone"),
        ("[[route]]\npath = \"/y\"\nto = \"a:1\"\nauth-file = \"users\"\n", "users"),
    ] {
        let text = [above, text, below].concat();
        let dir = dir_with(&text);
        let (status, said, stderr) = run_in(dir.path(), &["check", "wsrelay.toml"]);
        assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{text}{stderr}");
        assert!(stderr.contains(why), "{text}{stderr}");
        assert!(said.contains("\n[[route]]\n"), "it shows what it read: {said}");
        // As a start does.
        let start = run_in(dir.path(), &["--config", "wsrelay.toml"]);
        assert_eq!(start, (Some(1), String::new(), stderr), "{text}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{text}");
    }
}

#[test]
fn the_demo_takes_no_backends() {
    let routes = "[[route]]\npath = \"/x\"\nto = \"a:1\"\n";
    for (text, args) in [
        (routes, &["--config", "wsrelay.toml", "demo"][..]),
        ("program-dir = \".\"\n", &["--config", "wsrelay.toml", "demo"]),
        ("", &["--program-dir", ".", "demo"]),
    ] {
        let args = [args, &["--listen", "127.0.0.1:0"]].concat();
        let (status, stdout, stderr) = run_in(dir_with(text).path(), &args);
        assert_eq!((status, &*stdout), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains("the demo brings its own backend"), "{args:?}: {stderr}");
    }
}

#[test]
fn check_takes_nothing_but_a_file() {
    let dir = dir_with("port = 1\nto = \"a:1\"\n");
    for args in [
        &["--eol", "crlf", "check", "wsrelay.toml"][..],
        &["--config", "other.toml", "check", "wsrelay.toml"],
        &["check", "wsrelay.toml", "--", "cat"],
    ] {
        let (status, stdout, stderr) = run_in(dir.path(), args);
        assert_eq!((status, &*stdout), (Some(2), ""), "{args:?}");
        assert!(stderr.contains("type wsrelay check wsrelay.toml"), "{stderr}");
    }
}

#[test]
fn check_prints_routes_with_what_is_their_own() {
    let text = "port = 1\nto = \"a:1\"\nauth-file = \"users\"\neol = \"crlf\"\nslow-client = \"drop\"\n\
                [[route]]\npath = \"/a%20b/\"\nto = \"b:1\"\nauth-file = false\norigin = [\"null\", \"*\"]\n\
                [[route]]\nhost = \"Example.org\"\nprogram = [\"cat\"]\nbinary = true\nmax-sessions = 7\n\
                [[route]]\nsubprotocol = [\"irc\"]\nto = \"unix:/c\"\nslow-client = \"wait\"\n";
    let dir = dir_with(text);
    fs::write(dir.path().join("users"), "me:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n").unwrap();
    let (status, said, stderr) = run_in(dir.path(), &["check", "wsrelay.toml"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    let routes = said.split_once("[[route]]").expect("routes").1;
    assert_eq!(
        routes,
        "\npath = \"/a%20b/\"\nto = \"b:1\"\norigin = [\"null\", \"*\"]\nsame-origin = false\n\
         auth-file = false\n\
         \n[[route]]\nhost = \"Example.org\"\nprogram = [\"cat\"]\npass-env = \"PATH\"\n\
         kill-grace = \"1s\"\nbinary = true\nmax-sessions = 7\n\
         \n[[route]]\nto = \"unix:/c\"\nsubprotocol = \"irc\"\nslow-client = \"wait\"\n"
    );
    fs::write(dir.path().join("wsrelay.toml"), &said).unwrap();
    assert_eq!(run_in(dir.path(), &["check", "wsrelay.toml"]), (Some(0), said, String::new()));
}

#[test]
fn a_program_can_stand_in_the_file() {
    let dir = dir_with("port = 0\nprogram = [\"tr\", \"a-z\", \"A-Z\"]\nkill-grace = \"2s\"\n");
    let (status, said, stderr) = run_in(dir.path(), &["check", "wsrelay.toml"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    assert!(
        said.contains(
            "program = [\"tr\", \"a-z\", \"A-Z\"]\npass-env = \"PATH\"\nkill-grace = \"2s\"\n"
        ),
        "{said}"
    );
    let again = dir_with(&said);
    assert_eq!(run_in(again.path(), &["check", "wsrelay.toml"]), (Some(0), said, String::new()));
    let programs = dir_with("port = 0\nprogram-dir = \"p\"\ncgi-dir = \"c\"\n");
    fs::create_dir(programs.path().join("p")).unwrap();
    fs::create_dir(programs.path().join("c")).unwrap();
    let (status, said, stderr) = run_in(programs.path(), &["check", "wsrelay.toml"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    for lines in [
        "program-dir = \"p\"\npass-env = \"PATH\"\nkill-grace = \"1s\"\n",
        "cgi-dir = \"c\"\ncgi-timeout = \"30s\"\n",
    ] {
        assert!(said.contains(lines), "{said}");
    }
    let both = dir_with("port = 0\nto = \"a:1\"\nprogram = [\"cat\"]\n");
    let (status, _, stderr) = run_in(both.path(), &["check", "wsrelay.toml"]);
    assert!(matches!(status, Some(1 | 2)), "{stderr}");

    let dir = dir_with("port = 0\nprogram = [\"tr\", \"a-z\", \"A-Z\"]\n");
    let backend = echo();
    let (to, with) = (format!("--to={backend}"), backend.to_string());
    for typed in [&["--", "cat"][..], &["--to", &with], &[&to]] {
        let mut command = Command::new(WSRELAY);
        command.args(["--config", "wsrelay.toml"]).args(typed).current_dir(dir.path());
        let relay = start(command);
        let mut client = relay.connect("/");
        client.send("what is typed counts more");
        assert_eq!(client.recv(), "what is typed counts more", "{typed:?}");
    }
}

/// The example as it stands, with all its keys in place of some, and with its route.
fn example() -> [String; 3] {
    let text = fs::read_to_string("examples/wsrelay.toml").unwrap();
    let (above, route) = text.split_once("# [[route]]\n").expect("a route in the example");
    let route = format!("{above}[[route]]\n{}", route.replace("# ", ""));
    // All of it but what can't be together with something else.
    let all = above
        .lines()
        .filter(|line| {
            !["# listen", "# target-file", "# program", "# program-dir", "# backend-ca", "# acme"]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .filter(|line| !line.contains("wsrelay"))
        .map(|line| match line.strip_prefix("# ") {
            Some(setting)
                if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                setting
            }
            _ => line,
        });
    let all = all.collect::<Vec<_>>().join("\n");
    [text, all, route]
}

#[test]
fn the_example_is_right() {
    let [text, all, route] = example();
    let acme = text.replace("# acme-", "acme-");
    // All names files that are not there.
    for (text, want) in [(&text, 0), (&all, 1), (&route, 0), (&acme, 0)] {
        let dir = dir_with(text);
        let (status, said, stderr) = run_in(dir.path(), &["check", "wsrelay.toml"]);
        assert_eq!(status, Some(want), "{stderr}");
        let routes = said.matches("[[route]]").count();
        assert_eq!(
            routes,
            text.matches("\n[[route]]").count() + 2 * text.matches("\nroute =").count()
        );
    }
}
