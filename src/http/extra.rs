//! Extra headers of responses: `--header`, `--header-ws` and `--header-http`.

use hyper::Response;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::spelling::{Names, Spelling};

/// The operator's own headers.
#[derive(Clone, Debug, Default)]
pub struct ExtraHeaders {
    /// On the answers to WebSocket handshakes, accepted or refused.
    pub ws: Extra,
    /// On the answers to all other requests.
    pub http: Extra,
}

/// One header, with its name as the operator spelled it.
#[derive(Clone, Debug)]
pub struct ExtraHeader {
    name: HeaderName,
    spelled: String,
    value: HeaderValue,
}

/// The headers for one kind of responses.
#[derive(Clone, Debug)]
pub struct Extra {
    headers: HeaderMap,
    names: Vec<String>,
    /// Their lines as they are written.
    lines: Vec<u8>,
    /// The spelling of all names, ours too.
    spelling: Spelling,
}

impl Default for Extra {
    fn default() -> Self {
        Extra {
            headers: HeaderMap::new(),
            names: Vec::new(),
            lines: Vec::new(),
            spelling: Spelling::of([]),
        }
    }
}

/// The headers of one connection only (RFC 9110, section 7.6.1), which are the server's to set.
pub const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads `Name: value`.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<ExtraHeader, String> {
    let (name, value) = text.split_once(':').ok_or("it has no colon")?;
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| format!("{name:?} can't be the name of a header"))?;
    if HOP_BY_HOP.contains(&parsed.as_str())
        || parsed == header::CONTENT_LENGTH
        || parsed.as_str().starts_with("sec-websocket-")
    {
        return Err(format!("{name} is settled by wsrelay itself, so leave it out"));
    }
    let value = HeaderValue::from_str(value.trim_matches([' ', '\t']));
    let value = value.map_err(|_| "its value has a line end or another control character")?;
    Ok(ExtraHeader { name: parsed, spelled: name.to_owned(), value })
}

impl Extra {
    /// Adds a header.
    pub fn append(&mut self, typed: &ExtraHeader) {
        self.headers.append(typed.name.clone(), typed.value.clone());
        self.names.push(typed.spelled.clone());
        let line = [typed.spelled.as_bytes(), b": ", typed.value.as_bytes(), b"\r\n"];
        self.lines.extend(line.concat());
        self.spelling = Spelling::of(self.names());
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Their lines as they are written in a head.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Adds them to a response, and spells all of its names. They replace headers of the same name; one that is given
    /// several times, such as `Set-Cookie`, is sent as often.
    pub fn add<B>(&self, response: &mut Response<B>) {
        let headers = response.headers_mut();
        for name in self.headers.keys() {
            headers.remove(name);
            for value in self.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        match response.extensions_mut().remove() {
            None => self.spelling.set(response),
            Some(Names(theirs)) => {
                let is_kept = |name: &&str| !self.headers.contains_key(*name);
                let theirs = theirs.iter().map(String::as_str).filter(is_kept);
                Spelling::of(self.names().chain(theirs)).set(response);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        for (text, name, value) in [
            ("X-Frame-Options: DENY", "x-frame-options", "DENY"),
            ("Server:wsrelay", "server", "wsrelay"),
            ("X-Empty:", "x-empty", ""),
            ("X-Time: \t12:30:00 \t", "x-time", "12:30:00"),
            ("Set-Cookie: a=b; Path=/", "set-cookie", "a=b; Path=/"),
            ("X-Umlaut: ü", "x-umlaut", "ü"),
        ] {
            let typed = parse(text).unwrap();
            assert_eq!((typed.name.as_str(), typed.value.as_bytes()), (name, value.as_bytes()));
            assert!(text.starts_with(&typed.spelled), "{typed:?}");
        }
    }

    #[test]
    fn what_is_no_header_or_not_the_operators() {
        for (text, want) in [
            ("", "no colon"),
            ("X-Frame-Options", "no colon"),
            (": value", "name of a header"),
            ("X Frame: value", "name of a header"),
            ("X-Frame : value", "name of a header"),
            ("X\r\nY: value", "name of a header"),
            ("Ü: value", "name of a header"),
            ("X: a\r\nSet-Cookie: b", "control character"),
            ("X: a\nb", "control character"),
            ("X: a\n", "control character"),
            ("X: a\0b", "control character"),
            ("X: a\x7fb", "control character"),
            ("Connection: close", "wsrelay itself"),
            ("upgrade: h2c", "wsrelay itself"),
            ("KEEP-ALIVE: 5", "wsrelay itself"),
            ("Proxy-Connection: close", "wsrelay itself"),
            ("Content-Length: 0", "wsrelay itself"),
            ("Transfer-Encoding: chunked", "wsrelay itself"),
            ("TE: trailers", "wsrelay itself"),
            ("Trailer: X", "wsrelay itself"),
            ("Sec-WebSocket-Accept: x", "wsrelay itself"),
            ("sec-websocket-extensions: x", "wsrelay itself"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(want), "{text:?}: {why}");
            assert!(!why.contains(char::is_control), "{text:?}: {why}");
        }
    }

    #[test]
    fn they_take_the_place_of_ours() {
        let mut extra = Extra::default();
        for text in ["Set-Cookie: a=1", "Set-Cookie: b=2", "Cache-Control: no-store"] {
            extra.append(&parse(text).unwrap());
        }
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        extra.add(&mut response);
        let headers = response.headers();
        let all =
            |name| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all(header::SET_COOKIE), ["a=1", "b=2"]);
        assert_eq!(all(header::CACHE_CONTROL), ["no-store"]);
        assert_eq!(all(header::CONTENT_TYPE), ["text/plain"]);
    }
}
