//! Subprotocols: the name that a client gets says how its session is framed. What both ends see.

mod support;

use std::io::Write;

use async_tungstenite::tungstenite::Message;
use support::configured::Configured;
use support::faults::client;
use support::{Backend, Client, HttpResponse, Peer, Relay, handshake, relay_to};

/// A session of a client that offers these subprotocols, and the one that it got.
fn offering(options: &[&str], offers: &str) -> (Relay, Client, Peer, Option<String>) {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, options);
    let (client, name) = offer(&relay, "/", offers);
    let peer = backend.accept();
    (relay, client, peer, name)
}

/// The client does not mind getting none of them, as those of a browser do.
fn offer(relay: &Relay, path: &str, offers: &str) -> (Client, Option<String>) {
    let header = match offers {
        "" => String::new(),
        offers => format!("Sec-WebSocket-Protocol: {offers}\r\n"),
    };
    let mut tcp = relay.tcp();
    tcp.write_all(handshake(path, &header).as_bytes()).unwrap();
    let response = HttpResponse::read(&mut tcp);
    assert_eq!(response.status, 101, "{offers}");
    let name = response.header("sec-websocket-protocol").map(str::to_owned);
    (client(tcp), name)
}

/// What a session is seen to be: what becomes of these bytes of the backend, and of a client's text.
fn framing(client: &mut Client, peer: &mut Peer) -> &'static str {
    peer.write(b"caf\xe9 \xc3\xa9\r\n");
    let framing = match client.next() {
        Message::Text(text) if text.as_str() == "caf\u{fffd} é" => "text",
        // In koi8-r.
        Message::Text(text) if text.as_str() == "cafИ ц╘" => "text in the charset",
        Message::Text(text) if text.as_str() == "cafИ ц╘\r\n" => "raw in the charset",
        Message::Binary(bytes) if &bytes[..] == b"caf\xe9 \xc3\xa9" => "binary lines",
        Message::Binary(bytes) if &bytes[..] == b"caf\xe9 \xc3\xa9\r\n" => "raw",
        other => panic!("{other:?}"),
    };
    client.send("ИИ");
    client.0.close(None).unwrap();
    let want: &[u8] = match framing {
        "text" | "binary lines" => "ИИ\r\n".as_bytes(),
        "text in the charset" => b"\xe9\xe9\r\n",
        "raw" => "ИИ".as_bytes(),
        _ => b"\xe9\xe9",
    };
    assert_eq!(peer.read_to_end(), want, "{framing}");
    framing
}

/// The options, what a client offers, what it gets, and how its session is framed.
const TABLE: &[(&str, &str, Option<&str>, &str)] = &[
    ("--eol crlf", "text.ircv3.net", Some("text.ircv3.net"), "text"),
    ("--eol crlf", "binary.ircv3.net", Some("binary.ircv3.net"), "binary lines"),
    // As Halloy asks, and what it would get of the other order.
    ("--eol crlf", "binary.ircv3.net, text.ircv3.net", Some("binary.ircv3.net"), "binary lines"),
    ("--eol crlf", "text.ircv3.net, binary.ircv3.net", Some("text.ircv3.net"), "text"),
    ("--eol crlf", "telix, text.ircv3.net", Some("telix"), "text"),
    ("--eol crlf", "binary, base64", None, "text"),
    ("--eol crlf", "mqtt", None, "text"),
    ("--eol crlf", "", None, "text"),
    ("--eol crlf --charset koi8-r", "ex3", Some("ex3"), "text in the charset"),
    (
        "--eol crlf --charset koi8-r",
        "text.ircv3.net",
        Some("text.ircv3.net"),
        "text in the charset",
    ),
    ("--eol crlf --charset koi8-r", "binary.ircv3.net", Some("binary.ircv3.net"), "binary lines"),
    ("--eol crlf --charset koi8-r --subprotocol binary,ex3", "binary", Some("binary"), "raw"),
    (
        "--eol crlf --charset koi8-r --subprotocol binary,ex3",
        "ex3,binary",
        Some("ex3"),
        "text in the charset",
    ),
    (
        "--eol crlf --subprotocol telnet.mudstandards.org",
        "telnet.mudstandards.org",
        Some("telnet.mudstandards.org"),
        "raw",
    ),
    ("--eol crlf --subprotocol a=raw,b=binary-lines", "b,a", Some("b"), "binary lines"),
    ("--eol crlf --subprotocol a=raw,b=binary-lines", "a", Some("a"), "raw"),
    ("--eol crlf --binary-lines", "", None, "binary lines"),
    ("--eol crlf --binary-lines", "text.ircv3.net", Some("text.ircv3.net"), "text"),
    ("--binary", "text.ircv3.net, v12.stomp, binary", Some("v12.stomp"), "raw"),
    ("--binary", "base64, mqtt", Some("mqtt"), "raw"),
    ("--binary", "ex3", Some("ex3"), "raw"),
    ("--binary --charset koi8-r", "ex3", Some("ex3"), "raw in the charset"),
    ("--binary --charset koi8-r", "mqttv3.1", Some("mqttv3.1"), "raw"),
];

#[test]
fn the_name_says_how_a_session_is_framed() {
    for (options, offers, want, framed) in TABLE {
        let options: Vec<_> = options.split(' ').collect();
        let (mut relay, mut client, mut peer, name) = offering(&options, offers);
        assert_eq!(name.as_deref(), *want, "{options:?}: {offers}");
        assert_eq!(framing(&mut client, &mut peer), *framed, "{options:?}: {offers}");
        drop(peer);
        let logged = relay.wait_log(&["session opened"]);
        let shown = want.map(|name| format!("subprotocol=\"{name}\""));
        assert_eq!(logged.contains("subprotocol="), shown.is_some(), "{logged}");
        assert!(shown.is_none_or(|shown| logged.contains(&shown)), "{logged}");
    }
}

/// A hundred names, of which the last is one; and as many lines of header as there may be.
#[test]
fn a_client_may_offer_a_hundred() {
    let many: Vec<_> = (0..99).map(|n| format!("p{n}/x")).collect();
    let offers = format!("{}, \"q\", a b, é, {},v1", many.join(","), "x".repeat(300));
    let (_relay, mut client, mut peer, name) = offering(&["--subprotocol", "v0,v1"], &offers);
    assert_eq!(name.as_deref(), Some("v1"));
    client.send("hello");
    assert_eq!(peer.read_line(), "hello\n");
    let (_relay, _client, _peer, name) = offering(&[], &offers);
    assert_eq!(name, Some("x".repeat(300)), "what is no name is left out");
}

#[test]
fn lines_of_irc_may_be_as_long_as_irc_says() {
    let line = "x".repeat(8703);
    for (offers, fits) in [("text.ircv3.net", true), ("binary.ircv3.net", true), ("ex3", false)] {
        let options = ["--max-line", "512", "--keep-eol", "--eol", "crlf"];
        let (_relay, mut client, mut peer, _) = offering(&options, offers);
        peer.write(format!("{line}\r\n"));
        if !fits {
            client.expect_close(1009, "line from backend longer than 512 bytes");
            continue;
        }
        let got = client.next();
        assert_eq!(got.into_data(), line.as_bytes(), "whole, and without its end");
        client.0.send(Message::binary(line.clone())).unwrap();
        assert_eq!(peer.read_line(), format!("{line}\r\n"));
        peer.write(format!("{line}y\r\n"));
        client.expect_close(1009, "line from backend longer than 8703 bytes");
    }
}

#[test]
fn a_file_says_what_a_name_means() {
    let (lines, chat) = (Backend::listen(), Backend::listen());
    let text = format!(
        "to = \"{}\"\n\
         [[subprotocol]]\nname = \"a\"\nframing = \"raw\"\n\
         [[subprotocol]]\nname = \"b\"\n\
         [[route]]\npath = \"/chat\"\nto = \"{}\"\neol = \"crlf\"\n\
         [[route.subprotocol]]\nname = \"a\"\nframing = \"binary-lines\"\n",
        lines.addr, chat.addr
    );
    let configured = Configured::start(&text, &[]);
    for (path, offers, want, framed, backend) in [
        ("/", "c, a", Some("a"), "raw", &lines),
        ("/chat", "c, a", Some("a"), "binary lines", &chat),
    ] {
        let (mut client, name) = offer(&configured.relay, path, offers);
        assert_eq!(name.as_deref(), want, "{path}");
        assert_eq!(framing(&mut client, &mut backend.accept()), framed, "{path}");
    }
    // Named so, the route is only for clients that offer one.
    let (mut client, name) = offer(&configured.relay, "/chat", "b");
    assert_eq!(name.as_deref(), Some("b"));
    client.send("hello");
    assert_eq!(lines.accept().read_line(), "hello\n");
}
