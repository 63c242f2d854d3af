//! Programs of `--cgi-dir` that misbehave, and clients that do.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use support::cgi::cgi;
use support::faults::{Flood, reset};
use support::program::{children, find, wait_childless, wait_dead, wait_until};
use support::{DEADLINE, HttpResponse, retry};

const PLAIN: &str = "printf 'Content-Type: text/plain\\n\\n'; ";

fn plain(script: &str) -> String {
    PLAIN.to_owned() + script
}

/// A GET that keeps its connection's answer to be read.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
}

#[test]
fn no_path_leads_out() {
    let served = cgi(&[("show", &plain("echo shown")), (".hidden", &plain("echo hidden"))], &[]);
    support::program::script(&served.dir.path().join("outside"), &plain("echo outside"));
    for (target, name) in [("../outside", "out"), ("..", "up"), ("/bin/sh", "sh")] {
        symlink(target, served.path(name)).unwrap();
    }
    let long = format!("/{}", "x".repeat(8000));
    for path in [
        "/",
        "/.hidden",
        "/%2ehidden",
        "/out",
        "/up/outside",
        "/sh",
        "/../outside",
        "/show/../show",
        "/%2e%2e/outside",
        "/.%2E/outside",
        "/..%2foutside",
        "/..\\outside",
        "/..%5coutside",
        "/show%00",
        "/show%00/x",
        "/show/%2e%2e",
        "/show/a%2fb",
        "/show%",
        "/show%2",
        &long,
    ] {
        let response = served.get(path);
        assert_eq!(response.status, 426, "{path}: {}", response.text());
    }
    // Behind a program there is nothing else that it could be.
    for path in ["/show/%00", "/show/%", "/show/a%2"] {
        let response = served.get(path);
        assert_eq!(response.status, 400, "{path}: {}", response.text());
    }
    assert!(children(served.relay.pid()).is_empty());
    assert_eq!(served.get("/sh%6fw/.x").text(), "shown\n");
    assert_eq!(served.get("//show").text(), "shown\n");
}

#[test]
fn what_is_no_answer_is_a_bad_gateway() {
    let huge =
        "printf 'X: '; head -c 20000 /dev/zero | tr '\\0' x; printf '\\nContent-Type: a\\n\\n'";
    let endless = "while :; do echo 'X: y'; done";
    let table = [
        ("silent", "exit 3", "it said nothing"),
        ("closed", "exec >&-; sleep 1000", "it said nothing"),
        ("broken", "printf 'Content-Type: text/pl'", "its head does not end"),
        ("blank", "printf '\\nhello'", "no Content-Type"),
        ("text", "printf 'hello, world\\n\\n'", "a line that is no header"),
        ("nph", "printf 'HTTP/1.1 200 OK\\r\\nContent-Type: a\\r\\n\\r\\n'", "no header"),
        ("binary", "head -c 100 /dev/zero; printf '\\n\\n'", "no header"),
        ("switch", "printf 'Status: 101\\nUpgrade: websocket\\n\\n'", "its Status"),
        ("huge", huge, "longer than 16 KiB"),
        ("endless", endless, "longer than 16 KiB"),
        ("folded", "printf 'Content-Type: a\\n b\\n\\n'", "no header"),
        ("bare", "printf 'Content-Type: a\\rSet-Cookie: b\\n\\n'", "no header"),
    ];
    let programs = table.map(|(name, script, _)| (name, script));
    let mut served = cgi(&programs, &["--kill-grace", "50ms"]);
    for (name, _, why) in table {
        let response = served.get(&format!("/{name}"));
        let text = response.text();
        assert_eq!(response.status, 502, "{name}: {text}");
        assert!(text.starts_with(&format!("{name} gave no answer: ")), "{text}");
        assert!(text.contains(why) && text.lines().count() == 1, "{text}");
        assert!(!response.head.contains("set-cookie"), "{}", response.head);
        served.relay.wait_log(&["refused", "status=502", &format!("path=\"/{name}\""), why]);
    }
    served.relay.wait_log(&["program exited with status 3"]);
    wait_childless(&served.relay);
}

#[test]
fn what_cannot_be_started_is_a_bad_gateway_too() {
    let served = cgi(&[("script", "")], &[]);
    // Written by another process, as the file would be busy otherwise.
    let path = served.path("script");
    let write = "printf 'no script at all\\n' >\"$0\"";
    let done = std::process::Command::new("sh").args(["-c", write]).arg(&path).status().unwrap();
    assert!(done.success());
    let response = served.get("/script");
    assert_eq!(response.status, 502);
    assert!(response.text().starts_with("can't start script: exec format error"));
    fs::remove_dir_all(served.dir.path().join("cgi")).unwrap();
    let response = served.get("/script");
    assert_eq!(response.text(), "can't look for programs: no such file or directory\n");
}

#[test]
fn a_silent_program_is_given_up() {
    let programs = [
        ("mute", "exec sleep 1000"),
        ("half", &*plain("echo begun; exec sleep 1000")),
        ("deaf", "trap '' INT TERM; while :; do read x || sleep 0.1; done"),
        ("slow", &*plain("for n in 1 2 3 4 5 6 7 8; do echo $n; sleep 0.2; done")),
    ];
    let mut served = cgi(&programs, &["--cgi-timeout", "1s", "--kill-grace", "50ms"]);
    for name in ["mute", "deaf"] {
        let response = served.get(&format!("/{name}"));
        assert_eq!(response.status, 504);
        assert_eq!(response.text(), format!("{name} did not answer in 1s\n"));
    }
    // Each word restarts the limit: together they take longer.
    assert_eq!(
        served.get("/slow").text(),
        "1
2
3
4
5
6
7
8
"
    );
    let mut tcp = served.ask(&get("/half"));
    let mut said = Vec::new();
    let _ = tcp.read_to_end(&mut said);
    let said = String::from_utf8(said).unwrap();
    // It is cut, so that the client knows that it is not all.
    assert!(said.contains("begun") && !said.ends_with("0\r\n\r\n"), "{said}");
    served.relay.wait_log(&["WARN", "request ended", "program=\"half\"", "within 1s"]);
    wait_childless(&served.relay);
}

#[test]
fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let served = cgi(&[("cat", &plain("exec cat"))], &["--cgi-timeout", "500ms"]);
    let head = "POST /cat HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n";
    // A byte now and then restarts the limit, too.
    let mut tcp = served.ask(head);
    for byte in b"0123456789" {
        std::thread::sleep(Duration::from_millis(100));
        tcp.write_all(&[*byte]).unwrap();
    }
    assert_eq!(HttpResponse::read(&mut tcp).text(), "0123456789");
    let mut tcp = served.ask(head);
    tcp.write_all(b"01234").unwrap();
    let mut said = String::new();
    let _ = tcp.read_to_string(&mut said);
    assert!(said.contains("200 OK") && !said.ends_with("0\r\n\r\n"), "{said}");
    let late =
        cgi(&[("late", "cat >/dev/null; printf 'Status: 200\\n\\n'")], &["--cgi-timeout", "500ms"]);
    let mut tcp = late.ask("POST /late HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(HttpResponse::read(&mut tcp).status, 504);
    wait_childless(&served.relay);
    wait_childless(&late.relay);
}

#[test]
fn a_client_that_hangs_up_ends_its_program() {
    let deaf = plain("echo $$; trap '' INT TERM PIPE; while :; do sleep 0.1; done");
    let mute = "trap '' INT TERM; echo begun >&2; while :; do sleep 0.1; done";
    let flood = plain("echo $$; exec yes");
    let programs = [("deaf", &*deaf), ("mute", mute), ("flood", &*flood)];
    let mut served = cgi(&programs, &["--kill-grace", "50ms"]);
    for name in ["deaf", "flood"] {
        let mut tcp = served.ask(&get(&format!("/{name}")));
        let pid = first_line(&mut tcp).parse().unwrap();
        assert!(find(pid).is_some());
        drop(tcp);
        wait_dead(pid);
        let program = format!("program={name:?}");
        served.relay.wait_log(&["request ended", &program, "status=200", "took no more"]);
    }
    let tcp = served.ask(&get("/mute"));
    served.relay.wait_log(&["program says", "begun"]);
    drop(tcp);
    served.relay.wait_log(&["request ended", "program=\"mute\"", "killed by signal 9"]);
    wait_childless(&served.relay);
}

/// The first line of a body that comes in chunks.
fn first_line(tcp: &mut std::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Some((_, line)) = body.split_once("\r\n")
            && let Some((line, _)) = line.split_once('\n')
        {
            return line.to_owned();
        }
        let mut byte = [0];
        retry(|| tcp.read_exact(&mut byte)).unwrap();
        bytes.push(byte[0]);
    }
}

#[test]
fn what_a_program_leaves_behind_is_ended() {
    let child = plain("sleep 1000 & echo $!");
    let closes = plain("echo $$; exec >&- 2>&-; trap '' INT TERM; while :; do sleep 0.1; done");
    let programs = [("child", &*child), ("closes", &*closes)];
    let mut served = cgi(&programs, &["--kill-grace", "50ms"]);
    for name in ["child", "closes"] {
        let pid = served.get(&format!("/{name}")).text().trim().parse().unwrap();
        wait_dead(pid);
    }
    served.relay.wait_log(&["request ended", "program=\"closes\"", "status=200"]);
    wait_childless(&served.relay);
}

#[test]
fn a_program_that_writes_and_never_reads_or_reads_nothing_at_all() {
    let lines = 200_000;
    let writes = plain(&format!("seq {lines}"));
    let closes = plain("exec <&-; sleep 0.1; echo done");
    let ignores = plain("sleep 0.3; echo done");
    let programs = [("writes", &*writes), ("closes", &*closes), ("ignores", &*ignores)];
    let served = cgi(&programs, &[]);
    served.get("/ignores");
    let before = served.relay.rss();
    let body = vec![b'x'; 20 << 20];
    let want: String = (1..=lines).map(|n| format!("{n}\n")).collect();
    assert_eq!(served.post("/writes", &body).text(), want);
    assert_eq!(served.post("/closes", &body).text(), "done\n");
    assert_eq!(served.post("/ignores", &body).text(), "done\n");
    // A client that reads nothing before it has sent everything gets its answer, too.
    let mut tcp = served.ask(&format!(
        "POST /closes HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    tcp.write_all(&body).expect("the rest is taken");
    assert_eq!(HttpResponse::read(&mut tcp).text(), "done\n");
    // The relay buffers only what it is sending.
    let grown = served.relay.rss().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    wait_childless(&served.relay);
}

/// A 200 to that would say that there is a tunnel now, and have no body.
#[test]
fn nothing_is_a_proxy() {
    let served = cgi(&[("run", &plain("echo run"))], &[]);
    let mut tcp = served.ask("CONNECT /run HTTP/1.1\r\nHost: t\r\n\r\n");
    let response = HttpResponse::read(&mut tcp);
    assert_eq!((response.status, response.header("connection")), (501, Some("close")));
}

/// It has the same limit of time as any other program.
#[test]
fn a_program_that_has_answered_and_does_not_read_the_rest() {
    let (none, short) =
        ("echo Status: 204; echo; ", format!("echo Content-Length: 3; {}", plain("echo ok; ")));
    let programs = [
        ("exits", format!("{short} exit")),
        ("closes", format!("{short} exec >&-; sleep 1000")),
        ("deaf", format!("{short} sleep 1000")),
        ("exits204", format!("{none} exit")),
        ("flood204", format!("{none} exec yes")),
    ];
    let programs = programs.each_ref().map(|(name, text)| (*name, &**text));
    let body = vec![b'x'; 1 << 20];
    for (limit, names) in
        [("1h", &["exits", "closes", "exits204"][..]), ("200ms", &["deaf", "flood204"])]
    {
        let served = cgi(&programs, &["--cgi-timeout", limit]);
        for name in names {
            let want = if name.ends_with("204") { (204, "") } else { (200, "ok\n") };
            let response = served.post(&format!("/{name}"), &body);
            assert_eq!((response.status, &*response.text()), want, "{name}");
            // Nor is a body waited for that never comes.
            let head = format!("POST /{name} HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n");
            let mut tcp = served.ask(&head);
            let response = HttpResponse::read(&mut tcp);
            assert_eq!((response.status, &*response.text()), want, "{name}");
        }
        wait_childless(&served.relay);
    }
}

#[test]
fn output_that_nobody_reads_waits_in_the_program() {
    let flood = plain("exec yes");
    let served = cgi(&[("flood", &flood)], &["--write-timeout", "1s", "--kill-grace", "50ms"]);
    served.get("/none");
    let before = served.relay.rss();
    let mut stalled: Vec<_> = (0..10).map(|_| served.ask(&get("/flood"))).collect();
    for tcp in &mut stalled {
        first_line_of(tcp);
    }
    let end = Instant::now() + DEADLINE;
    let mut most = 0;
    while !children(served.relay.pid()).is_empty() {
        most = most.max(served.relay.rss());
        assert!(Instant::now() < end, "those who read nothing hold programs for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more for ten that read nothing");
}

fn first_line_of(tcp: &mut std::net::TcpStream) {
    let mut byte = [0];
    retry(|| tcp.read_exact(&mut byte)).unwrap();
}

#[test]
fn a_large_answer_is_all_there() {
    let served = cgi(&[("large", &plain("head -c 50000000 /dev/zero"))], &[]);
    let before = served.relay.rss();
    let body = served.get("/large").body;
    assert!(body.len() == 50_000_000 && body.iter().all(|byte| *byte == 0));
    let grown = served.relay.rss().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
}

#[test]
fn less_than_was_promised_is_cut() {
    let short = "printf 'Content-Type: a\\nContent-Length: 10\\n\\nshort'";
    let mut served = cgi(&[("short", short)], &[]);
    let mut tcp = served.ask("GET /short HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut said = String::new();
    let _ = tcp.read_to_string(&mut said);
    assert!(said.contains("Content-Length: 10"), "{said}");
    assert!(said.ends_with("\r\n\r\nshort"), "{said}");
    served.relay.wait_log(&["WARN", "request ended", "less than its Content-Length"]);
}

#[test]
fn complaints_are_logged_and_stop_nobody() {
    let loud = plain(
        "head -c 10485760 /dev/zero | tr '\\0' x >&2; printf '\\n\\033[31mred' >&2; echo done",
    );
    let mut served = cgi(&[("loud", &loud)], &[]);
    assert_eq!(served.get("/loud").text(), "done\n");
    wait_childless(&served.relay);
    served.relay.signal("TERM");
    let log = served.relay.log_to_end();
    let said: usize = log.iter().map(|line| line.matches('x').count()).sum();
    assert!(said >= 10 << 20, "{said}");
    assert!(log.iter().all(|line| !line.contains(char::is_control)));
}

#[test]
fn a_stop_lets_answers_end_and_takes_leave_of_the_rest() {
    let soon = plain("echo $$; sleep 0.3; echo end");
    let never = plain("echo $$; trap 'echo told >&2; exit' INT; while :; do sleep 0.1; done");
    let programs = [("soon", &*soon), ("never", &*never)];
    let mut served = cgi(&programs, &["--kill-grace", "200ms"]);
    let (mut soon, mut never) = (served.ask(&get("/soon")), served.ask(&get("/never")));
    let pids = [first_line(&mut soon), first_line(&mut never)].map(|pid| pid.parse().unwrap());
    served.relay.signal("TERM");
    let mut rest = String::new();
    soon.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("end\n") && rest.ends_with("0\r\n\r\n"), "{rest}");
    let mut rest = String::new();
    let _ = never.read_to_string(&mut rest);
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest}");
    // No connection is left that a stop would wait for.
    drop((soon, never));
    assert_eq!(served.relay.wait_exit().code(), Some(0));
    for pid in pids {
        wait_dead(pid);
    }
    // It gets SIGTERM first, not SIGKILL.
    served.relay.wait_log(&["program says", "told"]);
}

#[test]
fn requests_leave_nothing_behind() {
    let programs =
        [("plain", &*plain("echo hello")), ("fail", "exit 1"), ("flood", &*plain("exec yes"))];
    let served = cgi(&programs, &["--kill-grace", "50ms"]);
    let round = |count: usize| {
        for n in 0..count {
            match n % 10 {
                0 => assert_eq!(served.get("/fail").status, 502),
                1 => drop(served.ask(&get("/flood"))),
                2 => {
                    let tcp = served.ask(&get("/plain"));
                    tcp.shutdown(Shutdown::Write).unwrap();
                }
                _ => assert_eq!(served.get("/plain").text(), "hello\n"),
            }
        }
        wait_childless(&served.relay);
    };
    round(100);
    let (descriptors, memory) = (served.relay.descriptors(), served.relay.rss());
    round(900);
    wait_until("descriptors are given back", || served.relay.descriptors() <= descriptors);
    let grown = served.relay.rss().saturating_sub(memory);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
fn a_client_that_resets_ends_a_program_that_neither_reads_nor_writes() {
    let script = "echo started >&2; exec sleep 1000";
    let mut served = cgi(&[("stuck", script)], &["--cgi-timeout", "1h", "--kill-grace", "100ms"]);
    // Far more than a pipe takes, hyper and the kernel.
    let length = 64 << 20;
    let head = format!("POST /stuck HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
    let tcp = served.ask(&head);
    Flood(&[b'x'; 60_000]).run(&tcp, length);
    served.relay.wait_log(&["program says", "started"]);
    reset(tcp);
    served.relay.wait_log(&["request ended", "path=\"/stuck\"", "the client took no more"]);
    wait_childless(&served.relay);
}
