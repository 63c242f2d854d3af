//! From the client to the backend: the bytes that a message becomes.

use encoding_rs::Encoding;

use super::rules::{Ends, Message, Newlines, Refusal, Rules};

/// The bytes that one message becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Up {
    /// What the backend must receive.
    pub bytes: Vec<u8>,
    /// The ends of line among `bytes`; 1 in raw mode.
    pub lines: u64,
    /// The characters that the charset does not have, each written as `?`.
    pub replaced: u64,
}

/// Returns what the backend receives for one message, or why the message ends the session.
/// A message that is too long is refused for that, whatever else is wrong with it.
pub fn up(rules: &Rules, message: &Message) -> Result<Up, Refusal> {
    let payload = message.payload();
    let content = if rules.raw { payload } else { without_end_of_line(rules, payload) };
    if content.len() > rules.max_line {
        return Err(Refusal::MessageTooLong);
    }
    if rules.raw {
        return Ok(Up { bytes: content.to_vec(), lines: 1, replaced: 0 });
    }
    let is_text = matches!(message, Message::Text(_)) && !rules.binary_lines;
    let charset = is_text.then_some(rules.charset);
    let mut up = Up::default();
    let mut all = lines(rules, content)?;
    // The message's own end of line is an end of line as it is.
    if rules.ends == Ends::Newline
        && !rules.crlf
        && payload.ends_with(b"\r\n")
        && let Some(last) = all.last_mut()
    {
        last.end = "\r\n";
    }
    for line in all {
        match charset {
            Some(charset) => {
                let text = std::str::from_utf8(&line.content).expect("text is cut at newlines");
                up.replaced += encode(charset, text, &mut up.bytes);
            }
            None => up.bytes.extend_from_slice(&line.content),
        }
        up.bytes.extend_from_slice(line.end.as_bytes());
        up.lines += 1;
    }
    Ok(up)
}

/// One line of a message, not yet in the backend's charset.
struct Line {
    content: Vec<u8>,
    end: &'static str,
}

/// The payload without the one end of line that may end it: `\n`, `\r\n` or a lone `\r`; where NUL ends lines, NUL.
fn without_end_of_line<'a>(rules: &Rules, payload: &'a [u8]) -> &'a [u8] {
    match (rules.ends, payload) {
        (Ends::Nul, payload) => payload.strip_suffix(b"\0").unwrap_or(payload),
        (_, [content @ .., b'\r', b'\n'] | [content @ .., b'\n' | b'\r']) => content,
        _ => payload,
    }
}

/// The lines that a message's content becomes: at least one. Its newlines are `\n` and `\r\n`, with `--eol cr` also
/// `\r`, and with `--eol nul` NUL alone.
fn lines(rules: &Rules, content: &[u8]) -> Result<Vec<Line>, Refusal> {
    let eol = match rules.ends {
        Ends::Newline if rules.crlf => "\r\n",
        Ends::Newline => "\n",
        Ends::NewlineOrCr => "\r",
        Ends::Nul => "\0",
    };
    let mut lines = Vec::new();
    let mut present = Vec::new();
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| rules.ends.bytes().contains(byte)) {
        // A carriage return before the byte that was found, or a newline behind it, is of the same end.
        let before = rules.ends == Ends::Newline && at > 0 && rest[at - 1] == b'\r';
        let behind = rules.ends == Ends::NewlineOrCr && rest[at..].starts_with(b"\r\n");
        present.extend_from_slice(&rest[..at - usize::from(before)]);
        match rules.newlines {
            Newlines::Split => {
                let content = std::mem::take(&mut present);
                lines.push(Line { content, end: if before { "\r\n" } else { eol } });
            }
            Newlines::Space => present.push(b' '),
            Newlines::Reject => return Err(Refusal::NewlineInMessage),
        }
        rest = &rest[at + 1 + usize::from(behind)..];
    }
    present.extend_from_slice(rest);
    lines.push(Line { content: present, end: eol });
    Ok(lines)
}

/// Appends `text` in `charset`, and returns how many characters became `?`. A charset with states
/// begins and ends in its initial state.
fn encode(charset: &'static Encoding, text: &str, bytes: &mut Vec<u8>) -> u64 {
    let (encoded, _, unencodable) = charset.encode(text);
    if !unencodable {
        bytes.extend_from_slice(&encoded);
        return 0;
    }
    let exists = |char: char| !charset.encode(char.encode_utf8(&mut [0; 4])).2;
    let mut replaced = 0;
    let mut encodable = String::with_capacity(text.len());
    for char in text.chars() {
        if exists(char) {
            encodable.push(char);
        } else {
            encodable.push('?');
            replaced += 1;
        }
    }
    bytes.extend_from_slice(&charset.encode(&encodable).0);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    fn bytes(rules: &Rules, message: &str) -> Result<String, Refusal> {
        let as_text = up(rules, &text(message));
        let as_binary = up(rules, &Message::Binary(message.into()));
        assert_eq!(as_text, as_binary, "{message:?}: a binary message is treated like text");
        let up = as_text?;
        let ends = up.bytes.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(up.lines, ends as u64, "{message:?}");
        Ok(String::from_utf8(up.bytes).unwrap())
    }

    /// Message, then its bytes with: lf and split, crlf and split, lf and space, lf and reject.
    const LINES: &[(&str, &str, &str, &str, Option<&str>)] = &[
        ("", "\n", "\r\n", "\n", Some("\n")),
        ("a", "a\n", "a\r\n", "a\n", Some("a\n")),
        ("a\n", "a\n", "a\r\n", "a\n", Some("a\n")),
        ("a\r\n", "a\r\n", "a\r\n", "a\r\n", Some("a\r\n")),
        ("a\r", "a\n", "a\r\n", "a\n", Some("a\n")),
        ("\r", "\n", "\r\n", "\n", Some("\n")),
        ("a\n\n", "a\n\n", "a\r\n\r\n", "a \n", None),
        ("\n\n", "\n\n", "\r\n\r\n", " \n", None),
        ("a\n\r", "a\n\n", "a\r\n\r\n", "a \n", None),
        ("a\nb", "a\nb\n", "a\r\nb\r\n", "a b\n", None),
        ("a\r\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n", "a b\r\n", None),
        ("a\rb", "a\rb\n", "a\rb\r\n", "a\rb\n", Some("a\rb\n")),
        ("a\r\r\nb", "a\r\r\nb\n", "a\r\r\nb\r\n", "a\r b\n", None),
        ("a\r\r", "a\r\n", "a\r\r\n", "a\r\n", Some("a\r\n")),
    ];

    #[test]
    fn a_message_becomes_lines() {
        let lf = Rules::of_tests();
        let crlf = Rules { crlf: true, ..lf.clone() };
        let space = Rules { newlines: Newlines::Space, ..lf.clone() };
        let reject = Rules { newlines: Newlines::Reject, ..lf.clone() };
        for &(message, by_lf, by_crlf, by_space, by_reject) in LINES {
            assert_eq!(bytes(&lf, message).as_deref(), Ok(by_lf), "{message:?}, lf");
            assert_eq!(bytes(&crlf, message).as_deref(), Ok(by_crlf), "{message:?}, crlf");
            assert_eq!(bytes(&space, message).as_deref(), Ok(by_space), "{message:?}, space");
            let expected = by_reject.ok_or(Refusal::NewlineInMessage);
            assert_eq!(bytes(&reject, message).as_deref(), expected.as_ref().map(|s| *s));
        }
    }

    #[test]
    fn the_limit_leaves_out_one_end_of_line() {
        let rules = Rules { max_line: 4, newlines: Newlines::Reject, ..Rules::of_tests() };
        for fits in ["abcd", "abcd\n", "abcd\r\n", "abcd\r", "éé"] {
            assert!(bytes(&rules, fits).is_ok(), "{fits:?}");
        }
        for long in ["abcde", "abcd\n\n", "abcd\r\r\n", "ab\ncd", "ééé", "abcd\r\r"] {
            assert_eq!(bytes(&rules, long), Err(Refusal::MessageTooLong), "{long:?}");
        }
        let raw = Rules { raw: true, ..rules };
        assert!(up(&raw, &text("abcd")).is_ok());
        assert_eq!(up(&raw, &text("abcd\n")), Err(Refusal::MessageTooLong));
    }

    #[test]
    fn raw_bytes_are_kept() {
        let charset = encoding_rs::WINDOWS_1252;
        let rules = Rules { raw: true, crlf: true, charset, ..Rules::of_tests() };
        for payload in ["", "a", "a\r\n", "\n\n", "é"] {
            let expected = Up { bytes: payload.into(), lines: 1, replaced: 0 };
            assert_eq!(up(&rules, &text(payload)), Ok(expected));
        }
    }

    #[test]
    fn text_is_encoded_and_bytes_are_not() {
        use encoding_rs::{ISO_2022_JP, SHIFT_JIS, WINDOWS_1252};
        let rows: [(&'static Encoding, &str, &[u8], u64); 7] = [
            (WINDOWS_1252, "é€", b"\xe9\x80\n", 0),
            (WINDOWS_1252, "日é本\n", b"?\xe9?\n", 2),
            (SHIFT_JIS, "日本", b"\x93\xfa\x96{\n", 0),
            (ISO_2022_JP, "日", b"\x1b$BF|\x1b(B\n", 0),
            (ISO_2022_JP, "日\n本", b"\x1b$BF|\x1b(B\n\x1b$BK\\\x1b(B\n", 0),
            (ISO_2022_JP, "日é本", b"\x1b$BF|\x1b(B?\x1b$BK\\\x1b(B\n", 1),
            (ISO_2022_JP, "a\x1bb", b"a?b\n", 1),
        ];
        for (charset, message, bytes, replaced) in rows {
            let rules = Rules { charset, ..Rules::of_tests() };
            let got = up(&rules, &text(message)).unwrap();
            assert_eq!((got.bytes.as_slice(), got.replaced), (bytes, replaced), "{message:?}");
            let binary = up(&rules, &Message::Binary(b"\xff\x1b".to_vec())).unwrap();
            assert_eq!((binary.bytes.as_slice(), binary.replaced), (&b"\xff\x1b\n"[..], 0));
        }
    }
}
