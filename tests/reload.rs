//! SIGHUP: the configuration file is read again, and a bad one changes nothing.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use support::configured::{Configured, write};
use support::program::wait_until;
use support::{Backend, HttpResponse, echo, handshake};

#[test]
fn new_sessions_get_the_new_settings_and_old_ones_keep_theirs() {
    let (first, second) = (Backend::listen(), Backend::listen());
    let mut relay = Configured::start(&format!("to = \"{}\"\n", first.addr), &[]);
    let mut old = relay.relay.connect("/");
    let mut old_peer = first.accept();
    let text = format!(
        "to = \"{0}\"\neol = \"crlf\"\n[[route]]\npath = \"/first\"\nto = \"{1}\"\n",
        second.addr, first.addr
    );
    relay.reload(&text, &["INFO", "reloaded", "wsrelay.toml"]);
    let mut new = relay.relay.connect("/");
    let mut new_peer = second.accept();
    new.send("new");
    assert_eq!(new_peer.read_line(), "new\r\n");
    old.send("old");
    assert_eq!(old_peer.read_line(), "old\n");
    old_peer.write("still there\n");
    assert_eq!(old.recv(), "still there");
    let _client = relay.relay.connect("/first");
    first.accept();
    old.close();
    relay.relay.wait_log(&["session closed", &format!("backend={}", first.addr)]);
}

/// A client can keep a connection open for as long as it likes, by asking for a page now and then.
#[test]
fn a_connection_that_was_there_before_is_no_way_round_the_new_settings() {
    let text = format!("to = \"{}\"\n", echo());
    let mut relay = Configured::start(&text, &[]);
    fs::write(relay.dir.path().join("tokens"), "a-token\n").unwrap();
    let page = "GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned();
    let mut kept: Vec<_> = (0..3).map(|_| relay.relay.tcp()).collect();
    let ask = |tcp: &mut std::net::TcpStream, request: &str| {
        tcp.write_all(request.as_bytes()).unwrap();
        HttpResponse::read(tcp).status
    };
    for tcp in &mut kept {
        assert_eq!(ask(tcp, &page), 426);
    }
    relay.reload(&format!("{text}token-file = \"tokens\"\n"), &["INFO", "reloaded"]);
    assert_eq!(relay.status("/"), 401);
    assert_eq!(ask(&mut kept[0], &handshake("/", "")), 401);
    assert_eq!(ask(&mut kept[1], &page), 426);
    assert_eq!(ask(&mut kept[1], &handshake("/?token=a-token", "")), 101);
    let moved = "[[route]]\npath = \"/elsewhere\"\nto = \"localhost:1\"\n";
    // Of the tokens it was told after the first one.
    relay.reload(moved, &["INFO", "reloaded", "wsrelay.toml"]);
    assert_eq!(ask(&mut kept[2], &handshake("/", "")), 404);
}

#[test]
fn a_bad_file_changes_nothing_and_says_so() {
    let text = format!("to = \"{}\"\n", echo());
    let mut relay = Configured::start(&text, &[]);
    for (bad, why) in [
        ("to = ", "line 2: not TOML"),
        ("to = \"a:1\"\nprot = 1", "line 3: prot: there is no option prot"),
        ("to = \"a:1\"\neol = \"lfcr\"", "line 3: --eol lfcr"),
        ("", "why=\"wsrelay.toml: say where the lines go"),
        ("to = \"a:1\"\nstatic-dir = \"nowhere\"", "nowhere"),
        ("to = \"a:1\"\nauth-file = \"nobody\"", "nobody"),
        ("program = [\"./nothing\"]", "./nothing"),
    ] {
        let line = relay.reload(bad, &["WARN", "not reloaded"]);
        assert!(line.contains(why) && line.contains("file=\"wsrelay.toml\""), "{bad}: {line}");
        let mut client = relay.relay.connect("/");
        client.send("hello");
        assert_eq!(client.recv(), "hello");
    }
    fs::remove_file(relay.dir.path().join("wsrelay.toml")).unwrap();
    relay.relay.seen.clear();
    relay.relay.signal("HUP");
    relay.relay.wait_log(&["not reloaded", "can't read wsrelay.toml"]);
    relay.reload(&text, &["INFO", "reloaded"]);
}

#[test]
fn what_was_typed_goes_on_counting_more() {
    let typed = echo().to_string();
    let nobody = support::Refusing::bind("127.0.0.1");
    let mut relay = Configured::start("to = \"a:1\"\n", &["--to", &typed]);
    relay.reload(&format!("to = \"{}\"\n", nobody.addr), &["INFO", "reloaded"]);
    assert_eq!(relay.status("/"), 101);
}

#[test]
fn what_can_not_change_is_said() {
    let text = format!("to = \"{}\"\n", echo());
    let mut relay = Configured::start(&text, &[]);
    let more = format!("{text}log-level = \"debug\"\n");
    relay.reload(&more, &["WARN", "log-level", "restart"]);
    write(&relay.dir, &text);
    let file = relay.dir.path().join("wsrelay.toml");
    fs::write(file, format!("listen = \"127.0.0.2:0\"\n{text}")).unwrap();
    relay.relay.signal("HUP");
    relay.relay.wait_log(&["WARN", "port and listen", "restart"]);
    assert_eq!(relay.status("/"), 101);
    relay.relay.wait_log(&["INFO", "reloaded"]);
    relay.reload(&text, &["INFO", "reloaded"]);
    let warned = relay.relay.seen.iter().any(|line| line.contains("WARN"));
    assert!(!warned, "it is again as it was at the start: {:?}", relay.relay.seen);
}

#[test]
fn who_is_there_goes_on_being_counted() {
    let text = format!("to = \"{}\"\n", echo());
    let limits = "max-sessions-per-ip = 2\nmax-sessions = 3\n";
    let mut relay = Configured::start(&format!("{text}{limits}"), &[]);
    let held = [relay.relay.connect("/"), relay.relay.connect("/")];
    assert_eq!(relay.status("/"), 429);
    relay.reload(&format!("{text}{limits}eol = \"crlf\"\n"), &["INFO", "reloaded"]);
    assert_eq!(relay.status("/"), 429, "those who came before are counted still");
    relay.reload(&format!("{text}max-sessions = 2\n"), &["INFO", "reloaded"]);
    assert_eq!(relay.status("/"), 503);
    relay.reload(&format!("{text}max-sessions = 3\n"), &["INFO", "reloaded"]);
    assert_eq!(relay.status("/"), 101);
    for client in held {
        client.close();
    }
    relay.reload(&format!("{text}max-sessions = 1\n"), &["INFO", "reloaded"]);
    wait_until("a place is free", || relay.status("/") == 101);
}

/// A file that is wrong changes nothing: not what comes before the mistake either.
#[test]
fn a_bad_route_changes_nothing_of_the_others() {
    let limited = |most: usize| {
        let backend = echo();
        format!("[[route]]\npath = \"/a\"\nto = \"{backend}\"\nmax-sessions = {most}\n")
    };
    let mut relay = Configured::start(&limited(1), &[]);
    let _held = relay.relay.connect("/a");
    assert_eq!(relay.status("/a"), 503);
    let bad = "[[route]]\npath = \"/\"\nto = \"a:1\"\nauth-file = \"nobody\"\n";
    relay.reload(&format!("{}{bad}", limited(2)), &["WARN", "not reloaded", "nobody"]);
    assert_eq!(relay.status("/a"), 503, "the limit is still the old one");
    relay.reload(&limited(2), &["INFO", "reloaded"]);
    assert_eq!(relay.status("/a"), 101);
}

/// A disk that does not answer blocks one thread, however many reloads are requested: names, files and passwords
/// need the others.
#[test]
fn a_file_that_is_long_in_coming_holds_up_one_reload() {
    let text = format!("to = \"{}\"\n", echo());
    let mut relay = Configured::start(&text, &[]);
    let file = relay.dir.path().join("wsrelay.toml");
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    relay.relay.signal("HUP");
    let mut writer = None;
    // Without waiting it is opened only once somebody is there to read.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    wait_until("the file is being read", || {
        writer = OpenOptions::new().write(true).custom_flags(nonblock).open(&file).ok();
        writer.is_some()
    });
    let before = relay.relay.threads();
    for _ in 0..30 {
        relay.relay.signal("HUP");
        assert_eq!(relay.status("/"), 101);
    }
    let after = relay.relay.threads();
    assert!(after < before + 10, "{before} threads became {after}");
    fs::remove_file(&file).unwrap();
    write(&relay.dir, &text);
    drop(writer);
    relay.relay.wait_log(&["not reloaded"]);
    relay.relay.wait_log(&["INFO", " reloaded", "wsrelay.toml"]);
    relay.reload(&text, &["INFO", " reloaded"]);
}

#[test]
fn many_reloads_leave_nothing_behind() {
    let backend = echo();
    let text =
        |n: usize| format!("to = \"{backend}\"\nping-interval = \"{n}s\"\nstatic-dir = \".\"\n");
    let mut relay = Configured::start(&text(1000), &[]);
    relay.reload(&text(1001), &["reloaded"]);
    let before = relay.relay.descriptors();
    for n in 0..100 {
        relay.reload(&text(1002 + n), &["INFO", "reloaded"]);
    }
    // The last one is told of a moment before what was open for the one before it is closed.
    wait_until("no more is open than before", || relay.relay.descriptors() <= before);
}
