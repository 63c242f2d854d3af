//! Reading of text files that people write (settings, users, tokens, certificates), with the line ends and byte order
//! marks of any editor.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::text::reason;

/// The longest file that is read, in bytes: a million tokens, or 300 times a system's bundle of authorities. Without a
/// bound, a wrong name (a disk image, `/dev/zero`) would take all memory.
const LONGEST: u64 = 64 << 20;

/// UTF-8's byte order mark, which Windows editors write, and which also stands inside a file that was joined from two.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a file of up to 64 MiB.
///
/// # Errors
/// Why it can't be read, as the rest of "can't read FILE: …".
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let too_long = || format!("it is longer than {} MiB: is it the right file?", LONGEST >> 20);
    let file = File::open(path).map_err(|e| reason(&e))?;
    let length = file.metadata().map_err(|e| reason(&e))?.len();
    if length > LONGEST {
        return Err(too_long());
    }
    let mut content = Vec::with_capacity(length as usize);
    // Pipes and devices have no length, and files may grow.
    file.take(LONGEST + 1).read_to_end(&mut content).map_err(|e| reason(&e))?;
    if content.len() as u64 > LONGEST { Err(too_long()) } else { Ok(content) }
}

/// Reads a text file in UTF-8, cleaned by [`clean`].
///
/// # Errors
/// Why it can't be read, as the rest of "can't read FILE: …".
pub fn read_text(path: &Path) -> Result<String, String> {
    let content = clean(&read(path)?)?;
    String::from_utf8(content).map_err(|error| {
        let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
        format!("line {line} is not UTF-8: save the file as UTF-8")
    })
}

/// Removes the byte order marks at the beginnings of lines, and makes all lines end with `\n`. The text need not be
/// UTF-8.
///
/// # Errors
/// Why it is no text, as the rest of "can't read FILE: …".
pub fn clean(content: &[u8]) -> Result<Vec<u8>, String> {
    if let Some(wide) = wide_encoding(content) {
        return Err(format!(
            "it is {wide}, as > of Windows PowerShell writes: save it as UTF-8 (Out-File -Encoding utf8 FILE)"
        ));
    }
    if let Some(at) = memchr::memchr(0, content) {
        return Err(format!("line {} has a NUL byte: is it a text file?", line_of(content, at)));
    }
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    loop {
        while let Some(behind) = rest.strip_prefix(BOM) {
            rest = behind;
        }
        let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else { break };
        out.extend_from_slice(&rest[..end]);
        out.push(b'\n');
        rest = &rest[end..];
        rest = rest.strip_prefix(b"\r\n").unwrap_or(&rest[1..]);
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// The entries of a file with one entry per line, trimmed, and their line numbers from 1. Empty lines, and comments,
/// which begin with `#`, are left out.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The number, from 1, of the line that has the byte at `at`.
fn line_of(content: &[u8], at: usize) -> usize {
    let before = &content[..at];
    let ends = |(i, byte): (usize, &u8)| match byte {
        b'\n' => i == 0 || before[i - 1] != b'\r',
        byte => *byte == b'\r',
    };
    1 + before.iter().enumerate().filter(|one| ends(*one)).count()
}

/// The encoding of text whose code units have two or four bytes, found by its byte order mark or by the NULs beside
/// its ASCII characters.
fn wide_encoding(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"\xff\xfe\0\0") || content.starts_with(b"\0\0\xfe\xff") {
        return Some("UTF-32");
    }
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Some("UTF-16");
    }
    let start = &content[..content.len().min(16)];
    let (pairs, rest) = start.as_chunks::<2>();
    let is_wide = |low: usize| pairs.iter().all(|pair| pair[low] != 0 && pair[1 - low] == 0);
    (pairs.len() > 1 && rest.is_empty() && (is_wide(0) || is_wide(1))).then_some("UTF-16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_add_is_removed() {
        for (content, want) in [
            (&b""[..], &b""[..]),
            (b"a", b"a"),
            (b"a\nb\n", b"a\nb\n"),
            (b"a\r\nb\r\n", b"a\nb\n"),
            (b"a\rb\r", b"a\nb\n"),
            (b"a\n\rb", b"a\n\nb"),
            (b"\xef\xbb\xbfa\nb", b"a\nb"),
            (b"\xef\xbb\xbf", b""),
            (b"a\r\n\xef\xbb\xbfb", b"a\nb"),
            (b"\xef\xbb\xbf\xef\xbb\xbfa", b"a"),
            // Inside a line it is a character, not a mark.
            (b"a\xef\xbb\xbfb", b"a\xef\xbb\xbfb"),
            (b"\xe9\n", b"\xe9\n"),
        ] {
            assert_eq!(clean(content).unwrap(), want, "{}", content.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let utf16 = |bom: bool, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let bom = bom.then_some('\u{feff}');
            let text: String = bom.into_iter().chain("anna:ž\r\n".chars()).collect();
            text.encode_utf16().flat_map(unit).collect()
        };
        for content in [
            utf16(true, u16::to_le_bytes),
            utf16(true, u16::to_be_bytes),
            "anna:hash".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "anna:hash".encode_utf16().flat_map(u16::to_be_bytes).collect(),
            b"a\0b\0".to_vec(),
        ] {
            let why = clean(&content).unwrap_err();
            assert!(
                why.starts_with("it is UTF-16, as > of Windows PowerShell writes: save"),
                "{why}"
            );
        }
        for content in [&b"\xff\xfe\0\0a\0\0\0"[..], b"\0\0\xfe\xff\0\0\0a"] {
            assert!(clean(content).unwrap_err().starts_with("it is UTF-32"));
        }
        for (content, line) in
            [(&b"\0"[..], 1), (b"a\0", 1), (b"a\nb\0\n", 2), (b"a\r\n\rb\0", 3), (b"a\0bc\0d", 1)]
        {
            let why = clean(content).unwrap_err();
            let want = format!("line {line} has a NUL byte: is it a text file?");
            // A line end of two bytes counts once.
            assert_eq!(why, want, "{}", content.escape_ascii());
        }
    }

    #[test]
    fn entries_have_numbers() {
        let text = "# a comment\n\n  one \n\t# another\ntwo: # none\n \nthree";
        let all: Vec<_> = entries(text).collect();
        assert_eq!(all, [(3, "one"), (5, "two: # none"), (7, "three")]);
    }

    #[test]
    fn files_are_read_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "žluť\r\nb").unwrap();
        assert_eq!(read_text(&path).unwrap(), "žluť\nb");
        std::fs::write(&path, b"a\n\nb\xe9").unwrap();
        let why = read_text(&path).unwrap_err();
        assert_eq!(why, "line 3 is not UTF-8: save the file as UTF-8");
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let too_long = "it is longer than 64 MiB: is it the right file?";
        assert_eq!(read(&path).unwrap_err(), too_long);
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err(), too_long);
        assert_eq!(read(dir.path()).unwrap_err(), "is a directory");
        assert_eq!(read(&dir.path().join("gone")).unwrap_err(), "no such file or directory");
    }
}
