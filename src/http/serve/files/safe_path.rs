//! The path of a file that a URI names, decoded and checked before any file is opened; pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

use crate::path::{self, WELL_KNOWN};

/// The characters that RFC 3986, 3.3 does not allow in a path; `/` separates.
const NOT_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The characters that are not allowed in a header's value, and the space.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ');

/// A path below the root, safe to look up there: relative, with no `.`, `..`, NUL or backslash in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafePath {
    /// The decoded segments with a `/` between them, as bytes: a Unix file name need not be UTF-8.
    path: Vec<u8>,
    /// Whether the URI's path ends with `/`, so that it names a directory.
    directory: bool,
}

impl SafePath {
    /// Decodes a URI's raw path once. `None` if it can't name a file that is served.
    pub fn parse(raw: &str) -> Option<Self> {
        let raw = raw.strip_prefix('/')?;
        let mut whole = Vec::with_capacity(raw.len());
        // Empty segments are skipped, as nginx does: `//a` is `/a`, never an absolute path of the file system.
        for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
            let name = path::name(segment)?;
            if path::is_hidden(&name) && !(whole.is_empty() && name == WELL_KNOWN.as_bytes()) {
                return None;
            }
            if !whole.is_empty() {
                whole.push(b'/');
            }
            whole.extend_from_slice(&name);
        }
        let directory = raw.is_empty() || raw.ends_with('/');
        Some(Self { path: whole, directory })
    }

    /// The path, relative to the root; empty for the root itself.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// Whether the URI's path ends with `/`.
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// The URI of this path as a directory, for `Location`. It is made from the decoded segments, so that it begins with
    /// exactly one `/`: `//host/` would be an address on another host.
    pub fn location(&self, query: Option<&str>) -> String {
        let mut uri = format!("/{}/", percent_encode(&self.path, NOT_IN_PATH));
        if let Some(query) = query {
            uri.push('?');
            uri.extend(utf8_percent_encode(query, NOT_IN_QUERY));
        }
        uri
    }
}

#[cfg(test)]
mod tests {
    use super::SafePath;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn paths_that_name_no_file() {
        for raw in [
            "",
            "*",
            "a",
            "../a",
            "/..",
            "/../",
            "/a/../b",
            "/%2e%2e/etc/passwd",
            "/.%2e/a",
            "/%2E./a",
            "/a/%2e%2E",
            "/.",
            "/./a",
            "/...",
            "/a%00",
            "/%00",
            "/a\0b",
            "/a\\b",
            "/a%5cb",
            "/%5C%5Chost",
            "/..\\a",
            "/%",
            "/%2",
            "/%zz",
            "/a%2",
            "/%%32e",
            "/%2fetc/passwd",
            "/%2Fetc%2fpasswd",
            "/a%2fb",
            "/a%2f..%2fb",
            "/..%2f..%2fetc/passwd",
            "/%c0%ae%c0%ae/../a",
            "/.git/config",
            "/.env",
            "/%2eenv",
            "/a/.env",
            "/a/.well-known/b",
            "/.well-known/.env",
            "/.well-known2",
            "/.Well-Known/a",
        ] {
            assert_eq!(SafePath::parse(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn paths_that_name_one() {
        let table: &[(&str, &[u8], bool)] = &[
            ("/", b"", true),
            ("//", b"", true),
            ("/a", b"a", false),
            ("/a/", b"a", true),
            ("/a//b", b"a/b", false),
            ("//etc/passwd", b"etc/passwd", false),
            ("///etc//", b"etc", true),
            ("/a%20b", b"a b", false),
            ("/%252e%252e/a", b"%2e%2e/a", false),
            ("/a..b/c..", b"a..b/c..", false),
            ("/caf%C3%A9", "café".as_bytes(), false),
            ("/café", "café".as_bytes(), false),
            ("/%ff", b"\xff", false),
            ("/%c0%ae%c0%ae/a", b"\xc0\xae\xc0\xae/a", false),
            ("/.well-known/acme", b".well-known/acme", false),
            ("/a+b?c", b"a+b?c", false),
        ];
        for (raw, path, directory) in table {
            let target = SafePath::parse(raw).unwrap_or_else(|| panic!("{raw} names nothing"));
            assert_eq!(target.path().as_os_str().as_bytes(), *path, "{raw}");
            assert!(target.path().is_relative(), "{raw}");
            assert_eq!(target.is_directory(), *directory, "{raw}");
        }
    }

    #[test]
    fn locations_stay_on_this_host_and_lead_back_to_the_same_target() {
        for (raw, query, location) in [
            ("/docs", None, "/docs/"),
            ("/docs", Some("a=1&b=%20"), "/docs/?a=1&b=%20"),
            ("/docs", Some(""), "/docs/?"),
            ("/docs", Some("a b\r\nX: é"), "/docs/?a%20b%0D%0AX:%20%C3%A9"),
            ("//example.org", None, "/example.org/"),
            ("///example.org//x", None, "/example.org/x/"),
            ("/%09/example.org", None, "/%09/example.org/"),
            ("/http:%3fx/%23", None, "/http:%3Fx/%23/"),
            ("/%e9%0d%0a", None, "/%E9%0D%0A/"),
        ] {
            let target = SafePath::parse(raw).unwrap();
            assert_eq!(target.location(query), location, "{raw}");
            let back = SafePath::parse(location.split('?').next().unwrap()).unwrap();
            assert_eq!(back.path(), target.path(), "{raw}");
        }
    }
}
