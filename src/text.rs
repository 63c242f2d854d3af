//! Text from elsewhere (I/O errors, input of clients), made fit for sentences and log lines. Pure.

use std::borrow::Cow;
use std::io;

/// The text of an I/O error, without the `(os error 98)` that Rust appends.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    match plain.as_bytes().first() {
        // "Connection refused" reads on inside a sentence; acronyms stay as they are.
        Some(first) if first.is_ascii_uppercase() && plain[1..].starts_with(char::is_lowercase) => {
            format!("{}{}", first.to_ascii_lowercase() as char, &plain[1..])
        }
        _ => plain.to_owned(),
    }
}

/// Text from outside, to be logged as a value. Both log formats escape ASCII's control characters; JSON leaves
/// the others, which are escaped here: C1 controls, and characters that change the direction of text.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harms = |c: char| {
        !c.is_ascii() && c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harms) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match harms(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out.into()
}

/// The number of bytes before a character that is cut off at the end. The bytes need not be UTF-8.
pub fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_on_inside_a_sentence() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(reason(&refused), "connection refused");
        assert_eq!(reason(&io::Error::other("TLS says no")), "TLS says no");
        assert_eq!(reason(&io::Error::other("")), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        for (text, want) in [
            ("Žluťoučký 🐈 न्", "Žluťoučký 🐈 न्"),
            ("\"\\\t\x1b", "\"\\\t\x1b"),
            ("a\u{9b}31m", "a\\u{9b}31m"),
            ("\u{202e}b\u{2069}", "\\u{202e}b\\u{2069}"),
        ] {
            assert_eq!(printable(text), want);
        }
    }
}
