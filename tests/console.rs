//! `--dev-console` through the real binary: which requests get the page, and which are answered as without it.

mod support;

use std::fs;
use std::io::{Read, Write};

use support::{Relay, echo, relay_to, run};
use tempfile::TempDir;

/// The `Accept` headers of Chromium for a page and for a script.
const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,image/avif,*/*;q=0.8");
const SCRIPT: (&str, &str) = ("Accept", "*/*");
const TITLE: &str = "<title>wsrelay console</title>";

/// The whole response to a request of any method: its head, and its body.
fn ask(relay: &Relay, method: &str, path: &str, accept: &str) -> (String, String) {
    let mut tcp = relay.tcp();
    write!(tcp, "{method} {path} HTTP/1.1\r\nHost: test\r\n").unwrap();
    write!(tcp, "Connection: close\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut all = String::new();
    tcp.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn nobody_gets_it_unasked() {
    let relay = relay_to(echo(), &[]);
    for path in ["/", "/chat", "/.wsrelay/console/console.js"] {
        assert_eq!(relay.get(path, &[PAGE]).status, 426, "{path}");
    }
}

#[test]
fn browsers_get_it_at_every_path() {
    let relay = relay_to(echo(), &["--dev-console"]);
    for path in ["/", "/chat", "/a/b.c?d=e", "/.wsrelay/console/", "//"] {
        let response = relay.get(path, &[PAGE]);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.text().contains(TITLE), "{path}");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.header("vary"), Some("Accept"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}

#[test]
fn its_parts_are_where_it_looks_for_them() {
    let relay = relay_to(echo(), &["--dev-console"]);
    let page = relay.get("/any", &[PAGE]).text();
    let links: Vec<_> =
        page.split('"').filter(|part| part.starts_with("/.wsrelay/console/")).collect();
    assert_eq!(links.len(), 3, "{links:?}");
    for path in links.into_iter().chain(["/.wsrelay/console/view.js"]) {
        let response = relay.get(path, &[SCRIPT]);
        assert_eq!(response.status, 200, "{path}");
        let media_type = response.header("content-type").unwrap();
        let expected = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(media_type, expected, "{path}");
        assert_eq!(response.header("vary"), None, "{path} is the same for all");
    }
    assert_eq!(relay.get("/.wsrelay/console/no.js", &[SCRIPT]).status, 404);
}

#[test]
fn who_names_no_html_gets_the_426() {
    let relay = relay_to(echo(), &["--dev-console"]);
    for headers in [&[][..], &[SCRIPT], &[("Accept", "image/*")], &[("Accept", "text/html;q=0")]] {
        let response = relay.get("/", headers);
        assert_eq!(response.status, 426, "{headers:?}");
        assert_eq!(response.header("upgrade"), Some("websocket"));
    }
}

#[test]
fn it_can_only_be_read() {
    let relay = relay_to(echo(), &["--dev-console"]);
    let length = format!("content-length: {}", relay.get("/chat", &[PAGE]).body.len());
    let (head, body) = ask(&relay, "HEAD", "/chat", PAGE.1);
    assert!(head.starts_with("http/1.1 200 ") && head.contains(&length), "{head}");
    assert_eq!(body, "");
    for (path, accept, status) in [
        ("/chat", PAGE.1, "405"),
        ("/.wsrelay/console/console.js", SCRIPT.1, "405"),
        ("/chat", SCRIPT.1, "426"),
    ] {
        let (head, _) = ask(&relay, "POST", path, accept);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path} {accept}: {head}");
        assert_eq!(head.contains("allow: get, head"), status == "405", "{path} {accept}: {head}");
    }
}

#[test]
fn websockets_are_as_before() {
    let relay = relay_to(echo(), &["--dev-console"]);
    for path in ["/", "/chat", "/.wsrelay/console/console.js"] {
        let (mut client, response) = relay.connect_with(path, &[PAGE]);
        assert_eq!(response.status(), 101, "{path}");
        client.send(path);
        assert_eq!(client.recv(), path);
        client.close();
    }
}

#[test]
fn files_come_first() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("docs")).unwrap();
    fs::create_dir_all(dir.path().join(".wsrelay/console")).unwrap();
    for (name, content) in [
        ("app.html", "a file"),
        ("docs/index.html", "an index"),
        (".wsrelay/console/console.js", "not this"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let relay = relay_to(echo(), &["--dev-console", "--static-dir", dir.path().to_str().unwrap()]);
    assert_eq!(relay.get("/app.html", &[PAGE]).text(), "a file");
    assert_eq!(relay.get("/docs/", &[PAGE]).text(), "an index");
    assert_eq!(relay.get("/docs", &[PAGE]).status, 301);
    for path in ["/", "/none.html", "/.wsrelay/console/index.html"] {
        assert!(relay.get(path, &[PAGE]).text().contains(TITLE), "{path}");
        assert_eq!(relay.get(path, &[SCRIPT]).status, 404, "{path}");
    }
    let script = relay.get("/.wsrelay/console/console.js", &[SCRIPT]).text();
    assert!(script.contains("connection.js"), "{script}");
}

#[test]
fn the_demo_has_it_behind_its_own_pages() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--dev-console", "demo", "--listen", "127.0.0.1:0"]);
    let relay = support::start(command);
    assert!(relay.get("/", &[PAGE]).text().contains("<title>wsrelay demo</title>"));
    assert!(relay.get("/chat", &[PAGE]).text().contains(TITLE));
    assert_eq!(relay.get("/chat", &[SCRIPT]).status, 426);
}

#[test]
fn help_tells_of_it() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("--dev-console"), "{help}");
}
