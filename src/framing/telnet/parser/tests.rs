use super::*;
use crate::framing::telnet::bytes::{AYT, GA, NOP};

/// A piece that is not lent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Command(u8),
    Negotiation(u8, u8),
    Subnegotiation(u8, Vec<u8>),
}
use Piece::{Command, Negotiation, Subnegotiation, Text};

/// The pieces of these reads, text joined, and what was dropped.
fn pieces<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Piece>, u64) {
    let mut parser = Parser::default();
    let mut pieces = Vec::new();
    for mut read in reads {
        while let Some(token) = parser.next(&mut read) {
            match (token, pieces.last_mut()) {
                (Token::Text(more), Some(Text(text))) => text.extend_from_slice(more),
                (Token::Text(text), _) => pieces.push(Text(text.to_vec())),
                (Token::Command(command), _) => pieces.push(Command(command)),
                (Token::Negotiation(verb, option), _) => pieces.push(Negotiation(verb, option)),
                (Token::Subnegotiation(option, inner), _) => {
                    pieces.push(Subnegotiation(option, inner.to_vec()));
                }
            }
        }
        assert!(parser.inner.len() <= LONGEST + 1);
    }
    (pieces, parser.dropped)
}

fn text(text: &[u8]) -> Piece {
    Text(text.to_vec())
}

/// RFC 854 and 855; the same wherever a read splits it.
#[test]
fn pieces_of_a_stream() {
    let table: &[(&[u8], &[Piece], u64)] = &[
        (b"", &[], 0),
        (b"login: ", &[text(b"login: ")], 0),
        (b"a\xff\xffb\xff\xff", &[text(b"a\xffb\xff")], 0),
        (b"\xff\xff\xff\xff\xff\xf9", &[text(b"\xff\xff"), Command(GA)], 0),
        (b"a\xff\xf9b", &[text(b"a"), Command(GA), text(b"b")], 0),
        (b"\xff\xf6\xff\xf1", &[Command(AYT), Command(NOP)], 0),
        (b"\xff\xfb\x01x", &[Negotiation(WILL, 1), text(b"x")], 0),
        // An option that looks like a command.
        (b"\xff\xfd\xff\xff\xfe\xf0", &[Negotiation(DO, 255), Negotiation(DONT, SE)], 0),
        (b"\xff\xfa\x18\x01\xff\xf0x", &[Subnegotiation(24, vec![1]), text(b"x")], 0),
        (b"\xff\xfa\x18\xff\xf0", &[Subnegotiation(24, vec![])], 0),
        (
            b"\xff\xfa\x18a\xff\xffb\xff\xff\xff\xf0",
            &[Subnegotiation(24, b"a\xffb\xff".to_vec())],
            0,
        ),
        // Empty: there is no option.
        (b"a\xff\xfa\xff\xf0b", &[text(b"ab")], 0),
        // An SE that ends nothing, and bytes that are no commands.
        (b"a\xff\xf0b\xff\0c", &[text(b"a"), Command(SE), text(b"b"), Command(0), text(b"c")], 0),
        // A subnegotiation without its end: the next command counts, and what comes behind it.
        (b"\xff\xfa\x18a\xff\xf9b", &[Command(GA), text(b"b")], 1),
        (b"\xff\xfa\x18a\xff\xfb\x01b", &[Negotiation(WILL, 1), text(b"b")], 1),
        (b"\xff\xfa\x18a\xff\xfa\x18b\xff\xf0", &[Subnegotiation(24, b"b".to_vec())], 1),
        (b"\xff\xfa\x18a\xffbc", &[Command(b'b'), text(b"c")], 1),
        // What never ends.
        (b"a\xff\xfa\x18bc\n", &[text(b"a")], 0),
        (b"a\xff", &[text(b"a")], 0),
        (b"a\xff\xfb", &[text(b"a")], 0),
        (b"a\xff\xfa\x18\xff", &[text(b"a")], 0),
    ];
    for (stream, want, dropped) in table {
        let want = (want.to_vec(), *dropped);
        let shown = stream.escape_ascii();
        assert_eq!(pieces([*stream]), want, "{shown}");
        assert_eq!(pieces(stream.chunks(1)), want, "{shown} byte by byte");
        for at in 0..=stream.len() {
            let (one, two) = stream.split_at(at);
            assert_eq!(pieces([one, two]), want, "{shown} split at {at}");
        }
    }
}

#[test]
fn a_subnegotiation_may_be_so_long_and_no_longer() {
    for (length, dropped) in [(LONGEST, 0), (LONGEST + 1, 1), (10 * LONGEST, 1)] {
        for step in [length + 10, 1000, 1] {
            // Doubled in the stream, and one byte each.
            let inner = b"\xff".repeat(length);
            let stream = [b"\xff\xfa\xc9", &*inner.repeat(2), b"\xff\xf0x"].concat();
            let mut want = vec![text(b"x")];
            if dropped == 0 {
                want.insert(0, Subnegotiation(201, inner));
            }
            assert!(pieces(stream.chunks(step)) == (want, dropped), "{length} by {step}");
        }
    }
}
