//! ForwardedHeader: reads the header by which a proxy names its client, of one of three kinds. Pure.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName};

use crate::http::gate::host::{self, HostPort};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// The header by which the trusted proxies name the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, with `-Host`, `-Proto` and `-Port`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Another, whose value is one address.
    Address(HeaderName),
}

/// The values of one kind of header, as far as it has them.
#[derive(Debug, Default)]
pub struct ForwardedHeaders {
    /// The addresses that the request passed through, the client first.
    pub path: Option<Vec<Option<IpAddr>>>,
    /// The host.
    pub host: Option<HostPort>,
    /// The port, where the host names none.
    pub port: Option<u16>,
    /// Whether it came over TLS.
    pub secure: Option<bool>,
}

impl ForwardedHeader {
    /// Reads a header's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        let name: HeaderName = name.parse().map_err(|_| "that is no header's name")?;
        match name.as_str() {
            "x-forwarded-for" => Ok(ForwardedHeader::XForwarded),
            "forwarded" => Ok(ForwardedHeader::Forwarded),
            "x-forwarded-host" | "x-forwarded-proto" | "x-forwarded-port" => {
                Err("that header has no address")
            }
            _ => Ok(ForwardedHeader::Address(name)),
        }
    }

    /// Whether it is this header, or belongs to it.
    pub fn has(&self, name: &HeaderName) -> bool {
        match self {
            ForwardedHeader::XForwarded => [FOR, HOST, PROTO, PORT].contains(name),
            ForwardedHeader::Forwarded => *name == header::FORWARDED,
            ForwardedHeader::Address(its) => its == name,
        }
    }

    /// What the headers of this kind say.
    pub fn read(&self, headers: &HeaderMap) -> ForwardedHeaders {
        match self {
            ForwardedHeader::XForwarded => x_forwarded(headers),
            ForwardedHeader::Forwarded => forwarded(headers),
            ForwardedHeader::Address(name) => one_address(headers, name),
        }
    }
}

/// Reads `X-Forwarded-…`. Of several values of host and scheme the first counts, that of the outermost proxy; a client
/// that makes them up could make up its Origin as well.
fn x_forwarded(headers: &HeaderMap) -> ForwardedHeaders {
    // Quotes have no meaning here: an open one must not hide what the proxy appends.
    let list = |name| lines(headers, name).flat_map(|line| split(&line, ',', false));
    let first = |name| list(name).next();
    let path: Vec<_> = list(FOR).map(|node| node_address(&node)).collect();
    ForwardedHeaders {
        path: (!path.is_empty()).then_some(path),
        host: first(HOST).and_then(|host| HostPort::parse(&host)),
        port: first(PORT).and_then(|port| host::port(&port)),
        secure: first(PROTO).map(|proto| is_secure(&proto)),
    }
}

/// Reads `Forwarded` (RFC 7239): a list of hops, each of pairs `for=…;host=…;proto=…`.
fn forwarded(headers: &HeaderMap) -> ForwardedHeaders {
    let mut said = ForwardedHeaders::default();
    let hops = lines(headers, header::FORWARDED).flat_map(|line| split(&line, ',', true));
    for hop in hops {
        if !is_closed(&hop) {
            // It has swallowed what the proxies behind it have added.
            said.path.get_or_insert_default().push(None);
            continue;
        }
        let mut node = None;
        for pair in split(&hop, ';', true) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = unquoted(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => node = Some(node_address(&value)),
                "host" if said.host.is_none() => said.host = HostPort::parse(&value),
                "proto" if said.secure.is_none() => said.secure = Some(is_secure(&value)),
                _ => {}
            }
        }
        if let Some(node) = node {
            said.path.get_or_insert_default().push(node);
        }
    }
    said
}

/// Reads a header whose value is an address. One that came twice may be the client's own.
fn one_address(headers: &HeaderMap, name: &HeaderName) -> ForwardedHeaders {
    let mut lines = lines(headers, name.clone());
    let client = match (lines.next(), lines.next()) {
        (None, _) => return ForwardedHeaders::default(),
        (Some(one), None) => node_address(one.trim()),
        (Some(_), Some(_)) => None,
    };
    ForwardedHeaders { path: Some(vec![client]), ..ForwardedHeaders::default() }
}

/// The lines of a header. One that is not text is kept as an unknown value, as it may stand for a hop.
fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> {
    let lines = headers.get_all(name).into_iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
}

/// Where a text is inside of quotes (RFC 9110, section 5.6.4).
#[derive(Default)]
struct QuoteState {
    quoted: bool,
    escaped: bool,
}

impl QuoteState {
    /// Takes the next character. Whether it stands outside of quotes, and is none.
    fn take(&mut self, c: char) -> bool {
        let literal = std::mem::take(&mut self.escaped);
        match c {
            '"' if !literal => self.quoted = !self.quoted,
            '\\' if self.quoted && !literal => self.escaped = true,
            _ => return !self.quoted,
        }
        false
    }
}

/// Whether each quote is closed.
fn is_closed(text: &str) -> bool {
    let mut state = QuoteState::default();
    for c in text.chars() {
        state.take(c);
    }
    !state.quoted
}

/// Splits a list, outside of quotes if it has `quotes`, and leaves out empty elements.
fn split(text: &str, separator: char, quotes: bool) -> Vec<String> {
    let mut state = QuoteState::default();
    let parts = text.split(|c: char| (!quotes || state.take(c)) && c == separator);
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(inner) => inner.replace('\\', ""),
        None => value.to_owned(),
    }
}

/// The address in `192.0.2.1`, `192.0.2.1:5000`, `2001:db8::1` or `[2001:db8::1]:5000`; none in
/// `unknown` or `_hidden`.
fn node_address(node: &str) -> Option<IpAddr> {
    if let Ok(ip) = node.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let host = HostPort::parse(node)?.host;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
        .map(|ip: IpAddr| ip.to_canonical())
}

fn is_secure(proto: &str) -> bool {
    ["https", "wss"].iter().any(|secure| proto.eq_ignore_ascii_case(secure))
}
