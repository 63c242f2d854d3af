//! Handshake: the rules for the request of an opening handshake. Pure.

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Version};

use super::refusal::Refusal;

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
const PROTOCOL: HeaderName = header::SEC_WEBSOCKET_PROTOCOL;
const VERSION: HeaderName = header::SEC_WEBSOCKET_VERSION;

/// The largest number of headers in a request; more get 431.
pub const MAX_HEADERS: usize = 100;

/// The largest size of request line and headers together, in bytes; more get 431.
pub const MAX_HEAD: usize = 16 * 1024;

/// A correct handshake request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of `Sec-WebSocket-Accept` (RFC 6455, section 4.2.2).
    pub accept: String,
    /// The subprotocols offered, in the client's order.
    pub offers: Vec<String>,
}

/// Whether a request is meant as a WebSocket handshake.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    tokens(headers, &header::UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

/// Checks a request that [`is_upgrade`] (RFC 6455, section 4.2.1).
///
/// # Errors
/// The refusal to answer with: 400, or 426 for another version of the protocol.
pub fn check<B>(request: &Request<B>) -> Result<Upgrade, Refusal> {
    let headers = request.headers();
    let bad = |why: &str| Refusal::new(StatusCode::BAD_REQUEST, why);
    if request.method() != Method::GET {
        return Err(bad("a WebSocket handshake must be a GET"));
    }
    if request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket handshake needs HTTP/1.1"));
    }
    if !tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(bad("the Connection header does not say Upgrade"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
    {
        return Err(bad("a WebSocket handshake has no body"));
    }
    if headers.get(VERSION).map(HeaderValue::as_bytes).map(<[u8]>::trim_ascii) != Some(b"13") {
        let refusal =
            Refusal::new(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13");
        return Err(refusal.with(VERSION, "13").upgrade());
    }
    let mut keys = headers.get_all(KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(bad("the request needs exactly one Sec-WebSocket-Key"));
    };
    let key = key.as_bytes().trim_ascii();
    if !is_key(key) {
        return Err(bad("Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    Ok(Upgrade { accept: derive_accept_key(key), offers: offers(headers) })
}

/// The subprotocols offered, over all lines of their header. What is no token can't be a name (RFC 6455, section 4.1),
/// and is left out alone: the names beside it count.
fn offers(headers: &HeaderMap) -> Vec<String> {
    let elements = headers
        .get_all(PROTOCOL)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    let names = elements.filter_map(|element| std::str::from_utf8(element).ok());
    names.filter(|name| is_token(name)).map(str::to_owned).collect()
}

/// Whether a text is 16 bytes in base64, padded. The last of its 22 digits has four bits more than the 16 bytes need;
/// some clients leave stray bits there, and all major servers accept them.
fn is_key(text: &[u8]) -> bool {
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || b"+/".contains(b);
    text.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

/// Checks a request's head against the limits.
///
/// # Errors
/// The 431 to answer with.
pub fn check_size<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    let size = uri + headers.iter().map(line).sum::<usize>();
    let too_large = |why| {
        let refusal = Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why);
        Err(refusal.close())
    };
    if headers.len() > MAX_HEADERS {
        return too_large("more than 100 headers");
    }
    if size > MAX_HEAD {
        return too_large("request line and headers are longer than 16 KiB");
    }
    Ok(())
}

/// The elements of a comma-separated header, over all its lines, trimmed; empty ones left out
/// (RFC 9110, section 5.6.1).
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// Whether a text is a token (RFC 9110, section 5.6.2), as names of subprotocols are.
pub fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455, section 1.3, with `changes`; an empty value removes the header.
    fn request(changes: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get("/chat?token=secret").body(()).unwrap();
        for (name, value) in [
            ("host", "server.example.com"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ]
        .iter()
        .chain(changes)
        {
            let name: HeaderName = name.parse().unwrap();
            match *value {
                "" => request.headers_mut().remove(name),
                value => request.headers_mut().insert(name, value.parse().unwrap()),
            };
        }
        request
    }

    #[test]
    fn the_rfcs_own_example() {
        let upgrade = check(&request(&[])).unwrap();
        assert_eq!(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(upgrade.offers.is_empty());
    }

    #[test]
    fn keys() {
        for (key, want) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("AAAAAAAAAAAAAAAAAAAAAA==", true),
            ("AAAAAAAAAAAAAAAAAAAAAB==", true),
            ("AAAAAAAAAAAAAAAAAAAAA/==", true),
            ("+++++++++++///////////==", true),
            ("++++++++++///////////==", false),
            ("AAAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAAA=", false),
            ("AAAAAAAAAAAAAAAAAAAAAA===", false),
            ("AAAAAAAAAAAAAAAAAAAAAAA=", false),
            ("AAAAAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAA===", false),
            ("AAAAAAAAAAAAAAAAAAAA==", false),
            ("AAAAAAAAAAAAAAAAAAAAA-==", false),
            ("AAAAAAAAAA=AAAAAAAAAAA==", false),
            ("AAAAAAAAAA AAAAAAAAAAA==", false),
            ("==", false),
            ("not base64 at all!!!!!==", false),
        ] {
            assert_eq!(is_key(key.as_bytes()), want, "{key}");
        }
        // RFC 6455, section 4.2.2: the key is taken as it was sent, not as it was meant.
        let stray = check(&request(&[("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAB==")])).unwrap();
        assert_eq!(stray.accept, derive_accept_key(b"AAAAAAAAAAAAAAAAAAAAAB=="));
    }

    #[test]
    fn what_asks_for_a_websocket() {
        for (value, want) in [
            ("websocket", true),
            ("WebSocket", true),
            ("h2c, websocket", true),
            ("h2c", false),
            ("", false),
        ] {
            assert_eq!(is_upgrade(request(&[("upgrade", value)]).headers()), want, "{value}");
        }
    }

    #[test]
    fn wrong_requests() {
        type Change<'a> = (&'a [(&'a str, &'a str)], u16);
        let table: &[Change<'_>] = &[
            (&[("connection", "")], 400),
            (&[("connection", "keep-alive")], 400),
            (&[("sec-websocket-key", "")], 400),
            (&[("sec-websocket-key", "c2hvcnQ=")], 400),
            (&[("sec-websocket-key", "not base64 at all!!!!!!!")], 400),
            (&[("content-length", "5")], 400),
            (&[("transfer-encoding", "chunked")], 400),
            (&[("sec-websocket-version", "")], 426),
            (&[("sec-websocket-version", "8")], 426),
            (&[("sec-websocket-version", "13, 8")], 426),
        ];
        for (changes, status) in table {
            let refusal = check(&request(changes)).unwrap_err();
            assert_eq!(refusal.status.as_u16(), *status, "{changes:?}");
        }
        let mut post = request(&[]);
        *post.method_mut() = Method::POST;
        assert_eq!(check(&post).unwrap_err().status, StatusCode::BAD_REQUEST);
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old).unwrap_err().status, StatusCode::BAD_REQUEST);
        let mut twice = request(&[]);
        twice.headers_mut().append(KEY, "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        assert_eq!(check(&twice).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn right_requests_in_other_words() {
        for changes in [
            [("connection", "keep-alive, Upgrade")],
            [("connection", "upgrade")],
            [("upgrade", "WebSocket")],
            [("content-length", "0")],
        ] {
            assert!(check(&request(&changes)).is_ok(), "{changes:?}");
        }
    }

    #[test]
    fn offers_are_names_in_the_clients_order() {
        for (lines, want) in [
            (&[&b"ex3"[..]][..], &["ex3"][..]),
            (&[b" a , b"], &["a", "b"]),
            (&[b"b", b"a,c"], &["b", "a", "c"]),
            (&[b"a b, c"], &["c"]),
            (&[b"\"q\", c=d, c/d, (c)"], &[]),
            (&[b"\xf0\x9f\xa6\x80, \xff, c"], &["c"]),
            (&[b",, ,\t,"], &[]),
            (&[b"", b"!#$%&'*+-.^_`|~0"], &["!#$%&'*+-.^_`|~0"]),
            (&[], &[]),
        ] {
            let mut request = request(&[]);
            for line in lines {
                request.headers_mut().append(PROTOCOL, HeaderValue::from_bytes(line).unwrap());
            }
            assert_eq!(check(&request).unwrap().offers, want, "{lines:?}");
        }
        let many: Vec<_> = (0..1000).map(|n| format!("p{n}")).collect();
        let request = request(&[("sec-websocket-protocol", &many.join(", "))]);
        assert_eq!(check(&request).unwrap().offers, many);
    }

    #[test]
    fn heads_are_limited() {
        assert!(check_size(&request(&[])).is_ok());
        let long = "x".repeat(MAX_HEAD);
        assert!(check_size(&request(&[("cookie", &long)])).is_err());
        let mut many = request(&[]);
        for n in 0..MAX_HEADERS {
            let name: HeaderName = format!("x-{n}").parse().unwrap();
            many.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        assert!(check_size(&many).is_err());
    }
}
