//! Proxy: reads the header of the PROXY protocol, by which a proxy in front names its client. Pure.
//!
//! The protocol is HAProxy's (proxy-protocol.txt, 2020/03/05). `proxy-header` reads what a header has; where a header
//! ends, and which ones are malformed, is decided here, as that crate accepts more than the protocol allows.

use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader as Parser, SslInfo};

/// The longest header of version 1 in bytes, its end of line included (section 2.1).
const LONGEST_V1: usize = 107;

/// The bytes with which version 2 begins (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The length of version 2 before its addresses: the signature, the version and command, the family, the length.
const FIXED_V2: usize = 16;

/// The version and command of version 2: LOCAL, PROXY.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// A header: what a proxy says of the connection. The addresses are never those of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address, and the address that it connected to. `None`: the connection's own ones hold, as it is the
    /// proxy's own (LOCAL), or its client has none (UNKNOWN, a Unix socket).
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The host asked for, where the connection is the proxy's own, such as a health check.
    pub authority: Option<Box<str>>,
    /// Whether the client speaks TLS with the proxy.
    pub has_tls: bool,
    /// The name in the client's certificate, if the proxy has verified one.
    pub cn: Option<Box<str>>,
}

/// The result of reading the first bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// All bytes so far belong to a header that goes on.
    Incomplete,
    /// A header of this length in bytes. What follows it is the client's.
    Complete(ProxyHeader, usize),
    /// There is no header, or none that the protocol allows; the text says why.
    Malformed(&'static str),
}

use Parsed::{Complete, Incomplete, Malformed};

/// Reads the header with which `bytes` begin.
pub fn parse(bytes: &[u8]) -> Parsed {
    match bytes.first() {
        None => Incomplete,
        Some(b'P') => parse_v1(bytes),
        Some(b'\r') => parse_v2(bytes),
        Some(_) => NO_HEADER,
    }
}

/// What does not begin as a header does.
const NO_HEADER: Parsed = Malformed("there is no PROXY header");

/// Whether `bytes` begin with `start`, as far as they go.
fn may_begin_with(bytes: &[u8], start: &[u8]) -> bool {
    let both = bytes.len().min(start.len());
    bytes[..both] == start[..both]
}

/// Reads `PROXY TCP4 192.0.2.1 127.0.0.1 5000 80\r\n`, `PROXY TCP6 …` or `PROXY UNKNOWN …`.
fn parse_v1(bytes: &[u8]) -> Parsed {
    const BAD: Parsed = Malformed("the PROXY header of version 1 is malformed");
    if !may_begin_with(bytes, b"PROXY ") {
        return NO_HEADER;
    }
    let longest = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = memchr::memchr(b'\n', longest) else {
        return match longest.len() < LONGEST_V1 {
            true => Incomplete,
            false => Malformed("the PROXY header of version 1 is longer than 107 bytes"),
        };
    };
    let line = &bytes[..=end];
    let Some(said) = line.strip_prefix(b"PROXY ").and_then(|said| said.strip_suffix(b"\r\n"))
    else {
        return BAD;
    };
    // Of UNKNOWN the rest of the line has no meaning.
    if said == b"UNKNOWN" || said.starts_with(b"UNKNOWN ") {
        return Complete(ProxyHeader::default(), line.len());
    }
    // The crate takes whatever begins with UNKNOWN, and Rust's numbers may have a sign.
    if !said.starts_with(b"TCP") || said.contains(&b'+') {
        return BAD;
    }
    match Parser::parse(line, ParseConfig::default()) {
        Ok((header, length)) if length == line.len() => {
            let addresses = header.proxied_address().map(|both| (both.source, both.destination));
            Complete(ProxyHeader { addresses, ..ProxyHeader::default() }, length)
        }
        _ => BAD,
    }
}

/// Reads version 2: the signature, the version and command, the family, the length of the rest, addresses and TLVs.
fn parse_v2(bytes: &[u8]) -> Parsed {
    if !may_begin_with(bytes, SIGNATURE) {
        return NO_HEADER;
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_V2>() else { return Incomplete };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    match (command, rest.get(..length)) {
        (LOCAL | PROXY, None) => Incomplete,
        // The rest has no meaning (section 2.2), and so nothing in it is wrong.
        (LOCAL, Some(rest)) => Complete(local(family, rest), FIXED_V2 + length),
        (PROXY, Some(_)) => {
            let length = FIXED_V2 + length;
            let header = Parser::parse(&bytes[..length], ParseConfig::default());
            match header.ok().as_ref().and_then(|(header, _)| proxied(header)) {
                Some(header) => Complete(header, length),
                None => Malformed("the PROXY header of version 2 is malformed"),
            }
        }
        _ => Malformed("the PROXY header has another version than 1 or 2, or another command"),
    }
}

/// The header of a connection of the proxy's own, of which only AUTHORITY counts.
fn local(family: u8, rest: &[u8]) -> ProxyHeader {
    // The same header by the command PROXY, to be read by the crate.
    let length = (rest.len() as u16).to_be_bytes();
    let header = [SIGNATURE, &[PROXY, family], &length, rest].concat();
    let header = Parser::parse(&header, ParseConfig::default()).ok();
    let authority = header.as_ref().and_then(|(header, _)| header.authority()).map(Box::from);
    ProxyHeader { authority, ..ProxyHeader::default() }
}

/// What the command PROXY says; `None` if one of the TLVs is malformed.
fn proxied(header: &Parser<'_>) -> Option<ProxyHeader> {
    if header.tlvs().any(|tlv| tlv.is_err()) {
        return None;
    }
    let ssl = header.ssl();
    if ssl.iter().flat_map(SslInfo::tlvs).any(|tlv| tlv.is_err()) {
        return None;
    }
    let verified = |ssl: &&SslInfo<'_>| {
        (ssl.client_cert_conn() || ssl.client_cert_sess()) && ssl.verify() == 0
    };
    let cn = ssl.as_ref().filter(verified).and_then(SslInfo::cn);
    // A datagram's addresses are of no TCP connection.
    let addresses = header.proxied_address().filter(|both| both.protocol == Protocol::Stream);
    Some(ProxyHeader {
        addresses: addresses.map(|both| (both.source, both.destination)),
        authority: None,
        has_tls: ssl.as_ref().is_some_and(SslInfo::client_ssl),
        cn: cn.filter(|cn| !cn.is_empty()).map(Box::from),
    })
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
