//! Header names of answers: spelled as the RFCs, the operator and CGI programs spell them, as old clients
//! compare bytes.

mod support;

use std::fs;
use std::io::Write;

use support::cgi::cgi;
use support::tls::Ca;
use support::{HttpResponse, Refusing, echo, handshake, relay_to, tcp_to};
use tempfile::TempDir;

/// Expects these names, in whatever order.
#[track_caller]
fn expect(response: &HttpResponse, status: u16, want: &[&str]) {
    assert_eq!(response.status, status, "{}", response.head);
    let mut got: Vec<&str> = response.names.iter().map(String::as_str).collect();
    let mut want = want.to_vec();
    got.sort_unstable();
    want.sort_unstable();
    assert_eq!(got, want, "{}", response.head);
}

#[test]
fn answers_to_handshakes() {
    let relay = relay_to(echo(), &[]);
    let names = ["Upgrade", "Connection", "Sec-WebSocket-Accept", "Date"];
    expect(&relay.http(&handshake("/", "")), 101, &names);
    let request = handshake("/", "Sec-WebSocket-Protocol: chat\r\n");
    expect(&relay.http(&request), 101, &[&names[..], &["Sec-WebSocket-Protocol"]].concat());

    let names = ["Content-Type", "Content-Length", "Connection", "Date"];
    let request = handshake("/", "").replace("Version: 13", "Version: 8");
    let more = ["Sec-WebSocket-Version", "Upgrade"];
    expect(&relay.http(&request), 426, &[&names[..], &more].concat());
    expect(&relay.http(&handshake("/", "").replace("-Key", "-Kee")), 400, &names);
    let refusing = Refusing::bind("127.0.0.1");
    expect(&relay_to(refusing.addr, &[]).http(&handshake("/", "")), 502, &names);
    // What hyper refuses by itself.
    let response = relay.http("GET / HTTP/1.1\r\nHost test\r\n\r\n");
    assert!(response.names.contains(&"Content-Length".to_owned()), "{}", response.head);
}

#[test]
fn files_and_credentials() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (users, tokens) = (
        file(".users", "anna:$2y$04$qKl51kldwDeT5CsCF.X40e0TdJsPdZ9oQ.aOgemw5AmkdHdTdFHa."),
        file(".tokens", "secret-token"),
    );
    file("www/a.txt", "text");
    let www = dir.path().join("www");
    let www = ["--static-dir", www.to_str().unwrap()];
    let relay = relay_to(echo(), &www);
    let names = [
        "Accept-Ranges",
        "Cache-Control",
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "ETag",
        "Last-Modified",
        "X-Content-Type-Options",
    ];
    expect(&relay.get("/a.txt", &[]), 200, &names);
    let names = ["Allow", "Content-Length", "Content-Type", "Date"];
    expect(&relay.http("PUT /a.txt HTTP/1.1\r\nHost: test\r\n\r\n"), 405, &names);

    let relay = relay_to(echo(), &["--auth-file", &users, "--token-file", &tokens]);
    let response = relay.http(&handshake("/", ""));
    let asked = response.names.iter().filter(|name| *name == "WWW-Authenticate").count();
    assert!(response.status == 401 && asked > 0, "{}", response.head);
    let lower = response.names.iter().any(|name| name.starts_with(char::is_lowercase));
    assert!(!lower, "{}", response.head);
}

#[test]
fn headers_of_the_operator() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.txt"), "text").unwrap();
    let options = [
        ["--static-dir", dir.path().to_str().unwrap()],
        ["--header", "x-all-LOWER: 1"],
        ["--header-ws", "X-XSS-Protection: 0"],
        ["--header-http", "etag: \"mine\""],
        ["--header-http", "Set-Cookie: a=1"],
        ["--header-http", "SET-COOKIE: b=2"],
    ];
    let relay = relay_to(echo(), options.as_flattened());
    let names = ["Upgrade", "Connection", "Sec-WebSocket-Accept", "Date"];
    let more = ["x-all-LOWER", "X-XSS-Protection"];
    expect(&relay.http(&handshake("/", "")), 101, &[&names[..], &more].concat());
    let response = relay.get("/a.txt", &[]);
    for name in ["x-all-LOWER", "etag", "Set-Cookie", "SET-COOKIE", "Last-Modified"] {
        let count = response.names.iter().filter(|have| *have == name).count();
        assert_eq!(count, 1, "{name}: {:?}", response.names);
    }
    assert!(response.head.contains("set-cookie: a=1\nset-cookie: b=2\n"), "{}", response.head);
}

#[test]
fn headers_of_programs() {
    let head = "CONTENT-type: text/plain\\nx-LOWER: 1\\nSet-Cookie: a=1\\nset-cookie: b=2\\n\
                Status: 201\\nX-Served-by: program\\nContent-Length: 3\\nETAG: \"x\"\\n\\nabc";
    let served = cgi(&[("names", &format!("printf '{head}'"))], &["--header", "X-Served-By: us"]);
    let names = ["CONTENT-type", "x-LOWER", "Set-Cookie", "set-cookie", "X-Served-By", "ETAG"];
    let more = ["Connection", "Content-Length", "Date"];
    let response = served.get("/names");
    expect(&response, 201, &[&names[..], &more].concat());
    assert_eq!(response.header("x-served-by"), Some("us"));
    assert!(response.head.contains("set-cookie: a=1\nset-cookie: b=2\n"), "{}", response.head);
    assert_eq!(response.text(), "abc");
}

#[test]
fn redirects_and_plain_http_where_tls_is_spoken() {
    let ca = Ca::new();
    let relay = ca.relay_to(echo(), &["--redirect-port", "0"]);
    let line = relay.stdout_line();
    let from = line.strip_prefix("redirecting http://").unwrap().split(' ').next().unwrap();
    let mut tcp = tcp_to(from.parse().unwrap());
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let names = ["Location", "Connection", "Content-Length", "Date"];
    expect(&HttpResponse::read(&mut tcp), 301, &names);

    let mut tcp = tcp_to(relay.addr);
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let names = ["Content-Type", "Content-Length", "Connection"];
    expect(&HttpResponse::read(&mut tcp), 400, &names);
}
