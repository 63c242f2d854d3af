//! Forwarded: the client, host and scheme of a request as a trusted proxy reports them. Pure.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName};
use ipnet::IpNet;

use super::host::HostPort;
use crate::net::address::PeerAddr;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies whose headers are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    nets: Vec<IpNet>,
    unix: bool,
}

/// How a request came to us, or to the first proxy in front of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The client's address; `None` for a process that came through our Unix socket.
    pub client: Option<IpAddr>,
    /// The host that it names, if it names one.
    pub host: Option<HostPort>,
    /// Whether it came over TLS.
    pub secure: bool,
}

/// The values of one kind of header, as far as it has them.
#[derive(Debug, Default)]
struct ForwardedHeaders {
    /// The addresses that the request passed through, the client first.
    path: Option<Vec<Option<IpAddr>>>,
    host: Option<HostPort>,
    secure: Option<bool>,
}

impl Arrival {
    /// The scheme of a page served the same way.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The client that this peer forwards for, if it is not the client itself.
    pub fn forwarded_for(&self, peer: PeerAddr) -> Option<IpAddr> {
        let itself = |ip: &IpAddr| matches!(peer, PeerAddr::Ip(addr) if addr.ip() == *ip);
        self.client.filter(|ip| !itself(ip))
    }
}

impl TrustedProxies {
    /// Reads a list of `127.0.0.1`, `10.0.0.0/8`, `::1`, `fd00::/8` and `unix`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut trusted = TrustedProxies::default();
        for entry in list.split(',').map(str::trim) {
            if entry == "unix" {
                trusted.unix = true;
                continue;
            }
            let net = entry.parse().map(IpAddr::into).or_else(|_| entry.parse::<IpNet>());
            let net = net.map_err(|_| format!("{entry:?} is no address, network or unix"))?;
            trusted.nets.push(net);
        }
        Ok(trusted)
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&ip))
    }

    /// Whether the headers of this peer are trusted.
    pub fn trusts(&self, peer: PeerAddr) -> bool {
        match peer {
            PeerAddr::Ip(addr) => self.contains(addr.ip()),
            PeerAddr::Unix => self.unix,
        }
    }

    /// How a request of this peer came. `host` is the host that the request names; `secure`: whether it came by our own
    /// TLS.
    pub fn arrival(
        &self,
        headers: &HeaderMap,
        host: Option<HostPort>,
        peer: PeerAddr,
        secure: bool,
    ) -> Arrival {
        let client = peer.socket_addr().map(|addr| addr.ip());
        let own = Arrival { client, host, secure };
        if !self.trusts(peer) {
            return own;
        }
        let said = legacy(headers).agreed(standard(headers));
        Arrival {
            client: said.path.and_then(|path| self.client(&path)).or(own.client),
            host: said.host.or(own.host),
            secure: said.secure.unwrap_or(own.secure),
        }
    }

    /// The last address of a path that is no trusted proxy, as those before it may be made up.
    fn client(&self, path: &[Option<IpAddr>]) -> Option<IpAddr> {
        let untrusted = path.iter().rev().find(|ip| !ip.is_some_and(|ip| self.contains(ip)));
        // All are trusted: the client runs on one of these machines.
        *untrusted.or(path.first())?
    }
}

impl ForwardedHeaders {
    /// The values on which both kinds agree, or that only one has. A proxy sets one kind of header and passes on the
    /// other as the client sent it: where they differ, one of them may be made up.
    fn agreed(self, other: ForwardedHeaders) -> ForwardedHeaders {
        fn either<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => (one == other).then_some(one),
                (one, other) => one.or(other),
            }
        }
        ForwardedHeaders {
            path: either(self.path, other.path),
            host: either(self.host, other.host),
            secure: either(self.secure, other.secure),
        }
    }
}

/// Reads `X-Forwarded-…`. Of several values of host and scheme the first counts, that of the outermost proxy; a client
/// that makes them up could make up its Origin as well.
fn legacy(headers: &HeaderMap) -> ForwardedHeaders {
    // Quotes have no meaning here: an open one must not hide what the proxy appends.
    let list = |name| lines(headers, name).flat_map(|line| split(&line, ',', false));
    let first = |name| list(name).next();
    let path: Vec<_> = list(FOR).map(|node| node_address(&node)).collect();
    ForwardedHeaders {
        path: (!path.is_empty()).then_some(path),
        host: first(HOST).and_then(|host| HostPort::parse(&host)),
        secure: first(PROTO).map(|proto| is_secure(&proto)),
    }
}

/// Reads `Forwarded` (RFC 7239): a list of hops, each of pairs `for=…;host=…;proto=…`.
fn standard(headers: &HeaderMap) -> ForwardedHeaders {
    let mut said = ForwardedHeaders::default();
    let hops = lines(headers, header::FORWARDED).flat_map(|line| split(&line, ',', true));
    for hop in hops {
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

/// The lines of a header. One that is not text is kept as an unknown value, as it may stand for a hop.
fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = String> {
    let lines = headers.get_all(name).into_iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
}

/// Splits a list outside of quotes, and leaves out empty elements.
fn split(text: &str, separator: char, quotes: bool) -> Vec<String> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|c: char| {
        let literal = std::mem::take(&mut escaped);
        match c {
            '"' if quotes && !literal => quoted = !quoted,
            '\\' if quoted && !literal => escaped = true,
            _ => return c == separator && !quoted,
        }
        false
    });
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arrival(trusted: &str, peer: &str, said: &[(&str, &str)]) -> Arrival {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, header::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let peer = match peer {
            "unix" => PeerAddr::Unix,
            ip => PeerAddr::Ip((ip.parse::<IpAddr>().unwrap(), 5000).into()),
        };
        let host = HostPort::parse("inner.example:8082");
        TrustedProxies::parse(trusted).unwrap().arrival(&headers, host, peer, false)
    }

    /// In one line: client, scheme and host.
    fn shown(arrival: &Arrival) -> String {
        let client = arrival.client.map_or("unix".into(), |ip| ip.to_string());
        let host = arrival.host.as_ref().map_or("?".into(), HostPort::to_string);
        format!("{client} {}://{host}", arrival.scheme())
    }

    #[test]
    fn who_is_believed() {
        let said = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "chat.example"),
        ];
        for (trusted, peer, believed) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.0/8, ::1", "127.9.9.9", true),
            ("127.0.0.0/8,::1", "::1", true),
            ("10.0.0.0/8", "127.0.0.1", false),
            ("fd00::/8", "fd12::1", true),
            ("0.0.0.0/0", "::1", false),
            ("unix", "unix", true),
            ("unix", "127.0.0.1", false),
            ("127.0.0.1", "unix", false),
        ] {
            let got = shown(&arrival(trusted, peer, &said));
            let want = match believed {
                true => "192.0.2.7 https://chat.example".into(),
                false => format!("{peer} http://inner.example:8082"),
            };
            assert_eq!(got, want, "--trust-proxy {trusted}, {peer}");
        }
        let nobody = TrustedProxies::default();
        assert!(!nobody.contains("127.0.0.1".parse().unwrap()) && !nobody.unix);
    }

    #[test]
    fn what_is_said() {
        let own = "127.0.0.1 http://inner.example:8082";
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);
        let table: &[Row<'_>] = &[
            (&[], own),
            (&[("x-forwarded-proto", "https")], "127.0.0.1 https://inner.example:8082"),
            (&[("x-forwarded-proto", "WSS, http")], "127.0.0.1 https://inner.example:8082"),
            (&[("x-forwarded-proto", "http")], own),
            (&[("x-forwarded-host", "a.example, b.example")], "127.0.0.1 http://a.example"),
            (&[("x-forwarded-host", "a.example/x")], own),
            (&[("x-forwarded-for", "192.0.2.7:5000")], "192.0.2.7 http://inner.example:8082"),
            (&[("x-forwarded-for", "::ffff:192.0.2.7")], "192.0.2.7 http://inner.example:8082"),
            (&[("x-forwarded-for", "[2001:db8::7]:1")], "2001:db8::7 http://inner.example:8082"),
            // The client made up the first; the second was added by the first proxy, and so on.
            (
                &[("x-forwarded-for", "203.0.113.9, 192.0.2.7, 10.1.1.1")],
                "192.0.2.7 http://inner.example:8082",
            ),
            (
                &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.7,10.1.1.1")],
                "192.0.2.7 http://inner.example:8082",
            ),
            (&[("x-forwarded-for", "10.1.1.2, 10.1.1.1")], "10.1.1.2 http://inner.example:8082"),
            // Whoever hides is not who comes before him.
            (&[("x-forwarded-for", "203.0.113.9, unknown")], own),
            (&[("x-forwarded-for", "203.0.113.9, ü")], own),
            (&[("x-forwarded-for", "203.0.113.9, 1.2.3.4.5, 10.1.1.1")], own),
            (&[("x-forwarded-for", ", ,")], own),
            (
                &[("x-forwarded-for", "\"203.0.113.9, 192.0.2.7")],
                "192.0.2.7 http://inner.example:8082",
            ),
            (
                &[("forwarded", "for=192.0.2.7;proto=https;host=chat.example")],
                "192.0.2.7 https://chat.example",
            ),
            (
                &[("forwarded", "For=\"[2001:db8::7]:4711\" ; Proto=HTTPS; by=_x")],
                "2001:db8::7 https://inner.example:8082",
            ),
            (
                &[("forwarded", "for=203.0.113.9, for=192.0.2.7;host=\"chat.example:8443\"")],
                "192.0.2.7 http://chat.example:8443",
            ),
            (
                &[("forwarded", "by=\"a,b;for=203.0.113.9\\\",\";for=192.0.2.7")],
                "192.0.2.7 http://inner.example:8082",
            ),
            (&[("forwarded", "for=203.0.113.9, for=_hidden")], own),
            (&[("forwarded", "for=\"203.0.113.9")], own),
            (&[("forwarded", "nonsense;;=;,")], own),
            // One kind is the proxy's, the other the client's.
            (&[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=203.0.113.9")], own),
            (
                &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7;proto=https")],
                "192.0.2.7 https://inner.example:8082",
            ),
        ];
        for (said, want) in table {
            let got = arrival("127.0.0.1,10.0.0.0/8", "127.0.0.1", said);
            assert_eq!(shown(&got), *want, "{said:?}");
        }
    }

    proptest! {
        /// A client can send what it likes: what the proxy adds behind it stands.
        #[test]
        fn nobody_passes_for_somebody_else(
            before in "([ -~]|é){0,40}|([\",;=\\\\ ]|for|203\\.0\\.113\\.9|10\\.0\\.0\\.1){0,12}",
            another_line: bool,
        ) {
            let real = "192.0.2.7";
            for (name, added) in [("x-forwarded-for", real.into()), ("forwarded", format!("for={real}"))] {
                let joined = format!("{before}, {added}");
                let said: &[_] = match another_line {
                    true => &[(name, &*before), (name, &*added)],
                    false => &[(name, &*joined)],
                };
                let got = arrival("127.0.0.1,10.0.0.0/8", "127.0.0.1", said).client.unwrap();
                // A quote that is not closed may hide the client, but shows nobody in its place.
                let hidden = name == "forwarded" && got.is_loopback();
                prop_assert!(got.to_string() == real || hidden, "{said:?}: {got}");
                // The other kind of header does not help either.
                let other = if name == "forwarded" { "x-forwarded-for" } else { "forwarded" };
                let said = [(name, &*added), (other, &*before)];
                let got = arrival("127.0.0.1,10.0.0.0/8", "127.0.0.1", &said).client.unwrap();
                prop_assert!(got.to_string() == real || got.is_loopback(), "{said:?}: {got}");
                // Without trust none of it counts.
                let got = arrival("10.0.0.0/8", "127.0.0.1", &said).client.unwrap();
                prop_assert!(got.is_loopback(), "{said:?}: {got}");
            }
        }
    }

    #[test]
    fn lists_that_are_none() {
        for list in ["", "127.0.0.1,", "localhost", "10.0.0.0/33", "10.0.0.0/", "127.0.0.1:80"] {
            assert!(TrustedProxies::parse(list).is_err(), "{list:?}");
        }
    }
}
