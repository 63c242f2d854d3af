//! What line mode means, written the slow and obvious way, and the harness that runs the real thing against it.

use encoding_rs::Encoding;

use super::super::{Charset, Decoder, Eol, Framing, FramingError, LineRules, Newlines, Payload};

/// All that a session sees of a backend's output.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub messages: Vec<String>,
    pub error: Option<FramingError>,
    pub replaced: u64,
}

pub fn charset(label: &str) -> Charset {
    Charset::for_label(label).unwrap_or_else(|error| panic!("{error}"))
}

/// Rules with a charset and a limit, the rest by default.
pub fn rules(label: &str, max_line: usize) -> LineRules {
    LineRules {
        eol: Eol::default(),
        keep_eol: false,
        newlines: Newlines::default(),
        charset: charset(label),
        fallback: None,
        max_line,
    }
}

pub fn decoder(rules: &LineRules) -> Decoder {
    Framing::Lines(rules.clone()).decoder()
}

/// The text of a payload that must be text.
pub fn text(payload: Payload<'_>) -> String {
    match payload {
        Payload::Text(text) => text.to_owned(),
        Payload::Binary(bytes) => panic!("binary message in line mode: {bytes:?}"),
    }
}

/// Pushes one chunk and collects its messages.
pub fn push(decoder: &mut Decoder, chunk: &[u8]) -> (Vec<String>, Option<FramingError>) {
    let mut given = Vec::new();
    let mut messages = decoder.push(chunk);
    loop {
        match messages.next() {
            Ok(Some(message)) => given.push(text(message)),
            Ok(None) => return (given, None),
            Err(error) => return (given, Some(error)),
        }
    }
}

/// What the decoder makes of these reads and the end of input after them.
pub fn decode<'a>(rules: &LineRules, reads: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = decoder(rules);
    let mut outcome = Outcome::default();
    for chunk in reads {
        let (given, error) = push(&mut decoder, chunk);
        outcome.messages.extend(given);
        if error.is_some() {
            outcome.error = error;
            outcome.replaced = decoder.replaced();
            return outcome;
        }
    }
    outcome.messages.extend(decoder.finish().map(text));
    assert_eq!(decoder.finish(), None, "finished twice");
    outcome.replaced = decoder.replaced();
    outcome
}

/// What it should make of them, in one piece.
pub fn decode_slowly(rules: &LineRules, input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let pieces: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    for (number, piece) in pieces.iter().enumerate() {
        let content = trim(piece);
        if content.len() > rules.max_line {
            outcome.error = Some(FramingError::LineTooLong { limit: rules.max_line });
            break;
        }
        let (text, replaced) = line_text(rules.charset, content);
        let text = text.trim_matches('\r').to_owned();
        let unterminated = number + 1 == pieces.len();
        if !(unterminated && text.is_empty()) {
            outcome.messages.push(text);
            outcome.replaced += replaced;
        }
    }
    outcome
}

/// A line's text and how often U+FFFD stands in it for what could not be decoded.
pub fn line_text(charset: Charset, content: &[u8]) -> (String, u64) {
    let (text, replaced) = if charset == Charset::UTF_8 {
        let invalid = |chunk: &std::str::Utf8Chunk<'_>| !chunk.invalid().is_empty();
        (
            String::from_utf8_lossy(content).into_owned(),
            content.utf8_chunks().filter(invalid).count(),
        )
    } else {
        let encoding = Encoding::for_label(charset.name().as_bytes()).expect("its own name");
        let (text, _) = encoding.decode_without_bom_handling(content);
        let replaced = text.matches(char::REPLACEMENT_CHARACTER).count();
        (text.into_owned(), replaced)
    };
    (text, replaced as u64)
}

/// The input in pieces, cut at these byte offsets, taken modulo its length.
pub fn cut<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut offsets: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    offsets.extend([0, input.len()]);
    offsets.sort_unstable();
    offsets.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

fn trim(piece: &[u8]) -> &[u8] {
    let is_content = |&byte: &u8| byte != b'\r';
    match piece.iter().position(is_content) {
        Some(start) => {
            let end = piece.iter().rposition(is_content).expect("one was found");
            &piece[start..=end]
        }
        None => b"",
    }
}

/// What the encoder should make of a message in UTF-8.
pub fn encode_slowly(rules: &LineRules, message: &str) -> Result<String, FramingError> {
    let (content, own_eol) = match message.strip_suffix("\r\n") {
        Some(content) => (content, Some("\r\n")),
        None => match message.strip_suffix('\n') {
            Some(content) => (content, Some("\n")),
            None => (message.strip_suffix('\r').unwrap_or(message), None),
        },
    };
    if content.len() > rules.max_line {
        return Err(FramingError::MessageTooLong { limit: rules.max_line });
    }
    let unix = content.replace("\r\n", "\n");
    let content = match (rules.newlines, rules.eol) {
        (Newlines::Reject, _) if content.contains('\n') => {
            return Err(FramingError::NewlineInMessage);
        }
        (Newlines::Space, _) => unix.replace('\n', " "),
        (Newlines::Split, Eol::CrLf) => unix.replace('\n', "\r\n"),
        (Newlines::Reject | Newlines::Split, _) => content.to_owned(),
    };
    Ok(match rules.eol {
        Eol::CrLf => content + "\r\n",
        _ => content + own_eol.unwrap_or("\n"),
    })
}
