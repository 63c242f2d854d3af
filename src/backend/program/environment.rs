//! Environment: the facts about a client as a program's environment variables (CGI/1.1, RFC 3875).

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use data_encoding::HEXLOWER;
use http::header::HeaderName;
use percent_encoding::percent_decode_str;

use crate::backend::{ClientFacts, Fact};
use crate::random;

const SERVER_SOFTWARE: &str = concat!("wsrelay/", env!("CARGO_PKG_VERSION"));

/// The number of random bytes in UNIQUE_ID.
const UNIQUE: usize = 16;

/// The variables for a client's program; those whose value has a NUL, which no variable can have, are left out.
pub fn of(client: &ClientFacts<'_>) -> impl Iterator<Item = (String, OsString)> {
    let fixed = request(client).into_iter().chain(addresses(client)).chain(tls(client));
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value));
    // Headers last, and with a prefix of their own: no client can set anything else.
    fixed.chain(headers(client)).filter(|(_, value)| !value.as_bytes().contains(&0))
}

fn fact(client: &ClientFacts<'_>, fact: &Fact) -> Option<OsString> {
    client.lookup(fact).map(|value| OsString::from_vec(value.into_owned()))
}

fn request(client: &ClientFacts<'_>) -> Vec<(&'static str, OsString)> {
    let uri = client.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let (script, path_info) = split_path(client.uri.path(), client.script);
    let mut variables = vec![
        ("GATEWAY_INTERFACE", "CGI/1.1".into()),
        ("SERVER_SOFTWARE", SERVER_SOFTWARE.into()),
        ("SERVER_PROTOCOL", format!("{:?}", client.version).into()),
        ("REQUEST_METHOD", client.method.as_str().into()),
        ("REQUEST_URI", uri.into()),
        ("SCRIPT_NAME", script),
        ("PATH_INFO", path_info),
        ("QUERY_STRING", client.uri.query().unwrap_or_default().into()),
        ("UNIQUE_ID", unique_id().into()),
    ];
    variables.extend(fact(client, &Fact::Secure).map(|_| ("HTTPS", "on".into())));
    variables.extend(fact(client, &Fact::User).map(|user| ("REMOTE_USER", user)));
    variables.extend(client.auth_scheme.map(|scheme| ("AUTH_TYPE", scheme.into())));
    variables.extend(fact(client, &Fact::Subprotocol).map(|name| ("WEBSOCKET_PROTOCOL", name)));
    variables
}

/// The variables about TLS, as Apache's mod_ssl names them.
fn tls(client: &ClientFacts<'_>) -> Vec<(&'static str, OsString)> {
    let Some(tls) = client.tls else { return Vec::new() };
    let mut variables = vec![
        ("SSL_PROTOCOL", tls.protocol.into()),
        ("SSL_CIPHER", tls.cipher.into()),
        ("SSL_CLIENT_VERIFY", if tls.client.is_some() { "SUCCESS" } else { "NONE" }.into()),
    ];
    if let Some(name) = &tls.server_name {
        variables.push(("SSL_TLS_SNI", name.into()));
    }
    if let Some(subject) = &tls.client {
        variables.push(("SSL_CLIENT_S_DN", (&subject.dn).into()));
        variables.extend(subject.cn.as_ref().map(|cn| ("SSL_CLIENT_S_DN_CN", cn.into())));
    }
    variables
}

/// The decoded path in two parts: SCRIPT_NAME and PATH_INFO. There is no PATH_TRANSLATED, as PATH_INFO is not the path
/// of a file (section 4.1.6).
fn split_path(path: &str, script: &str) -> (OsString, OsString) {
    let rest = path.strip_prefix(script).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match rest {
        Some(rest) => (decode(script), decode(rest)),
        // It is not part of this path.
        None => (OsString::new(), decode(path)),
    }
}

/// Percent-decodes a part of a path. Slashes in a row are one, as they are where programs and routes are
/// looked for, and with Apache and nginx: what a program guards at `/admin` is not to be had at `//admin`.
fn decode(raw: &str) -> OsString {
    OsString::from_vec(merge_slashes(percent_decode_str(raw).collect()))
}

fn merge_slashes(mut path: Vec<u8>) -> Vec<u8> {
    path.dedup_by(|one, before| *one == b'/' && *before == b'/');
    path
}

/// A random ID: a clock or counter could be guessed.
fn unique_id() -> String {
    HEXLOWER.encode(&random::bytes::<UNIQUE>())
}

fn addresses(client: &ClientFacts<'_>) -> Vec<(&'static str, OsString)> {
    let addr = || fact(client, &Fact::Ip).unwrap_or_else(|| client.peer.to_string().into());
    let default_port = if client.secure { "443" } else { "80" };
    vec![
        ("SERVER_NAME", server_name(client)),
        ("SERVER_PORT", fact(client, &Fact::LocalPort).unwrap_or_else(|| default_port.into())),
        // Without a name it is the address again (section 4.1.9).
        ("REMOTE_HOST", fact(client, &Fact::Host).unwrap_or_else(addr)),
        ("REMOTE_ADDR", addr()),
        ("REMOTE_PORT", fact(client, &Fact::Port).unwrap_or_default()),
    ]
}

/// The host in the request if it is valid, else the address that the client connected to.
fn server_name(client: &ClientFacts<'_>) -> OsString {
    let ours = || fact(client, &Fact::LocalIp).unwrap_or_else(|| "localhost".into());
    client.asked_host().map_or_else(ours, OsString::from)
}

/// A variable for each header; the values of several with one name joined (section 4.1.18).
fn headers(client: &ClientFacts<'_>) -> impl Iterator<Item = (String, OsString)> {
    client.headers.keys().filter_map(|name| {
        let value = client.header(name)?.into_owned();
        Some((variable(name)?, OsString::from_vec(value)))
    })
}

/// The name of a header's variable (sections 4.1.2, 4.1.3 and 4.1.18). Some get none:
/// - `Authorization` and `Proxy-Authorization`: the program does not check the password (section 9.2), and other
///   processes may see its environment.
/// - `Proxy`: many programs read their own proxy from HTTP_PROXY (CVE-2016-5385).
/// - a name with an underscore: a client that must not send `X-User` could send `X_User`.
/// - a name with characters that do not belong into a variable's name.
fn variable(name: &HeaderName) -> Option<String> {
    let name = name.as_str();
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let variable = name.replace('-', "_").to_ascii_uppercase();
    match name {
        "proxy" | "authorization" | "proxy-authorization" => None,
        "content-length" | "content-type" => Some(variable),
        _ => is_plain.then(|| format!("HTTP_{variable}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address::PeerAddr;
    use http::{HeaderValue, Request, Version};
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// The variables for a request with these headers.
    fn variables(uri: &'static str, headers: &[(&str, &[u8])]) -> HashMap<String, OsString> {
        let mut request = Request::get(uri).body(()).unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let client = ClientFacts {
            peer: PeerAddr::Ip("192.0.2.7:5000".parse().unwrap()),
            local: Some("127.0.0.1:8082".parse().unwrap()),
            ..ClientFacts::of(&request)
        };
        let all: Vec<_> = of(&client).collect();
        let map: HashMap<_, _> = all.iter().cloned().collect();
        assert_eq!(map.len(), all.len(), "a name twice in {all:?}");
        map
    }

    #[test]
    fn the_request() {
        let variables = variables("/a%20b/%C3%A9?x=%20&y", &[("host", b"example.org:81")]);
        for (name, want) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "example.org"),
            ("SERVER_PORT", "8082"),
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", "/a%20b/%C3%A9?x=%20&y"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/a b/é"),
            ("QUERY_STRING", "x=%20&y"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_HOST", "192.0.2.7"),
            ("REMOTE_PORT", "5000"),
            ("HTTP_HOST", "example.org:81"),
        ] {
            assert_eq!(variables[name], want, "{name}");
        }
        for name in ["HTTPS", "REMOTE_USER", "AUTH_TYPE", "WEBSOCKET_PROTOCOL", "CONTENT_LENGTH"] {
            assert!(!variables.contains_key(name), "{name}");
        }
    }

    #[test]
    fn the_host_is_that_of_the_target() {
        for (uri, name, host) in [
            ("/x?y", "a.example", "a.example:81"),
            ("http://b.example/x?y", "b.example", "b.example"),
            ("http://b.example:99/x?y", "b.example", "b.example:99"),
            ("http://[::1]:99/x?y", "[::1]", "[::1]:99"),
        ] {
            let variables = variables(uri, &[("host", b"a.example:81")]);
            for (variable, want) in [
                ("SERVER_NAME", name),
                ("SERVER_PORT", "8082"),
                ("HTTP_HOST", host),
                ("REQUEST_URI", "/x?y"),
                ("PATH_INFO", "/x"),
            ] {
                assert_eq!(variables[variable], want, "{variable} of {uri}");
            }
        }
    }

    #[test]
    fn a_path_in_two() {
        for (path, script, name, info) in [
            ("/", "", "", "/"),
            ("/chat", "/chat", "/chat", ""),
            ("/chat/", "/chat", "/chat", "/"),
            ("/chat/a%2Fb/%C3%A9", "/chat", "/chat", "/a/b/é"),
            ("//a%20b//c.sh//x///y//", "//a%20b//c.sh", "/a b/c.sh", "/x/y/"),
            ("//", "", "", "/"),
            ("//admin", "", "", "/admin"),
            ("/%2Fadmin", "", "", "/admin"),
            ("/a/./b/../%2e%2E/", "", "", "/a/./b/../../"),
            ("/chatter", "/chat", "", "/chatter"),
            ("/other", "/chat", "", "/other"),
            ("*", "", "", "*"),
        ] {
            assert_eq!(split_path(path, script), (name.into(), info.into()), "{path} {script}");
        }
    }

    proptest! {
        #[test]
        fn the_two_are_the_decoded_path(
            script in "(/[a-z%2F.é]{0,5}){0,4}",
            rest in "(/[a-z%2F.é]{0,5}){0,4}",
            other in "[/a-z]{0,5}",
        ) {
            let path = script.clone() + &rest;
            let whole = decode(&path);
            for named in [&script, &other] {
                let (name, info) = split_path(&path, named);
                let both = [name.as_bytes(), info.as_bytes()];
                prop_assert!(both.iter().all(|part| !part.windows(2).any(|two| two == b"//")));
                prop_assert_eq!(merge_slashes(both.concat()), whole.as_bytes());
            }
            if rest.starts_with('/') {
                let (name, _) = split_path(&path, &script);
                prop_assert_eq!(name, decode(&script));
            }
        }
    }

    #[test]
    fn a_forwarded_client_has_no_port() {
        let request = Request::get("/").body(()).unwrap();
        for peer in [PeerAddr::Ip("127.0.0.1:5000".parse().unwrap()), PeerAddr::Unix] {
            let forwarded_for = Some("2001:db8::7".parse().unwrap());
            let client = ClientFacts { peer, forwarded_for, ..ClientFacts::of(&request) };
            let variables: HashMap<_, _> = of(&client).collect();
            for (name, want) in [
                ("REMOTE_ADDR", "2001:db8::7"),
                ("REMOTE_HOST", "2001:db8::7"),
                ("REMOTE_PORT", ""),
            ] {
                assert_eq!(variables[name], want, "{name}");
            }
        }
    }

    #[test]
    fn what_the_client_has_proved() {
        let request = Request::get("/").version(Version::HTTP_10).body(()).unwrap();
        let client = ClientFacts {
            secure: true,
            subprotocol: Some("chat"),
            user: Some("ada"),
            auth_scheme: Some("Basic"),
            ..ClientFacts::of(&request)
        };
        let variables: HashMap<_, _> = of(&client).collect();
        for (name, want) in [
            ("HTTPS", "on"),
            ("REMOTE_USER", "ada"),
            ("AUTH_TYPE", "Basic"),
            ("SERVER_PROTOCOL", "HTTP/1.0"),
            ("WEBSOCKET_PROTOCOL", "chat"),
            ("REMOTE_ADDR", "unix"),
            ("SERVER_NAME", "localhost"),
            ("SERVER_PORT", "443"),
        ] {
            assert_eq!(variables[name], want, "{name}");
        }
    }

    #[test]
    fn what_comes_with_a_body() {
        let headers: [(&str, &[u8]); 2] = [("content-length", b"5"), ("content-type", b"text/x")];
        let variables = variables("/", &headers);
        assert_eq!(variables["CONTENT_LENGTH"], "5");
        assert_eq!(variables["CONTENT_TYPE"], "text/x");
        assert!(!variables.keys().any(|name| name.starts_with("HTTP_CONTENT")), "{variables:?}");
    }

    #[test]
    fn headers_of_one_name_are_joined() {
        let variables = variables(
            "/",
            &[("cookie", b"a=1"), ("x-many", b"1"), ("cookie", b"b=2"), ("x-many", b"\xe9")],
        );
        assert_eq!(variables["HTTP_COOKIE"], "a=1; b=2");
        assert_eq!(variables["HTTP_X_MANY"].as_bytes(), b"1, \xe9");
    }

    #[test]
    fn no_header_passes_for_something_else() {
        let variables = variables(
            "/a%00b",
            &[
                ("proxy", b"http://evil.example"),
                ("authorization", b"Basic YTpi"),
                ("proxy-authorization", b"Basic YTpi"),
                ("content_length", b"7"),
                ("x_user", b"root"),
                ("x-user", b"ada"),
                ("x.y", b"1"),
                ("bash_func_x%%", b"() { :; }"),
                ("host", b"/etc/passwd"),
            ],
        );
        for name in ["PROXY", "AUTHORIZATION", "PROXY_AUTHORIZATION", "CONTENT_LENGTH"] {
            assert!(!variables.contains_key(&format!("HTTP_{name}")), "{name}");
        }
        assert!(!variables.contains_key("PATH_INFO"), "a NUL ends a variable");
        assert_eq!(variables["HTTP_X_USER"], "ada");
        assert_eq!(variables["SERVER_NAME"], "127.0.0.1");
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        assert!(variables.keys().all(|name| name.bytes().all(allowed)), "{variables:?}");
    }

    #[test]
    fn no_two_sessions_have_the_same_id() {
        let [one, other] = [(); 2].map(|()| variables("/", &[])["UNIQUE_ID"].clone());
        assert_eq!(one.len(), 2 * UNIQUE);
        assert_ne!(one, other);
    }
}
