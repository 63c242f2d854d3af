//! `--hello` and `--goodbye`: the backend learns in its own words who the client is, and that it has left.

mod support;

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};

use support::configured::Configured;
use support::faults::{Flood, Stall, reset, upgrade};
use support::program::wait_until;
use support::{Backend, Peer, Relay, frame, handshake, relay, relay_to, run};

/// What a session says of its client, if the test's own options do not say it.
const LINES: [&str; 4] = ["--hello", "HELLO {query:nick}", "--goodbye", "GOODBYE :{reason*}"];

/// A relay with these options and lines for the backend, a client's bare socket, and the backend's side.
fn session(options: &[&str]) -> (Relay, TcpStream, Peer) {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[&LINES[..], options].concat());
    let mut client = relay.tcp();
    upgrade(&mut client, &[]);
    (relay, client, backend.accept())
}

#[test]
fn hello_comes_before_all_that_the_client_says_and_behind_the_proxy_header() {
    let backend = Backend::listen();
    let options = [
        "--proxy-protocol",
        "v1",
        "--hello",
        "NICK {query:nick}",
        "--hello",
        "USER {header:x-name} {header:x-name*} {path} {ip} {port} {{{id}}}",
    ];
    let mut relay = relay_to(backend.addr, &options);
    let mut tcp = relay.tcp();
    let request = handshake("/a%20b?nick=ann%0D%0AQUIT", "X-Name: Ann of\tGreen Gables\r\n");
    // The first frame comes with the request.
    tcp.write_all(&[request.as_bytes(), &frame(0x81, b"JOIN #tea")].concat()).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let mut peer = backend.accept();
    assert!(peer.read_line().starts_with("PROXY TCP4 "));
    let opened = relay.wait_log(&["session opened"]);
    let id = opened.split(" id=").nth(1).unwrap().split(' ').next().unwrap();
    let user =
        format!("USER Ann_of_Green_Gables Ann of_Green Gables /a_b 127.0.0.1 {port} {{{id}}}\n");
    let lines = [peer.read_line(), peer.read_line(), peer.read_line()];
    assert_eq!(lines, ["NICK ann__QUIT\n".into(), user, "JOIN #tea\n".to_owned()]);
    // Lines that are not the client's count as nobody's.
    drop(tcp);
    assert_eq!(peer.read_to_end(), b"");
    drop(peer);
    relay.wait_log(&["session closed", "lines_up=1 bytes_up=10 "]);
}

#[test]
fn a_client_that_is_silent_is_announced_too() {
    let backend = Backend::listen();
    let relay =
        relay_to(backend.addr, &["--hello", "HELLO {user} {subprotocol} {secure} {reason}"]);
    let _client = relay.connect("/");
    assert_eq!(backend.accept().read_line(), "HELLO - - - -\n");
}

/// What becomes of the client's socket.
enum Act {
    Keep,
    Reset,
}

/// How a client ends its session, with the options that it takes, and the reason that the backend is told.
struct End {
    options: &'static [&'static str],
    act: fn(&Relay, &mut TcpStream) -> Act,
    reason: &'static str,
}

/// Every way in which a session ends that the backend does not end.
const ENDS: &[End] = &[
    End {
        options: &[],
        act: |_, client| sends(client, &frame(0x88, b"\x03\xe8bye")),
        reason: "closed by the client",
    },
    End {
        options: &[],
        act: |_, client| {
            client.shutdown(Shutdown::Write).unwrap();
            Act::Keep
        },
        reason: "connection ended without a Close",
    },
    End { options: &[], act: |_, _| Act::Reset, reason: "connection reset by peer" },
    End {
        options: &[],
        act: |relay, _| {
            relay.signal("TERM");
            Act::Keep
        },
        reason: "server shutting down",
    },
    // A frame without a mask.
    End { options: &[], act: |_, client| sends(client, b"\x81\x01a"), reason: "*" },
    End {
        options: &[],
        act: |_, client| sends(client, &frame(0x81, b"\xff")),
        reason: "text is not valid UTF-8",
    },
    End {
        options: &["--max-line", "64"],
        act: |_, client| sends(client, &frame(0x81, &[b'x'; 65])),
        reason: "message longer than 64 bytes",
    },
    End {
        options: &["--newlines", "reject"],
        act: |_, client| sends(client, &frame(0x81, b"a\nb")),
        reason: "*",
    },
    End {
        options: &["--ping-interval", "50ms", "--ping-timeout", "50ms"],
        act: |_, _| Act::Keep,
        reason: "no answer to a ping",
    },
    End { options: &["--idle-timeout", "100ms"], act: |_, _| Act::Keep, reason: "idle" },
];

fn sends(client: &mut TcpStream, bytes: &[u8]) -> Act {
    client.write_all(bytes).unwrap();
    Act::Keep
}

#[test]
fn goodbye_is_said_however_the_client_ends() {
    for End { options, act, reason } in ENDS {
        let options = [options, &["--close-timeout", "300ms"][..]].concat();
        let (relay, mut client, mut peer) = session(&options);
        client.write_all(&frame(0x81, b"said")).unwrap();
        assert_eq!([peer.read_line(), peer.read_line()], ["HELLO -\n", "said\n"], "{reason}");
        let kept = match act(&relay, &mut client) {
            Act::Reset => {
                reset(client);
                None
            }
            Act::Keep => Some(client),
        };
        let rest = String::from_utf8(peer.read_to_end()).unwrap();
        let told = rest.strip_prefix("GOODBYE :").and_then(|rest| rest.strip_suffix('\n'));
        let told = told.unwrap_or_else(|| panic!("{rest:?} in place of {reason}"));
        assert!(*reason == "*" || told == *reason, "{told:?} in place of {reason:?}");
        drop(kept);
    }
}

#[test]
fn goodbye_is_said_for_a_client_that_does_not_keep_up() {
    for options in [
        &["--write-timeout", "200ms"][..],
        &["--slow-client", "drop", "--queue", "64KiB", "--write-timeout", "0"],
    ] {
        let backend = Backend::listen();
        let options = [&LINES[..], options, &["--close-timeout", "100ms"]].concat();
        let relay = relay_to(backend.addr, &options);
        let _client = Stall::client(&relay);
        let mut peer = backend.accept();
        assert_eq!(peer.read_line(), "HELLO -\n");
        let mut writer = peer.tcp().try_clone().unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let flood = std::thread::spawn(move || {
            Flood(&line).forever(&writer);
            let _ = writer.flush();
        });
        assert_eq!(peer.read_line(), "GOODBYE :client too slow\n");
        drop(peer);
        flood.join().unwrap();
    }
}

#[test]
fn a_line_of_the_backends_that_is_too_long_is_an_end_of_ours() {
    let (_relay, _client, mut peer) = session(&["--max-line", "10"]);
    peer.write("12345678901\n");
    assert_eq!(peer.read_line(), "HELLO -\n");
    assert!(peer.read_line().starts_with("GOODBYE :line from backend longer than 10 bytes"));
    peer.expect_fin();
}

#[test]
fn a_backend_that_ends_the_session_is_not_told_goodbye() {
    let (_relay, client, mut peer) = session(&[]);
    peer.shutdown_write();
    assert_eq!(peer.read_line(), "HELLO -\n");
    peer.expect_fin();
    drop(client);
}

#[test]
fn goodbye_stands_behind_all_that_the_client_said() {
    let backend = Stall::backend();
    let relay = relay_to(backend.addr, &LINES);
    let mut client = relay.tcp();
    upgrade(&mut client, &[]);
    let mut peer = backend.accept();
    let line = [b'x'; 100];
    let sent = frame(0x81, &line).repeat(400);
    client.write_all(&sent).unwrap();
    client.write_all(&frame(0x88, b"")).unwrap();
    let said = format!("{}\n", "x".repeat(100)).repeat(400);
    let all = String::from_utf8(peer.read_to_end()).unwrap();
    assert_eq!(all, format!("HELLO -\n{said}GOODBYE :closed by the client\n"));
}

#[test]
fn lines_are_in_the_backends_charset_and_end_as_its_own_do() {
    let backend = Backend::listen();
    let options = ["--hello", "JMÉNO {query:n}", "--eol", "crlf", "--charset", "iso-8859-2"];
    let relay = relay_to(backend.addr, &options);
    let _client = relay.connect("/?n=%C5%BDofie%20%F0%9F%90%88");
    let line = backend.accept().read_bytes(b"JM.NO .ofie_?\r\n".len());
    assert_eq!(line.escape_ascii().to_string(), "JM\\xc9NO \\xaeofie_?\\r\\n");
}

#[test]
fn in_raw_mode_too_a_line_is_a_line() {
    let (_relay, mut client, mut peer) = session(&["--binary", "--eol", "crlf"]);
    client.write_all(&frame(0x82, b"\x00\xff")).unwrap();
    client.write_all(&frame(0x88, b"")).unwrap();
    let all = peer.read_to_end();
    let want = b"HELLO -\r\n\x00\xffGOODBYE :closed by the client\r\n";
    assert_eq!(all.escape_ascii().to_string(), want.escape_ascii().to_string());
}

#[test]
fn programs_are_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("heard");
    let script = format!("cat > {0}.part; mv {0}.part {0}", file.display());
    let relay = relay(&[&LINES[..], &["--", "sh", "-c", &script]].concat());
    let mut client = relay.connect("/?nick=ann");
    client.send("a line");
    client.close();
    wait_until("the program has written", || file.exists());
    let heard = fs::read_to_string(&file).unwrap();
    assert_eq!(heard, "HELLO ann\na line\nGOODBYE :closed by the client\n");
}

#[test]
fn lines_are_a_routes_own() {
    let (own, other, none) = (Backend::listen(), Backend::listen(), Backend::listen());
    let text = format!(
        "to = \"{}\"\nhello = [\"ALL\", \"TWO\"]\neol = \"crlf\"\n\
         [[route]]\npath = \"/own\"\nto = \"{}\"\nhello = \"OWN {{id}}\"\nbinary = true\n\
         [[route]]\npath = \"/none\"\nto = \"{}\"\nhello = []\n",
        other.addr, own.addr, none.addr
    );
    let relay = Configured::start(&text, &[]).relay;
    let _clients = ["/", "/own", "/none"].map(|path| {
        let mut client = relay.connect(path);
        client.send("said");
        client
    });
    let mut peer = other.accept();
    assert_eq!([peer.read_line(), peer.read_line()], ["ALL\r\n", "TWO\r\n"]);
    let line = own.accept().read_line();
    assert!(line.starts_with("OWN ") && line.ends_with("\r\n"), "{line:?}");
    assert_eq!(none.accept().read_line(), "said\r\n");
}

#[test]
fn mistakes_are_explained() {
    let names = "type one of ip, port, local-ip, local-port, host, path, query:NAME, header:NAME, \
                 cookie:NAME, user, subprotocol, id, secure, reason";
    for (options, expected) in [
        (
            &["--hello", "NICK {nick}"][..],
            format!("--hello \"NICK {{nick}}\": there is no {{nick}}: {names}"),
        ),
        (&["--goodbye", "{"], "--goodbye \"{\": a brace stands alone: type {{ for one".into()),
        (
            &["--hello", "a\nb"],
            "--hello \"a\\nb\": it is more than one line: give the option once for each".into(),
        ),
        (
            &["--refusal", "NO"],
            "--refusal is a message before a Close: add --refuse close, or drop --refusal".into(),
        ),
        (&["--refusal", "{x}", "--refuse", "close"], "--refusal \"{x}\": there is no {x}".into()),
        (
            &["--binary", "--eol", "crlf"],
            "--eol is about lines, and --binary knows none: drop one".into(),
        ),
    ] {
        let output = run(&[&["--port", "0", "--to", "localhost:1"], options].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(&expected), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
}

#[test]
fn a_client_whose_backend_is_missing_gets_a_message_before_the_close() {
    let refusing = support::Refusing::bind("127.0.0.1");
    let why = format!("backend {}: connection refused", refusing.addr);
    let word = why.replace(' ', "_");
    let lines = ["--refuse", "close", "--hello", "A", "--goodbye", "B", "--refusal"];
    let in_words = format!("ERROR ann :{why}");
    for (options, text, binary) in [
        (&["ERROR {query:nick} :{reason*}"][..], Some(&in_words), None),
        (&["{reason}", "--eol", "crlf"], Some(&word), None),
        (&["NO", "--binary", "--eol", "crlf"], None, Some("NO\r\n")),
    ] {
        let relay = relay_to(refusing.addr, &[&lines[..], options].concat());
        let mut client = relay.connect("/?nick=ann");
        if let Some(text) = text {
            assert_eq!(client.recv(), *text);
        }
        if let Some(bytes) = binary {
            assert_eq!(client.recv_binary(), bytes.as_bytes());
        }
        client.expect_close(1013, &why);
    }
}

#[test]
fn a_client_who_finds_no_room_gets_the_message_too() {
    let backend = Backend::listen();
    let options = ["--refuse", "close", "--refusal", "ERROR :{reason*}", "--max-sessions", "1"];
    let relay = relay_to(backend.addr, &options);
    let _first = relay.connect("/");
    let mut second = relay.connect("/");
    let why = "the limit of open sessions (1) is reached: try again later";
    assert_eq!(second.recv(), format!("ERROR :{why}"));
    second.expect_close(1013, why);
}
