//! Terminal: binary messages of UTF-8 text with its ends of line, as `terminal.mudstandards.org` has them. Down, they are
//! lines of [`delimited`](super::delimited).

use super::payload::Payload;

/// A message as the text that it is, binary or not. A binary message that is not UTF-8 stays as it is.
pub(super) fn as_text(message: Payload<'_>) -> Payload<'_> {
    match message {
        Payload::Binary(bytes) => simdutf8::basic::from_utf8(bytes).map_or(message, Payload::Text),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Charset, Decoder, Eol, Framing, LineRules, Newlines, Payload};

    fn terminal(label: &str) -> Framing {
        Framing::Terminal(LineRules {
            eol: Eol::CrLf,
            keep_eol: true,
            newlines: Newlines::Split,
            charset: Charset::for_label(label).unwrap(),
            fallback: None,
            max_line: 100,
        })
    }

    /// What these pieces are as messages; between two of them a prompt ends.
    fn down(label: &str, pieces: &[&[u8]], step: usize) -> Vec<String> {
        let mut decoder = terminal(label).decoder();
        let mut messages = Vec::new();
        let mut add = |payload: Payload<'_>| match payload {
            Payload::Binary(bytes) => {
                messages.push(String::from_utf8(bytes.to_vec()).expect("UTF-8"));
            }
            Payload::Text(text) => panic!("text {text:?}"),
        };
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                decoder.end_prompt().into_iter().for_each(&mut add);
            }
            for read in piece.chunks(step) {
                push(&mut decoder, read, &mut add);
            }
        }
        decoder.finish().into_iter().for_each(&mut add);
        messages
    }

    fn push(decoder: &mut Decoder, read: &[u8], add: &mut impl FnMut(Payload<'_>)) {
        let mut messages = decoder.push(read);
        while let Some(payload) = messages.next().unwrap() {
            add(payload);
        }
    }

    /// The charset, the pieces, and the messages.
    type Row<'a> = (&'a str, &'a [&'a [u8]], &'a [&'a str]);

    /// The messages joined are the backend's text, all of it.
    #[test]
    fn lines_and_prompts_keep_their_ends() {
        let table: &[Row<'_>] = &[
            ("utf-8", &[b"a\r\nb\n\ntail"], &["a\r\n", "b\n", "\n", "tail"]),
            ("utf-8", &[b"> ", b"> ", b""], &["> ", "> "]),
            // An empty prompt.
            ("utf-8", &[b"a\r\n", b"", b"\r\nb\r\n"], &["a\r\n", "\r\n", "b\r\n"]),
            // The end of line right behind a prompt makes no message, and is not lost.
            ("utf-8", &[b"> ", b"\r\nb\r\n"], &["> ", "\r\nb\r\n"]),
            ("utf-8", &[b"> ", b"\nb\n"], &["> ", "\nb\n"]),
            ("utf-8", &[b"> ", b"\r\n\r\nb\r\n"], &["> ", "\r\n\r\n", "b\r\n"]),
            ("utf-8", &[b"> ", b"\r\n> ", b"x"], &["> ", "\r\n> ", "x"]),
            ("utf-8", &[b"> ", b"\r\n"], &["> ", "\r\n"]),
            ("utf-8", &[b"> ", b"\r\n", b"b\r\n"], &["> ", "\r\nb\r\n"]),
            ("utf-8", &[b"> ", b"you\r\nb\r\n"], &["> ", "you\r\n", "b\r\n"]),
            ("koi8-r", &[b"\xc1", b"\r\n\xc2\r\n"], &["\u{430}", "\r\n\u{431}\r\n"]),
            ("windows-1252", &[b"\x1b[1m\xe9\r\n"], &["\u{1b}[1m\u{e9}\r\n"]),
        ];
        for (label, pieces, want) in table {
            for step in [1, 2, 100] {
                assert_eq!(down(label, pieces, step), *want, "{pieces:?} by {step}");
            }
        }
    }

    /// A newline and a carriage return belong together, but the newline does not wait.
    #[test]
    fn a_carriage_return_behind_the_newline_of_a_prompt_is_kept() {
        for step in [1, 100] {
            assert_eq!(down("utf-8", &[b"> ", b"\n\rb\n\r"], step).concat(), "> \n\rb\n\r");
        }
    }

    #[test]
    fn the_limit_does_not_count_what_a_prompt_left() {
        let line = [b"\r\n", &b"x".repeat(100)[..], b"\r\n"].concat();
        let want = String::from_utf8(line.clone()).unwrap();
        assert_eq!(down("utf-8", &[b"> ", &line], 7), ["> ", &*want]);
    }

    #[test]
    fn text_and_binary_messages_are_lines() {
        let mut encoder = terminal("koi8-r").encoder();
        let mut out = Vec::new();
        for message in [
            Payload::Text("\u{430}"),
            Payload::Binary("\u{431}\r\n".as_bytes()),
            Payload::Binary(b"\xc1\n"),
            Payload::Binary("\u{e9}".as_bytes()),
        ] {
            assert_eq!(encoder.encode(message, &mut out), Ok(1));
        }
        assert_eq!(out, b"\xc1\r\n\xc2\r\n\xc1\r\n?\r\n");
        assert_eq!(encoder.replaced(), 1);
    }
}
