//! The fast path and hyper give the same answers: each request is sent at once, which is the fast path's case where it is
//! a handshake, and with its first byte alone, which is hyper's.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::clock::timeout;
use crate::http::{Arrived, serve};
use crate::net::duplex::Duplex;
use crate::options::{self, Options, Typed};
use crate::registry::Registry;
use crate::task;

const LIMIT: Duration = Duration::from_secs(20);

const HANDSHAKE: [&str; 5] = [
    "Host: a.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// Lines that a request may have besides or in place of those of a handshake.
const LINES: [&str; 34] = [
    "",
    "Host: b.example:80",
    "Host: ",
    "Host: [::1]",
    "Host: user@a.example",
    "Upgrade: h2c, WebSocket",
    "upgrade: h2c",
    "Upgrade:",
    "Connection: keep-alive, upgrade",
    "Connection: close",
    "SEC-WEBSOCKET-KEY: AAAAAAAAAAAAAAAAAAAAAB==",
    "Sec-WebSocket-Key: short",
    "Sec-WebSocket-Version: 8",
    "Sec-WebSocket-Version:13",
    "Sec-WebSocket-Protocol: one, two",
    "Sec-WebSocket-Protocol:  two ,, one",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Expect: 100-continue",
    "Origin: http://a.example",
    "Origin: http://evil.example",
    "X-Forwarded-For: 192.0.2.7",
    "Authorization: Basic YTpi",
    "Cookie: \tname=value; other=\u{fc}  ",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "X-Empty:",
    " folded",
    "No-Colon",
    "Space : before",
];

/// The beginnings of a handshake.
const STARTS: [&str; 5] = [
    "GET / HTTP/1.1",
    "GET /one?token=x HTTP/1.1",
    "GET /two/%7e\u{e9} HTTP/1.1",
    "GET /closed HTTP/1.1",
    "GET /told HTTP/1.1",
];

/// The beginnings of other requests.
const OTHER_STARTS: [&str; 8] = [
    "GET http://b.example/one HTTP/1.1",
    "GET * HTTP/1.1",
    "GET / HTTP/1.0",
    "GET / HTTP/1.2",
    "GET  / HTTP/1.1",
    "POST / HTTP/1.1",
    "\r\nGET / HTTP/1.1",
    "get / HTTP/1.1",
];

/// A text frame with "hi" and a Ping, as clients send them.
const FRAMES: &[u8] = b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0";

/// A server that answers with what it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut tcp in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || io::copy(&mut tcp.try_clone().unwrap(), &mut tcp));
        }
    });
    addr
}

/// Routes of all kinds: open, with rules of their own, to a server that refuses, and for `--refuse close`.
static CURRENT: LazyLock<(Arc<Registry>, Arc<Current<Context>>)> = LazyLock::new(|| {
    let echo = echo();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wsrelay.toml");
    let text = format!(
        "listen = ['127.0.0.1:0']\ntrust-proxy = ['192.0.2.0/24']\nheader-ws = ['X-Ours: yes']\n\
         [[route]]\npath = '/'\nto = '{echo}'\n\
         [[route]]\npath = '/one'\nto = '{echo}'\nsubprotocol = ['one']\norigin = ['http://a.example']\n\
         [[route]]\npath = '/two'\nto = '{echo}'\nsubprotocol = ['two']\n\
         [[route]]\npath = '/closed'\nto = '{closed}'\n\
         [[route]]\npath = '/told'\nto = '{closed}'\nrefuse = 'close'\n"
    );
    std::fs::write(&file, text).unwrap();
    let typed = ["--config", file.to_str().unwrap()].map(str::to_owned);
    let Typed::Run(args) = options::parse(&typed).unwrap() else { panic!("it runs") };
    let registry = Registry::new();
    let config = Options::load(*args, &typed).and_then(|options| options.config()).unwrap();
    let context = Context::new(config.http, registry.clone(), None);
    (registry, Arc::new(Current::new(Arc::new(context.unwrap()))))
});

/// What a client of one connection gets, but for the date, and what the registry says of its session. It sends `sent`, of
/// which the first `alone` bytes are read alone.
async fn answered(sent: &[u8], alone: usize, client: SocketAddr) -> String {
    let (registry, current) = &*CURRENT;
    let (near, mut far) = Duplex::pair(1 << 20);
    let registration = registry.register(Some(client));
    let card = registration.card.clone();
    let peer = Peer { id: card.id, addr: client.into(), local: None, tls: None, proxied: None };
    let io = ByteStream::duplex(near);
    far.write_all(&sent[..alone]).await.unwrap();
    let served =
        task::spawn(serve(Arrived { io, peer, left: LIMIT, registration }, current.clone()));
    if alone < sent.len() {
        while far.unread() > 0 {
            task::yield_now().await;
        }
        // It may have been refused by now.
        let _ = far.write_all(&sent[alone..]).await;
    }
    if parsed(sent).is_ok_and(|parsed| parsed.is_partial()) {
        far.close().await.unwrap();
    }
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && far.read(&mut byte).await.unwrap() > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let is_accepted = head.starts_with("HTTP/1.1 101 ");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let rest = match (is_accepted, length) {
        (true, _) if sent.ends_with(FRAMES) => "\u{81}\u{2}hi\u{8a}\0".chars().count(),
        (true, _) => 0,
        (false, length) => length.map_or(0, |length| length.parse().unwrap()),
    };
    let mut body = vec![0; rest];
    far.read_exact(&mut body).await.unwrap();
    drop(far);
    served.await;
    let session = card.session().map(|session| {
        let mut shown = format!("{session:?}");
        let since = shown.find("since: ").unwrap();
        let end = since + shown[since..].find('}').unwrap();
        shown.replace_range(since..end, "");
        shown
    });
    let head: String = head.lines().filter(|line| !line.starts_with("Date: ")).collect();
    format!("{head} {} {session:?}", body.escape_ascii())
}

/// Sends a request both ways, from addresses of their own, so that neither counts for the other's limits.
fn same_answers(sent: &[u8]) -> Result<String, TestCaseError> {
    let client = |last| SocketAddr::from(([192, 0, 2, last], 4000));
    let work = async {
        let fast = answered(sent, sent.len(), client(1)).await;
        (fast, answered(sent, 1, client(2)).await)
    };
    let answers = task::block_on(timeout(LIMIT, work));
    let (fast, by_hyper) =
        answers.unwrap_or_else(|_| panic!("no answer to {}", sent.escape_ascii()));
    prop_assert_eq!(&fast, &by_hyper, "{}", sent.escape_ascii());
    Ok(fast)
}

/// Whether there is the empty line at the end of a head.
fn is_complete(sent: &[u8]) -> bool {
    let is_end =
        |at: usize| [&b"\r\n\r\n"[..], b"\n\n"].iter().any(|end| sent[at..].starts_with(end));
    (1..sent.len()).any(is_end)
}

fn parsed(sent: &[u8]) -> httparse::Result<usize> {
    httparse::Request::new(&mut [httparse::EMPTY_HEADER; 100]).parse(sent)
}

fn is_fast(sent: &[u8]) -> bool {
    parse(&Bytes::copy_from_slice(sent)).is_some()
}

/// A request of a start, the lines of a handshake with some of them replaced, more lines, and what follows.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![9 => select(&STARTS[..]), 1 => select(&OTHER_STARTS[..])];
    let replaced = prop::option::weighted(0.2, (any::<Index>(), select(&LINES[..])));
    let added = prop::collection::vec((any::<Index>(), select(&LINES[..])), 0..3);
    let (is_upper, is_whole) = (prop::bool::weighted(0.1), prop::bool::weighted(0.9));
    let follows = select(vec![&b""[..], b"\x81", FRAMES, b"GET / HTTP/1.1\r\n\r\n"]);
    let parts = (start, replaced, added, is_upper, is_whole, follows);
    let lines = parts.prop_map(|(start, replaced, added, is_upper, is_whole, follows)| {
        let mut lines: Vec<&str> = HANDSHAKE.to_vec();
        if let Some((at, line)) = replaced {
            *at.get_mut(&mut lines) = line;
        }
        for (at, line) in added {
            lines.insert(at.index(lines.len() + 1), line);
        }
        lines.retain(|line| !line.is_empty());
        let lines = lines.join("\r\n");
        let lines = if is_upper { lines.to_uppercase() } else { lines };
        let head = format!("{start}\r\n{lines}\r\n");
        if is_whole { [head.as_bytes(), b"\r\n", follows].concat() } else { head.into() }
    });
    let damage = prop::collection::vec((any::<Index>(), any::<u8>(), 0..3), 0..3);
    (lines, prop::bool::weighted(0.2), damage).prop_map(|(mut bytes, is_damaged, damage)| {
        for (at, byte, how) in damage.into_iter().filter(|_| is_damaged) {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_give_the_same_answer(sent in requests()) {
        // What is wrong with a head that is not complete, hyper finds out at once or later, by how it comes.
        prop_assume!(is_complete(&sent) || parsed(&sent).is_ok());
        same_answers(&sent)?;
    }
}

#[test]
fn handshakes_are_answered_without_hyper() {
    let handshake =
        |start: &str, line: &str| format!("{start}\r\n{}\r\n{line}\r\n", HANDSHAKE.join("\r\n"));
    for (start, line, want) in [
        ("GET / HTTP/1.1", "", "101"),
        ("GET /one?token=x HTTP/1.1", "Sec-WebSocket-Protocol: one\r\n", "101"),
        ("GET / HTTP/1.1", "sec-websocket-protocol: a b\r\nCookie: a=b; c=d\r\n", "101"),
        ("GET /told HTTP/1.1", "", "101"),
        (
            "GET /one HTTP/1.1",
            "Origin: http://evil.example\r\nSec-WebSocket-Protocol: one\r\n",
            "403",
        ),
        ("GET /none HTTP/1.1", "", "101"),
        ("GET /closed HTTP/1.1", "", "502"),
        ("GET / HTTP/1.1", "Host: other\r\n", "400"),
    ] {
        for frames in [&b""[..], FRAMES] {
            let sent = [handshake(start, line).as_bytes(), frames].concat();
            assert!(is_fast(&sent), "{start} {line}");
            let frames_are_read = want == "101" && !start.contains("/told");
            let sent = if frames_are_read { sent } else { handshake(start, line).into() };
            let answer = same_answers(&sent).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {want} ")), "{start} {line} {answer}");
        }
    }
    let many = "X: y\r\n".repeat(MAX_HEADERS);
    for (start, line) in [
        ("GET / HTTP/1.0", ""),
        ("POST / HTTP/1.1", ""),
        ("GET http://a.example/ HTTP/1.1", ""),
        ("GET * HTTP/1.1", ""),
        ("GET / HTTP/1.1", "Content-Length: 0\r\n"),
        ("GET / HTTP/1.1", "transfer-encoding: chunked\r\n"),
        ("GET / HTTP/1.1", "EXPECT: 100-continue\r\n"),
        ("GET / HTTP/1.1", &many),
    ] {
        let sent = handshake(start, line);
        assert!(!is_fast(sent.as_bytes()), "{sent}");
        same_answers(sent.as_bytes()).unwrap();
    }
    let whole = handshake("GET / HTTP/1.1", "");
    let page = whole.replace("Upgrade: websocket", "Accept: text/html");
    let other = whole.replace("Upgrade: websocket", "Upgrade: h2c");
    assert!(!is_fast(&whole.as_bytes()[..whole.len() - 1]));
    assert!(!is_fast(page.as_bytes()) && !is_fast(other.as_bytes()));
}

/// As Chromium 142, Firefox 145 and the Python library websockets 15 send them, with a cookie and a token.
#[test]
fn the_handshakes_of_browsers_and_libraries_are_read_here() {
    for head in [
        "GET /chat?token=x HTTP/1.1\r\nHost: localhost:8082\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
         Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/142.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://localhost:8082\r\n\
         Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-US,en;q=0.9\r\nCookie: session=0123456789abcdef\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         Sec-WebSocket-Protocol: one, bearer.x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:8082\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) \
         Gecko/20100101 Firefox/145.0\r\nAccept: */*\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Version: 13\r\n\
         Origin: http://localhost:8082\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: websocket\r\nSec-Fetch-Site: same-origin\r\n\
         Pragma: no-cache\r\nCache-Control: no-cache\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:8082\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         User-Agent: Python/3.13 websockets/15.0.1\r\n\r\n",
    ] {
        assert!(is_fast(head.as_bytes()), "{head}");
        assert!(same_answers(head.as_bytes()).unwrap().starts_with("HTTP/1.1 101 "), "{head}");
    }
}
