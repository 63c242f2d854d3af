use super::*;
use crate::framing::telnet::bytes::{
    BINARY, CHARSET, ECHO, EOR, GMCP, MSSP, NEW_ENVIRON, SB, SE, SGA, TTYPE, subnegotiation,
};

const PLAIN: TelnetRules =
    TelnetRules { charset: Charset::UTF_8, has_enter: false, is_terminal: false, is_mud: false };
const MUD: TelnetRules =
    TelnetRules { charset: Charset::UTF_8, has_enter: false, is_terminal: true, is_mud: true };

/// What a stream was made into.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    rest: String,
    marks: Vec<Mark>,
    answer: String,
    dropped: u64,
}

fn telnet(rules: TelnetRules) -> Telnet {
    Telnet::new(rules, Some([192, 0, 2, 7].into()), Instant::now())
}

fn down<'a>(rules: TelnetRules, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut telnet = telnet(rules);
    let (mut rest, mut marks, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    for read in reads {
        telnet.down(read, &mut rest, &mut marks, &mut answer);
    }
    Outcome {
        rest: rest.escape_ascii().to_string(),
        marks,
        answer: answer.escape_ascii().to_string(),
        dropped: telnet.dropped(),
    }
}

fn prompt(at: usize) -> Mark {
    Mark { at, event: Event::Prompt }
}

fn message(at: usize, text: &str) -> Mark {
    Mark { at, event: Event::Message(text.into()) }
}

fn sub(option: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    subnegotiation(option, &[inner], &mut out);
    out
}

/// Held for the whole stream, byte by byte, and for each split into two.
#[track_caller]
fn check(rules: TelnetRules, stream: &[u8], rest: &[u8], marks: &[Mark], answer: &[u8]) {
    let want = Outcome {
        rest: rest.escape_ascii().to_string(),
        marks: marks.to_vec(),
        answer: answer.escape_ascii().to_string(),
        dropped: 0,
    };
    assert_eq!(down(rules, [stream]), want, "{}", stream.escape_ascii());
    assert_eq!(down(rules, stream.chunks(1)), want, "byte by byte: {}", stream.escape_ascii());
    for at in 0..=stream.len() {
        let (one, two) = stream.split_at(at);
        assert_eq!(down(rules, [one, two]), want, "at {at}: {}", stream.escape_ascii());
    }
}

#[test]
fn text_and_prompts() {
    check(PLAIN, b"a\xff\xffb", b"a\xffb", &[], b"");
    check(PLAIN, b"a\r\0b\r\0\r\n", b"a\rb\r\r\n", &[], b"");
    check(PLAIN, b"\r\0\0\0", b"\r\0\0", &[], b"");
    check(PLAIN, b"\0a\0\r", b"\0a\0\r", &[], b"");
    check(PLAIN, b"a\r\xff\xf1\0b", b"a\rb", &[], b"");
    check(PLAIN, b"login: \xff\xf9x\xff\xef", b"login: x", &[prompt(7), prompt(8)], b"");
    check(PLAIN, b"\xff\xf9\xff\xf9\xff\xef", b"", &[prompt(0)], b"");
    // Behind WILL BINARY a NUL is a byte like any other.
    check(PLAIN, b"\r\0\xff\xfb\0\r\0", b"\r\r\0", &[], &[IAC, DO, BINARY]);
    check(PLAIN, b"\xff\xfb\0\r\0\xff\xfc\0\r\0", b"\r\0\r", &[], b"\xff\xfd\0\xff\xfe\0");
}

#[test]
fn commands() {
    for command in 0..=u8::MAX {
        let answer: &[u8] = if command == AYT { &[IAC, NOP] } else { b"" };
        let marks: &[Mark] =
            if [GA, END_OF_RECORD].contains(&command) { &[prompt(1)] } else { &[] };
        if command < SB && command != SE {
            check(PLAIN, &[b'a', IAC, command, b'b'], b"ab", marks, answer);
        }
    }
    // TIMING-MARK is refused, which marks the time as well (RFC 860), each time.
    check(PLAIN, b"\xff\xfd\x06\xff\xfd\x06", b"", &[], b"\xff\xfc\x06\xff\xfc\x06");
}

#[test]
fn terminal_types() {
    let ask = sub(TTYPE, &[SEND]);
    let (on, off) = ([IAC, DO, TTYPE], [IAC, DONT, TTYPE]);
    let stream = [&on[..], &ask.repeat(5), &off, &ask, &on, &ask].concat();
    let koi8 = TelnetRules { charset: Charset::for_label("koi8-r").unwrap(), ..MUD };
    for (rules, bits) in [(PLAIN, 132), (MUD, 141), (koi8, 137)] {
        let is = |name: &str| sub(TTYPE, &[&[IS], name.as_bytes()].concat());
        let mtts = is(&format!("MTTS {bits}"));
        let answer = [
            &[IAC, WILL, TTYPE][..],
            &is("WSRELAY"),
            &is("XTERM-256COLOR"),
            &mtts,
            &mtts,
            &is("WSRELAY"),
            &[IAC, WONT, TTYPE],
            // Nothing while it is off; then from the start.
            &[IAC, WILL, TTYPE],
            &is("WSRELAY"),
        ];
        check(rules, &stream, b"", &[], &answer.concat());
    }
}

#[test]
fn the_environment() {
    let stream = [&[IAC, DO, NEW_ENVIRON][..], &sub(NEW_ENVIRON, b"\x01\0IPADDRESS")].concat();
    let answer =
        [&[IAC, WILL, NEW_ENVIRON][..], &sub(NEW_ENVIRON, b"\0\0IPADDRESS\x01192.0.2.7")].concat();
    check(PLAIN, &stream, b"", &[], &answer);
    // Not before it was agreed, and nothing is asked of the backend.
    check(PLAIN, &sub(NEW_ENVIRON, b"\x01"), b"", &[], b"");
    check(PLAIN, b"\xff\xfb\x27", b"", &[], b"\xff\xfe\x27");
    for (client, want) in [
        (Some("::ffff:192.0.2.7".parse().unwrap()), &b"\0\0IPADDRESS\x01192.0.2.7"[..]),
        (Some("2001:db8::1".parse().unwrap()), b"\0\0IPADDRESS\x012001:db8::1"),
        (None, b"\0\0IPADDRESS"),
    ] {
        let mut telnet = Telnet::new(PLAIN, client, Instant::now());
        let mut answer = Vec::new();
        telnet.down(&stream, &mut Vec::new(), &mut Vec::new(), &mut answer);
        assert_eq!(answer[3..], sub(NEW_ENVIRON, want));
    }
}

#[test]
fn charsets() {
    let request = sub(CHARSET, b"\x01;UTF-8;US-ASCII");
    let accepted = sub(CHARSET, b"\x02UTF-8");
    let theirs = [&[IAC, WILL, CHARSET], &*request].concat();
    check(PLAIN, &theirs, b"", &[], &[&[IAC, DO, CHARSET], &*accepted].concat());
    let asked = [&[IAC, DO, CHARSET], &*request].concat();
    check(PLAIN, &asked, b"", &[], &[&[IAC, WILL, CHARSET], &*accepted].concat());
    check(PLAIN, &request, b"", &[], b"");
}

#[test]
fn gmcp_and_mssp() {
    let agreed = [IAC, WILL, GMCP, IAC, WILL, MSSP];
    let room = sub(GMCP, b"Room.Info {}");
    let status = sub(MSSP, b"\x01NAME\x02x");
    let stream = [&agreed[..], b"a", &room, b"b", &status].concat();
    let marks = [message(1, "Room.Info {}"), message(2, r#"MSSP {"NAME":"x"}"#)];
    check(MUD, &stream, b"ab", &marks, &[IAC, DO, GMCP, IAC, DO, MSSP]);
    check(PLAIN, &stream, b"ab", &[], &[IAC, DONT, GMCP, IAC, DONT, MSSP]);
    check(MUD, &[&room[..], &status].concat(), b"", &[], b"");
}

#[test]
fn echo_is_told_on_a_change() {
    let stream = [
        &[IAC, WILL, ECHO][..],
        b"Password: ",
        &[IAC, WILL, ECHO, IAC, WONT, ECHO, IAC, WONT, ECHO],
    ]
    .concat();
    let answer = [IAC, DO, ECHO, IAC, DONT, ECHO];
    let marks = [message(0, "Client.Echo true"), message(10, "Client.Echo false")];
    check(MUD, &stream, b"Password: ", &marks, &answer);
    check(PLAIN, &stream, b"Password: ", &[], &answer);
}

#[test]
fn what_goes_up() {
    let mut telnet = telnet(PLAIN);
    let mut up = |told: &[u8], line: &[u8]| {
        telnet.down(told, &mut Vec::new(), &mut Vec::new(), &mut Vec::new());
        let mut out = b"before\xff".to_vec();
        telnet.up(&mut out, 7);
        out.truncate(7);
        out.extend_from_slice(line);
        telnet.up(&mut out, 7);
        out.split_off(7)
    };
    assert_eq!(up(b"", b"a\rb\xff\r\n"), b"a\r\0b\xff\xff\r\n");
    assert_eq!(up(&[IAC, DO, BINARY], b"a\rb\xff\r\n"), b"a\rb\xff\xff\r\n");
    assert_eq!(up(&[IAC, DONT, BINARY], b"a\r"), b"a\r\0");
    let mut enter = Telnet::new(TelnetRules { has_enter: true, ..PLAIN }, None, Instant::now());
    for (told, want) in [(DONT, &b"a\r\n"[..]), (DO, b"a\r")] {
        enter.down(&[IAC, told, BINARY], &mut Vec::new(), &mut Vec::new(), &mut Vec::new());
        let mut out = b"a\r\n".to_vec();
        enter.up(&mut out, 0);
        assert_eq!(out, want);
    }
    assert_eq!(up(&[IAC, DO, EOR], b"a\r\n"), [b"a\r\n", &[IAC, END_OF_RECORD][..]].concat());
    assert_eq!(up(&[IAC, DONT, EOR], b"a\r\n"), b"a\r\n");
}

#[test]
fn gmcp_waits_until_it_is_agreed() {
    let take = |telnet: &mut Telnet, message: Payload<'_>| {
        let mut out = Vec::new();
        let taken = telnet.take(message, &mut out);
        (taken, out)
    };
    let mut telnet = telnet(MUD);
    assert_eq!(take(&mut telnet, Payload::Binary(b"look")), (false, vec![]));
    assert_eq!(take(&mut telnet, Payload::Text("Core.Hello {}")), (true, vec![]));
    assert_eq!(take(&mut telnet, Payload::Text("Core.Ping")), (true, vec![]));
    let mut answer = Vec::new();
    telnet.down(&[IAC, WILL, GMCP], &mut Vec::new(), &mut Vec::new(), &mut answer);
    let (hello, ping) = (sub(GMCP, b"Core.Hello {}"), sub(GMCP, b"Core.Ping"));
    assert_eq!(answer, [&[IAC, DO, GMCP], &*hello, &*ping].concat());
    assert_eq!(take(&mut telnet, Payload::Text("Core.Ping")), (true, ping));
    // A backend that never agrees: so much waits, and no more.
    let mut telnet = self::telnet(MUD);
    let long = "x".repeat(MOST_WAITING / 4);
    for _ in 0..100 {
        assert_eq!(take(&mut telnet, Payload::Text(&long)), (true, vec![]));
        assert!(telnet.end.waiting.len() <= MOST_WAITING + 5);
    }
    assert_eq!(telnet.dropped(), 97);
    // Where no GMCP is spoken, text is lines.
    assert_eq!(take(&mut self::telnet(PLAIN), Payload::Text("look")), (false, vec![]));
}

#[test]
fn a_silent_backend_is_offered_options_once() {
    let start = Instant::now();
    let mut telnet = Telnet::new(PLAIN, None, start);
    assert_eq!(telnet.deadline(), Some(start + SILENCE));
    let mut answer = Vec::new();
    telnet.due(&mut answer);
    telnet.due(&mut answer);
    assert_eq!(answer, [IAC, DO, SGA, IAC, WILL, SGA, IAC, WILL, TTYPE]);
    assert_eq!(telnet.deadline(), None);
    // Its answers are not answered.
    answer.clear();
    let agrees = [IAC, WILL, SGA, IAC, DO, SGA, IAC, DO, TTYPE];
    telnet.down(&agrees, &mut Vec::new(), &mut Vec::new(), &mut answer);
    assert_eq!(answer, b"");
    // Whatever it says first, it is not silent.
    let mut telnet = Telnet::new(PLAIN, None, start);
    telnet.down(b"\r", &mut Vec::new(), &mut Vec::new(), &mut Vec::new());
    assert_eq!(telnet.deadline(), None);
    assert!(size_of::<Telnet>() <= 200, "{} bytes in every session", size_of::<Telnet>());
}
