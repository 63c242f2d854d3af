//! Host: host and port of `Host`, `Origin` and `Forwarded`, in a form that can be compared.

use std::fmt;
use std::net::Ipv6Addr;

use hyper::header::{self, HeaderValue};
use hyper::{Request, Version};

use crate::net::host_port::port_number;

/// A host, and the port if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The host in lower case, without a final dot; an IPv6 address in brackets, in its shortest form. Punycode is not
    /// decoded, as browsers send nothing else.
    pub host: String,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl HostPort {
    /// Reads `example.org`, `example.org:8082` or `[::1]:8082`; nothing else, such as `user@host`.
    pub fn parse(text: &str) -> Option<Self> {
        let end = match text.starts_with('[') {
            true => text.find(']')? + 1,
            false => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(end);
        let port = match rest.is_empty() {
            true => None,
            false => Some(port(rest.strip_prefix(':')?)?),
        };
        Some(HostPort { host: normal_host(host)?, port })
    }

    /// The port, or the default of the scheme.
    pub fn port_or_default(&self, scheme: &str) -> Option<u16> {
        self.port.or_else(|| default_port(scheme))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The host that a request names (RFC 9112, section 3.2), if it names one.
///
/// # Errors
/// Why it must get a 400: a proxy on the way may have read another host in it.
pub fn asked_for<B>(request: &Request<B>) -> Result<Option<HostPort>, &'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let said = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => {
            return Err("an HTTP/1.1 request needs a Host header");
        }
        (_, Some(_)) => return Err("a request has one Host header, this one has more"),
        (said, None) => said.map(HeaderValue::as_bytes).filter(|said| !said.is_empty()),
    };
    // Both must be valid; that of an absolute URI takes precedence.
    let meant = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let said = said.map(read).transpose()?;
    Ok(meant.map(read).transpose()?.or(said))
}

fn read(host: &[u8]) -> Result<HostPort, &'static str> {
    let text = str::from_utf8(host.trim_ascii()).ok();
    // An empty port (RFC 3986, section 3.2.3) is the default one.
    let read = text.and_then(|text| HostPort::parse(text.strip_suffix(':').unwrap_or(text)));
    read.ok_or("the Host header is no host")
}

/// The default port of a scheme, if it has one.
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Reads a port. 0 is none.
pub fn port(digits: &str) -> Option<u16> {
    port_number(digits).filter(|port| *port != 0)
}

fn normal_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let v6: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{v6}]"));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_name = host.as_bytes().split(|b| *b == b'.').all(|label| !label.is_empty());
    (is_name && host.bytes().all(usual)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::uri::Authority;
    use proptest::prelude::*;

    /// As `http` reads an authority, less what it accepts besides: user names, a port with a sign, a wrong port as none.
    fn by_http(text: &str) -> Option<HostPort> {
        let authority: Authority = text.parse().ok()?;
        let (host, port) = (authority.host(), authority.port());
        let rest = authority.as_str().strip_prefix(host)?;
        let whole = match &port {
            Some(port) => {
                rest.strip_prefix(':') == Some(port.as_str()) && !port.as_str().starts_with('+')
            }
            None => rest.is_empty(),
        };
        if !whole || port.as_ref().is_some_and(|port| port.as_u16() == 0) {
            return None;
        }
        Some(HostPort { host: normal_host(host)?, port: port.map(|port| port.as_u16()) })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_http_reads(text in "\\PC{0,20}|[a-zA-Z0-9.:\\[\\]@+-]{0,20}|\\[?[0-9a-f:.]{1,8}\\]?:?[0-9+]{0,6}") {
            prop_assert_eq!(HostPort::parse(&text), by_http(&text));
        }

        /// What is read is what is shown: nothing is lost on the way, and nothing guessed.
        #[test]
        fn what_is_shown_is_read_the_same(text in "\\PC{0,20}|[a-zA-Z0-9.:\\[\\]@+-]{0,20}") {
            if let Some(read) = HostPort::parse(&text) {
                let shown = read.to_string();
                prop_assert_eq!(HostPort::parse(&shown), Some(read.clone()), "{}", shown);
                let lower = text.to_lowercase();
                prop_assert!(text.contains('[') || lower.starts_with(&read.host), "{}", shown);
            }
        }
    }

    /// What a request with these Host headers is for.
    fn for_host(hosts: &[&str], uri: &str, version: Version) -> Result<Option<String>, ()> {
        let mut request = Request::get(uri).version(version);
        for host in hosts {
            request =
                request.header(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let asked = asked_for(&request.body(()).unwrap());
        asked.map(|host| host.map(|host| host.to_string())).map_err(|_| ())
    }

    #[test]
    fn the_host_of_a_request() {
        for (hosts, uri, want) in [
            (&["a.example"][..], "/", Ok(Some("a.example"))),
            (&["A.example.:80"], "/", Ok(Some("a.example:80"))),
            (&["[::1]:80"], "*", Ok(Some("[::1]:80"))),
            (&["a.example"], "http://b.example:80/x", Ok(Some("b.example:80"))),
            (&[""], "/", Ok(None)),
            (&[""], "http://b.example/", Ok(Some("b.example"))),
            (&["a.example:"], "/", Ok(Some("a.example"))),
            (&["[::1]:"], "/", Ok(Some("[::1]"))),
            (&[" a.example"], "/", Ok(Some("a.example"))),
            (&[], "/", Err(())),
            (&[], "http://b.example/", Err(())),
            (&["a.example", "a.example"], "/", Err(())),
            (&["a.example", "b.example"], "http://a.example/", Err(())),
            (&["a.example,b.example"], "/", Err(())),
            (&["a.example::"], "/", Err(())),
            (&["a.example:0"], "/", Err(())),
            (&["a.example.."], "/", Err(())),
            (&["a b"], "/", Err(())),
            (&["a%20b"], "/", Err(())),
            (&[":"], "/", Err(())),
            (&["a.example/x"], "/", Err(())),
            (&["http://a.example"], "/", Err(())),
            (&["user@a.example"], "/", Err(())),
            (&["b\u{fc}cher.example"], "/", Err(())),
            (&["a.example"], "http://user@b.example/", Err(())),
            (&["a b"], "http://b.example/", Err(())),
        ] {
            let got = for_host(hosts, uri, Version::HTTP_11);
            assert_eq!(got, want.map(|host| host.map(str::to_owned)), "{hosts:?} {uri}");
        }
        assert_eq!(for_host(&[], "/", Version::HTTP_10), Ok(None));
        assert_eq!(for_host(&["a.example"], "/", Version::HTTP_10), Ok(Some("a.example".into())));
        assert!(for_host(&["a.example", "a.example"], "/", Version::HTTP_10).is_err());
    }

    #[test]
    fn what_is_a_host() {
        for (text, want) in [
            ("example.org", Some(("example.org", None))),
            ("EXAMPLE.org.", Some(("example.org", None))),
            ("example.org.:80", Some(("example.org", Some(80)))),
            ("localhost:8082", Some(("localhost", Some(8082)))),
            ("192.0.2.1:80", Some(("192.0.2.1", Some(80)))),
            ("[::1]", Some(("[::1]", None))),
            ("[0:0::0:1]:65535", Some(("[::1]", Some(65535)))),
            ("[2001:DB8::1]", Some(("[2001:db8::1]", None))),
            ("xn--bcher-kva.example", Some(("xn--bcher-kva.example", None))),
            ("a_b.example", Some(("a_b.example", None))),
            ("", None),
            (".", None),
            (".example.org", None),
            ("example..org", None),
            ("example.org..", None),
            ("example.org:", None),
            ("example.org:0", None),
            ("example.org:65536", None),
            ("example.org:+80", None),
            ("example.org:80:80", None),
            ("example.org:80a", None),
            ("user@example.org", None),
            ("user:80@example.org", None),
            ("@example.org", None),
            ("example.org/", None),
            ("example.org?x", None),
            ("example.org#x", None),
            ("example.org\\x", None),
            ("exa mple.org", None),
            ("exa%6dple.org", None),
            ("example.org,example.net", None),
            ("*.example.org", None),
            ("bücher.example", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[::1]x:80", None),
            ("x[::1]", None),
            ("[localhost]", None),
            ("[fe80::1%25eth0]", None),
            ("\0example.org", None),
        ] {
            let got = HostPort::parse(text);
            let got = got.as_ref().map(|got| (got.host.as_str(), got.port));
            assert_eq!(got, want, "{text:?}");
        }
    }
}
