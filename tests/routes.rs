//! Routes: which request goes where, and what holds there.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use support::program::script;
use support::{Backend, Relay, handshake, relay, start};
use tempfile::TempDir;

/// A backend that says its name, then echoes.
fn named(name: &'static str) -> SocketAddr {
    Backend::listen().serve(move |mut peer| {
        peer.write(format!("{name}\n"));
        loop {
            let line = peer.read_line();
            if line.is_empty() {
                return;
            }
            peer.write(line);
        }
    })
}

/// Starts wsrelay with this configuration file.
fn relay_with(text: &str) -> (Relay, TempDir) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("wsrelay.toml"), format!("listen = \"127.0.0.1:0\"\n{text}"))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--config", "wsrelay.toml"]).current_dir(dir.path());
    (start(command), dir)
}

/// The status of a handshake with these header lines besides.
fn status(relay: &Relay, path: &str, extra: &str) -> u16 {
    relay.http(&handshake(path, extra)).status
}

#[test]
fn the_longest_path_counts_by_whole_segments() {
    let mut relay = relay(&[
        &format!("--to={}", named("default")),
        &format!("--route=/chat={}", named("chat")),
        "--route",
        &format!("/chat/room={}", named("room")),
    ]);
    for (path, want) in [
        ("/", "default"),
        ("/chat", "chat"),
        ("/chat/", "chat"),
        ("/chat?room=/chat/room", "chat"),
        ("/chat/roomy", "chat"),
        ("/ch%61t/room", "room"),
        ("/chat/room/1/2", "room"),
        ("/chats", "default"),
        ("//chat", "chat"),
        ("/chat%2Froom", "default"),
        ("/x/../chat", "default"),
    ] {
        let mut client = relay.connect(path);
        assert_eq!(client.recv(), want, "{path}");
        client.send("hello");
        assert_eq!(client.recv(), "hello");
        client.close();
    }
    relay.wait_log(&["session closed", "path=\"/chat/room/1/2\"", "lines_down=2"]);
}

#[test]
fn without_a_default_the_rest_is_404() {
    let backend = Backend::listen();
    let route = format!("/chat={}", backend.addr);
    let mut relay = relay(&["--route", &route, "--dev-console"]);
    let upgrade = handshake("/other", "");
    let refused = relay.http(&upgrade);
    assert_eq!((refused.status, &*refused.text()), (404, "there is nothing at this path\n"));
    assert!(!backend.is_called(), "nothing is dialled for a path that has no route");
    relay.wait_log(&["refused", "path=\"/other\"", "status=404"]);
    assert_eq!(relay.get("/other", &[]).status, 404);
    assert_eq!(relay.get("/", &[("Accept", "text/html")]).status, 404);
    assert_eq!(relay.get("/chat", &[]).status, 426);
    let console = relay.get("/chat/x", &[("Accept", "text/html")]);
    assert_eq!(console.status, 200, "the console is where a WebSocket could be opened");
    assert_eq!(status(&relay, "/chat/x", ""), 101);
}

#[test]
fn hosts_have_routes_of_their_own() {
    let (relay, _dir) = relay_with(&format!(
        "to = \"{}\"\ntrust-proxy = \"127.0.0.1\"\n\
         [[route]]\nhost = \"a.example\"\nto = \"{}\"\n\
         [[route]]\nhost = \"*.a.example\"\npath = \"/chat\"\nto = \"{}\"\n",
        named("default"),
        named("a"),
        named("below a"),
    ));
    for (path, header, want) in [
        ("/", ("X-Forwarded-Host", "a.example"), "a"),
        ("/x", ("X-Forwarded-Host", "A.EXAMPLE:8082"), "a"),
        ("/chat", ("X-Forwarded-Host", "x.y.a.example"), "below a"),
        ("/", ("X-Forwarded-Host", "x.a.example"), "default"),
        ("/chat", ("X-Forwarded-Host", "b.example"), "default"),
        ("/chat", ("X-Forwarded-Host", "a.example.evil"), "default"),
        ("/chat", ("X-Other", "a.example"), "default"),
    ] {
        assert_eq!(relay.connect_with(path, &[header]).0.recv(), want, "{path} {header:?}");
    }
    let request = handshake("/", "").replace("Host: test", "Host: a.example");
    assert_eq!(relay.http(&request).status, 101);
    // The host of an absolute target counts, and not the header (RFC 9112, section 3.2.2).
    assert_eq!(relay.connect_to("http://a.example:1/x").recv(), "a");
}

#[test]
fn subprotocols_have_routes_of_their_own() {
    let (relay, _dir) = relay_with(&format!(
        "[[route]]\nsubprotocol = [\"irc\", \"text.irc\"]\nto = \"{}\"\n\
         [[route]]\nsubprotocol = \"chat\"\nto = \"{}\"\n",
        named("irc"),
        named("chat"),
    ));
    for (offered, want, chosen) in [
        ("irc", "irc", "irc"),
        ("x, text.irc, irc", "irc", "text.irc"),
        ("chat", "chat", "chat"),
        ("chat, irc", "irc", "irc"),
    ] {
        let (mut client, response) =
            relay.connect_with("/", &[("Sec-WebSocket-Protocol", offered)]);
        assert_eq!(client.recv(), want, "{offered}");
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], chosen);
    }
    for extra in ["", "Sec-WebSocket-Protocol: IRC\r\n"] {
        let refused = relay.http(&handshake("/", extra));
        let want = "offer the subprotocol irc or text.irc here\n";
        assert_eq!((refused.status, &*refused.text()), (404, want));
    }
    assert_eq!(relay.get("/", &[]).status, 426);
}

#[test]
fn a_program_is_told_how_its_route_was_found() {
    let (relay, _dir) = relay_with(
        "[[route]]\npath = \"/env\"\npass-env = \"PATH\"\n\
         program = [\"sh\", \"-c\", \"echo $SCRIPT_NAME; echo $PATH_INFO; echo $QUERY_STRING\"]\n",
    );
    for (path, script, info) in
        [("/env", "/env", ""), ("/env/", "/env", "/"), ("/%65nv/a%20b", "/env", "/a b")]
    {
        let mut client = relay.connect(&format!("{path}?q=1"));
        assert_eq!([client.recv(), client.recv(), client.recv()], [script, info, "q=1"], "{path}");
        client.expect_close(1000, "program exited");
    }
}

#[test]
fn what_a_route_says_holds_there_and_nowhere_else() {
    let (plain, special) = (Backend::listen(), Backend::listen());
    let (relay, _dir) = relay_with(&format!(
        "to = \"{}\"\neol = \"lf\"\n\
         [[route]]\npath = \"/special\"\nto = \"{}\"\neol = \"crlf\"\ncharset = \"koi8-r\"\n\
         max-line = 10\norigin = \"https://a.example\"\n\
         [[route]]\npath = \"/raw\"\nto = \"{}\"\nbinary = true\n",
        plain.addr, special.addr, plain.addr,
    ));
    for (path, backend, bytes) in [
        ("/", &plain, "\u{434}\n".as_bytes()),
        ("/special", &special, b"\xc4\r\n"),
        ("/raw", &plain, "\u{434}".as_bytes()),
    ] {
        let mut client = relay.connect(path);
        let mut peer = backend.accept();
        client.send("\u{434}");
        client.close();
        assert_eq!(peer.read_to_end(), bytes, "{path}");
    }
    let mut client = relay.connect("/special");
    let _peer = special.accept();
    client.send("longer than ten");
    client.expect_close(1009, "message longer than 10 bytes");
    let origin = "Origin: https://b.example\r\n";
    assert_eq!(status(&relay, "/special", origin), 403);
    assert!(!special.is_called());
    assert_eq!(status(&relay, "/", origin), 101);
}

#[test]
fn a_route_can_ask_for_a_password_or_not() {
    let (backend, dir) = (named("x"), TempDir::new().unwrap());
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, "0123456789abcdef0123\n").unwrap();
    let tokens = tokens.display();
    let open_but = format!(
        "to = \"{backend}\"\n[[route]]\npath = \"/in\"\nto = \"{backend}\"\ntoken-file = \"{tokens}\"\n"
    );
    let closed_but = format!(
        "to = \"{backend}\"\ntoken-file = \"{tokens}\"\n\
         [[route]]\npath = \"/out\"\nto = \"{backend}\"\ntoken-file = false\n"
    );
    for (text, open, closed) in [(open_but, "/", "/in"), (closed_but, "/out", "/")] {
        let (mut relay, _dir) = relay_with(&text);
        assert_eq!(status(&relay, open, ""), 101);
        assert_eq!(status(&relay, closed, ""), 401);
        assert_eq!(status(&relay, &format!("{closed}?token=0123456789abcdef0123"), ""), 101);
        relay.signal("HUP");
        relay.wait_log(&["reloaded", "tokens"]);
    }
}

#[test]
fn limits_are_shared_unless_a_route_has_its_own() {
    let backend = named("x");
    let (relay, _dir) = relay_with(&format!(
        "to = \"{backend}\"\nmax-sessions-per-ip = 3\n\
         [[route]]\npath = \"/shares\"\nto = \"{backend}\"\n\
         [[route]]\npath = \"/own\"\nto = \"{backend}\"\nmax-sessions-per-ip = 1\n\
         [[route]]\npath = \"/one\"\nto = \"{backend}\"\nmax-sessions = 1\nmax-sessions-per-ip = false\n",
    ));
    let held: Vec<_> = ["/", "/shares", "/shares"].map(|path| relay.connect(path)).into();
    for path in ["/", "/shares"] {
        assert_eq!(status(&relay, path, ""), 429, "{path}");
    }
    let own = relay.connect("/own");
    assert_eq!(status(&relay, "/own", ""), 429);
    let one = relay.connect("/one");
    let refused = relay.http(&handshake("/one", ""));
    let want = "the limit of open sessions (1) is reached: try again later\n";
    assert_eq!((refused.status, &*refused.text()), (503, want));
    for mut client in held.into_iter().chain([own, one]) {
        assert_eq!(client.recv(), "x");
        client.close();
    }
    support::program::wait_until("all places are free again", || {
        ["/", "/own", "/one"].iter().all(|path| status(&relay, path, "") == 101)
    });
}

#[test]
fn refusals_by_close_are_each_routes_own() {
    let nobody = support::Refusing::bind("127.0.0.1");
    let (relay, _dir) = relay_with(&format!(
        "to = \"{0}\"\n[[route]]\npath = \"/page\"\nto = \"{0}\"\nrefuse = \"close\"\n",
        nobody.addr
    ));
    assert_eq!(status(&relay, "/", ""), 502);
    let reason = format!("backend {}: connection refused", nobody.addr);
    relay.connect("/page").expect_close(1013, &reason);
}

/// Files and programs are found whatever slashes are doubled, and so must be those who guard them.
#[test]
fn no_slash_leads_round_a_route() {
    let dir = TempDir::new().unwrap();
    script(&dir.path().join("programs/admin/prog"), "echo started; exec cat");
    fs::write(dir.path().join("tokens"), "secret\n").unwrap();
    let text = "listen = \"127.0.0.1:0\"\nprogram-dir = \"programs\"\n\
                [[route]]\npath = \"/admin\"\nprogram-dir = \"programs/admin\"\ntoken-file = \"tokens\"\n";
    fs::write(dir.path().join("wsrelay.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--config", "wsrelay.toml"]).current_dir(dir.path());
    let relay = start(command);
    for path in
        ["/admin/prog", "//admin/prog", "/%61dmin/prog", "///admin//prog", "http://x//admin/prog"]
    {
        assert_eq!(relay.http(&handshake(path, "")).status, 401, "{path}");
    }
    let mut client = relay.connect("//admin//prog?token=secret");
    assert_eq!(client.recv(), "started");
}
