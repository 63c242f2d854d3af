//! Environment: what NEW-ENVIRON answers (RFC 1572, and the Mud New-Environ Standard): only what is asked for.

use std::collections::HashSet;
use std::mem;

use super::bytes::IS;

/// A well-known variable follows.
const VAR: u8 = 0;
/// The value of the variable follows.
const VALUE: u8 = 1;
/// The next byte is none of these four.
const ESC: u8 = 2;
/// A variable that is not well known follows.
const USERVAR: u8 = 3;

/// Bytes of an answer from which on no more names are looked at. A list may have 64 KiB, and those who ask in earnest
/// ask for a dozen.
const LONGEST_ANSWER: usize = 4096;

/// The variables that there are.
pub type Variables<'a> = [(&'a str, Option<&'a str>)];

/// The answer to a SEND with these bytes behind it. A variable that is asked for and has no value is answered without
/// one: it is undefined. A list that names no variable of a kind asks for all of that kind, an empty one for all.
/// Ours are the well-known ones. What is asked for twice is answered once.
pub fn answer(asked: &[u8], variables: &Variables<'_>) -> Vec<u8> {
    let mut answer = vec![IS];
    let all = |answer: &mut Vec<u8>| {
        for (name, value) in variables {
            if let Some(value) = value {
                append(VAR, name.as_bytes(), Some(value), answer);
            }
        }
    };
    if asked.is_empty() {
        all(&mut answer);
    }
    let mut answered = HashSet::new();
    for (kind, name) in names(asked) {
        if answer.len() > LONGEST_ANSWER {
            break;
        }
        if !answered.insert((kind, name.clone())) {
            continue;
        }
        if name.is_empty() {
            if kind == VAR {
                all(&mut answer);
            }
            continue;
        }
        let known = variables.iter().find(|(known, _)| known.as_bytes() == name);
        append(kind, &name, known.and_then(|(_, value)| *value), &mut answer);
    }
    answer
}

/// The kinds and names in a list; what comes before the first kind is no name.
fn names(asked: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut names: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut is_escaped = false;
    for byte in asked {
        match (mem::take(&mut is_escaped), *byte) {
            (false, ESC) => is_escaped = true,
            (false, kind @ (VAR | USERVAR)) => names.push((kind, Vec::new())),
            // A VALUE has no place here.
            (false, VALUE) => {}
            (_, byte) => names.last_mut().into_iter().for_each(|(_, name)| name.push(byte)),
        }
    }
    names
}

fn append(kind: u8, name: &[u8], value: Option<&str>, answer: &mut Vec<u8>) {
    answer.push(kind);
    escape(name, answer);
    if let Some(value) = value {
        answer.push(VALUE);
        escape(value.as_bytes(), answer);
    }
}

fn escape(text: &[u8], answer: &mut Vec<u8>) {
    for byte in text {
        if *byte <= USERVAR {
            answer.push(ESC);
        }
        answer.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for() {
        let variables =
            [("CLIENT_NAME", Some("WSRELAY")), ("CHARSET", Some("UTF-8")), ("IPADDRESS", None)];
        let all = &b"\0\0CLIENT_NAME\x01WSRELAY\0CHARSET\x01UTF-8"[..];
        for (asked, want) in [
            (&b""[..], all),
            (b"\0", all),
            (b"\0\x03", all),
            (b"\x03", b"\0"),
            (b"\0CHARSET", b"\0\0CHARSET\x01UTF-8"),
            (b"\x03CHARSET\0CLIENT_NAME", b"\0\x03CHARSET\x01UTF-8\0CLIENT_NAME\x01WSRELAY"),
            // Undefined, and one that there is not.
            (b"\0IPADDRESS\0USER", b"\0\0IPADDRESS\0USER"),
            (b"\0charset", b"\0\0charset"),
            // Escaped: a name with a VAR in it.
            (b"\0a\x02\0b\x02\x02", b"\0\0a\x02\0b\x02\x02"),
            // Malformed.
            (b"CHARSET", b"\0"),
            (b"\0CHARSET\x01", b"\0\0CHARSET\x01UTF-8"),
            (b"\0CHARSET\x02", b"\0\0CHARSET\x01UTF-8"),
        ] {
            let answer = answer(asked, &variables);
            assert_eq!(
                answer.escape_ascii().to_string(),
                want.escape_ascii().to_string(),
                "{}",
                asked.escape_ascii()
            );
        }
    }

    /// A list of 64 KiB that asks for everything at each byte would be answered by 4 MiB.
    #[test]
    fn what_is_asked_for_again_and_again_is_answered_once() {
        let variables = [("CLIENT_NAME", Some("WSRELAY")), ("IPADDRESS", Some("192.0.2.1"))];
        let all = answer(b"", &variables);
        for (asked, want) in [
            (&b"\0\0\0\0"[..], &all[..]),
            (b"\0IPADDRESS\0IPADDRESS", b"\0\0IPADDRESS\x01192.0.2.1"),
            (b"\0A\x03A\0A\x03A", b"\0\0A\x03A"),
        ] {
            assert_eq!(answer(asked, &variables), want, "{}", asked.escape_ascii());
        }
        let names = (0..10_000).flat_map(|n| format!("\x03{n:05}").into_bytes()).collect();
        for asked in [b"\0".repeat(64 * 1024), b"\0IPADDRESS".repeat(6 * 1024), names] {
            let length = answer(&asked, &variables).len();
            assert!(length <= LONGEST_ANSWER + 64, "{length} bytes");
        }
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(answer(b"\0A", &[("A", Some("\x01x\x02"))]), b"\0\0A\x01\x02\x01x\x02\x02");
    }
}
