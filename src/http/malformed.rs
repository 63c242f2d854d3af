//! Malformed: the text of the answer to bytes that the HTTP parser refuses. Pure.

use std::borrow::Cow;

use super::handshake::is_token;

/// Bytes of a version that the text repeats.
const LONGEST_VERSION: usize = 12;

/// The beginning of an HTTP/2 connection (RFC 9113, section 3.4), up to its first line end.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n";

/// The first bytes of other protocols, and the text for each.
const PROTOCOLS: [(&[u8], &str); 15] = [
    (b"\x16\x03", "TLS on a port without TLS: use http:// or ws:// in place of https:// or wss://"),
    (b"\x80\x2e\x01", "SSL 2 on a port without TLS"),
    (HTTP2, "an HTTP/2 connection preface: this port speaks HTTP/1.1"),
    (b"SSH-", "SSH: this port speaks HTTP"),
    (b"\x04\x01", "SOCKS4: this port speaks HTTP and is no proxy"),
    (b"\x04\x02", "SOCKS4: this port speaks HTTP and is no proxy"),
    (b"\x05", "SOCKS5: this port speaks HTTP and is no proxy"),
    (b"PROXY ", "a PROXY protocol header, which is not expected here"),
    // Without the empty lines before it, which are skipped as those before a request are.
    (b"\0\r\nQUIT\n", "a PROXY protocol header (version 2), which is not expected here"),
    (b"\xff", "telnet: this port speaks HTTP"),
    (b"\x03\0", "RDP: this port speaks HTTP"),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", "PostgreSQL: this port speaks HTTP"),
    (b"HTTP/", "an HTTP response: a request is expected here"),
    (b"EHLO ", "SMTP: this port speaks HTTP"),
    (b"HELO ", "SMTP: this port speaks HTTP"),
];

/// One sentence on what is wrong with a head. `head` is empty if the parser had removed it from its buffer already;
/// `error` is the parser's message.
pub fn what_it_was(head: &[u8], error: &str) -> Cow<'static, str> {
    if let Some(words) = protocol(head) {
        return words.into();
    }
    let words = if error.contains("content-length") {
        "the Content-Length is no number, or there are several"
    } else if error.contains("transfer-encoding") {
        "the Transfer-Encoding is not one that HTTP/1.1 frames a request with"
    } else if error.contains("URI") && head.is_empty() {
        "the request target is none that HTTP knows"
    } else {
        return request_line(head).unwrap_or_else(|| header(head).into());
    };
    words.into()
}

/// One sentence on a head within which the client has ended its stream.
pub fn incomplete(head: &[u8]) -> &'static str {
    protocol(head).unwrap_or("the client ended its stream before its request was complete")
}

fn protocol(head: &[u8]) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(start, _)| head.starts_with(start)).map(|(_, words)| *words)
}

/// What is wrong with a request line, if anything is.
fn request_line(head: &[u8]) -> Option<Cow<'static, str>> {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let is_whole = line.len() < head.len();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    if !str::from_utf8(method).is_ok_and(is_token) || method.len() == line.len() {
        return Some("this is no HTTP request".into());
    }
    let (target, version) = (words.next().unwrap_or_default(), words.next_back());
    let is_http = |version: &[u8]| version.starts_with(b"HTTP/");
    if words.next().is_some() || target.is_empty() {
        return Some("the request target has a space in it: it must be sent as %20".into());
    }
    if !target.iter().all(|b| b.is_ascii_graphic() || *b >= 0x80) {
        return Some("the request target has a control character in it".into());
    }
    match version {
        Some(b"HTTP/1.1" | b"HTTP/1.0") => None,
        Some(version) if is_http(version) => {
            let shown = version[..version.len().min(LONGEST_VERSION)].escape_ascii();
            Some(format!("{shown} is not spoken here, but HTTP/1.1").into())
        }
        Some(_) if is_whole => Some("the request line does not end in HTTP/1.1".into()),
        None if is_whole => Some("the request line has no version: HTTP/1.1 is spoken here".into()),
        _ => None,
    }
}

/// What is wrong with the first header that is wrong.
fn header(head: &[u8]) -> &'static str {
    for line in head.split(|b| *b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name_end = line.iter().position(|b| *b == b':');
        let name = &line[..name_end.unwrap_or(line.len())];
        let is_control = |b: &u8| b.is_ascii_control() && *b != b'\t';
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return "a header is folded over two lines, which HTTP/1.1 no longer allows";
        } else if line.iter().any(is_control) {
            return "a header has a control character in it";
        } else if name_end == Some(0) {
            return "a header has no name";
        } else if name.ends_with(b" ") || name.ends_with(b"\t") && name_end.is_some() {
            return "a header has a space before its colon";
        } else if name.iter().any(|b| !b.is_ascii_graphic() || b"(),/;<=>?@[\\]{}\"".contains(b)) {
            return match name_end {
                Some(_) => "a header's name has a character that none may have",
                None => "a line among the headers has no colon",
            };
        } else if name_end.is_none() && !line.is_empty() {
            return "a line among the headers has no colon";
        }
    }
    "the request is no valid HTTP/1.1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_end_too_early() {
        for (head, want) in [
            (&b"GET"[..], "before its request was complete"),
            (b"GET / HTTP/1.1\r\nHost:", "before its request was complete"),
            (b"SSH-2.0-OpenSSH", "SSH:"),
        ] {
            let words = incomplete(head);
            assert!(words.contains(want), "{}: {words}", head.escape_ascii());
        }
    }

    #[test]
    fn words() {
        for (head, error, want) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "", "TLS on a port without TLS"),
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                "",
                "an HTTP/2 connection preface: this port speaks HTTP/1.1",
            ),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "", "SSH:"),
            (b"\x04\x01\0\x50\x7f\0\0\x01\0", "", "SOCKS4"),
            (b"\x05\x01\0", "", "SOCKS5"),
            (b"\x05\x02\0\x02", "", "SOCKS5"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET", "", "PROXY protocol header"),
            (b"\0\r\nQUIT\n\x21\x11\0\x0c", "", "PROXY protocol header (version 2)"),
            (b"\xff\xfb\x1f", "", "telnet"),
            (b"EHLO me\r\n", "", "SMTP"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "", "response"),
            (b"hello\r\n", "", "no HTTP request"),
            (b"{\"json\":1}", "", "no HTTP request"),
            (b" GET / HTTP/1.1\r\n", "", "no HTTP request"),
            (b"\0\0\0", "", "no HTTP request"),
            (b"G\0T / HTTP/1.1\r\n\r\n", "", "no HTTP request"),
            (b"", "", "no HTTP request"),
            (b"GET /a b HTTP/1.1\r\n\r\n", "", "%20"),
            (b"GET  /a HTTP/1.1\r\n\r\n", "", "a space"),
            (b"GET /\x1b[31m HTTP/1.1\r\n\r\n", "", "control character"),
            (b"GET /\x01", "", "control character"),
            (b"GET / HTTP/1.2\r\n\r\n", "", "HTTP/1.2 is not spoken here"),
            (b"GET / HTTP/9.9\r\n\r\n", "", "HTTP/9.9 is not spoken here"),
            (b"GET / HTTP/\x1b[31maaaaaaaaaaaaaaaaaaaa\r\n\r\n", "", "HTTP/\\x1b[31maa is not"),
            (b"GET / SIP/2.0\r\n\r\n", "", "does not end in HTTP/1.1"),
            (b"NICK anna\r\nUSER a\r\n", "", "has no version"),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "", "no colon"),
            (b"GET / HTTP/1.1\r\nHost\r\n\r\n", "", "no colon"),
            (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "", "folded"),
            (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", "", "before its colon"),
            (b"GET / HTTP/1.1\r\n: b\r\n\r\n", "", "no name"),
            (b"GET / HTTP/1.1\r\nA(: b\r\n\r\n", "", "none may have"),
            (b"GET / HTTP/1.1\r\nA\xe9: b\r\n\r\n", "", "none may have"),
            (b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", "", "control character"),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "", "control character"),
            (b"", "invalid content-length parsed", "Content-Length"),
            (b"", "invalid transfer-encoding parsed", "Transfer-Encoding"),
            (b"", "invalid URI", "request target"),
        ] {
            let words = what_it_was(head, error);
            assert!(words.contains(want), "{}: {words}", head.escape_ascii());
            assert!(words.is_ascii() && !words.contains(char::is_control), "{words}");
        }
    }
}
