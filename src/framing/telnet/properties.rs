//! Telnet on generated streams: the same wherever reads split them, bounded, and as `libmudtelnet` understands it.

use std::time::Instant;

use libmudtelnet::Parser as Oracle;
use libmudtelnet::compatibility::CompatibilityTable;
use libmudtelnet::events::TelnetEvents;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::charset::Charset;
use super::super::stage::{Event, Mark, Stage};
use super::bytes::{self, IAC, Return};
use super::parser::{Parser, Token};
use super::{Telnet, TelnetRules};

/// What a stream was made into: what is left, what happens within it, the answers.
type Outcome = (Vec<u8>, Vec<Mark>, Vec<u8>, u64);

fn down<'a>(is_mud: bool, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let rules =
        TelnetRules { charset: Charset::UTF_8, has_enter: false, is_terminal: is_mud, is_mud };
    let mut telnet = Telnet::new(rules, None, Instant::now());
    let (mut rest, mut all, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    for read in reads {
        let mut marks = Vec::new();
        telnet.down(read, &mut rest, &mut marks, &mut answer);
        for mark in marks {
            // A prompt that ends twice has nothing in it the second time.
            if all.last() != Some(&mark) || mark.event != Event::Prompt {
                all.push(mark);
            }
        }
    }
    (rest, all, answer, telnet.dropped())
}

/// Bytes that mean something, in any order.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        6 => Just(IAC),
        6 => select(&[240, 250, 251, 252, 253, 254, 249, 239, 246][..]),
        6 => select(&[0, 1, 2, 3, 4, 24, 25, 39, 42, 70, 201, b';'][..]),
        3 => select(&b"\r\nab"[..]),
        1 => any::<u8>(),
    ];
    let piece = prop_oneof![
        6 => vec(byte, 1..6),
        2 => select(vec![
            &b"\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0"[..],
            b"\xff\xfd\x27\xff\xfa\x27\x01\0CHARSET\x03x\xff\xf0",
            b"\xff\xfb\x2a\xff\xfa\x2a\x01;UTF-8\xff\xf0",
            b"\xff\xfb\xc9\xff\xfa\xc9Core.Ping\xff\xf0",
            b"\xff\xfb\x46\xff\xfa\x46\x01NAME\x02x\xff\xf0",
            b"\xff\xfb\x01",
            b"\xff\xfb\0",
            b"\xff\xfc\0",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A stream without what `libmudtelnet` has its own opinion of: `IAC IAC`, commands but three, its compression, and
/// subnegotiations of options that are negotiated.
fn plain_stream() -> impl Strategy<Value = Vec<u8>> {
    let text = || vec(0..IAC, 0..8);
    let option = prop_oneof![Just(3_u8), Just(24), Just(201), 0..80_u8];
    prop_oneof![
        4 => text(),
        2 => select(&[249_u8, 239, 241][..]).prop_map(|command| vec![IAC, command]),
        3 => (251..IAC, 100..200_u8).prop_map(|(verb, option)| vec![IAC, verb, option]),
        3 => (option, text()).prop_map(|(option, inner)| {
            let mut out = Vec::new();
            bytes::subnegotiation(option, &[&inner], &mut out);
            out
        }),
    ]
}

proptest! {
    #[test]
    fn it_is_the_same_wherever_reads_split_it(
        stream in any_stream(),
        sizes in vec(1..9_usize, 1..9),
        is_mud in any::<bool>(),
    ) {
        let whole = down(is_mud, [&*stream]);
        prop_assert_eq!(&down(is_mud, stream.chunks(1)), &whole);
        let mut rest = &*stream;
        let pieces = sizes.iter().cycle().map_while(|size| {
            let (piece, behind) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(&down(is_mud, pieces), &whole);
        let (left, marks, answer, _) = whole;
        prop_assert!(left.len() <= stream.len());
        prop_assert!(marks.is_sorted_by_key(|mark| mark.at));
        prop_assert!(marks.iter().all(|mark| mark.at <= left.len()));
        // The longest answer to the shortest question: all variables.
        prop_assert!(answer.len() <= 16 * stream.len(), "{} bytes", answer.len());
    }

    #[test]
    fn what_was_escaped_is_the_same_again(text in vec(prop_oneof![Just(IAC), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..40)) {
        // A NUL behind a CR can't be said outside of BINARY.
        prop_assume!(!text.windows(2).any(|pair| pair == b"\r\0"));
        let mut out = text.clone();
        bytes::escape(&mut out, 0, Return::Nvt);
        prop_assert_eq!(down(false, [&*out]).0, text);
    }

    #[test]
    fn text_and_commands_are_those_of_libmudtelnet(pieces in vec(plain_stream(), 0..12)) {
        let stream = pieces.concat();
        let mut table = CompatibilityTable::new();
        for option in 0..=u8::MAX {
            table.set_option(option, libmudtelnet::compatibility::CompatibilityEntry::new(true, true, true, true));
        }
        let (mut text, mut commands, mut inner) = (Vec::new(), Vec::new(), Vec::new());
        for event in Oracle::with_support(table).receive(&stream) {
            match event {
                TelnetEvents::DataReceive(bytes) => text.extend_from_slice(&bytes),
                TelnetEvents::IAC(iac) => commands.push(iac.command),
                TelnetEvents::Subnegotiation(sub) => inner.push((sub.option, sub.buffer.to_vec())),
                _ => {}
            }
        }
        let (mut our_text, mut our_commands, mut our_inner) = (Vec::new(), Vec::new(), Vec::new());
        let (mut parser, mut input) = (Parser::default(), &*stream);
        while let Some(token) = parser.next(&mut input) {
            match token {
                Token::Text(bytes) => our_text.extend_from_slice(bytes),
                Token::Command(command) => our_commands.push(command),
                Token::Subnegotiation(option, bytes) => our_inner.push((option, bytes.to_vec())),
                Token::Negotiation(..) => {}
            }
        }
        prop_assert_eq!(our_text, text);
        prop_assert_eq!(our_commands, commands);
        prop_assert_eq!(our_inner, inner);
    }
}
