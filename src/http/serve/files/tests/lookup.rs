//! The files that paths lead to: files, links, directories, special files.

use super::*;

#[test]
fn what_lies_outside_or_is_hidden_is_not_found() {
    let site = TestSite::new();
    for name in ["ok", "d/ok", ".env", ".git/config", "d/.env", ".well-known/ok", "etc/ok"] {
        site.write(name, "x");
    }
    let outside = site.dir.path().to_str().unwrap().trim_start_matches('/').to_owned();
    let absolute = [
        format!("//{outside}/secret"),
        format!("/%2f{outside}/secret"),
        format!("/{outside}/secret"),
    ];
    let fixed = [
        "/../secret",
        "/%2e%2e/secret",
        "/.%2e/secret",
        "/%2E./secret",
        "/d/../../secret",
        "/..%2fsecret",
        "/..%5csecret",
        "/%252e%252e/secret",
        "//etc/passwd",
        "/%2fetc/passwd",
        "//../secret",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/d/.env",
        "/d/../ok",
        "/ok%00",
        "/ok%",
        "/ok%zz",
        "/.",
        "/d",
        "/d/",
        "/",
        "",
    ];
    for path in fixed.into_iter().map(str::to_owned).chain(absolute) {
        assert_eq!(site.status(&path), None, "{path}");
    }
    assert_eq!(site.status(&format!("/{}", "n".repeat(300))), None, "a name too long");
    assert_eq!(site.status(&"/n".repeat(5000)), None, "a path too long");
    for path in ["/ok", "//ok", "/d//ok", "/%6f%6B", "/.well-known/ok", "//etc/ok"] {
        assert_eq!(site.status(path), Some(200), "{path}");
    }
}

#[test]
fn names_need_not_be_utf8() {
    let site = TestSite::new();
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe.css");
    fs::write(site.dir.path().join("www").join::<&std::ffi::OsStr>(name), "x").unwrap();
    let got = site.get("/%ff%FE.css", &[]).unwrap();
    assert_eq!((got.status, got.header(header::CONTENT_TYPE)), (200, "text/css; charset=utf-8"));
}

#[test]
fn links_are_followed_inside_the_root_only() {
    let site = TestSite::new();
    site.write("real/page.html", "inside");
    let inside = site.path("real/page.html");
    let outside = site.dir.path().join("secret");
    for (link, to) in [
        ("near.html", Path::new("real/page.html")),
        ("round.html", Path::new("real/../near.html")),
        ("dir", Path::new("real")),
        ("out-relative", Path::new("../secret")),
        ("out-absolute", outside.as_path()),
        ("out-dir", Path::new("..")),
        ("out-and-back", Path::new("../www/real/page.html")),
        ("in-absolute", inside.as_path()),
        ("dangling", Path::new("nowhere")),
        ("loop", Path::new("loop")),
    ] {
        symlink(to, site.path(link)).unwrap();
    }
    for path in ["/near.html", "/round.html", "/dir/page.html"] {
        let got = site.get(path, &[]).unwrap_or_else(|| panic!("{path}"));
        assert_eq!((got.status, &got.body[..]), (200, &b"inside"[..]), "{path}");
    }
    for path in [
        "/out-relative",
        "/out-absolute",
        "/out-dir",
        "/out-dir/",
        "/out-dir/secret",
        "/out-and-back",
        "/in-absolute",
        "/dangling",
        "/loop",
    ] {
        assert_eq!(site.status(path), None, "{path}");
    }
}

#[test]
fn what_is_not_a_file_is_not_found_and_holds_nobody_up() {
    let site = TestSite::new();
    site.write("fifo-index/x", "");
    for name in ["fifo", "fifo-index/index.html"] {
        rustix::fs::mknodat(CWD, site.path(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
    }
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    let (done, answers) = mpsc::channel();
    thread::spawn(move || {
        for path in ["/fifo", "/fifo/", "/fifo-index", "/fifo-index/", "/socket"] {
            done.send((path, site.status(path))).unwrap();
        }
    });
    for _ in 0..5 {
        let (path, status) = answers
            .recv_timeout(Duration::from_secs(20))
            .expect("an answer, with no writer to the FIFO");
        assert_eq!(status, None, "{path}");
    }
}

#[test]
fn directories_are_their_index() {
    let site = TestSite::new();
    site.write("index.html", "root");
    site.write("docs/index.html", "docs");
    site.write("a b/index.html", "a b");
    site.write("bare/file", "x");
    site.write("odd/index.html/file", "x");
    assert_eq!(&site.get("/", &[]).unwrap().body[..], b"root");
    assert_eq!(&site.get("//", &[]).unwrap().body[..], b"root");
    let got = site.get("/docs/?x", &[]).unwrap();
    assert_eq!((got.status, &got.body[..]), (200, &b"docs"[..]));
    assert_eq!(got.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    for (uri, location) in [
        ("/docs", "/docs/"),
        ("/docs?a=1&b=%2F", "/docs/?a=1&b=%2F"),
        ("//docs", "/docs/"),
        ("/%64ocs?", "/docs/?"),
        ("/a%20b", "/a%20b/"),
    ] {
        let got = site.get(uri, &[]).unwrap();
        assert_eq!((got.status, got.header(header::LOCATION)), (301, location), "{uri}");
        assert_eq!(got.header(header::CACHE_CONTROL), "no-cache", "{uri}");
    }
    for path in ["/bare", "/bare/", "/odd", "/odd/"] {
        assert_eq!(site.status(path), None, "{path}");
    }
    // An index directory's own index is a page like any other.
    site.write("odd/index.html/index.html", "x");
    assert_eq!(site.status("/odd/index.html"), Some(301));
    for path in ["/odd", "/odd/"] {
        assert_eq!(site.status(path), None, "{path} would lead to itself");
    }
}

#[test]
fn an_unreadable_file_is_forbidden() {
    let site = TestSite::new();
    site.write("private", "x");
    site.write("locked/file", "x");
    site.write("public", "x");
    for (name, mode) in [("private", 0o000), ("locked", 0o000), ("public", 0o644), ("", 0o755)] {
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let root = Arc::clone(&lock(&site.files.root));
    let status = move |path: &str| match find(&root, &SafePath::parse(path).unwrap()) {
        Ok(FileLookup::File(..)) => Some(200),
        Ok(_) => None,
        Err(why) => refusal(&why).map(|response| response.status().as_u16()),
    };
    // Root may read every file, so the thread that reads takes another user id.
    let answers = thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
        }
        ["/private", "/locked/file", "/public", "/missing"].map(status)
    });
    assert_eq!(answers.join().unwrap(), [Some(403), Some(403), Some(200), None]);
    fs::set_permissions(site.path("locked"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn other_failures_are_told_apart_from_not_found() {
    let full = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
    let got = Got::from(refusal(&full).unwrap());
    assert_eq!(got.status, 500);
    assert!(got.body.starts_with(b"this file could not be read: "), "{got:?}");
    let Err(why) = Files::open(Path::new("/no/such/directory")) else { panic!("opened") };
    assert!(
        why.to_string()
            .starts_with("can't serve files from --static-dir /no/such/directory: no such"),
        "{why}"
    );
    let site = TestSite::new();
    assert!(Files::open(&site.dir.path().join("secret")).is_err(), "a file is no root");
}
