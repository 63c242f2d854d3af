//! The names of files in the raw path of a URI, decoded and checked before any file is opened; pure.

use std::io;

use percent_encoding::percent_decode_str;
use rustix::io::Errno;

/// The one name beginning with a dot that is served, at the top of a directory (RFC 8615).
pub const WELL_KNOWN: &str = ".well-known";

/// The file name that a segment encodes, as bytes: on Unix it need not be UTF-8. `None` if no file that is
/// served can have it: an encoded slash would be part of the name, and some systems take a backslash for a
/// slash.
pub fn name(segment: &str) -> Option<Vec<u8>> {
    let name = decode(segment)?;
    (!name.iter().any(|b| matches!(b, b'/' | b'\\' | 0))).then_some(name)
}

/// Whether a raw path can be decoded into the value of an environment variable: no NUL, and two hex digits
/// behind each `%`.
pub fn is_sound(raw: &str) -> bool {
    decode(raw).is_some_and(|path| !path.contains(&0))
}

/// Whether a name begins with a dot, as `.`, `..` and the names of hidden files do.
pub fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".")
}

/// Percent-decodes; `None` if a `%` is not followed by two hex digits, which the library would leave as it is.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let whole = segment.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    });
    whole.then(|| percent_decode_str(segment).collect())
}

/// Whether opening a name below a directory failed because no file of that name is served.
pub fn is_nothing(why: &io::Error) -> bool {
    match Errno::from_io_error(why) {
        // cap-std refuses a link that leaves the root with "permission denied", without an error number.
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
