//! Passwords and tokens: which are accepted, which refused, their reload, and that they are never logged.

mod support;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;

use data_encoding::BASE64;
use support::{Backend, HttpResponse, Relay, echo, handshake, relay_to, run};
use tempfile::TempDir;

/// All of "correct horse".
const BCRYPT: &str = "$2y$04$qKl51kldwDeT5CsCF.X40e0TdJsPdZ9oQ.aOgemw5AmkdHdTdFHa.";
const SHA256: &str = "$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/";
const SHA512: &str = "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0";

struct Files(TempDir);

impl Files {
    /// A file of each kind: anna, bob and carl with passwords; lamp and somebody with tokens.
    fn new() -> Self {
        let files = Files(TempDir::new().unwrap());
        files.write("users", &format!("anna:{BCRYPT}\nbob:{SHA256}\ncarl:{SHA512}\n"));
        files.write("tokens", "# devices\nlamp:token-of-lamp\ntoken-of-somebody\n");
        files
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn relay(&self, backend: SocketAddr, which: &[&str], options: &[&str]) -> Relay {
        let paths: Vec<_> = which
            .iter()
            .map(|name| match *name {
                "users" => format!("--auth-file={}", self.path(name)),
                _ => format!("--token-file={}", self.path(name)),
            })
            .collect();
        let mut all: Vec<&str> = paths.iter().map(String::as_str).collect();
        all.extend(options);
        relay_to(backend, &all)
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{name}:{password}").as_bytes()))
}

fn header(name: &str, password: &str) -> String {
    format!("Authorization: {}\r\n", basic(name, password))
}

/// Expects a 401 and a line of log for a handshake with these lines.
fn refused(relay: &mut Relay, path: &str, extra: &str) -> HttpResponse {
    let response = relay.http(&handshake(path, extra));
    assert_eq!(response.status, 401, "{path} {extra}: {response:?}");
    let text = response.text();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
    let shown = path.split('?').next().unwrap();
    let line = relay.wait_log(&["refused", &format!("path={shown:?}"), "status=401"]);
    assert!(line.contains(&format!("why={:?}", text.trim())), "{line}");
    response
}

#[test]
fn a_name_and_a_password() {
    let (files, backend) = (Files::new(), Backend::listen());
    let mut relay = files.relay(backend.addr, &["users"], &[]);
    let response = refused(&mut relay, "/none", "");
    assert_eq!(
        response.header("www-authenticate"),
        Some("Basic realm=\"wsrelay\", charset=\"UTF-8\"")
    );
    assert_eq!(response.text(), "a user name and password are needed here\n");
    for (n, extra) in [
        header("anna", "wrong"),
        header("anna", ""),
        header("nobody", "correct horse"),
        header("", ""),
        "Authorization: Basic !!!\r\n".into(),
        "Authorization: Basic\r\n".into(),
        "Authorization: Bearer token-of-lamp\r\n".into(),
        header("anna", "correct horse").repeat(2),
        header("anna", &"x".repeat(8000)),
    ]
    .into_iter()
    .enumerate()
    {
        refused(&mut relay, &format!("/{n}"), &extra);
    }
    assert!(!backend.is_called(), "nothing is dialled for who is refused");

    for user in ["anna", "bob", "carl"] {
        let headers = [("Authorization", &*basic(user, "correct horse"))];
        let (client, _) = relay.connect_with(&format!("/{user}"), &headers);
        backend.accept();
        client.close();
        for event in ["session opened", "session closed"] {
            relay.wait_log(&[event, &format!("user={user:?}"), &format!("path=\"/{user}\"")]);
        }
    }
}

#[test]
fn a_token_three_ways() {
    let (files, backend) = (Files::new(), Backend::listen());
    let mut relay = files.relay(backend.addr, &["tokens"], &[]);
    let response = refused(&mut relay, "/none", "");
    assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"wsrelay\""));
    assert!(response.text().contains("?token="), "{}", response.text());
    for (path, extra) in [
        ("/wrong?token=token-of-lam", ""),
        ("/comment?token=%23%20devices", ""),
        ("/name?token=lamp", ""),
        ("/line?token=lamp:token-of-lamp", ""),
        ("/empty?token=", ""),
        ("/bearer", "Authorization: Bearer token-of-nobody\r\n"),
        ("/cookie", "Cookie: token=token-of-nobody\r\n"),
        ("/other", "Cookie: tokens=token-of-lamp\r\n"),
    ] {
        refused(&mut relay, path, extra);
    }
    assert!(!backend.is_called());
    for (path, extra, user) in [
        ("/a?x=y&token=token-of-lamp", "", true),
        ("/b?token=token%2Dof%2dsomebody", "", false),
        ("/c", "Authorization: bearer token-of-lamp\r\n", true),
        ("/d", "Cookie: x=y; token=token-of-lamp\r\n", true),
    ] {
        assert_eq!(relay.http(&handshake(path, extra)).status, 101, "{path}");
        backend.accept();
        let line = relay.wait_log(&["session opened", &format!("path=\"{}\"", &path[..2])]);
        assert_eq!(line.contains("user=\"lamp\""), user, "{line}");
    }
}

#[test]
fn either_will_do() {
    let (files, backend) = (Files::new(), echo());
    let mut relay = files.relay(backend, &["users", "tokens"], &[]);
    let response = refused(&mut relay, "/none", "");
    assert_eq!(response.head.matches("www-authenticate: ").count(), 2, "{}", response.head);
    assert_eq!(relay.http(&handshake("/", &header("bob", "correct horse"))).status, 101);
    assert_eq!(relay.http(&handshake("/?token=token-of-lamp", "")).status, 101);
}

#[test]
fn pages_are_open_unless_told_otherwise() {
    let files = Files::new();
    let site = TempDir::new().unwrap();
    fs::write(site.path().join("index.html"), "hello").unwrap();
    let site = ["--static-dir", site.path().to_str().unwrap()];
    let relay = files.relay(echo(), &["users"], &site);
    assert_eq!(relay.get("/", &[]).status, 200);

    let relay = files.relay(echo(), &["users"], &[&site[..], &["--auth-static"]].concat());
    for path in ["/", "/missing"] {
        let response = relay.get(path, &[]);
        assert_eq!(response.status, 401);
        assert!(response.header("www-authenticate").unwrap().starts_with("Basic "));
        assert!(!response.text().contains("hello"));
    }
    let right = basic("anna", "correct horse");
    assert_eq!(relay.get("/", &[("Authorization", &right)]).text(), "hello");
    assert_eq!(relay.get("/missing", &[("Authorization", &right)]).status, 404);
}

#[test]
fn whoever_guesses_at_pages_has_to_wait() {
    let files = Files::new();
    let site = TempDir::new().unwrap();
    fs::write(site.path().join("index.html"), "hello").unwrap();
    let options =
        ["--static-dir", site.path().to_str().unwrap(), "--auth-static", "--connect-rate", "1/m"];
    let relay = files.relay(echo(), &["users"], &options);
    let status =
        |password: &str| relay.get("/", &[("Authorization", &basic("anna", password))]).status;
    // Correct credentials are not limited, as a page needs many files; nor are requests without any.
    assert!((0..20).all(|_| status("correct horse") == 200));
    assert!((0..20).all(|_| relay.get("/", &[]).status == 401));
    for guess in ["a", "b", "c", "d", "e"] {
        assert_eq!(status(guess), 401);
    }
    let refused = relay.get("/", &[("Authorization", &basic("anna", "correct horse"))]);
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some() && refused.text().contains("127.0.0.1"));
    // Handshakes have a rate of their own.
    assert_eq!(relay.http(&handshake("/", &header("anna", "correct horse"))).status, 101);
}

/// If all come at once, none has failed yet when the others are counted.
#[test]
fn whoever_guesses_many_times_at_once_has_to_wait_too() {
    let files = Files::new();
    let site = TempDir::new().unwrap();
    let options =
        ["--static-dir", site.path().to_str().unwrap(), "--auth-static", "--connect-rate", "1/m"];
    let slow = SHA512.replace("$6$", "$6$rounds=20000$");
    files.write("users", &format!("anna:{slow}\n"));
    let relay = files.relay(echo(), &["users"], &options);
    let mut asked: Vec<_> = (0..12).map(|_| relay.tcp()).collect();
    for (n, tcp) in asked.iter_mut().enumerate() {
        let guess = header("anna", &format!("guess {n}"));
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{guess}\r\n");
        tcp.write_all(request.as_bytes()).unwrap();
    }
    let answers = asked.iter_mut().map(|tcp| HttpResponse::read(tcp).status);
    let mut answers: Vec<_> = answers.collect();
    answers.sort_unstable();
    assert_eq!(answers, [[401; 5].as_slice(), &[429; 7]].concat());
}

/// The rate comes before the credentials, so that it slows down those who guess them.
#[test]
fn whoever_guesses_at_handshakes_has_to_wait() {
    let (files, backend) = (Files::new(), Backend::listen());
    let relay = files.relay(backend.addr, &["users", "tokens"], &["--connect-rate", "1/m"]);
    let status = |path: &str, extra: &str| relay.http(&handshake(path, extra)).status;
    for guess in ["a", "b"] {
        assert_eq!(status("/", &header("anna", guess)), 401);
    }
    for path in ["/?token=a", "/?token=b", "/"] {
        assert_eq!(status(path, ""), 401);
    }
    assert_eq!(status("/?token=c", ""), 429);
    // Correct credentials are refused too.
    assert_eq!(status("/", &header("anna", "correct horse")), 429);
    assert!(!backend.is_called());
}

#[test]
fn a_password_lets_no_strangers_page_in() {
    let files = Files::new();
    let right = header("anna", "correct horse");
    let relay = files.relay(echo(), &["users"], &[]);
    let status = |relay: &Relay, origin: &str| {
        relay.http(&handshake("/", &format!("Origin: {origin}\r\n{right}"))).status
    };
    // The request's Host is "test". A browser would send the password along from any page.
    assert_eq!(status(&relay, "http://test"), 101);
    assert_eq!(status(&relay, "https://attacker.com"), 403);
    let relay = files.relay(echo(), &["users"], &["--origin", "https://friend.example"]);
    assert_eq!(status(&relay, "https://friend.example"), 101);
    assert_eq!(status(&relay, "http://test"), 403);
    let relay = files.relay(echo(), &["users"], &["--origin", "*"]);
    assert_eq!(status(&relay, "https://anyone.example"), 101);
}

#[test]
fn sighup_reads_the_files_again() {
    let (files, backend) = (Files::new(), Backend::listen());
    let mut relay = files.relay(backend.addr, &["users", "tokens"], &[]);
    let anna = header("anna", "correct horse");
    let dora = header("dora", "correct horse");
    assert_eq!(relay.http(&handshake("/", &anna)).status, 101);
    let mut staying = relay.connect("/?token=token-of-lamp");
    backend.accept();
    let mut peer = backend.accept();

    files.write("users", &format!("dora:{BCRYPT}\n"));
    files.write("tokens", "two words\n");
    relay.signal("HUP");
    relay.wait_log(&["reloaded", &files.path("users")]);
    let line = relay.wait_log(&["not reloaded", &files.path("tokens"), "line 1"]);
    assert!(line.contains("WARN") && !line.contains("two words"), "{line}");
    refused(&mut relay, "/anna", &anna);
    assert_eq!(relay.http(&handshake("/", &dora)).status, 101);
    assert_eq!(relay.http(&handshake("/?token=token-of-lamp", "")).status, 101);
    // Open sessions stay open.
    staying.send("still here");
    assert_eq!(peer.read_line(), "still here\n");

    // No connection is left to wait for.
    drop((staying, peer, backend));
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}

#[test]
fn sighup_with_nothing_to_read() {
    let mut relay = relay_to(echo(), &[]);
    relay.signal("HUP");
    relay.wait_log(&["nothing to reload"]);
    relay.connect("/").close();
}

#[test]
fn files_that_cant_be_used() {
    let files = Files::new();
    files.write("md5", "anna:$apr1$salt$hashhashhashhash");
    files.write("plain", "anna:correct horse");
    files.write("empty", "\n# nobody yet\n");
    files.write("words", "two words");
    for (option, name, word) in [
        ("--auth-file", "missing", "no such file or directory"),
        ("--auth-file", "", "is a directory"),
        ("--auth-file", "md5", "line 1: the password of \"anna\" is hashed with MD5"),
        ("--auth-file", "md5", "htpasswd -B"),
        ("--auth-file", "plain", "no form that is known here"),
        ("--auth-file", "empty", "no users in it: add one with htpasswd -B"),
        ("--token-file", "missing", "no such file or directory"),
        ("--token-file", "empty", "openssl rand -hex 16"),
        ("--token-file", "words", "line 1: a token has letters"),
    ] {
        let path = files.path(name);
        let done = run(&["--listen", "127.0.0.1:0", "--to", "a:1", option, &path]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{option} {name}: {said}");
        assert!(said.contains(word) && said.contains(option), "{option} {name}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains("correct horse") && !said.contains("two words"), "{said}");
    }
}

#[test]
fn secrets_are_never_logged() {
    for format in ["text", "json"] {
        let files = Files::new();
        let options = ["--log-level", "trace", "--log-format", format];
        let mut relay = files.relay(echo(), &["users", "tokens"], &options);
        for (path, extra) in [
            ("/?token=token-of-lamp", String::new()),
            ("/?token=token-of-nobody", String::new()),
            ("/", "Cookie: token=token-of-lamp\r\n".into()),
            ("/", "Authorization: Bearer token-of-nobody\r\n".into()),
            ("/", header("anna", "correct horse")),
            ("/", header("anna", "wrong token-of-password")),
        ] {
            relay.http(&handshake(path, &extra));
        }
        relay.signal("HUP");
        relay.wait_log(&["reloaded", "tokens"]);
        relay.signal("TERM");
        for line in relay.log_to_end() {
            for secret in
                ["token-of", "correct horse", &basic("anna", "correct horse")[6..], BCRYPT]
            {
                assert!(!line.contains(secret), "{line}");
            }
        }
    }
}

/// The only header that a page's script can set is the list of subprotocols.
#[test]
fn a_token_as_a_subprotocol() {
    let (files, backend) = (Files::new(), Backend::listen());
    let options =
        ["--log-level", "debug", "--hello", "{header:sec-websocket-protocol*} {subprotocol}"];
    let mut relay = files.relay(backend.addr, &["tokens"], &options);
    let offer = |names: &str| handshake("/", &format!("Sec-WebSocket-Protocol: {names}\r\n"));
    for (names, chosen, told) in [
        ("chat, bearer.token-of-lamp", Some("chat"), "chat chat\n"),
        ("bearer.token-of-lamp, chat,superchat", Some("chat"), "chat, superchat chat\n"),
        ("bearer.wrong, bearer.token%2Dof%2Dlamp, chat", Some("chat"), "chat chat\n"),
        ("bearer.token-of-lamp", None, "- -\n"),
    ] {
        let response = relay.http(&offer(names));
        assert_eq!(response.status, 101, "{names}");
        assert_eq!(response.header("sec-websocket-protocol"), chosen, "{names}");
        let line = backend.accept().read_line();
        assert_eq!(line, told, "{names}");
        let line = relay.wait_log(&["session opened", "user=\"lamp\""]);
        assert_eq!(line.contains("subprotocol=\"chat\""), chosen.is_some(), "{line}");
        relay.seen.clear();
    }
    for names in ["chat, bearer.wrong-token", "chat, bearer.", "chat", "chat, token-of-lamp"] {
        let response = relay.http(&offer(names));
        assert_eq!(response.status, 401, "{names}");
        assert!(response.text().contains("as a subprotocol bearer.TOKEN"), "{response:?}");
        assert!(!backend.is_called(), "{names}");
    }
    relay.signal("TERM");
    let log = relay.log_to_end().join("\n");
    assert!(!log.contains("of-lamp") && !log.contains("wrong-token"), "{log}");
}

/// It is no offer either where nobody asks for tokens.
#[test]
fn no_token_is_ever_chosen() {
    let backend = Backend::listen();
    for options in [&[][..], &["--subprotocol", "bearer.abc,chat"]] {
        let mut relay = relay_to(backend.addr, options);
        for (names, chosen) in [("bearer.abc, chat", Some("chat")), ("bearer.abc", None)] {
            let request = handshake("/", &format!("Sec-WebSocket-Protocol: {names}\r\n"));
            let response = relay.http(&request);
            assert_eq!(response.header("sec-websocket-protocol"), chosen, "{names}");
            let line = relay.wait_log(&["session opened"]);
            assert!(!line.contains("abc"), "{line}");
            relay.seen.clear();
        }
    }
}
