//! Programs that answer ordinary requests: `wsrelay --cgi-dir DIR`.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};

use support::cgi::{Cgi, cgi};
use support::program::{children, wait_childless, wait_until};
use support::{HttpResponse, handshake, run};

const PLAIN: &str = "printf 'Content-Type: text/plain\\n\\n'; ";

/// A program that answers with plain text.
fn plain(script: &str) -> String {
    PLAIN.to_owned() + script
}

#[test]
fn the_environment_tells_of_the_request() {
    let script = plain("tr '\\0' '\\n' </proc/self/environ; echo PWD_IS=$(pwd)");
    let served = cgi(&[("sub/env.cgi", &script)], &[]);
    let mut tcp = served.ask(
        "PUT /sub/env.cgi/a%20b/%C3%A9?x=%20&y HTTP/1.1\r\nHost: example.org:81\r\nConnection: close\r\n\
         Content-Length: 3\r\nContent-Type: text/x-test\r\nX-Custom: 1\r\nCookie: a=1\r\nCookie: b=2\r\n\
         Proxy: http://evil.example\r\nAuthorization: Basic YTpi\r\nX_Custom: 2\r\n\
         X-Shell: () { :; }; echo evil\r\nContent_Length: 9\r\n\r\nabc",
    );
    let response = HttpResponse::read(&mut tcp);
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/plain"));
    let text = response.text();
    let found: BTreeMap<_, _> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
    let home = served.path("sub").canonicalize().unwrap();
    let file = served.path("sub/env.cgi");
    for (name, want) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "PUT"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "example.org"),
        ("SCRIPT_NAME", "/sub/env.cgi"),
        ("PATH_INFO", "/a b/é"),
        ("REQUEST_URI", "/sub/env.cgi/a%20b/%C3%A9?x=%20&y"),
        ("QUERY_STRING", "x=%20&y"),
        ("CONTENT_LENGTH", "3"),
        ("CONTENT_TYPE", "text/x-test"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_X_CUSTOM", "1"),
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_X_SHELL", "() { :; }; echo evil"),
        ("PWD_IS", home.to_str().unwrap()),
        ("SCRIPT_FILENAME", file.to_str().unwrap()),
    ] {
        assert_eq!(found[name], want, "{name}");
    }
    let nots = ["PATH_TRANSLATED", "AUTH_TYPE", "REMOTE_USER", "WEBSOCKET_PROTOCOL", "HTTPS"];
    let hidden = ["HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"];
    for name in nots.iter().chain(&hidden) {
        assert!(!found.contains_key(name), "{name}: {found:?}");
    }
    let absolute = "GET http://b.example:99//sub/env.cgi//x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
    let text = HttpResponse::read(&mut served.ask(absolute)).text();
    for line in [
        "SERVER_NAME=b.example",
        "HTTP_HOST=b.example:99",
        "SCRIPT_NAME=/sub/env.cgi",
        "PATH_INFO=/x",
    ] {
        assert!(text.lines().any(|said| said == line), "{line} is not in {text}");
    }
    let lines = "GET /sub/env.cgi HTTP/1.0\r\nX-Split: a\r\n\r\n";
    let text = HttpResponse::read(&mut served.ask(lines)).text();
    assert!(text.lines().any(|line| line == "SERVER_PROTOCOL=HTTP/1.0"), "{text}");
    assert!(!text.contains("CONTENT_LENGTH"), "{text}");
}

#[test]
fn bodies_arrive_byte_for_byte() {
    let cat = "printf 'Content-Type: application/octet-stream\\r\\n\\r\\n'; exec cat";
    let count = plain("wc -c");
    let mut served = cgi(&[("cat", cat), ("count", &count)], &[]);
    let mut bytes: Vec<u8> = (0..=255).cycle().take(3_000_001).collect();
    bytes.splice(0..0, *b"\n\n\r\n\0\r\n\r\n");
    let echoed = served.post("/cat", &bytes).body;
    let same = echoed.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
    assert_eq!(
        (same, echoed.len()),
        (bytes.len(), bytes.len()),
        "bytes that are the same, and all"
    );
    assert_eq!(served.post("/cat", b"").body, b"");
    assert_eq!(served.post("/count", &vec![0; 20 << 20]).text().trim(), "20971520");
    served.relay.wait_log(&[
        "request ended",
        "program=\"count\"",
        "bytes_up=20971520",
        "status=200",
    ]);
}

#[test]
fn a_program_may_answer_before_it_has_read_the_body() {
    let (none, short, count) =
        ("echo Status: 204; echo; ", "echo Content-Length: 3; ", "wc -c >&2");
    let short = format!("{short}{}", plain("echo ok; "));
    let programs = [("none", none), ("short", &*short)].map(|(name, head)| {
        // The answer is on its way before anything is read.
        (name, format!("{head}sleep 0.1; {count}"))
    });
    let programs = programs.each_ref().map(|(name, text)| (*name, &**text));
    let mut served = cgi(&programs, &[]);
    for (path, status, body) in [("/none", 204, ""), ("/short", 200, "ok\n")] {
        let response = served.post(path, &vec![0; 3_000_001]);
        assert_eq!((response.status, &*response.text()), (status, body));
        served.relay.wait_log(&["program says", "3000001"]);
        served.relay.wait_log(&["request ended", "bytes_up=3000001", "program exited"]);
    }
}

#[test]
fn a_client_that_waits_for_it_is_told_to_send_its_body() {
    let cat = plain("exec cat");
    let served = cgi(&[("cat", &cat), ("late", &("sleep 0.1; ".to_owned() + &cat))], &[]);
    // The program may have answered already, in part.
    for path in ["/cat", "/late"].repeat(20) {
        let mut tcp = served.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert_eq!(HttpResponse::read(&mut tcp).status, 100);
        tcp.write_all(b"hello").unwrap();
        assert_eq!(HttpResponse::read(&mut tcp).body, b"hello");
    }
}

#[test]
fn a_body_without_a_length_is_not_taken() {
    let served = cgi(&[("cat", &plain("exec cat"))], &[]);
    let request = "POST /cat HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let response = HttpResponse::read(&mut served.ask(request));
    assert_eq!((response.status, response.header("connection")), (411, Some("close")));
    assert!(response.text().contains("send Content-Length"), "{}", response.text());
    assert!(children(served.relay.pid()).is_empty());
}

#[test]
fn the_head_says_what_to_answer() {
    let say = |text: &str| format!("printf '{text}'");
    let table = [
        ("lf", "Content-Type: text/html\\n\\nhello", 200, "hello"),
        (
            "crlf",
            "Status: 404 Nowhere\\r\\nContent-Type: text/plain\\r\\n\\r\\nno\\r\\n",
            404,
            "no\r\n",
        ),
        ("teapot", "Status: 418\\n\\nshort", 418, "short"),
        ("error", "Status: 503 Busy\\nContent-Type: text/plain\\n\\nlater", 503, "later"),
        ("forbidden", "Status: 403\\nContent-Type: text/plain\\n\\nno", 403, "no"),
        ("away", "Location: https://example.org/?a\\n\\n", 302, ""),
        ("local", "Location: /lf?b\\n\\n", 302, ""),
        ("made", "Status: 201\\nLocation: /lf\\nContent-Type: text/plain\\n\\nmade", 201, "made"),
        ("empty", "Content-Type: text/plain\\n\\n", 200, ""),
        ("length", "Content-Type: text/plain\\nContent-Length: 3\\n\\nabc", 200, "abc"),
        ("more", "Content-Type: text/plain\\nContent-Length: 3\\n\\nabcdef", 200, "abc"),
        ("none", "Content-Type: text/plain\\nContent-Length: 0\\n\\n", 200, ""),
    ];
    let programs: Vec<_> = table.iter().map(|row| (row.0, say(row.1))).collect();
    let programs: Vec<_> = programs.iter().map(|(name, text)| (*name, &**text)).collect();
    let mut served = cgi(&programs, &["--header-http", "X-Frame-Options: DENY"]);
    for (name, _, status, body) in table {
        let response = served.get(&format!("/{name}"));
        assert_eq!((response.status, &*response.text()), (status, body), "{name}");
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        assert_eq!(response.header("status"), None);
    }
    assert_eq!(served.get("/away").header("location"), Some("https://example.org/?a"));
    assert_eq!(served.get("/local").header("location"), Some("/lf?b"));
    assert_eq!(served.get("/length").header("content-length"), Some("3"));
    served.relay.wait_log(&["WARN", "request ended", "program=\"more\"", "more than its Content"]);
    served.relay.wait_log(&[
        "INFO",
        "request ended",
        "program=\"error\"",
        "status=503",
        "end=\"program exited\"",
    ]);
    assert!(!served.relay.seen.iter().any(|line| line.contains("refused")));
}

#[test]
fn headers_are_passed_on_but_for_those_of_the_connection() {
    let head = "Content-Type: text/plain\\r\\nSet-Cookie: a=1\\r\\nSet-Cookie: b=2\\r\\nX-Bytes: \\351\\r\\n\
                Connection: close, X-Private\\r\\nX-Private: 1\\r\\nTransfer-Encoding: gzip\\r\\n\
                Upgrade: websocket\\r\\nKeep-Alive: timeout=5\\r\\n\\r\\nok";
    let served = cgi(&[("headers", &format!("printf '{head}'"))], &[]);
    let mut tcp = served.ask("GET /headers HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let mut bytes = Vec::new();
    tcp.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    assert_eq!(text.matches("set-cookie: ").count(), 2, "{text}");
    assert!(bytes.windows(4).any(|window| window == b": \xe9\r"), "{text}");
    assert!(text.contains("transfer-encoding: chunked"), "{text}");
    for gone in ["x-private", "gzip", "upgrade", "keep-alive"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
}

#[test]
fn answers_without_a_body() {
    let (head, body) =
        ("Content-Type: text/plain\\nContent-Length: 5\\n", "echo body; echo $0 ended >&2");
    let full = format!("printf '{head}\\n'; {body}");
    let unchanged = format!("printf 'Status: 304\\n{head}\\n'; {body}");
    let nothing = format!("printf 'Status: 204\\nX-A: 1\\n\\n'; {body}");
    let programs = [("full", &*full), ("unchanged", &unchanged), ("nothing", &nothing)];
    let mut served = cgi(&programs, &[]);
    let mut tcp = served.relay.tcp();
    // On one connection: a byte too many would be the beginning of the next answer.
    for (method, path, status, length) in [
        ("HEAD", "/full", 200, Some("5")),
        ("GET", "/unchanged", 304, None),
        ("GET", "/nothing", 204, None),
        ("HEAD", "/nothing", 204, None),
    ] {
        write!(tcp, "{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let head = read_head(&mut tcp);
        assert_eq!((head.status, head.header("content-length")), (status, length), "{path}");
    }
    write!(tcp, "GET /full HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(HttpResponse::read(&mut tcp).text(), "body\n");
    // All of them could write their output, and ended by themselves.
    for name in ["full ended", "unchanged ended", "nothing ended"] {
        served.relay.wait_log(&["program says", name]);
    }
    wait_childless(&served.relay);
}

/// Reads a head only, whatever length it gives.
fn read_head(tcp: &mut std::net::TcpStream) -> HttpResponse {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tcp.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap().to_lowercase();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    HttpResponse { status, head: text.replace("\r\n", "\n"), names: Vec::new(), body: Vec::new() }
}

#[test]
fn many_requests_on_one_connection() {
    let served = cgi(&[("show", &plain("echo \"$PATH_INFO $QUERY_STRING\"; cat"))], &[]);
    let mut tcp = served.relay.tcp();
    for n in 0..20 {
        write!(tcp, "POST /show/{n}?q HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab").unwrap();
        assert_eq!(HttpResponse::read(&mut tcp).text(), format!("/{n} q\nab"));
    }
    // And some at once, the last of them a page that is not there.
    let pipelined = "GET /show/1 HTTP/1.1\r\nHost: t\r\n\r\n".repeat(3);
    write!(tcp, "{pipelined}GET /none HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    for _ in 0..3 {
        assert_eq!(HttpResponse::read(&mut tcp).text(), "/1 \n");
    }
    assert_eq!(HttpResponse::read(&mut tcp).status, 426);
    drop(tcp);
    wait_childless(&served.relay);
}

/// The names of `public`, to serve beside programs.
fn with_files(served: &Cgi, files: &[(&str, &str)]) -> String {
    let public = served.dir.path().join("public");
    fs::create_dir_all(&public).unwrap();
    for (name, text) in files {
        fs::write(public.join(name), text).unwrap();
    }
    public.to_str().unwrap().to_owned()
}

#[test]
fn programs_come_first_then_files_then_the_relay() {
    let served = cgi(&[("both", &plain("echo program"))], &[]);
    let public =
        with_files(&served, &[("both", "file\n"), ("file", "file\n"), ("index.html", "home")]);
    let dir = served.dir.path().join("cgi");
    fs::write(dir.join("data"), "secret source\n").unwrap();
    let options = ["--cgi-dir", dir.to_str().unwrap(), "--static-dir", &public, "--", "cat"];
    let relay = support::relay(&options);
    let get = |path| {
        let response = relay.get(path, &[]);
        (response.status, response.text())
    };
    assert_eq!(get("/both"), (200, "program\n".into()));
    assert_eq!(get("/both/x"), (200, "program\n".into()));
    assert_eq!(get("/file"), (200, "file\n".into()));
    assert_eq!(get("/"), (200, "home".into()));
    let bad = "the path has a NUL, or a % that two hex digits do not follow\n";
    for path in ["/both/%00", "/both/%zz"] {
        assert_eq!(get(path), (400, bad.to_owned()), "{path}");
    }
    assert_eq!(get("/data"), (403, "data is not executable\n".into()));
    assert_eq!(get("/none").0, 404);
    assert_eq!(
        relay.http("POST /file HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").status,
        405
    );
    // A handshake is for the relay, whatever program has that path.
    let mut client = relay.connect("/both");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
    // New ones need no restart.
    support::program::script(&dir.join("file"), &plain("echo new"));
    assert_eq!(get("/file"), (200, "new\n".into()));
}

#[test]
fn places_are_shared_with_sessions() {
    let options = ["--max-sessions", "2", "--max-sessions-per-ip", "2"];
    let served = cgi(&[("wait", &plain("echo $$; read x; echo $x"))], &options);
    let one = served.relay.connect("/");
    let head = "POST /wait HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 3\r\n\r\n";
    let mut tcp = served.ask(head);
    wait_until("it runs", || children(served.relay.pid()).len() == 2);
    let refused = served.get("/wait");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    drop(one);
    wait_until("a place is free", || served.relay.http(&handshake("/", "")).status == 101);
    tcp.write_all(b"hi\n").unwrap();
    let said = HttpResponse::read(&mut tcp).text();
    assert!(said.ends_with("\nhi\n"), "{said}");
    wait_childless(&served.relay);

    let served = cgi(&[("wait", &plain("read x"))], &["--max-sessions", "1"]);
    let _waiting = served.ask(head);
    wait_until("it runs", || children(served.relay.pid()).len() == 1);
    let refused = served.get("/wait");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(served.relay.http(&handshake("/", "")).status, 503);
}

#[test]
fn credentials_are_asked_for_wherever_there_are_any() {
    let served = cgi(&[("who", "")], &[]);
    let tokens = served.dir.path().join("tokens");
    fs::write(&tokens, "ada:secret\n").unwrap();
    let script = plain("echo \"$REMOTE_USER $AUTH_TYPE ${HTTP_AUTHORIZATION:-none}\"");
    support::program::script(&served.path("who"), &script);
    let public = with_files(&served, &[("page", "page\n")]);
    let dir = served.dir.path().join("cgi");
    fs::write(dir.join("data"), "").unwrap();
    let tokens = ["--token-file", tokens.to_str().unwrap(), "--origin", "https://example.org"];
    let dirs = ["--cgi-dir", dir.to_str().unwrap(), "--static-dir", &public];
    let mut relay = support::relay(&[&tokens[..], &dirs, &["--", "cat"]].concat());
    for path in ["/who", "/who/x", "/data"] {
        let response = relay.get(path, &[]);
        assert_eq!(response.status, 401, "{path}");
        assert!(response.header("www-authenticate").is_some());
    }
    assert_eq!(relay.get("/page", &[]).text(), "page\n");
    assert_eq!(relay.get("/data?token=secret", &[]).status, 403);
    let bearer = ("Authorization", "Bearer secret");
    assert_eq!(relay.get("/who", &[bearer]).text(), "ada Bearer none\n");
    assert_eq!(relay.get("/who?token=secret", &[]).text(), "ada Bearer none\n");
    // A page of another origin can't make its visitors' browsers send requests here.
    let page = |origin| relay.get("/who", &[bearer, ("Origin", origin)]).status;
    assert_eq!([page("https://example.org"), page("https://evil.example")], [200, 403]);
    relay.wait_log(&["request ended", "user=\"ada\"", "path=\"/who\"", "status=200"]);
    relay.signal("TERM");
    assert!(!relay.log_to_end().iter().any(|line| line.contains("secret")));
}

#[test]
fn wrong_directories_are_told_at_the_start() {
    let done = run(&["--port", "0", "--to", "localhost:1", "--cgi-dir", "/nonexistent"]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    let want = "wsrelay: can't start programs of /nonexistent: no such file or directory\n";
    assert_eq!(said, want);
}
