//! Path: what a URI's raw path may name below a directory, before any file is looked at; pure.

use std::io;

use percent_encoding::percent_decode_str;
use rustix::io::Errno;

/// The one name beginning with a dot that is meant to be seen, at the top (RFC 8615).
pub const WELL_KNOWN: &str = ".well-known";

/// The file's name that a segment stands for, as bytes: on Unix it need not be UTF-8. None if no file
/// that we show can have it: a slash that was encoded is part of a name, and no file's name has one;
/// a backslash is none either, but some take it for one.
pub fn name(segment: &str) -> Option<Vec<u8>> {
    let name = decode(segment)?;
    (!name.iter().any(|b| matches!(b, b'/' | b'\\' | 0))).then_some(name)
}

/// Whether a raw path can be decoded into what a variable can hold: no NUL, and two hex digits behind each `%`.
pub fn is_sound(raw: &str) -> bool {
    decode(raw).is_some_and(|path| !path.contains(&0))
}

/// Whether a name begins with a dot, as `.`, `..`, and the names of files that are not to be seen do.
pub fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".")
}

/// Percent-decodes; None if a `%` is not followed by two hex digits, which the library would leave as it is.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let whole = segment.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    });
    whole.then(|| percent_decode_str(segment).collect())
}

/// Whether a look below a directory has failed because there is nothing of that name that we show.
pub fn is_nothing(why: &io::Error) -> bool {
    match Errno::from_io_error(why) {
        // The sandbox says "permission denied" of a link that leaves the root, in words of its own without a number.
        None => true,
        Some(errno) => matches!(
            errno,
            Errno::NOENT
                | Errno::NOTDIR
                | Errno::LOOP
                | Errno::NAMETOOLONG
                | Errno::NXIO
                | Errno::NODEV
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_a_program_can_be_told() {
        for (raw, want) in [
            ("", true),
            ("*", true),
            ("/a%20b//%2F/../%ff", true),
            ("/a%2500", true),
            ("/%00", false),
            ("/a%00.txt", false),
            ("/a\0", false),
            ("/%", false),
            ("/a%2", false),
            ("/%2/0", false),
            ("/%zz", false),
            ("/%+1", false),
        ] {
            assert_eq!(is_sound(raw), want, "{raw:?}");
        }
    }

    #[test]
    fn names() {
        let table: &[(&str, Option<&[u8]>)] = &[
            ("a", Some(b"a")),
            ("a%20b", Some(b"a b")),
            ("%ff", Some(b"\xff")),
            ("%252e", Some(b"%2e")),
            ("..", Some(b"..")),
            ("%2e%2E", Some(b"..")),
            ("a%2fb", None),
            ("a%5Cb", None),
            ("a\\b", None),
            ("a%00", None),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%%32e", None),
        ];
        for (segment, want) in table {
            assert_eq!(name(segment).as_deref(), *want, "{segment}");
        }
    }
}
