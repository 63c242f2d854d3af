//! Any bytes from a client, cut anyhow, come to the same as with tungstenite alone: the same
//! messages, the same replies, the same end.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::noop_waker;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The longest message of these tests.
const MAX: usize = 300;

/// The end with which tungstenite does not agree.
const BAD_GATEWAY: CloseReason = CloseReason::ClientClosed(Some(1014));

/// A client that says these pieces, each in a read of its own, and hangs up.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(piece) = self.0.front_mut() else { return Poll::Ready(Ok(0)) };
        let n = piece.len().min(buf.len());
        buf[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() {
            self.0.pop_front();
        }
        Poll::Ready(Ok(n))
    }
}

/// The replies stay in the wire's buffer.
impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Outlet for Pieces {
    fn take_moved(&mut self, taken: bool) -> bool {
        taken
    }
}

/// What both sides of the comparison come to.
#[derive(Debug, PartialEq)]
struct Outcome {
    messages: Vec<(bool, Vec<u8>)>,
    replies: Vec<u8>,
    end: CloseReason,
}

/// What the client makes of it.
fn ours(early: &[u8], pieces: Vec<Vec<u8>>) -> Outcome {
    let mut client = Endpoint::new(Pieces(pieces.into()), early, Role::Server, MAX);
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    let mut messages = Vec::new();
    loop {
        let polled = client.poll_messages(&mut cx, &mut |came| {
            match came {
                Received::One(Payload::Binary(bytes)) => messages.push((false, bytes.to_vec())),
                Received::One(Payload::Text(text)) => messages.push((true, text.into())),
                Received::Batch(batch) => {
                    messages.extend(batch.messages().map(|text| (true, text.into())));
                }
            }
            Ok(())
        });
        match polled {
            Poll::Ready(None) => {}
            Poll::Ready(Some(end)) => {
                let replies = client.wire().waiting().to_vec();
                return Outcome { messages, replies, end };
            }
            Poll::Pending => panic!("it waits for a client that has hung up"),
        }
    }
}

/// However a message that is objected to has come, the Close behind it is found.
#[test]
fn what_comes_behind_an_objection_is_still_read() {
    let message = frame(0x81, true, 0, b"a\nb");
    let close = frame(0x88, true, 0, &1000u16.to_be_bytes());
    let all = [&message[..], &close].concat();
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    for cut in 0..=all.len() {
        for is_early in [false, true] {
            let (first, rest) = all.split_at(cut);
            let (early, first) = if is_early { (first, &[][..]) } else { (&[][..], first) };
            let pieces = [first, rest].into_iter().filter(|piece| !piece.is_empty());
            let pieces = Pieces(pieces.map(<[u8]>::to_vec).collect());
            let mut client = Endpoint::new(pieces, early, Role::Server, MAX);
            let mut next = || loop {
                match client.poll_messages(&mut cx, &mut |_| Err(CloseReason::Idle)) {
                    Poll::Ready(Some(end)) => return end,
                    Poll::Ready(None) => {}
                    Poll::Pending => panic!("it waits for a client that has hung up"),
                }
            };
            let ends = [next(), next()];
            assert_eq!(ends, [CloseReason::Idle, CloseReason::ClientClosed(Some(1000))], "{cut}");
        }
    }
}

/// What tungstenite makes of it alone, reading all at once.
fn tungstenites(bytes: &[u8]) -> Outcome {
    struct Duplex<'a>(&'a [u8], Vec<u8>);
    impl Read for Duplex<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }
    impl Write for Duplex<'_> {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.1.write(buf)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX + EOL))
        .max_frame_size(Some(MAX + EOL));
    let stream = Duplex(bytes, Vec::new());
    let mut ws = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut messages = Vec::new();
    let end = loop {
        match ws.read() {
            Ok(Message::Text(text)) => messages.push((true, text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => messages.push((false, bytes.to_vec())),
            Ok(Message::Close(frame)) => break closed_by(frame),
            Ok(_) => {}
            Err(error) => break explain(error),
        }
    };
    // What was queued leaves, as far as the connection's state lets it.
    let _ = ws.flush();
    let Duplex(_, replies) = ws.into_inner();
    Outcome { messages, replies, end }
}

/// The meaning of tungstenite's errors, by a client that has nothing else to do.
fn explain(error: Error) -> CloseReason {
    let nobody = Pieces(VecDeque::new());
    Endpoint::new(nobody, b"", Role::Server, MAX).explain(error)
}

/// A frame as RFC 6455, section 5.2, has it, right or wrong.
fn frame(first: u8, masked: bool, form: u8, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut out = vec![first];
    match (form, payload.len()) {
        (0, n) if n < 126 => out.push(mask_bit | n as u8),
        (0 | 1, n) => {
            out.push(mask_bit | 126);
            out.extend((n as u16).to_be_bytes());
        }
        (_, n) => {
            out.push(mask_bit | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask: [u8; 4] = if masked { [7, 77, 177, 17] } else { [0; 4] };
    if masked {
        out.extend(mask);
    }
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => "[a-ü]{100,200}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
        1 => vec(any::<u8>(), 290..310),
        1 => Just(vec![0x03, 0xe8]),
        1 => Just(b"\x03\xe8bye".to_vec()),
    ]
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        12 => Just(0x81u8),
        6 => Just(0x82),
        3 => Just(0x89),
        2 => Just(0x8a),
        2 => Just(0x01),
        2 => Just(0x00),
        2 => Just(0x80),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let form = prop_oneof![20 => Just(0u8), 1 => Just(1), 1 => Just(2)];
    (first, prop::bool::weighted(0.98), form, payload())
        .prop_map(|(first, masked, form, payload)| frame(first, masked, form, &payload))
}

fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = later;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_to_the_same_however_cut(
        frames in vec(any_frame(), 0..12),
        garbage in vec(any::<u8>(), 0..8),
        early in 0usize..200,
        sizes in vec(1usize..400, 1..6),
    ) {
        let mut bytes = frames.concat();
        bytes.extend(&garbage);
        let (early, rest) = bytes.split_at(early.min(bytes.len()));
        let ours = ours(early, cut(rest, &sizes));
        prop_assume!(ours.end != BAD_GATEWAY);
        prop_assert_eq!(ours, tungstenites(&bytes));
    }

    #[test]
    fn so_does_garbage(bytes in vec(any::<u8>(), 0..60), sizes in vec(1usize..20, 1..4)) {
        let ours = ours(b"", cut(&bytes, &sizes));
        prop_assume!(ours.end != BAD_GATEWAY);
        prop_assert_eq!(ours, tungstenites(&bytes));
    }
}

#[test]
fn cut_at_every_byte() {
    let frames = [
        frame(0x81, true, 0, "zwölf".as_bytes()),
        frame(0x89, true, 0, b"ping"),
        frame(0x01, true, 0, b"in "),
        frame(0x89, true, 0, b""),
        frame(0x80, true, 0, b"fragments"),
        frame(0x82, true, 1, &[0xff; 130]),
        frame(0x81, true, 0, b""),
        frame(0x88, true, 0, b"\x03\xe8bye"),
    ];
    let bytes = frames.concat();
    let want = tungstenites(&bytes);
    assert_eq!(want.messages.len(), 4);
    for at in 0..=bytes.len() {
        let (one, two) = bytes.split_at(at);
        assert_eq!(ours(b"", vec![one.to_vec(), two.to_vec()]), want, "cut at {at}");
        assert_eq!(ours(one, vec![two.to_vec()]), want, "early up to {at}");
    }
    assert_eq!(ours(b"", cut(&bytes, &[1])), want);
}

/// A control frame has 125 bytes at most (RFC 6455, section 5.5), two of them the code.
#[test]
fn a_long_reason_is_cut_between_characters() {
    for (why, fits) in [("x".repeat(123), 123), ("x".repeat(124), 123), ("é".repeat(100), 122)] {
        let mut client = Endpoint::new(Pieces(VecDeque::new()), b"", Role::Server, MAX);
        client.close_with(CloseCode::Again, &why);
        let want = [&[0x88, fits as u8 + 2, 0x03, 0xf5][..], &why.as_bytes()[..fits]].concat();
        assert_eq!(client.wire().waiting(), want, "{why}");
    }
}

/// RFC 6455, section 7.4, and IANA's registry of close codes: what an endpoint may send, and what is
/// reserved, or for the endpoint itself to say.
#[test]
fn close_codes() {
    let close = |code: u16| [&code.to_be_bytes()[..], "weil é".as_bytes()].concat();
    const NOT_ALLOWED: &str = "Close with a code that is not allowed";
    let violation = [&[0x88, 20, 0x03, 0xea][..], b"Protocol violation"].concat();
    for (codes, allowed) in [
        (0..=999, false),
        (1000..=1003, true),
        (1004..=1006, false),
        (1007..=1014, true),
        (1015..=2999, false),
        (3000..=4999, true),
        (5000..=u16::MAX, false),
    ] {
        let (first, last) = (*codes.start(), *codes.end());
        for code in [first, first + 1, last - 1, last].into_iter().chain(codes.step_by(97)) {
            let bytes = frame(0x88, true, 0, &close(code));
            let (reply, end) = match allowed {
                true => {
                    let reply = [&[0x88, 9][..], &close(code)].concat();
                    (reply, CloseReason::ClientClosed(Some(code)))
                }
                false => (violation.clone(), CloseReason::Protocol(NOT_ALLOWED.into())),
            };
            let want = Outcome { messages: Vec::new(), replies: reply, end };
            assert_eq!(ours(b"", vec![bytes.clone()]), want, "{code}");
            assert_eq!(ours(&bytes, vec![]), want, "{code}, early");
            // Inside a fragmented message, and cut.
            let inside = [frame(0x01, true, 0, b"a"), bytes].concat();
            assert_eq!(ours(b"", cut(&inside, &[1])), want, "{code}, inside a message");

            // An answer to ours is taken as one, and not answered.
            let pieces = cut(&frame(0x88, true, 0, &close(code)), &[3]);
            let mut client = Endpoint::new(Pieces(pieces.into()), b"", Role::Server, MAX);
            client.close_with(CloseCode::from(code), "ours");
            let said = client.wire().waiting().to_vec();
            assert_eq!(said, [&[0x88, 6][..], &code.to_be_bytes(), b"ours"].concat());
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let end = loop {
                match client.poll_messages(&mut cx, &mut |_| panic!("a message")) {
                    Poll::Ready(None) => {}
                    Poll::Ready(Some(end)) => break end,
                    Poll::Pending => panic!("it waits for a client that has answered"),
                }
            };
            assert_eq!(end, CloseReason::ClientClosed(Some(code)), "{code}, answered");
            assert_eq!(client.wire().waiting(), said, "{code}, answered");
        }
    }
}

/// A limit of messages below 125 bytes is none of control frames.
#[test]
fn control_frames_of_every_length_are_taken() {
    for max in [0, 1, 60, 125] {
        let payload = [b'p'; 125];
        let ping = frame(0x89, true, 0, &payload);
        let long = frame(0x81, true, 0, &vec![b'x'; max + EOL + 1]);
        let pieces = Pieces(VecDeque::from([ping, long]));
        let mut client = Endpoint::new(pieces, b"", Role::Server, max);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let end = loop {
            match client.poll_messages(&mut cx, &mut |_| panic!("a message")) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(end)) => break end,
                Poll::Pending => panic!("it waits for more"),
            }
        };
        assert_eq!(end, CloseReason::MessageTooLong(max), "{max}");
        assert_eq!(client.wire().waiting(), [&[0x8a, 125][..], &payload].concat(), "{max}");
    }
}

/// What is wrong with a Close is tungstenite's to tell, whatever its code.
#[test]
fn wrong_closes_with_the_code_1014() {
    let code = 1014_u16.to_be_bytes();
    for bytes in [
        frame(0x88, false, 0, &code),
        frame(0x08, true, 0, &code),
        frame(0xc8, true, 0, &code),
        frame(0x88, true, 0, &code[..1]),
        frame(0x88, true, 0, &[&code[..], b"\xff"].concat()),
        frame(0x88, true, 0, &[&code[..], &[b'x'; 124]].concat()),
        frame(0x88, true, 0, &[&code[..], b"cut short"].concat())[..10].to_vec(),
        frame(0x88, true, 0, &code)[..7].to_vec(),
    ] {
        let want = tungstenites(&bytes);
        assert_eq!(ours(b"", vec![bytes.clone()]), want, "{bytes:x?}");
        assert_eq!(ours(&bytes[..1], cut(&bytes[1..], &[1])), want, "{bytes:x?}");
    }
}

/// What a client's endpoint receives from a server that sends these bytes, and what it has sent.
fn as_client(pieces: Vec<Vec<u8>>, send: &[Payload<'_>]) -> (Vec<Vec<u8>>, Vec<u8>, CloseReason) {
    let mut client = Endpoint::new(Pieces(pieces.into()), b"", Role::Client, MAX);
    send.iter().for_each(|payload| client.queue(0).push(*payload));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut received = Vec::new();
    loop {
        let polled = client.poll_messages(&mut cx, &mut |came| {
            let Received::One(payload) = came else { panic!("{came:?}") };
            received.push(payload.as_bytes().to_vec());
            Ok(())
        });
        match polled {
            Poll::Ready(Some(end)) => return (received, client.wire().waiting().to_vec(), end),
            Poll::Ready(None) => {}
            Poll::Pending => panic!("nothing would wake it"),
        }
    }
}

#[test]
fn a_clients_endpoint_reads_what_a_server_sends() {
    let bytes = [
        frame(0x81, false, 0, "zwölf".as_bytes()),
        frame(0x89, false, 0, b"ping"),
        frame(0x01, false, 0, b"in "),
        frame(0x80, false, 0, b"two"),
        frame(0x82, false, 1, &[7; 130]),
        frame(0x88, false, 0, &[&1014_u16.to_be_bytes()[..], b"bye"].concat()),
    ]
    .concat();
    for size in [1, 2, 3, bytes.len()] {
        let (received, _, end) = as_client(cut(&bytes, &[size]), &[]);
        assert_eq!(received, ["zwölf".as_bytes(), b"in two", &[7; 130]], "{size}");
        assert_eq!(end, CloseReason::ClientClosed(Some(1014)), "{size}");
    }
    // A server's frames have no mask (RFC 6455, section 5.1).
    let (_, _, end) = as_client(vec![frame(0x81, true, 0, b"masked")], &[]);
    assert!(matches!(end, CloseReason::Protocol(_)), "{end:?}");
}

#[test]
fn a_clients_endpoint_masks_what_it_sends() {
    let long = "é".repeat(70);
    let sent = [Payload::Text("hello"), Payload::Binary(&[0, 255]), Payload::Text(&long)];
    let close = frame(0x88, false, 0, &1000_u16.to_be_bytes());
    let (_, bytes, end) = as_client(vec![frame(0x89, false, 0, b"are you there"), close], &sent);
    assert_eq!(end, CloseReason::ClientClosed(Some(1000)));
    // What a server makes of it: messages, then the answers to ping and Close.
    let got = ours(b"", vec![bytes]);
    let want: Vec<(bool, Vec<u8>)> = sent
        .iter()
        .map(|payload| (matches!(payload, Payload::Text(_)), payload.as_bytes().to_vec()))
        .collect();
    assert_eq!(got.messages, want);
    assert_eq!(got.end, CloseReason::ClientClosed(Some(1000)));
}
