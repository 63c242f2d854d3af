//! Forwarded: the client, host and scheme of a request as a trusted proxy reports them. Pure.
//!
//! A proxy sets one kind of header, and passes on all others as the client sent them. Which one that is, only the
//! operator knows; the others are taken out of the request, so that nobody believes them.

mod header;

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub use self::header::ForwardedHeader;
use super::host::HostPort;
use crate::net::address::PeerAddr;

/// The headers by which proxies say how a request came to them, sorted, besides any that the operator names.
const NAMING: [&str; 26] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "true-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-forwarded-by",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-original-forwarded-for",
    "x-real-ip",
];

/// The proxies whose headers are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    nets: Vec<IpNet>,
    unix: bool,
    header: ForwardedHeader,
}

/// How a request came to us, or to the first proxy in front of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The client's address; `None` for a process that came through our Unix socket.
    pub client: Option<IpAddr>,
    /// The host that it names, if it names one.
    pub host: Option<HostPort>,
    /// Whether a trusted proxy has named that host, in place of the request that came to us.
    pub is_host_named: bool,
    /// Whether it came over TLS.
    pub secure: bool,
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

    /// The same proxies, which name the client by this header.
    pub fn with_header(self, header: ForwardedHeader) -> Self {
        TrustedProxies { header, ..self }
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
        let own = Arrival { client, host, is_host_named: false, secure };
        if !self.trusts(peer) {
            return own;
        }
        let said = self.header.read(headers);
        let is_host_named = said.host.is_some();
        let host = said.host.or(own.host);
        Arrival {
            client: said.path.and_then(|path| self.client(&path)).or(own.client),
            host: host.map(|host| HostPort { port: host.port.or(said.port), ..host }),
            is_host_named,
            secure: said.secure.unwrap_or(own.secure),
        }
    }

    /// Takes the headers out of a request of this peer that name a client, but may be made up: all but the one header
    /// of a trusted proxy. Programs and backends would believe them.
    pub fn strip(&self, headers: &mut HeaderMap, peer: PeerAddr) {
        let is_trusted = self.trusts(peer);
        let is_naming = |name: &HeaderName| {
            let is_own = matches!(&self.header, ForwardedHeader::Address(own) if own == name);
            is_own || NAMING.binary_search(&name.as_str()).is_ok()
        };
        let made_up = headers.keys().filter(|name| is_naming(name));
        let made_up = made_up.filter(|name| !is_trusted || !self.header.has(name));
        for name in made_up.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
    }

    /// The last address of a path that is no trusted proxy, as those before it may be made up.
    fn client(&self, path: &[Option<IpAddr>]) -> Option<IpAddr> {
        let untrusted = path.iter().rev().find(|ip| !ip.is_some_and(|ip| self.contains(ip)));
        // All are trusted: the client runs on one of these machines.
        *untrusted.or(path.first())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    fn arrival(trusted: &str, peer: &str, said: &[(&str, &str)]) -> Arrival {
        arrival_by("X-Forwarded-For", trusted, peer, said)
    }

    /// The same with `--forwarded-header`.
    fn arrival_by(header: &str, trusted: &str, peer: &str, said: &[(&str, &str)]) -> Arrival {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let peer = match peer {
            "unix" => PeerAddr::Unix,
            ip => PeerAddr::Ip((ip.parse::<IpAddr>().unwrap(), 5000).into()),
        };
        let host = HostPort::parse("inner.example:8082");
        let header = ForwardedHeader::parse(header).unwrap();
        let trusted = TrustedProxies::parse(trusted).unwrap().with_header(header);
        trusted.arrival(&headers, host, peer, false)
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
            // A port is one of a host that has none.
            (
                &[("x-forwarded-host", "a.example"), ("x-forwarded-port", "8443")],
                "127.0.0.1 http://a.example:8443",
            ),
            (
                &[("x-forwarded-host", "a.example:81"), ("x-forwarded-port", "8443")],
                "127.0.0.1 http://a.example:81",
            ),
            (
                &[("x-forwarded-host", "a.example"), ("x-forwarded-port", "0")],
                "127.0.0.1 http://a.example",
            ),
            (
                &[("x-forwarded-host", "a.example"), ("x-forwarded-port", "81, 82")],
                "127.0.0.1 http://a.example:81",
            ),
            (&[("x-forwarded-port", "8443")], own),
            // Others are not read.
            (&[("forwarded", "for=192.0.2.7;proto=https;host=chat.example")], own),
            (&[("x-real-ip", "192.0.2.7")], own),
            (
                &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=203.0.113.9;proto=https")],
                "192.0.2.7 http://inner.example:8082",
            ),
        ];
        for (said, want) in table {
            let got = arrival("127.0.0.1,10.0.0.0/8", "127.0.0.1", said);
            assert_eq!(shown(&got), *want, "{said:?}");
        }
    }

    #[test]
    fn what_is_said_by_forwarded() {
        let own = "127.0.0.1 http://inner.example:8082";
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);
        let table: &[Row<'_>] = &[
            (&[], own),
            (&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")], own),
            (
                &[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=192.0.2.7")],
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
            (&[("forwarded", "for=203.0.113.9;\", for=192.0.2.7")], own),
            (&[("forwarded", "for=203.0.113.9;host=evil.example;x=\"\\\", for=192.0.2.7")], own),
            (&[("forwarded", "nonsense;;=;,")], own),
        ];
        for (said, want) in table {
            let got = arrival_by("Forwarded", "127.0.0.1,10.0.0.0/8", "127.0.0.1", said);
            assert_eq!(shown(&got), *want, "{said:?}");
        }
    }

    #[test]
    fn what_is_said_by_an_address() {
        let own = "127.0.0.1 http://inner.example:8082";
        let named = "192.0.2.7 http://inner.example:8082";
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str);
        let table: &[Row<'_>] = &[
            (&[], own),
            (&[("x-real-ip", "192.0.2.7")], named),
            (&[("x-real-ip", " 192.0.2.7:5000 ")], named),
            (&[("x-real-ip", "::ffff:192.0.2.7")], named),
            (&[("x-real-ip", "2001:db8::7")], "2001:db8::7 http://inner.example:8082"),
            (&[("x-real-ip", "[2001:db8::7]:1")], "2001:db8::7 http://inner.example:8082"),
            (&[("x-real-ip", "10.1.1.1")], "10.1.1.1 http://inner.example:8082"),
            (&[("x-real-ip", "203.0.113.9, 192.0.2.7")], own),
            (&[("x-real-ip", "203.0.113.9"), ("x-real-ip", "192.0.2.7")], own),
            (&[("x-real-ip", "unknown")], own),
            (&[("x-real-ip", "")], own),
            (&[("x-real-ip", "ü")], own),
            (&[("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "192.0.2.7")], named),
            (&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")], own),
        ];
        for (said, want) in table {
            let got = arrival_by("x-real-ip", "127.0.0.1,10.0.0.0/8", "127.0.0.1", said);
            assert_eq!(shown(&got), *want, "{said:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_request() {
        let all = [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-ssl",
            "forwarded",
            "x-real-ip",
            "cf-connecting-ip",
            "x-mine",
            "host",
            "x-forwarded-user",
            "cookie",
        ];
        for (header, peer, left) in [
            (
                "x-forwarded-for",
                "127.0.0.1",
                "x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-mine",
            ),
            ("forwarded", "127.0.0.1", "forwarded x-mine"),
            ("cf-connecting-ip", "127.0.0.1", "cf-connecting-ip x-mine"),
            ("x-mine", "127.0.0.1", "x-mine"),
            ("x-forwarded-for", "127.0.0.2", "x-mine"),
            ("forwarded", "127.0.0.2", "x-mine"),
            ("x-mine", "127.0.0.2", ""),
        ] {
            let mut headers: HeaderMap = all
                .iter()
                .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")))
                .collect();
            let trusted = TrustedProxies::parse("127.0.0.1").unwrap();
            let trusted = trusted.with_header(ForwardedHeader::parse(header).unwrap());
            trusted.strip(&mut headers, PeerAddr::Ip((peer.parse::<IpAddr>().unwrap(), 1).into()));
            let want = left.split_whitespace().chain(["host", "x-forwarded-user", "cookie"]);
            let mut want: Vec<_> = want.collect();
            let mut got: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            want.sort_unstable();
            got.sort_unstable();
            assert_eq!(got, want, "{header} of {peer}");
        }
    }

    #[test]
    fn names_of_headers() {
        assert!(NAMING.is_sorted());
        for name in ["X-Forwarded-For", "FORWARDED", "X-Real-IP", "cf-connecting-ip"] {
            assert!(ForwardedHeader::parse(name).is_ok(), "{name}");
        }
        for name in ["", "x forwarded", "X-Forwarded-Proto", "x-forwarded-host", "ü"] {
            assert!(ForwardedHeader::parse(name).is_err(), "{name}");
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
                let client = |trusted: &str, said: &[(&str, &str)]| {
                    arrival_by(name, trusted, "127.0.0.1", said).client.unwrap()
                };
                let got = client("127.0.0.1,10.0.0.0/8", said);
                // A quote that is not closed may hide the client, but shows nobody in its place.
                let hidden = name == "forwarded" && got.is_loopback();
                prop_assert!(got.to_string() == real || hidden, "{said:?}: {got}");
                // The other kind of header changes nothing.
                let other = if name == "forwarded" { "x-forwarded-for" } else { "forwarded" };
                let said = [(name, &*added), (other, &*before)];
                let got = client("127.0.0.1,10.0.0.0/8", &said);
                prop_assert_eq!(got.to_string(), real, "{:?}", said);
                // Without trust none of it counts.
                let got = client("10.0.0.0/8", &said);
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
