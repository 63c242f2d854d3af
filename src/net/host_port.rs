//! Host and port as they are typed, and corrections of what is mistyped. Pure.

use std::net::Ipv6Addr;

/// An address that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress {
    /// What is wrong with it.
    pub why: String,
    /// The address to type, as near to what was typed as can be guessed.
    pub instead: String,
}

/// The parts that are suggested where one is missing.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// The host, an IPv6 address without brackets.
    pub host: &'static str,
    /// The port.
    pub port: u16,
}

/// Splits `host:port`, `[v6]:port` into the host without brackets and the port.
///
/// # Errors
/// What is wrong, and what to type.
pub fn split_host_port(text: &str, usual: Usual) -> Result<(&str, u16), BadAddress> {
    strict(text).ok_or_else(|| {
        let Guess { why, host, port } = guess(text);
        let host = Some(host).filter(|host| is_host(host)).unwrap_or(usual.host);
        BadAddress { why, instead: join(host, port.unwrap_or(usual.port)) }
    })
}

/// `host:port`, with brackets around an IPv6 address.
pub fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn strict(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|host| is_v6(host))?,
        None => Some(host).filter(|host| !host.contains(':') && is_host(host))?,
    };
    Some((host, port_number(port)?))
}

/// A guess at what was meant.
struct Guess<'a> {
    why: String,
    /// It may be no host at all.
    host: &'a str,
    port: Option<u16>,
}

fn guess(text: &str) -> Guess<'_> {
    let new = |why: &str, host, port| Guess { why: why.to_owned(), host, port };
    if let Some((scheme, rest)) = text.split_once("://") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, port) = lenient(&rest[..end]);
        let usual = match &*scheme.to_ascii_lowercase() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        let why = format!("an address is no URL: leave out {scheme}://");
        return Guess { why, host, port: port.or(usual) };
    }
    let (host, port) = lenient(text);
    if text.trim().is_empty() {
        return new("it is empty", "", None);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return new(&format!("{text:?} has no port, or no host name"), "", port_number(text));
    }
    if text.starts_with(['/', '.', '~']) {
        return new("the path of a Unix socket is written unix:/path", "", None);
    }
    if is_v6(text) {
        let why = "an IPv6 address needs brackets";
        return match port {
            Some(_) => new(why, host, port),
            None => new(&format!("{why}, and a port behind them"), host, port),
        };
    }
    if text.contains(['[', ']']) {
        let why = match (text.find('['), text.find(']')) {
            (Some(0), Some(end)) if !is_v6(&text[1..end]) => {
                format!("{:?} is not an IPv6 address in brackets", &text[..=end])
            }
            (Some(0), Some(end)) if end + 1 == text.len() => format!("{text:?} has no port"),
            (Some(0), Some(end)) if text[end + 1..].starts_with(':') => {
                port_trouble(&text[end + 2..])
            }
            (Some(0), Some(_)) => "there is no colon between ] and the port".into(),
            (Some(0), None) => "the bracket is not closed".into(),
            (None, _) => "there is no bracket before the IPv6 address".into(),
            (Some(_), _) => format!("{host:?} is not a host name"),
        };
        return Guess { why, host, port };
    }
    match text.rsplit_once(':') {
        None if text.trim().contains(char::is_whitespace) => {
            new("host and port are joined by a colon", host, port)
        }
        None => new(&format!("{text:?} has no port"), host, port),
        Some(("", _)) => new(&format!("{text:?} has no host name"), host, port),
        Some((name, _)) if is_v6(name) => new("an IPv6 address needs brackets", host, port),
        Some((name, _)) if !is_host(name) => {
            new(&format!("{name:?} is not a host name"), host, port)
        }
        Some((_, number)) => Guess { why: port_trouble(number), host, port },
    }
}

/// Host and port as far as they can be made out.
fn lenient(text: &str) -> (&str, Option<u16>) {
    let text = text.trim();
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host).trim_start_matches('[');
    let (host, port) = match text.split_once(']') {
        Some((host, port)) => (host, port),
        None => match text.rsplit_once(':') {
            Some((host, port)) if !is_v6(text) || is_v6(host) => (host, port),
            _ => text.split_once(char::is_whitespace).unwrap_or((text, "")),
        },
    };
    let port = port.trim_matches(|c: char| c == ':' || c.is_whitespace());
    let digits = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
    (host.trim(), port_number(&port[..digits]))
}

fn port_trouble(port: &str) -> String {
    match port {
        "" => "there is no port behind the colon".into(),
        port => format!("{port:?} is not a port number (0 to 65535)"),
    }
}

/// A port in decimal, without the sign that Rust would take.
pub fn port_number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Whether it is an IPv6 address, of a zone maybe (RFC 4007): `fe80::1%eth0`.
fn is_v6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "1"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains(['%', ']', '/'])
}

/// Whether it can be looked up: a name, an IPv4 address, or an IPv6 address without brackets. What a name may have
/// is up to the resolver, except for what comes of mistyping.
fn is_host(text: &str) -> bool {
    let strange =
        |c: char| c.is_whitespace() || c.is_control() || "/\\@?#[]()<>\"'`,;*=|&".contains(c);
    !text.is_empty() && !text.contains(strange) && (!text.contains(':') || is_v6(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Usual = Usual { host: "localhost", port: 7777 };

    #[test]
    fn host_and_port() {
        for (text, want) in [
            ("localhost:7777", ("localhost", 7777)),
            ("127.0.0.1:1", ("127.0.0.1", 1)),
            ("[::1]:7777", ("::1", 7777)),
            ("[fe80::1%eth0]:7777", ("fe80::1%eth0", 7777)),
            ("a_b-c.example:0", ("a_b-c.example", 0)),
            ("žluť.example:065535", ("žluť.example", 65535)),
        ] {
            assert_eq!(split_host_port(text, USUAL), Ok(want));
        }
    }

    #[test]
    fn what_is_none_says_what_to_type() {
        for (text, why, instead) in [
            ("", "it is empty", "localhost:7777"),
            (" ", "it is empty", "localhost:7777"),
            ("localhost", "\"localhost\" has no port", "localhost:7777"),
            ("127.0.0.1", "\"127.0.0.1\" has no port", "127.0.0.1:7777"),
            ("8082", "\"8082\" has no port, or no host name", "localhost:8082"),
            ("localhost:", "there is no port behind the colon", "localhost:7777"),
            (":7777", "\":7777\" has no host name", "localhost:7777"),
            (":", "\":\" has no host name", "localhost:7777"),
            ("localhost 7777", "host and port are joined by a colon", "localhost:7777"),
            ("example.org\t80", "host and port are joined by a colon", "example.org:80"),
            ("localhost: 7777", "\" 7777\" is not a port number (0 to 65535)", "localhost:7777"),
            ("localhost :7777", "\"localhost \" is not a host name", "localhost:7777"),
            ("a b:80", "\"a b\" is not a host name", "localhost:80"),
            // IPv6.
            ("[::1]", "\"[::1]\" has no port", "[::1]:7777"),
            ("[::1]:", "there is no port behind the colon", "[::1]:7777"),
            ("[::1]7777", "there is no colon between ] and the port", "[::1]:7777"),
            ("[::1] 7777", "there is no colon between ] and the port", "[::1]:7777"),
            ("[::1]:x", "\"x\" is not a port number (0 to 65535)", "[::1]:7777"),
            ("[::1", "the bracket is not closed", "[::1]:7777"),
            ("[fe80::1:80", "the bracket is not closed", "[fe80::1]:80"),
            ("::1]:80", "there is no bracket before the IPv6 address", "[::1]:80"),
            ("::1", "an IPv6 address needs brackets, and a port behind them", "[::1]:7777"),
            ("fe80::1", "an IPv6 address needs brackets, and a port behind them", "[fe80::1]:7777"),
            ("::1:7777", "an IPv6 address needs brackets", "[::1]:7777"),
            ("::1:65536", "an IPv6 address needs brackets", "[::1]:7777"),
            ("[localhost]:1", "\"[localhost]\" is not an IPv6 address in brackets", "localhost:1"),
            ("[]:1", "\"[]\" is not an IPv6 address in brackets", "localhost:1"),
            ("a[::1]:1", "\"a[::1\" is not a host name", "localhost:1"),
            // Ports.
            ("host:http", "\"http\" is not a port number (0 to 65535)", "host:7777"),
            ("host:65536", "\"65536\" is not a port number (0 to 65535)", "host:7777"),
            ("host:99999", "\"99999\" is not a port number (0 to 65535)", "host:7777"),
            ("host:+80", "\"+80\" is not a port number (0 to 65535)", "host:7777"),
            ("host:-1", "\"-1\" is not a port number (0 to 65535)", "host:7777"),
            ("host:80/", "\"80/\" is not a port number (0 to 65535)", "host:80"),
            // Other notations.
            ("http://localhost:7777", "an address is no URL: leave out http://", "localhost:7777"),
            ("http://host/a:b?c", "an address is no URL: leave out http://", "host:80"),
            ("wss://user:a@host/", "an address is no URL: leave out wss://", "host:443"),
            ("tcp://[::1]:80", "an address is no URL: leave out tcp://", "[::1]:80"),
            ("tcp://::1", "an address is no URL: leave out tcp://", "[::1]:7777"),
            ("ws://", "an address is no URL: leave out ws://", "localhost:80"),
            ("anna@host:23", "\"anna@host\" is not a host name", "host:23"),
            ("a:b:80", "\"a:b\" is not a host name", "localhost:80"),
            ("*:80", "\"*\" is not a host name", "localhost:80"),
            ("/run/a.sock", "the path of a Unix socket is written unix:/path", "localhost:7777"),
        ] {
            let got = split_host_port(text, USUAL).expect_err(text);
            assert_eq!((&*got.why, &*got.instead), (why, instead), "{text}");
            assert!(split_host_port(instead, USUAL).is_ok(), "{instead}");
        }
    }
}
