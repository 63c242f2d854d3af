//! The environment of programs: the variables that describe the client and its request.

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use support::program::{children, relay_sh};
use support::{handshake, start};

/// The environment that a program sees, and what `secrets` it should not.
fn environment(options: &[&str], path: &str, headers: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0"]).args(options).args(["--", "env", "-0"]);
    command.env("SECRET", "of the operator").env("PASSED", "on");
    let relay = start(command);
    let (mut client, _) = relay.connect_with(path, headers);
    let mut variables = BTreeMap::new();
    for variable in client.recv().split_terminator('\0') {
        let (name, value) = variable.split_once('=').unwrap();
        assert!(variables.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice");
    }
    client.expect_close(1000, "program exited");
    assert_eq!(variables["SERVER_PORT"], relay.addr.port().to_string());
    variables
}

#[test]
fn the_environment_tells_of_the_client() {
    let headers = [
        ("Cookie", "a=1"),
        ("Origin", "http://example.org"),
        ("Cookie", "b=2"),
        ("X-Many", "1"),
        ("X-Many", "2"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
    ];
    let found = environment(&[], "/room/a%20b?name=%41&x", &headers);
    for (name, want) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "127.0.0.1"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/room/a%20b?name=%41&x"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", "/room/a b"),
        ("QUERY_STRING", "name=%41&x"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_HOST", "127.0.0.1"),
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_ORIGIN", "http://example.org"),
        ("HTTP_X_MANY", "1, 2"),
        ("HTTP_SEC_WEBSOCKET_PROTOCOL", "chat, superchat"),
        ("WEBSOCKET_PROTOCOL", "chat"),
    ] {
        assert_eq!(found[name], want, "{name}");
    }
    assert!(found["SERVER_SOFTWARE"].starts_with("wsrelay/"), "{found:?}");
    assert!(found["REMOTE_PORT"].parse::<u16>().is_ok(), "{found:?}");
    assert_eq!(found["UNIQUE_ID"].len(), 32);
    assert_eq!(found["PATH"], std::env::var("PATH").unwrap());
    let rest: Vec<_> = found
        .keys()
        .filter(|name| !name.starts_with("HTTP_"))
        .filter(|name| {
            !["SERVER_SOFTWARE", "REMOTE_PORT", "UNIQUE_ID", "PATH"].contains(&name.as_str())
        })
        .collect();
    assert_eq!(rest.len(), 12, "the environment holds more than it should: {rest:?}");
}

#[test]
fn behind_a_trusted_proxy_the_client_is_whom_it_speaks_for() {
    let said = [("X-Forwarded-For", "203.0.113.9, 192.0.2.7"), ("X-Forwarded-Proto", "https")];
    let found = environment(&["--trust-proxy", "127.0.0.1"], "/", &said);
    for (name, want) in [
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_HOST", "192.0.2.7"),
        ("REMOTE_PORT", ""),
        ("HTTPS", "on"),
        ("HTTP_X_FORWARDED_FOR", "203.0.113.9, 192.0.2.7"),
    ] {
        assert_eq!(found[name], want, "{name}");
    }
    // The proxy itself, and one that nobody trusts.
    for (options, said) in [(&["--trust-proxy", "127.0.0.1"][..], &[][..]), (&[], &said)] {
        let found = environment(options, "/", said);
        assert_eq!((&*found["REMOTE_ADDR"], &*found["REMOTE_HOST"]), ("127.0.0.1", "127.0.0.1"));
        assert!(found["REMOTE_PORT"].parse::<u16>().is_ok(), "{found:?}");
        assert!(!found.contains_key("HTTPS"), "{found:?}");
    }
}

/// Programs believe such headers, which every client can send.
#[test]
fn only_the_one_header_of_a_trusted_proxy_names_the_client() {
    let said = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=203.0.113.8"),
        ("X-Real-IP", "192.0.2.7"),
        ("CF-Connecting-IP", "203.0.113.7"),
    ];
    let trust = ["--trust-proxy", "127.0.0.1", "--forwarded-header"];
    let real_ip = [&trust[..], &["X-Real-IP"]].concat();
    let forwarded = [&trust[..], &["Forwarded"]].concat();
    for (options, addr, left) in [
        (&[][..], "127.0.0.1", &[][..]),
        (&trust[..2], "203.0.113.9", &["HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"]),
        (&real_ip, "192.0.2.7", &["HTTP_X_REAL_IP"]),
        (&forwarded, "203.0.113.8", &["HTTP_FORWARDED"]),
        (&["--trust-proxy", "10.0.0.1"], "127.0.0.1", &[]),
    ] {
        let found = environment(options, "/", &said);
        assert_eq!(found["REMOTE_ADDR"], addr, "{options:?}");
        let is_naming = |name: &&String| {
            ["FORWARDED", "_IP"].iter().any(|part| name.starts_with("HTTP_") && name.contains(part))
        };
        let mut named: Vec<_> = found.keys().filter(is_naming).collect();
        named.sort_unstable();
        assert_eq!(named, left, "{options:?}");
        assert_eq!(found.contains_key("HTTPS"), options == &trust[..2], "{options:?}");
    }
}

#[test]
fn a_token_among_the_subprotocols_is_not_told() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "ada:s3cret\n").unwrap();
    let options = ["--token-file", file.to_str().unwrap()];
    let found = environment(&options, "/", &[("Sec-WebSocket-Protocol", "bearer.s3cret, chat")]);
    assert_eq!(found["HTTP_SEC_WEBSOCKET_PROTOCOL"], "chat");
    assert_eq!(found["WEBSOCKET_PROTOCOL"], "chat");
    assert_eq!(found["REMOTE_USER"], "ada");
    assert!(found.values().all(|value| !value.contains("s3cret")), "{found:?}");
}

#[test]
fn the_environment_is_the_operators_to_pass_on() {
    let found = environment(&["--pass-env", "PASSED, REMOTE_ADDR,NOT_SET"], "/", &[]);
    assert_eq!(found["PASSED"], "on");
    assert_eq!(found["REMOTE_ADDR"], "127.0.0.1");
    for name in ["SECRET", "PATH", "NOT_SET", "HTTPS", "REMOTE_USER", "WEBSOCKET_PROTOCOL"] {
        assert!(!found.contains_key(name), "{name}");
    }
}

#[test]
fn a_client_can_set_nothing_but_its_headers() {
    let headers = [
        ("Proxy", "http://evil.example"),
        ("Path", "/evil"),
        ("Remote-Addr", "10.0.0.1"),
        ("X_Forwarded_For", "10.0.0.1"),
        ("LD_PRELOAD", "/evil.so"),
        ("X.Y", "1"),
        ("Authorization", "Basic YTpi"),
        ("Shell", "() { :; }; echo evil"),
    ];
    let found = environment(&[], "/a;LD_PRELOAD=%2Fevil.so", &headers);
    assert_eq!(found["PATH"], std::env::var("PATH").unwrap());
    assert_eq!(found["REMOTE_ADDR"], "127.0.0.1");
    assert_eq!(found["HTTP_PATH"], "/evil");
    for name in [
        "HTTP_PROXY",
        "HTTP_AUTHORIZATION",
        "LD_PRELOAD",
        "HTTP_LD_PRELOAD",
        "HTTP_X_FORWARDED_FOR",
    ] {
        assert!(!found.contains_key(name), "{name}: {found:?}");
    }
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    assert!(found.keys().all(|name| name.bytes().all(plain)), "{found:?}");
}

/// A path with a NUL, which would end a variable, or with an escape that can't be decoded.
#[test]
fn a_path_that_no_program_can_be_told_is_a_bad_request() {
    let relay = relay_sh("cat", &["--refuse", "close"]);
    for path in ["/a%00LD_PRELOAD=%2Fevil.so", "/%00", "/%", "/a%2", "/%zz"] {
        let response = relay.http(&handshake(path, ""));
        let why = "the path has a NUL, or a % that two hex digits do not follow\n";
        assert_eq!((response.status, response.text()), (400, why.to_owned()), "{path}");
    }
    assert!(children(relay.pid()).is_empty());
    // The query is passed on unchecked, as only the program knows its form.
    assert_eq!(relay.http(&handshake("/?a=%00%", "")).status, 101);
}

/// RFC 9112, section 3.2.2.
#[test]
fn the_host_of_an_absolute_target_counts_and_not_the_header() {
    let script = "echo \"$SERVER_NAME|$HTTP_HOST|$REQUEST_URI|$PATH_INFO\"";
    let relay = relay_sh(script, &[]);
    let mut client = relay.connect_to("http://b.example:99//x");
    assert_eq!(client.recv(), "b.example|b.example:99|//x|/x");
}
