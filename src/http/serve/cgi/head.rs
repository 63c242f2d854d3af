//! The parser of the head of a CGI program's response (RFC 3875, section 6). Pure.

use httparse::{EMPTY_HEADER, Status};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use memchr::memchr;

use crate::http::extra::HOP_BY_HOP;

/// The most bytes that a head may have.
pub const MAX_HEAD: usize = 16 * 1024;

/// The most lines that a head may have.
const MAX_HEADERS: usize = 100;

/// What a program writes before the body.
#[derive(Debug)]
pub struct Head {
    /// The status: that of `Status`, else 302 if there is a `Location`, else 200.
    pub status: StatusCode,
    /// The headers to send, without `Content-Length`.
    pub headers: HeaderMap,
    /// The names of all headers, as the program spells them.
    pub names: Vec<String>,
    /// The value of `Content-Length`.
    pub length: Option<u64>,
}

impl Head {
    /// Whether a response with this status may have a `Content-Length` (RFC 9110, section 8.6).
    pub fn has_length(&self) -> bool {
        self.status != StatusCode::NO_CONTENT && self.status != StatusCode::NOT_MODIFIED
    }

    /// Whether the response to this method has a body.
    pub fn has_body(&self, method: &Method) -> bool {
        self.has_length() && self.length != Some(0) && method != Method::HEAD
    }
}

/// The position behind the empty line that ends a head; `None` if that has not come yet. The bytes
/// before `from` were searched before.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    // An empty head ends too; the parser refuses it.
    match bytes {
        [b'\n', ..] => return Some(1),
        [b'\r', b'\n', ..] => return Some(2),
        _ => {}
    }
    // The empty line may have begun in the bytes before `from`.
    let mut at = from.saturating_sub(2);
    while let Some(found) = memchr(b'\n', &bytes[at..]) {
        at += found + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Parses a head that ends with its empty line.
///
/// # Errors
/// What is wrong with the head.
pub fn parse(bytes: &[u8]) -> Result<Head, &'static str> {
    let mut lines = [EMPTY_HEADER; MAX_HEADERS];
    let lines = match httparse::parse_headers(bytes, &mut lines) {
        Ok(Status::Complete((_, lines))) => lines,
        Ok(Status::Partial) => return Err("its head does not end"),
        Err(httparse::Error::TooManyHeaders) => return Err("its head has more than 100 lines"),
        Err(_) => return Err("its head has a line that is no header"),
    };
    let mut headers = HeaderMap::new();
    let names = lines.iter().map(|line| line.name.to_owned()).collect();
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err("its head has a line that is no header");
        };
        headers.append(name, value);
    }
    let status = take_one(&mut headers, &HeaderName::from_static("status"))?;
    let length = take_one(&mut headers, &header::CONTENT_LENGTH)?;
    let is_response = status.is_some()
        || headers.contains_key(header::CONTENT_TYPE)
        || headers.contains_key(header::LOCATION);
    if !is_response {
        return Err("its head has no Content-Type, no Status and no Location");
    }
    for name in [header::CONTENT_TYPE, header::LOCATION] {
        if headers.get_all(name).iter().count() > 1 {
            return Err("its head has a header twice that can be there once");
        }
    }
    let status = match status {
        Some(text) => read_status(&text).ok_or("its Status is no number from 200 to 599")?,
        // The path of a local redirect (section 6.2.2) goes to the client too: the client then asks for
        // it as for any page, and the rules of that page hold.
        None if headers.contains_key(header::LOCATION) => StatusCode::FOUND,
        None => StatusCode::OK,
    };
    drop_connection_headers(&mut headers);
    let length = length.map(|text| read_length(&text)).transpose();
    Ok(Head { status, headers, names, length: length? })
}

/// Removes a header that can be there once, and gives its value.
fn take_one(
    headers: &mut HeaderMap,
    name: &HeaderName,
) -> Result<Option<HeaderValue>, &'static str> {
    if headers.get_all(name).iter().count() > 1 {
        return Err("its head has a header twice that can be there once");
    }
    Ok(headers.remove(name))
}

/// Reads `404` or `404 Not Found`. A 1xx is no final response, so that a program can't send it.
fn read_status(text: &HeaderValue) -> Option<StatusCode> {
    let text = text.as_bytes();
    let (code, rest) = text.split_at_checked(3)?;
    let is_code = rest.is_empty() || rest.starts_with(b" ");
    let code = StatusCode::from_bytes(code).ok().filter(|code| (200..600).contains(&code.as_u16()));
    code.filter(|_| is_code)
}

fn read_length(text: &HeaderValue) -> Result<u64, &'static str> {
    let digits = text.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or("its Content-Length is no number")
}

/// Removes the headers that hold for one connection only: the usual ones, and those that `Connection`
/// names.
fn drop_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().map(HeaderName::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(text: &str) -> Result<Head, &'static str> {
        assert_eq!(end(text.as_bytes(), 0), Some(text.len()), "{text:?}");
        parse(text.as_bytes())
    }

    #[test]
    fn the_status() {
        for (text, want) in [
            ("Content-Type: text/plain\n\n", 200),
            ("Content-Type: text/plain\r\n\r\n", 200),
            ("content-type:text/plain\r\n\n", 200),
            ("Status: 404 Not Found\nContent-Type: text/plain\n\n", 404),
            ("Status: 204\n\n", 204),
            ("STATUS:\t599 \n\n", 599),
            ("Status: 200 \n\n", 200),
            ("Location: https://example.org/\n\n", 302),
            ("Location: /elsewhere?x\n\n", 302),
            ("Location: /made\nStatus: 201 Created\n\n", 201),
        ] {
            assert_eq!(answer(text).unwrap().status.as_u16(), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_head() {
        for (text, why) in [
            ("\n", "no Content-Type"),
            ("\r\n", "no Content-Type"),
            ("X-Something: 1\n\n", "no Content-Type"),
            ("Content-Length: 1\n\n", "no Content-Type"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", "no header"),
            ("Content-Type: text/plain\nhello\n\n", "no header"),
            ("Content-Type : text/plain\n\n", "no header"),
            ("Content-Type: text/plain\n folded\n\n", "no header"),
            ("Content-Type: a\rX: b\n\n", "no header"),
            ("Content-Type: a\0b\n\n", "no header"),
            (": a\n\n", "no header"),
            ("Ü: a\nContent-Type: a\n\n", "no header"),
            ("Status: 101 Switching Protocols\n\n", "Status"),
            ("Status: 199\n\n", "Status"),
            ("Status: 600\n\n", "Status"),
            ("Status: 20\n\n", "Status"),
            ("Status: 2000\n\n", "Status"),
            ("Status: OK\n\n", "Status"),
            ("Status:\n\n", "Status"),
            ("Status: 200\nStatus: 404\n\n", "twice"),
            ("Content-Type: a\ncontent-type: b\n\n", "twice"),
            ("Location: /a\nLocation: /b\n\n", "twice"),
            ("Content-Type: a\nContent-Length: 1\nContent-Length: 1\n\n", "twice"),
            ("Content-Type: a\nContent-Length: -1\n\n", "Content-Length"),
            ("Content-Type: a\nContent-Length: 1, 1\n\n", "Content-Length"),
            ("Content-Type: a\nContent-Length:\n\n", "Content-Length"),
            ("Content-Type: a\nContent-Length: 99999999999999999999\n\n", "Content-Length"),
        ] {
            let error = answer(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        let many = "X: 1\n".repeat(MAX_HEADERS) + "Content-Type: a\n\n";
        assert!(answer(&many).unwrap_err().contains("100 lines"));
    }

    #[test]
    fn what_is_passed_on() {
        let head = answer(
            "Content-Type: text/plain\r\nConnection: close, X-Private\r\nTransfer-Encoding: chunked\r\n\
             Content-Length: 5\r\nX-Private: 1\r\nKeep-Alive: 5\r\nUpgrade: websocket\r\nTE: x\r\nTrailer: y\r\n\
             Proxy-Connection: close\r\nSet-Cookie: a=1\r\nX-Bytes: \u{e9}\r\nSet-Cookie: b=2\r\n\r\n",
        );
        let head = head.unwrap();
        assert_eq!(head.length, Some(5));
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "set-cookie", "x-bytes"]);
        let cookies: Vec<_> = head.headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    proptest! {
        /// For any bytes, in pieces of any size.
        #[test]
        fn the_end_is_found_where_it_is(bytes in "[a\r\n:]{0,40}", size in 1_usize..5) {
            let bytes = bytes.as_bytes();
            let whole = end(bytes, 0);
            let (mut seen, mut found) = (0, None);
            while found.is_none() && seen < bytes.len() {
                let upto = (seen + size).min(bytes.len());
                found = end(&bytes[..upto], seen);
                seen = upto;
            }
            prop_assert_eq!(found, whole);
            if let Some(end) = whole {
                prop_assert!(bytes[..end].ends_with(b"\n"));
            }
        }

        #[test]
        fn nothing_breaks_it(bytes in any::<Vec<u8>>()) {
            if let Some(end) = end(&bytes, 0) {
                let _ = parse(&bytes[..end]);
            }
        }
    }
}
