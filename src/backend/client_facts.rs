//! ClientFacts: what is known about a client when its backend is opened, and the facts that have a name: templates, the
//! environment of programs and the PROXY protocol take theirs from here. Pure.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use percent_encoding::percent_decode_str;

use crate::net::address::PeerAddr;
use crate::net::tls::Facts;

/// A client's request, and where it came from. The client can choose everything except the addresses and what it has
/// proved.
#[derive(Clone, Copy, Debug)]
pub struct ClientFacts<'a> {
    /// The ID of its connection, as in the log.
    pub id: u64,
    /// The method: GET, of a WebSocket handshake.
    pub method: &'a Method,
    /// The path and query, as sent.
    pub uri: &'a Uri,
    /// The first part of the URI's raw path, which led to the route or program: "", or whole segments such as `/chat`.
    /// The rest is PATH_INFO (RFC 3875, sections 4.1.5 and 4.1.13).
    pub script: &'a str,
    /// The HTTP version.
    pub version: Version,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The other end of the connection.
    pub peer: PeerAddr,
    /// The client's address, if the peer is a trusted proxy.
    pub forwarded_for: Option<IpAddr>,
    /// The host that the client asked for, if a trusted proxy names it in place of the request.
    pub named_host: Option<&'a str>,
    /// The name of its address, if it was looked up and confirmed.
    pub name: Option<&'a str>,
    /// Our address that the peer connected to; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// Whether the request came over TLS, ours or that of a trusted proxy.
    pub secure: bool,
    /// The facts of the TLS handshake with us, if there was one.
    pub tls: Option<&'a Facts>,
    /// The subprotocol that was chosen.
    pub subprotocol: Option<&'a str>,
    /// The name that it has proved.
    pub user: Option<&'a str>,
    /// The authentication scheme (RFC 9110, section 11.1): `Basic` or `Bearer`.
    pub auth_scheme: Option<&'static str>,
}

/// A fact about a client that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Its IP address.
    Ip,
    /// Its port.
    Port,
    /// Our IP address that it connected to.
    LocalIp,
    /// Our port that it connected to.
    LocalPort,
    /// Its name, else its IP address.
    Host,
    /// The path of its request, decoded.
    Path,
    /// The first value of this name in its query, decoded.
    Query(String),
    /// The value of this header.
    Header(HeaderName),
    /// The value of this cookie.
    Cookie(String),
    /// The name that it has proved.
    User,
    /// The subprotocol that was chosen.
    Subprotocol,
    /// The ID of its connection, as in the log.
    Id,
    /// `secure`, if its connection uses TLS.
    Secure,
    /// Why its session ends, or does not begin. It is known only then.
    Reason,
}

impl Fact {
    /// The names of all facts, as an error lists them.
    pub const NAMES: &'static str = "ip, port, local-ip, local-port, host, path, query:NAME, header:NAME, cookie:NAME, \
                                     user, subprotocol, id, secure, reason";

    /// The fact with this name; `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        if let Some((kind, of)) = name.split_once(':') {
            return match kind {
                _ if of.is_empty() => None,
                "query" => Some(Fact::Query(of.into())),
                "header" => of.parse().ok().map(Fact::Header),
                "cookie" => Some(Fact::Cookie(of.into())),
                _ => None,
            };
        }
        Some(match name {
            "ip" => Fact::Ip,
            "port" => Fact::Port,
            "local-ip" => Fact::LocalIp,
            "local-port" => Fact::LocalPort,
            "host" => Fact::Host,
            "path" => Fact::Path,
            "user" => Fact::User,
            "subprotocol" => Fact::Subprotocol,
            "id" => Fact::Id,
            "secure" => Fact::Secure,
            "reason" => Fact::Reason,
            _ => return None,
        })
    }
}

impl<'a> ClientFacts<'a> {
    /// The value of a fact, as bytes that the client may have chosen; `None` if there is none.
    pub fn lookup(&self, fact: &Fact) -> Option<Cow<'a, [u8]>> {
        let shown = |value: String| Cow::Owned(value.into_bytes());
        let ip = |addr: SocketAddr| shown(addr.ip().to_canonical().to_string());
        // An unknown port is 0.
        let port = |addr: SocketAddr| (addr.port() > 0).then(|| shown(addr.port().to_string()));
        match fact {
            Fact::Host if self.name.is_some() => self.name.map(|name| name.as_bytes().into()),
            Fact::Ip | Fact::Host => self.source().map(ip),
            Fact::Port => self.source().and_then(port),
            Fact::LocalIp => self.local.map(ip),
            Fact::LocalPort => self.local.and_then(port),
            Fact::Path => Some(percent_decode_str(self.uri.path()).into()),
            Fact::Query(name) => self.query(name),
            Fact::Header(name) => self.header(name),
            Fact::Cookie(name) => self.cookie(name).map(Cow::Borrowed),
            Fact::User => self.user.map(|name| name.as_bytes().into()),
            Fact::Subprotocol => self.subprotocol.map(|name| name.as_bytes().into()),
            Fact::Id => Some(shown(self.id.to_string())),
            Fact::Secure => self.secure.then_some(Cow::Borrowed(b"secure")),
            Fact::Reason => None,
        }
    }

    /// The value of a header; those of several with this name joined (RFC 9110, section 5.3; RFC 6265 for cookies). A
    /// target in absolute form overrides Host (RFC 9112, section 3.2.2), in Apache too.
    pub fn header(&self, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
        if let (&header::HOST, Some(target)) = (name, self.uri.authority()) {
            return Some(target.as_str().as_bytes().into());
        }
        let values = self.headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let values: Vec<&[u8]> = values.collect();
        let separator: &[u8] = if *name == header::COOKIE { b"; " } else { b", " };
        match *values {
            [] => None,
            [value] => Some(value.into()),
            _ => Some(values.join(separator).into()),
        }
    }

    /// The first value of this name in the query, percent-decoded. A `+` stays.
    fn query(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        query_values(self.uri, name).next().map(|value| percent_decode_str(value).into())
    }

    /// The first value of this cookie, without quotes around it (RFC 6265, section 4.1.1).
    fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        let lines = self.headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
        let mut cookies = lines.flat_map(|line| line.split(|b| *b == b';'));
        let value = cookies.find_map(|cookie| {
            cookie.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
        })?;
        Some(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
    }

    /// The client's address: the one that a trusted proxy named, with the port 0, or the peer's. `None` for a client at
    /// our Unix socket.
    pub fn source(&self) -> Option<SocketAddr> {
        match (self.forwarded_for, self.peer) {
            // The known port is that of the proxy.
            (Some(ip), _) => Some(SocketAddr::new(ip, 0)),
            (None, PeerAddr::Ip(addr)) => Some(addr),
            (None, PeerAddr::Unix) => None,
        }
    }

    /// The host that the client asked for, without its port; `None` if there is none, or it is not valid. What a trusted
    /// proxy names counts first; the target's host before the header (RFC 9112, section 3.2.2).
    pub fn asked_host(&self) -> Option<String> {
        if let Some(host) = self.named_host {
            return Some(host.to_owned());
        }
        let in_header = || {
            let host = self.headers.get(header::HOST)?.to_str().ok()?;
            host.parse().ok().map(|authority: Authority| authority.host().to_owned())
        };
        let asked = self.uri.host().map(str::to_owned).or_else(in_header);
        asked.filter(|host| !host.is_empty())
    }
}

/// The values of this name in the query of a URI, as they were sent.
pub fn query_values<'a>(uri: &'a Uri, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let of_name = pairs.filter(move |(key, _)| percent_decode_str(key).eq(name.bytes()));
    of_name.map(|(_, value)| value)
}

impl<'a> ClientFacts<'a> {
    /// The facts about a request that came through our Unix socket, by a client that has proved nothing.
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        ClientFacts {
            id: 1,
            method: request.method(),
            uri: request.uri(),
            script: "",
            version: request.version(),
            headers: request.headers(),
            peer: PeerAddr::Unix,
            forwarded_for: None,
            named_host: None,
            name: None,
            local: None,
            secure: false,
            tls: None,
            subprotocol: None,
            user: None,
            auth_scheme: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// What a client that came to `/a%20b?…` is known by.
    #[test]
    fn facts_by_name() {
        let mut request = Request::get("/a%20b//c%2fd?n=1&n=2&%6Bey=a%2Bb+c%20%FF&flag&empty=")
            .header("host", "chat.example:81")
            .header("user-agent", "x/1")
            .header("accept", "a")
            .header("accept", "b")
            .header("cookie", "nick=\"ann\"; odd=a=b;nick=bob")
            .header("cookie", "late=1")
            .body(())
            .unwrap();
        let latin = HeaderValue::from_bytes(b"caf\xe9").unwrap();
        request.headers_mut().insert("x-latin", latin);
        let client = ClientFacts {
            id: 77,
            peer: PeerAddr::Ip("192.0.2.1:5000".parse().unwrap()),
            local: Some("[::ffff:127.0.0.1]:8082".parse().unwrap()),
            user: Some("ada"),
            subprotocol: Some("chat"),
            secure: true,
            ..ClientFacts::of(&request)
        };
        let value = |client: &ClientFacts<'_>, name: &str| {
            let fact = Fact::named(name).unwrap_or_else(|| panic!("{name}"));
            client.lookup(&fact).map(|value| value.escape_ascii().to_string())
        };
        for (name, want) in [
            ("ip", Some("192.0.2.1")),
            ("port", Some("5000")),
            ("local-ip", Some("127.0.0.1")),
            ("local-port", Some("8082")),
            ("host", Some("192.0.2.1")),
            ("path", Some("/a b//c/d")),
            ("query:n", Some("1")),
            ("query:key", Some("a+b+c \\xff")),
            ("query:flag", Some("")),
            ("query:empty", Some("")),
            ("query:N", None),
            ("header:user-agent", Some("x/1")),
            ("header:User-Agent", Some("x/1")),
            ("header:accept", Some("a, b")),
            ("header:host", Some("chat.example:81")),
            ("header:x-latin", Some("caf\\xe9")),
            ("header:x-none", None),
            ("cookie:nick", Some("ann")),
            ("cookie:odd", Some("a=b")),
            ("cookie:late", Some("1")),
            ("cookie:nic", None),
            ("cookie:Nick", None),
            ("user", Some("ada")),
            ("subprotocol", Some("chat")),
            ("id", Some("77")),
            ("secure", Some("secure")),
            ("reason", None),
        ] {
            assert_eq!(value(&client, name).as_deref(), want, "{name}");
        }
        let named = ClientFacts { name: Some("a.example"), ..client };
        assert_eq!(value(&named, "host").as_deref(), Some("a.example"));
        assert_eq!(value(&named, "ip").as_deref(), Some("192.0.2.1"));
        let forwarded = ClientFacts { forwarded_for: "2001:db8::7".parse().ok(), ..client };
        assert_eq!(value(&forwarded, "ip").as_deref(), Some("2001:db8::7"));
        assert_eq!(value(&forwarded, "port"), None, "that of the proxy is not the client's");
        let target = Request::get("http://b.example:99/x").header("host", "a.example");
        let target = target.body(()).unwrap();
        let unknown = ClientFacts::of(&target);
        assert_eq!(value(&unknown, "header:host").as_deref(), Some("b.example:99"));
        for name in ["ip", "port", "local-ip", "local-port", "host", "user", "secure", "query:n"] {
            assert_eq!(value(&unknown, name), None, "{name} of a client at our Unix socket");
        }
    }

    #[test]
    fn names_of_no_fact() {
        for name in ["", "Ip", "ip ", "query", "query:", "header:", "header:a b", "env:HOME", ":"] {
            assert_eq!(Fact::named(name), None, "{name:?}");
        }
        for name in Fact::NAMES.split(", ") {
            assert!(Fact::named(name).is_some(), "{name}");
        }
    }
}
