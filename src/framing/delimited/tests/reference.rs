//! What delimited lines mean, written the slow and obvious way, and the harness that runs the real thing against it.

use crate::framing::line::reference::line_text;
pub use crate::framing::line::reference::{charset, cut};
use crate::framing::{Charset, Decoder, Eol, Framing, FramingError, LineRules, Newlines, Payload};

/// All that a session sees of a backend's output. Text is UTF-8.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub messages: Vec<Vec<u8>>,
    pub error: Option<FramingError>,
    pub replaced: u64,
}

pub fn rules(eol: Eol, keep_eol: bool, label: &str) -> LineRules {
    LineRules {
        eol,
        keep_eol,
        newlines: Newlines::Split,
        charset: charset(label),
        fallback: None,
        max_line: usize::MAX,
    }
}

/// The bytes of a payload that must be of the framing's type.
fn bytes(framing: &Framing, payload: Payload<'_>) -> Vec<u8> {
    match (framing, payload) {
        (Framing::Lines(_), Payload::Text(text)) => text.into(),
        (Framing::BinaryLines(_), Payload::Binary(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// Pushes one chunk and collects its messages.
pub fn push(
    framing: &Framing,
    decoder: &mut Decoder,
    chunk: &[u8],
) -> (Vec<Vec<u8>>, Option<FramingError>) {
    let mut given = Vec::new();
    let mut messages = decoder.push(chunk);
    loop {
        match messages.next() {
            Ok(Some(message)) => given.push(bytes(framing, message)),
            Ok(None) => return (given, None),
            Err(error) => return (given, Some(error)),
        }
    }
}

pub fn flush(framing: &Framing, decoder: &mut Decoder) -> Option<Vec<u8>> {
    let has_tail = decoder.has_tail();
    let message = decoder.flush().map(|message| bytes(framing, message));
    assert_eq!(message.is_some(), has_tail);
    assert!(!decoder.has_tail());
    message
}

pub fn finish(framing: &Framing, decoder: &mut Decoder) -> Option<Vec<u8>> {
    decoder.finish().map(|message| bytes(framing, message))
}

/// What the decoder makes of these reads and the end of input after them.
pub fn decode<'a>(framing: &Framing, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = framing.decoder();
    assert!(matches!(decoder, Decoder::Delimited(_)), "{framing:?}");
    let mut outcome = Outcome::default();
    for chunk in reads {
        let (given, error) = push(framing, &mut decoder, chunk);
        outcome.messages.extend(given);
        if error.is_some() {
            outcome.error = error;
            outcome.replaced = decoder.replaced();
            return outcome;
        }
    }
    outcome.messages.extend(finish(framing, &mut decoder));
    assert_eq!(decoder.finish(), None, "finished twice");
    outcome.replaced = decoder.replaced();
    outcome
}

pub fn line_rules(framing: &Framing) -> &LineRules {
    match framing {
        Framing::Lines(rules) | Framing::BinaryLines(rules) | Framing::Terminal(rules) => rules,
        Framing::Raw(_) => panic!("{framing:?}"),
    }
}

/// What it should make of them, in one piece.
pub fn decode_slowly(framing: &Framing, input: &[u8]) -> Outcome {
    let rules = line_rules(framing);
    let mut outcome = Outcome::default();
    let mut rest = input;
    while !rest.is_empty() {
        let line = next_line(rules, rest);
        rest = &rest[line.content.len() + line.eol.len()..];
        let is_newline = matches!(rules.eol, Eol::Lf | Eol::CrLf);
        let is_tail = line.eol.is_empty();
        let (mut content, mut eol) = (line.content, line.eol.to_vec());
        if is_newline && !rules.keep_eol {
            content = trim(content);
        } else if is_newline && let Some(shorter) = content.strip_suffix(b"\r") {
            content = shorter;
            eol.insert(0, b'\r');
        }
        if content.len() > rules.max_line {
            outcome.error = Some(FramingError::LineTooLong { limit: rules.max_line });
            break;
        }
        let (mut message, replaced) = message(framing, content);
        if rules.keep_eol {
            message.extend(eol);
        }
        if !(is_tail && message.is_empty()) {
            outcome.messages.push(message);
            outcome.replaced += replaced;
        }
    }
    outcome
}

struct Line<'a> {
    content: &'a [u8],
    /// From the first byte that ends the line on; empty: it is the tail.
    eol: &'a [u8],
}

fn next_line<'a>(rules: &LineRules, input: &'a [u8]) -> Line<'a> {
    let (ends, pairs): (&[u8], &[&[u8]]) = match rules.eol {
        Eol::Lf | Eol::CrLf => (b"\n", &[b"\n\r"]),
        Eol::Cr => (b"\r\n", &[b"\n\r", b"\r\n"]),
        Eol::Nul => (b"\0", &[]),
    };
    let Some(at) = input.iter().position(|byte| ends.contains(byte)) else {
        return Line { content: input, eol: b"" };
    };
    let (content, rest) = input.split_at(at);
    let is_newline = matches!(rules.eol, Eol::Lf | Eol::CrLf);
    // `\r\n` is whole: a carriage return behind it is the next line's.
    let may_pair = !(is_newline && content.ends_with(b"\r"));
    let is_pair = may_pair && pairs.iter().any(|pair| rest.starts_with(pair));
    Line { content, eol: &rest[..if is_pair { 2 } else { 1 }] }
}

/// A line's message and how often U+FFFD stands in it for what could not be decoded.
fn message(framing: &Framing, content: &[u8]) -> (Vec<u8>, u64) {
    let Framing::Lines(rules) = framing else { return (content.to_vec(), 0) };
    let charset = match rules.fallback {
        Some(_) if std::str::from_utf8(content).is_ok() => Charset::UTF_8,
        Some(fallback) => fallback,
        None => rules.charset,
    };
    let (text, replaced) = line_text(charset, content);
    (text.into(), replaced)
}

fn trim(mut content: &[u8]) -> &[u8] {
    while let [b'\r', rest @ ..] | [rest @ .., b'\r'] = content {
        content = rest;
    }
    content
}

/// Messages that keep their ends, with each end whole: the second byte of one that came in a later read is moved from
/// the beginning of the next message to it.
pub fn joined_ends(eol: Eol, messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut whole: Vec<Vec<u8>> = Vec::new();
    for mut message in messages {
        let is_cut = |last: &Vec<u8>, message: &Vec<u8>| match (eol, &last[..], message.first()) {
            (Eol::Nul, ..) | (_, [.., b'\r', b'\n'], _) => false,
            (Eol::Cr, [.., b'\n', b'\r'], _) => false,
            (_, [.., b'\n'], Some(b'\r')) | (Eol::Cr, [.., b'\r'], Some(b'\n')) => true,
            _ => false,
        };
        if let Some(last) = whole.last_mut()
            && is_cut(last, &message)
        {
            last.push(message.remove(0));
            if message.is_empty() {
                continue;
            }
        }
        whole.push(message);
    }
    whole
}

/// What the encoder should make of a message, not yet in the backend's charset.
pub fn encode_slowly(rules: &LineRules, message: &str) -> Result<String, FramingError> {
    let ends: &[&str] = match rules.eol {
        Eol::Cr => &["\r\n", "\n", "\r"],
        Eol::Nul => &["\0"],
        other => panic!("{other:?} is a plain line's"),
    };
    let eol = std::str::from_utf8(rules.eol.bytes()).expect("ASCII");
    let content = ends.iter().find_map(|end| message.strip_suffix(end)).unwrap_or(message);
    if content.len() > rules.max_line {
        return Err(FramingError::MessageTooLong { limit: rules.max_line });
    }
    // Each end of line inside as one character that no test's message has.
    let marked = ends.iter().fold(content.to_owned(), |text, end| text.replace(end, "\u{1}"));
    Ok(match rules.newlines {
        Newlines::Reject if marked.contains('\u{1}') => return Err(FramingError::NewlineInMessage),
        Newlines::Space => marked.replace('\u{1}', " "),
        _ => marked.replace('\u{1}', eol),
    } + eol)
}
