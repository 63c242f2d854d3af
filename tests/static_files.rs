//! `--static-dir` through the real binary: files and the WebSocket on the same port.

mod support;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::time::Duration;

use support::program::wait_until;
use support::{Relay, echo, handshake, relay_to, retry, run};
use tempfile::TempDir;

const SECRET: &str = "nobody outside may read this";

/// A directory with a site in `public` and a secret beside it.
fn site() -> TempDir {
    let dir = TempDir::new().unwrap();
    let public = dir.path().join("public");
    for (path, content) in [
        ("index.html", "<title>index</title>"),
        ("app.js", "new WebSocket(location.href)"),
        ("style.css", "body {}"),
        ("data.unknown-extension", "data"),
        ("with space é.txt", "named"),
        ("docs/index.html", "<title>docs</title>"),
        ("empty/file.txt", ""),
        (".env", SECRET),
        (".git/config", SECRET),
        (".well-known/security.txt", "contact"),
        ("../secret.txt", SECRET),
        ("../public-too/secret.txt", SECRET),
    ] {
        let path = public.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink(dir.path().join("secret.txt"), public.join("absolute.txt")).unwrap();
    symlink("../secret.txt", public.join("relative.txt")).unwrap();
    symlink("..", public.join("up")).unwrap();
    symlink("/", public.join("root")).unwrap();
    symlink("app.js", public.join("inside.js")).unwrap();
    symlink("loop", public.join("loop")).unwrap();
    dir
}

fn serve(site: &TempDir, options: &[&str]) -> Relay {
    let public = site.path().join("public");
    let mut all = vec!["--static-dir", public.to_str().unwrap()];
    all.extend_from_slice(options);
    relay_to(echo(), &all)
}

#[test]
fn files_and_websockets_on_one_port() {
    let site = site();
    let relay = serve(&site, &[]);
    for (path, status, media_type, content) in [
        ("/", 200, "text/html; charset=utf-8", "<title>index</title>"),
        ("/?query", 200, "text/html; charset=utf-8", "<title>index</title>"),
        ("/index.html", 200, "text/html; charset=utf-8", "<title>index</title>"),
        ("/app.js", 200, "text/javascript; charset=utf-8", "new WebSocket(location.href)"),
        ("/inside.js", 200, "text/javascript; charset=utf-8", "new WebSocket(location.href)"),
        ("/style.css", 200, "text/css; charset=utf-8", "body {}"),
        ("/data.unknown-extension", 200, "application/octet-stream", "data"),
        ("/with%20space%20%C3%A9.txt", 200, "text/plain; charset=utf-8", "named"),
        ("/docs/", 200, "text/html; charset=utf-8", "<title>docs</title>"),
        ("/.well-known/security.txt", 200, "text/plain; charset=utf-8", "contact"),
        ("/empty/file.txt", 200, "text/plain; charset=utf-8", ""),
    ] {
        let response = relay.get(path, &[]);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.header("content-type"), Some(media_type), "{path}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(response.text(), content, "{path}");
    }
    let response = relay.get("/docs?query", &[]);
    assert_eq!((response.status, response.header("location")), (301, Some("/docs/?query")));
    for path in ["/no-such-file", "/empty/", "/docs/index.html/", "/loop"] {
        let response = relay.get(path, &[]);
        assert_eq!((response.status, response.header("upgrade")), (404, None), "{path}");
    }

    let head = "HEAD /no HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let mut tcp = relay.tcp();
    tcp.write_all(head.as_bytes()).unwrap();
    let mut all = String::new();
    tcp.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 404 ") && all.ends_with("\r\n\r\n"), "{all}");
    // What is no path is no missing file, and a handshake that lost a header was none.
    let options = "OPTIONS * HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    assert_eq!(relay.http(options).status, 426);
    let stripped = handshake("/no", "").replace("Upgrade: websocket\r\n", "");
    assert_eq!(relay.http(&stripped).status, 426);

    // A page opens the WebSocket wherever it likes, a file's own address included.
    for path in ["/", "/app.js", "/docs", "/no-such-file", "/../secret.txt"] {
        let mut client = relay.connect(path);
        client.send(path);
        assert_eq!(client.recv(), path);
        client.close();
    }
}

#[test]
fn a_head_request_and_a_page_on_one_connection() {
    let site = site();
    let relay = serve(&site, &[]);
    let mut tcp = relay.tcp();
    tcp.write_all(b"HEAD /app.js HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    tcp.write_all(b"GET /style.css HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = String::new();
    tcp.read_to_string(&mut all).unwrap();
    let (head, get) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Length: 28"), "{head}");
    assert!(get.starts_with("HTTP/1.1 200 ") && get.ends_with("\r\n\r\nbody {}"), "{get}");
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let site = site();
    let relay = serve(&site, &[]);
    let first = relay.get("/app.js", &[]);
    let etag = first.header("etag").unwrap();
    let modified = first.header("last-modified").unwrap();
    for (name, value) in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
        let again = relay.get("/app.js", &[(name, value)]);
        assert_eq!((again.status, again.text().as_str()), (304, ""));
        assert_eq!(again.header("etag"), Some(etag));
    }
    fs::write(site.path().join("public/app.js"), "changed").unwrap();
    let changed = relay.get("/app.js", &[("If-None-Match", etag)]);
    assert_eq!((changed.status, changed.text().as_str()), (200, "changed"));
}

#[test]
fn parts_of_files() {
    let site = site();
    let relay = serve(&site, &[]);
    for (range, status, content_range, content) in [
        ("bytes=0-2", 206, Some("bytes 0-2/28"), "new"),
        ("bytes=-5", 206, Some("bytes 23-27/28"), "href)"),
        ("bytes=4-", 206, Some("bytes 4-27/28"), "WebSocket(location.href)"),
        ("bytes=28-", 416, Some("bytes */28"), "the file has 28 bytes\n"),
        ("lines=1-2", 200, None, "new WebSocket(location.href)"),
    ] {
        let response = relay.get("/app.js", &[("Range", range)]);
        assert_eq!((response.status, response.text().as_str()), (status, content), "{range}");
        assert_eq!(response.header("content-range"), content_range, "{range}");
    }
}

#[test]
fn nothing_from_outside() {
    let site = site();
    let relay = serve(&site, &[]);
    let absolute = site.path().join("secret.txt");
    let absolute = absolute.to_str().unwrap();
    for path in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/docs/../../public-too/secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/....//secret.txt",
        "/.%00./secret.txt",
        "/%252e%252e/secret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/..;/secret.txt",
        "//../secret.txt",
        "/./../secret.txt",
        "/../public-too/secret.txt",
        "http://test/../secret.txt",
        "http://../secret.txt",
        absolute,
        &format!("/{absolute}"),
        &format!("/%2f{absolute}"),
        &format!("/root{absolute}"),
        "/absolute.txt",
        "/relative.txt",
        "/relative.txt/",
        "/up/secret.txt",
        "/up/public/app.js",
        "/up/public-too/secret.txt",
        "/root/etc/passwd",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/docs/../.env",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let request = format!("{method} {path} HTTP/1.0\r\nHost: test\r\n\r\n");
            let mut tcp = relay.tcp();
            tcp.write_all(request.as_bytes()).unwrap();
            let mut all = String::new();
            tcp.read_to_string(&mut all).unwrap();
            let status = all.split(' ').nth(1).unwrap_or_default();
            assert!(["404", "400"].contains(&status), "{method} {path}: {all}");
            assert!(!all.contains(SECRET) && !all.contains("root:"), "{method} {path}: {all}");
        }
    }
}

#[test]
fn files_can_only_be_read() {
    let site = site();
    let mut relay = serve(&site, &[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        for (path, status, allow) in [
            ("/app.js", 405, Some("GET, HEAD")),
            ("/docs", 405, Some("GET, HEAD")),
            ("/no", 404, None),
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
                 Content-Length: 5\r\n\r\nhello"
            );
            let response = relay.http(&request);
            assert_eq!(
                (response.status, response.header("allow")),
                (status, allow),
                "{method} {path}"
            );
            assert_eq!(response.text().lines().count(), 1);
            relay.wait_log(&["refused", path, &format!("status={status}")]);
        }
    }
    assert_eq!(relay.get("/app.js", &[]).text(), "new WebSocket(location.href)");
}

#[test]
fn a_directory_that_cannot_be_served() {
    let site = site();
    for (dir, why) in [("no-such-dir", "no such file"), ("secret.txt", "not a directory")] {
        let dir = site.path().join(dir);
        let dir = dir.to_str().unwrap();
        let done = run(&["--listen", "127.0.0.1:0", "--to", "localhost:7", "--static-dir", dir]);
        assert_eq!(done.status.code(), Some(1));
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(why) && said.matches(dir).count() == 1, "{said}");
        assert!(done.stdout.is_empty());
    }
}

/// A file of zeros with "the end" as its end; it takes no room on the disk.
fn large_file(site: &TempDir, len: u64) {
    let mut file = File::create(site.path().join("public/large.bin")).unwrap();
    file.set_len(len).unwrap();
    file.seek(SeekFrom::End(-7)).unwrap();
    file.write_all(b"the end").unwrap();
}

#[test]
fn a_large_file_is_streamed() {
    const LEN: usize = 150 << 20;
    let site = site();
    large_file(&site, LEN as u64);
    let relay = serve(&site, &[]);
    let before = relay.rss();
    let mut tcp = relay.tcp();
    tcp.write_all(b"GET /large.bin HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut chunk = vec![0; 1 << 20];
    let (mut total, mut highest, mut end) = (0, 0, Vec::new());
    loop {
        let n = retry(|| tcp.read(&mut chunk)).unwrap();
        if n == 0 {
            break;
        }
        total += n;
        end.extend_from_slice(&chunk[n.saturating_sub(7)..n]);
        end.drain(..end.len().saturating_sub(7));
        highest = highest.max(relay.rss());
    }
    assert!(total > LEN && total < LEN + 1000, "{total}");
    assert_eq!(end, b"the end");
    assert!(highest < before + (16 << 20), "{before} bytes grew to {highest}");
}

#[test]
fn a_client_that_asks_and_never_reads_is_cut_off() {
    const LEN: u64 = 150 << 20;
    let site = site();
    large_file(&site, LEN);
    let mut relay = serve(&site, &["--write-timeout", "300ms"]);
    relay.connect("/").close();
    let before = relay.descriptors();
    let mut tcp = relay.tcp();
    tcp.write_all(b"GET /large.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let client = format!("client={}", tcp.local_addr().unwrap());
    relay.wait_log(&["connection dropped", &client, "took nothing of its response for 300ms"]);
    // What had left by then is all that comes.
    let mut got = 0;
    let mut chunk = vec![0; 1 << 20];
    while let Ok(n @ 1..) = retry(|| tcp.read(&mut chunk)) {
        got += n as u64;
    }
    assert!(got < LEN, "{got}");
    drop(tcp);
    wait_until("the file is closed", || relay.descriptors() <= before);
    assert_eq!(relay.get("/app.js", &[]).status, 200);
}

#[test]
fn a_client_that_reads_slowly_gets_it_all() {
    const LEN: usize = 20 << 20;
    let site = site();
    large_file(&site, LEN as u64);
    let relay = serve(&site, &["--write-timeout", "500ms"]);
    let mut tcp = relay.tcp();
    tcp.write_all(b"GET /large.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut head = [0; 1024];
    tcp.read_exact(&mut head).unwrap();
    let mut left = LEN - 1024;
    let mut chunk = vec![0; 1 << 20];
    // Longer than the timeout in all, but never that long without taking anything.
    while left > 0 {
        std::thread::sleep(Duration::from_millis(50));
        let n = chunk.len().min(left);
        tcp.read_exact(&mut chunk[..n]).unwrap();
        left -= n;
    }
    let mut rest = Vec::new();
    tcp.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let _ = tcp.read_to_end(&mut rest);
    assert!(rest.ends_with(b"the end") && rest.len() < 1024, "{}", rest.len());
}

#[test]
fn a_slow_page_does_not_hold_up_a_stop() {
    let site = site();
    large_file(&site, 150 << 20);
    let mut relay = serve(&site, &[]);
    let mut tcp = relay.tcp();
    tcp.write_all(b"GET /large.bin HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    tcp.read_exact(&mut [0; 1024]).unwrap();
    relay.signal("TERM");
    assert_eq!(relay.wait_exit().code(), Some(0));
}

#[test]
fn secrets_are_no_pages() {
    let site = TempDir::new().unwrap();
    let at = |name: &str| site.path().join(name).display().to_string();
    let dir = site.path().display().to_string();
    for name in ["users", ".users", "index.html"] {
        fs::write(site.path().join(name), "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n").unwrap();
    }
    for (option, name) in
        [("--auth-file", "users"), ("--token-file", "users"), ("--acme-cache", "certificates")]
    {
        let path = at(name);
        let mut args = vec!["--listen", "127.0.0.1:0", "--to", "a:1", "--static-dir", &dir];
        args.extend([option, &path]);
        if option == "--acme-cache" {
            args.extend(["--acme-domain", "example.org"]);
        }
        let done = support::run(&args);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        let want =
            format!("{option} {path} lies in --static-dir {dir}, where everybody could read it");
        assert!(said.contains(&want) && said.lines().count() == 1, "{said}");
    }
    let relay = relay_to(echo(), &["--static-dir", &dir, "--auth-file", &at(".users")]);
    assert_eq!(relay.get("/.users", &[]).status, 404);
    assert_eq!(relay.get("/index.html", &[]).status, 200);
}
