//! Telnet servers behind a real relay: what both ends see.

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::Message;
use support::faults::{
    AnswersEverything, EndsInCommand, EndsNoSubnegotiation, InsistsOnAll, Slice,
};
use support::{Peer, relay_to, session};

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const GA: u8 = 249;
const SE: u8 = 240;

const ECHO: u8 = 1;
const SGA: u8 = 3;
const TTYPE: u8 = 24;
const NEW_ENVIRON: u8 = 39;
const CHARSET: u8 = 42;

const TELNET: &[&str] = &["--telnet"];

/// The server gets these bytes next.
#[track_caller]
fn expect(peer: &mut Peer, want: &[u8]) {
    let got = peer.read_bytes(want.len());
    assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
}

#[test]
fn a_login_by_prompts() {
    for sliced in [false, true] {
        let (_relay, mut client, mut peer) = session(TELNET);
        let hello = [
            &[IAC, WILL, SGA, IAC, DO, TTYPE, IAC, WILL, 86][..],
            b"Welcome\r\nBy what name? ",
            &[IAC, GA],
        ]
        .concat();
        if sliced {
            Slice(peer.tcp()).write(&hello)
        } else {
            peer.write(&hello)
        }
        assert_eq!(client.recv(), "Welcome");
        // A prompt is there at once, without an end of line and without --flush-after.
        assert_eq!(client.recv(), "By what name? ");
        expect(&mut peer, &[IAC, DO, SGA, IAC, WILL, TTYPE, IAC, DONT, 86]);
        client.send("fred");
        expect(&mut peer, b"fred\r\n");
        peer.write([b"\r\nPassword: ", &[IAC, WILL, ECHO, IAC, GA][..]].concat());
        // The end of line behind a prompt makes no message.
        assert_eq!(client.recv(), "Password: ");
        expect(&mut peer, &[IAC, DO, ECHO]);
        peer.write([&[IAC, GA, IAC, GA][..], b"\r\n\r\nHi\r\0there\r\n"].concat());
        assert_eq!(client.recv(), "");
        assert_eq!(client.recv(), "Hi\rthere");
        client.close();
        peer.expect_fin();
    }
}

#[test]
fn terminal_type_environment_and_charset() {
    let (_relay, _client, mut peer) = session(TELNET);
    let sub = |option: u8, inner: &[u8]| [&[IAC, SB, option], inner, &[IAC, SE]].concat();
    peer.write([IAC, DO, TTYPE, IAC, DO, NEW_ENVIRON, IAC, WILL, CHARSET]);
    expect(&mut peer, &[IAC, WILL, TTYPE, IAC, WILL, NEW_ENVIRON, IAC, DO, CHARSET]);
    for want in ["WSRELAY", "XTERM-256COLOR", "MTTS 132", "MTTS 132", "WSRELAY"] {
        peer.write(sub(TTYPE, &[1]));
        expect(&mut peer, &sub(TTYPE, &[&[0], want.as_bytes()].concat()));
    }
    peer.write(sub(NEW_ENVIRON, b"\x01\0IPADDRESS\x03X"));
    expect(&mut peer, &sub(NEW_ENVIRON, b"\0\0IPADDRESS\x01127.0.0.1\x03X"));
    peer.write(sub(CHARSET, b"\x01;ISO-8859-1;UTF-8"));
    expect(&mut peer, &sub(CHARSET, b"\x02UTF-8"));
}

#[test]
fn the_address_is_the_one_that_a_trusted_proxy_names() {
    let backend = support::Backend::listen();
    let relay = relay_to(backend.addr, &["--telnet", "--trust-proxy", "127.0.0.1"]);
    let (_client, _) = relay.connect_with("/", &[("X-Forwarded-For", "2001:db8::7")]);
    let mut peer = backend.accept();
    peer.write([IAC, DO, NEW_ENVIRON, IAC, SB, NEW_ENVIRON, 1, IAC, SE]);
    let want = b"\xff\xfb\x27\xff\xfa\x27\0\0CLIENT_NAME\x01WSRELAY\0CHARSET\x01UTF-8\0IPADDRESS\x012001:db8::7\xff\xf0";
    expect(&mut peer, want);
}

#[test]
fn a_byte_of_255_is_doubled_both_ways() {
    let options = ["--telnet", "--charset", "windows-1252"];
    let (_relay, mut client, mut peer) = session(&options);
    client.send("a\u{ff}b");
    expect(&mut peer, b"a\xff\xffb\r\n");
    peer.write(b"c\xff\xffd\r\n");
    assert_eq!(client.recv(), "c\u{ff}d");
}

#[test]
fn the_end_of_line_is_crlf_unless_another_is_asked_for() {
    for (options, want) in [
        (&["--telnet"][..], &b"look\r\n"[..]),
        (&["--telnet", "--eol", "lf"], b"look\n"),
        (&[], b"look\n"),
    ] {
        let (_relay, mut client, mut peer) = session(options);
        client.send("look");
        client.close();
        assert_eq!(peer.read_to_end(), want, "{options:?}");
    }
}

#[test]
fn a_server_that_says_nothing_is_offered_options_after_a_second() {
    let (_relay, mut client, mut peer) = session(TELNET);
    let start = Instant::now();
    expect(&mut peer, &[IAC, DO, SGA, IAC, WILL, SGA, IAC, WILL, TTYPE]);
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
    peer.write(
        [&[IAC, WILL, SGA, IAC, DO, SGA, IAC, DONT, TTYPE][..], b"login: ", &[IAC, GA]].concat(),
    );
    assert_eq!(client.recv(), "login: ");
    client.send("x");
    // An answer is not answered.
    expect(&mut peer, b"x\r\n");
    client.close();
    peer.expect_fin();
    // Without --telnet nothing is offered: bytes are bytes.
    let (_relay, client, mut peer) = session(&["--close-timeout", "2s"]);
    let reads = std::thread::spawn(move || {
        peer.tcp().set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
        peer.0.read(&mut [0; 8])
    });
    assert!(reads.join().unwrap().is_err(), "something was said");
    drop(client);
}

/// The client talks on, and what is behind the end is relayed.
#[test]
fn a_subnegotiation_without_end_is_dropped() {
    let (mut relay, mut client, mut peer) = session(TELNET);
    peer.write("before\r\n");
    EndsNoSubnegotiation(peer.tcp()).write(4 << 20);
    assert_eq!(client.recv(), "before");
    client.send("up");
    expect(&mut peer, b"up\r\n");
    peer.write([IAC, SE]);
    peer.write("behind\r\n");
    assert_eq!(client.recv(), "behind");
    relay.wait_log(&["WARN", "dropped", "64 KiB"]);
    client.close();
    peer.expect_fin();
    drop(peer);
    relay.wait_log(&["session closed", "dropped=1"]);
}

#[test]
fn a_server_that_answers_everything_comes_to_rest() {
    let (_relay, mut client, mut peer) = session(TELNET);
    let said = AnswersEverything(&mut peer).talk(&mut client);
    assert!(said < 200, "{said} bytes of negotiation");
    client.send("still there");
    // EOR was agreed to: a record ends there.
    expect(&mut peer, b"\xff\xefstill there\r\xff\xef");
}

/// One answer for each time, and no more: it is the server that goes on.
#[test]
fn a_server_that_insists_is_refused_each_time() {
    let (_relay, mut client, mut peer) = session(TELNET);
    let times = 10_000;
    InsistsOnAll(peer.tcp()).write(times);
    let answer = peer.read_bytes(3 * times);
    assert!(answer.chunks(3).all(|answer| answer == [IAC, WONT, 31]));
    client.send("still there");
    expect(&mut peer, b"still there\r\n");
}

#[test]
fn a_stream_that_ends_in_a_command_loses_nothing_else() {
    for end in [&[IAC][..], &[IAC, WILL], &[IAC, SB], &[IAC, SB, TTYPE, 1, IAC]] {
        let (_relay, mut client, peer) = session(TELNET);
        EndsInCommand(peer).write("line\r\ntail", end);
        assert_eq!(client.recv(), "line");
        assert_eq!(client.recv(), "tail");
        client.expect_close(1000, "backend closed");
    }
}

/// What is answered waits for a server that does not read, and no more is read of it then.
#[test]
fn a_server_that_reads_no_answers_does_not_fill_the_memory() {
    let (relay, client, peer) = session(TELNET);
    peer.tcp().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let before = relay.rss();
    let ask = [IAC, DO, NEW_ENVIRON, IAC, SB, NEW_ENVIRON, 1, IAC, SE].repeat(100_000);
    let mut tcp = peer.tcp();
    let taken = (0..200).take_while(|_| std::io::Write::write_all(&mut tcp, &ask).is_ok()).count();
    assert!(taken < 200, "all of {} MiB was read", (200 * ask.len()) >> 20);
    let grown = relay.rss().saturating_sub(before);
    assert!(grown < 16 << 20, "{} KiB", grown >> 10);
    drop((client, peer));
}

/// A terminal's keys are no lines: with `--binary`, all but telnet's commands is relayed byte for byte.
#[test]
fn keys_of_a_terminal() {
    let (_relay, mut client, mut peer) = session(&["--telnet", "--binary"]);
    peer.write([&[IAC, WILL, SGA, IAC, WILL, ECHO][..], b"login: ", &[IAC, GA]].concat());
    expect(&mut peer, &[IAC, DO, SGA, IAC, DO, ECHO]);
    assert_eq!(client.recv_binary(), b"login: ");
    client.send("j");
    expect(&mut peer, b"j");
    peer.write("j");
    assert_eq!(client.recv_binary(), b"j");
    // Enter, alone and in one message with others; a byte that telnet doubles.
    client.send("\r");
    expect(&mut peer, b"\r\0");
    client.0.send(Message::binary(&b"\xff\x03"[..])).unwrap();
    expect(&mut peer, b"\xff\xff\x03");
    peer.write([&[IAC, IAC][..], b"\r\0\r\n"].concat());
    assert_eq!(client.recv_binary(), b"\xff\r\r\n");
}

/// A Synch (RFC 854): the last byte of `IAC DM` is urgent data, of which TCP must lose nothing, and behind which a read goes
/// on.
#[test]
fn urgent_data_stays_in_its_place() {
    let (_relay, mut client, mut peer) = session(TELNET);
    peer.write("a\r\n");
    assert_eq!(client.recv(), "a");
    for round in 0..50 {
        peer.write(format!("before {round}\r\n"));
        let socket = socket2::SockRef::from(peer.tcp());
        assert_eq!(socket.send_out_of_band(b"\xff\xf2").unwrap(), 2);
        peer.write(format!("\r\nbehind {round}\r\n"));
        assert_eq!(client.recv(), format!("before {round}"));
        assert_eq!(client.recv(), "");
        assert_eq!(client.recv(), format!("behind {round}"));
    }
}

/// A client of `gmcp.mudstandards.org` on a session with this server.
fn mud(subprotocol: &str) -> (support::Relay, support::Client, Peer) {
    let backend = support::Backend::listen();
    let relay = relay_to(backend.addr, TELNET);
    let (client, response) = relay.connect_with("/", &[("Sec-WebSocket-Protocol", subprotocol)]);
    let chosen = response.headers()["Sec-WebSocket-Protocol"].to_str().unwrap();
    assert_eq!(chosen, subprotocol);
    (relay, client, backend.accept())
}

#[test]
fn a_mud_and_its_client() {
    const GMCP: u8 = 201;
    const MSSP: u8 = 70;
    let sub = |option: u8, inner: &str| [&[IAC, SB, option], inner.as_bytes(), &[IAC, SE]].concat();
    let (_relay, mut client, mut peer) = mud("gmcp.mudstandards.org");
    // What is said before the server agrees waits for it; lines do not.
    client.send("Core.Hello {\"client\": \"page\"}");
    client.0.send(Message::Binary(b"look"[..].into())).unwrap();
    expect(&mut peer, b"look\r\n");
    peer.write([IAC, WILL, GMCP, IAC, WILL, MSSP, IAC, DO, TTYPE, IAC, SB, TTYPE, 1, IAC, SE]);
    let hello = sub(GMCP, "Core.Hello {\"client\": \"page\"}");
    let name = [&[IAC, SB, TTYPE, 0], &b"WSRELAY"[..], &[IAC, SE]].concat();
    let agreed = [&[IAC, DO, GMCP][..], &hello, &[IAC, DO, MSSP, IAC, WILL, TTYPE], &name].concat();
    expect(&mut peer, &agreed);
    client.send("Core.Ping");
    expect(&mut peer, &sub(GMCP, "Core.Ping"));
    // Messages come between the lines, and within one.
    let room = sub(GMCP, "Room.Info {\"num\": 1}");
    let status = sub(MSSP, "\u{1}NAME\u{2}A mud");
    peer.write(
        [b"\x1b[1mA room\r\nEx", &*room, b"its: n\r\n", &status, b"> ", &[IAC, GA]].concat(),
    );
    assert_eq!(client.recv_binary(), b"\x1b[1mA room\r\n");
    assert_eq!(client.recv(), "Room.Info {\"num\": 1}");
    assert_eq!(client.recv_binary(), b"Exits: n\r\n");
    assert_eq!(client.recv(), "MSSP {\"NAME\":\"A mud\"}");
    assert_eq!(client.recv_binary(), b"> ");
    // Passwords. The end of line behind a prompt makes no message of its own.
    peer.write([&[IAC, WILL, ECHO][..], b"Password: ", &[IAC, GA]].concat());
    assert_eq!(client.recv(), "Client.Echo true");
    assert_eq!(client.recv_binary(), b"Password: ");
    expect(&mut peer, &[IAC, DO, ECHO]);
    peer.write([&[IAC, WONT, ECHO][..], b"\r\nHi\r\n"].concat());
    assert_eq!(client.recv(), "Client.Echo false");
    assert_eq!(client.recv_binary(), b"\r\nHi\r\n");
}

#[test]
fn a_terminal_has_its_ends_of_line_and_no_gmcp() {
    let (_relay, mut client, mut peer) = mud("terminal.mudstandards.org");
    peer.write([IAC, WILL, 201, IAC, WILL, ECHO]);
    expect(&mut peer, &[IAC, DONT, 201, IAC, DO, ECHO]);
    peer.write([b"a\n\r\nlogin: ", &[IAC, GA][..]].concat());
    let got: Vec<u8> = (0..3).flat_map(|_| client.recv_binary()).collect();
    assert_eq!(got, b"a\n\r\nlogin: ");
    client.send("text");
    client.0.send(Message::Binary(b"binary"[..].into())).unwrap();
    expect(&mut peer, b"text\r\nbinary\r\n");
}
