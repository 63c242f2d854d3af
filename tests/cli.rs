//! The command line, as a shell sees it: exit status, stdout, stderr.

mod support;

use std::fs::{self, OpenOptions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use support::{echo, run, start};
use tempfile::TempDir;

const WSRELAY: &str = env!("CARGO_BIN_EXE_wsrelay");

/// Expects this exit status, nothing on stdout, and one line on stderr that contains `word`.
fn fails(args: &[&str], status: i32, word: &str) {
    let done = run(args);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(status), "{args:?}: {said}");
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "", "{args:?}");
    assert!(said.starts_with("wsrelay: ") && said.ends_with('\n'), "{args:?}: {said:?}");
    assert_eq!(said.lines().count(), 1, "{args:?}: {said:?}");
    assert!(said.contains(word), "{args:?}: {said:?}");
    assert!(!said.contains("os error"), "{args:?}: {said:?}");
}

#[test]
fn wrong_command_lines() {
    let (port, to) = (["--port", "0"], ["--to", "localhost:7"]);
    let base = [port, to].concat();
    for (args, word) in [
        (&[][..], "--port 8082"),
        (&port, "--to localhost:7777"),
        (&to, "--port 8082"),
        (&["localhost:7777"], "try wsrelay --port 8082 --to localhost:7777"),
        (&["--prot", "1"], "no option --prot"),
        (&["-x"], "no option -x"),
        (&["--port"], "--port needs a value"),
        (&["--port", "0", "--to"], "--to needs a value"),
        (&["--port", "x", "--to", "a:1"], "not a port number"),
        (&["--port", "-1", "--to", "a:1"], "not a port number"),
        (&["--port=", "--to=a:1"], "not a port number"),
        (&["--port", "0", "--port", "1", "--to", "a:1"], "--port is given twice"),
        (&["--port", "0", "--to", "localhost"], "has no port"),
        (&["--port", "0", "--to", "::1:7"], "needs brackets; type --to [::1]:7\n"),
        (&["--port", "0", "--to", "unix:"], "needs a path"),
        (&["--port", "0", "--to", "localhost:0"], "port 0"),
        (&["--port", "0", "--to", ""], "--to"),
        (&["--port", "0", "--listen", "127.0.0.1:0", "--to", "a:1"], "one or the other"),
        (&["--listen", "127.0.0.1", "--to", "a:1"], "has no port"),
        (&["--listen", "8082", "--to", "a:1"], "has no port"),
        (&[&base[..], &["--eol", "mac"]].concat(), "lf, crlf, cr, nul"),
        (&[&base[..], &["--newlines", "keep"]].concat(), "split, space, reject"),
        (&[&base[..], &["--charset", "latin-99"]].concat(), "latin-99"),
        (&[&base[..], &["--binary", "--eol", "crlf"]].concat(), "--binary"),
        (&[&base[..], &["--binary", "--flush-after", "1s"]].concat(), "--binary"),
        (&[&base[..], &["--binary=yes"]].concat(), "--binary takes no value"),
        (&[&base[..], &["--max-line", "0"]].concat(), "64KiB"),
        (&[&base[..], &["--max-line", "1XB"]].concat(), "64KiB"),
        (&[&base[..], &["--max-sessions", "0"]].concat(), "above 0"),
        (&[&base[..], &["--queue", "1MiB"]].concat(), "--slow-client drop"),
        (&[&base[..], &["--slow-client", "kill"]].concat(), "wait, drop"),
        (&[&base[..], &["--connect-timeout", "0"]].concat(), "can't be off"),
        (&[&base[..], &["--handshake-timeout", "10"]].concat(), "unit"),
        (&[&base[..], &["--shutdown-timeout", "-1s"]].concat(), "not a duration"),
        (&[&base[..], &["--refuse", "maybe"]].concat(), "http, close"),
        (&[&base[..], &["--subprotocol", "a b"]].concat(), "--subprotocol"),
        (&[&base[..], &["--log-level", "loud"]].concat(), "error, warn, info, debug, trace"),
        (&[&base[..], &["--log-format", "xml"]].concat(), "text, json"),
        (&[&base[..], &["--origin", "https://a.example/"]].concat(), "no path"),
        (&[&base[..], &["--origin", "https://*"]].concat(), "type --origin https://example.org"),
        (&[&base[..], &["--same-origin=yes"]].concat(), "--same-origin takes no value"),
        (&[&base[..], &["--origin-required=1"]].concat(), "--origin-required takes no value"),
        (&[&base[..], &["--trust-proxy", "localhost"]].concat(), "127.0.0.1"),
        (&[&base[..], &["--auth-static"]].concat(), "--auth-file or --token-file"),
        (&[&base[..], &["--header", "X: a\r\nY: b"]].concat(), "control character"),
        (&[&base[..], &["--header-ws", "Upgrade: x"]].concat(), "settled by wsrelay"),
        (&[&base[..], &["--header-http", "X"]].concat(), "no colon"),
        (&[&base[..], &["--max-sessions-per-ip", "0"]].concat(), "above 0"),
        (&[&base[..], &["--connect-rate", "5"]].concat(), "5/s"),
        (&[&base[..], &["surplus"]].concat(), "surplus"),
    ] {
        fails(args, 2, word);
    }
}

#[test]
fn an_argument_that_is_not_utf8() {
    let mut command = Command::new(WSRELAY);
    let arg = std::ffi::OsString::from_vec(b"--to=\xff:1".to_vec());
    let done = command.args(["--port", "0"]).arg(arg).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("UTF-8") && said.lines().count() == 1, "{said}");
}

#[test]
fn help_and_version_go_to_stdout() {
    let version = format!("wsrelay {}\n", env!("CARGO_PKG_VERSION"));
    for (args, words) in [
        (&["--version"][..], &[version.as_str()][..]),
        (&["-V"], &[version.as_str()]),
        (&["--port", "8082", "-V"], &[version.as_str()]),
        (&["--help"], &["Usage: wsrelay", "--port", "--to", "--static-dir", "64KiB"]),
        (&["-h"], &["Usage: wsrelay"]),
        (&["--port", "8082", "--help"], &["Usage: wsrelay"]),
        (&["demo", "--help"], &["Usage: wsrelay demo"]),
        (&["demo", "-h"], &["Usage: wsrelay demo"]),
    ] {
        let done = run(args);
        assert_eq!(done.status.code(), Some(0), "{args:?}");
        assert!(done.stderr.is_empty(), "{args:?}");
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(text.ends_with('\n'), "{args:?}: {text:?}");
        for word in words {
            assert!(text.contains(word), "{args:?}: {text}");
        }
    }
}

#[test]
fn addresses_that_are_taken_or_not_ours() {
    for (taken, listen) in [
        ("127.0.0.1:0", "127.0.0.1:"),
        ("127.0.0.1:0", "--port"),
        ("0.0.0.0:0", "--port"),
        ("[::]:0", "--port"),
        ("[::1]:0", "[::1]:"),
    ] {
        let listener = TcpListener::bind(taken).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let addr = format!("{listen}{port}");
        let listen = if listen == "--port" { ["--port", &port] } else { ["--listen", &addr] };
        fails(&[&listen[..], &["--to", "a:1"]].concat(), 1, "address already in use; another");
    }
    fails(&["--listen", "192.0.2.1:0", "--to", "a:1"], 1, "no such address: try --port");
}

#[test]
fn unix_addresses_that_are_taken_or_not_there() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let live = path("live");
    let _listener = UnixListener::bind(&live).unwrap();
    fs::write(path("file"), "not a socket").unwrap();
    for (path, word) in [
        (live.clone(), "another program listens there: stop it, or give another path"),
        (path("file"), "no socket is in its place"),
        (path("no-dir/socket"), "no such file or directory"),
    ] {
        fails(&["--listen", &format!("unix:{path}"), "--to", "a:1"], 1, word);
    }
    let long = format!("unix:/{}", "x".repeat(120));
    fails(&["--listen", &long, "--to", "a:1"], 2, "107 bytes");
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "not a socket");
    assert!(fs::exists(&live).unwrap());

    // What was bound before the one that failed is tidied up.
    let (first, second) = (format!("unix:{}", path("first")), format!("unix:{live}"));
    fails(&["--listen", &first, "--listen", &second, "--to", "a:1"], 1, "another program");
    assert!(!fs::exists(path("first")).unwrap());
}

#[test]
fn name_equals_value() {
    let to = format!("--to={}", echo());
    let relay = support::relay(&[&to, "--max-line=64KiB", "--subprotocol=a,b", "--eol=crlf"]);
    let mut client = relay.connect("/");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
}

#[test]
fn port_0_serves_ipv4_and_ipv6() {
    let mut command = Command::new(WSRELAY);
    command.args(["--port", "0", "--to", &echo().to_string()]);
    let mut relay = start(command);
    assert!(relay.addr.ip().is_ipv4() && relay.addr.ip().is_loopback() && relay.addr.port() > 0);
    for ip in ["127.0.0.1", "::1"] {
        relay.addr.set_ip(ip.parse().unwrap());
        let mut client = relay.connect("/");
        client.send("hello");
        assert_eq!(client.recv(), "hello");
        // IPv4 clients of an IPv6 socket are logged as such.
        relay.wait_log(&[
            "session opened",
            &format!("client={}", client.tcp().local_addr().unwrap()),
        ]);
    }
}

#[test]
fn several_addresses_each_exactly() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("relay.sock");
    let unix = format!("unix:{}", path.display());
    let backend = echo().to_string();
    let mut command = Command::new(WSRELAY);
    command.args(["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", &unix]);
    command.args(["--listen", "localhost:0", "--to", &backend]);
    let mut relay = start(command);
    let v6 = relay.stdout_line();
    let v6 = v6.strip_prefix("listening on ws://[::1]:").unwrap().parse::<u16>().unwrap();
    assert_eq!(relay.stdout_line(), format!("listening on {unix}"));
    assert!(relay.stdout_line().starts_with("listening on ws://"));

    assert!(TcpStream::connect(("::1", relay.addr.port())).is_err(), "one address, not its family");
    assert!(TcpStream::connect(("127.0.0.1", v6)).is_err(), "one address, not its family");
    let mut client = relay.connect("/");
    client.send("over IPv4");
    assert_eq!(client.recv(), "over IPv4");
    client.close();
    let v4 = std::mem::replace(&mut relay.addr, format!("[::1]:{v6}").parse().unwrap());
    let mut client = relay.connect("/");
    client.send("over IPv6");
    assert_eq!(client.recv(), "over IPv6");
    client.close();
    relay.addr = v4;
    let stream = support::unix(&path);
    let (mut ws, _) = async_tungstenite::tungstenite::client("ws://localhost/x", stream).unwrap();
    ws.send("over a Unix socket".into()).unwrap();
    assert_eq!(ws.read().unwrap().to_text().unwrap(), "over a Unix socket");
    relay.wait_log(&["session opened", "client=unix", "path=\"/x\""]);
    ws.close(None).unwrap();
    while ws.read().is_ok() {}
    drop(ws);

    // A second relay can't have it, and leaves it alone.
    fails(&["--listen", &unix, "--to", "a:1"], 1, "another program");
    support::unix(&path);

    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
    assert!(!path.exists(), "the socket file is removed");
}

#[test]
fn a_socket_file_left_behind_is_replaced() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("relay.sock");
    let unix = format!("unix:{}", path.display());
    let command = || {
        let mut command = Command::new(WSRELAY);
        command.args(["--listen", "127.0.0.1:0", "--listen", &unix, "--to", "a:1"]);
        command
    };
    let mut killed = start(command());
    killed.signal("KILL");
    killed.wait_exit();
    assert!(path.exists());
    let _relay = start(command());
    support::unix(&path);
}

#[test]
fn stdout_may_be_anything() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("relay.sock");
    let backend = echo().to_string();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let broken = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    type Redirect<'a> = &'a dyn Fn(&mut Command);
    let redirects: [(&str, Redirect<'_>); 5] = [
        (">&-", &|_| {}),
        (">&- 2>&- <&-", &|_| {}),
        ("", &|command| _ = command.stdout(full()).stderr(full())),
        ("", &|command| _ = command.stdout(broken())),
        ("", &|command| _ = command.stderr(broken())),
    ];
    for (n, (shell, redirect)) in redirects.into_iter().enumerate() {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {shell}"), WSRELAY, "--listen"]);
        command.arg(format!("unix:{}", path.display())).args(["--to", &backend]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        redirect(&mut command);
        let mut child = command.spawn().unwrap();
        for _ in 0..3 {
            let stream = support::wait_for_unix(&path);
            let (mut ws, _) = async_tungstenite::tungstenite::client("ws://x/", stream).unwrap();
            ws.send("hello".into()).unwrap();
            assert_eq!(ws.read().unwrap().to_text().unwrap(), "hello", "redirect {n}");
            ws.close(None).unwrap();
            while ws.read().is_ok() {}
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "redirect {n}");
        assert!(!path.exists());
    }
    for args in [&["--help"][..], &["--version"], &["--nonsense"]] {
        let mut command = Command::new(WSRELAY);
        let status = command.args(args).stdout(broken()).stderr(broken()).status().unwrap();
        assert_eq!(status.code(), Some(if args[0] == "--nonsense" { 2 } else { 0 }));
        let mut command = Command::new(WSRELAY);
        let status = command.args(args).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(if args[0] == "--nonsense" { 2 } else { 0 }));
    }
}

#[test]
fn the_demo_says_what_a_phone_opens() {
    for (args, for_phones) in [(&["--port", "0"][..], true), (&["--listen", "127.0.0.1:0"], false)]
    {
        let mut command = Command::new(WSRELAY);
        command.arg("demo").args(args);
        let relay = start(command);
        let lines = std::iter::from_fn(|| Some(relay.stdout_line()));
        let lines: Vec<String> = lines.take_while(|line| line != "Ctrl-C ends it").collect();
        let phone = format!("from a phone: http://ADDRESS:{}/", relay.addr.port());
        assert_eq!(lines.iter().any(|line| line.starts_with(&phone)), for_phones, "{lines:?}");
    }
}
