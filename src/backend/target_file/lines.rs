//! Lines of a target file, `token: host:port`, and the tokens of a request. Pure.

use http::Uri;
use percent_encoding::percent_decode_str;

use super::super::Target;
use super::super::client_facts::query_values;
use crate::file::entries;
use crate::net::host_port::BadAddress;

/// What websockify calls a Unix socket.
const THEIR_UNIX: &str = "unix_socket:";

/// Reads lines of a token, a colon, white space and an address. Empty lines and those that begin with `#` are left out.
/// Of a token that is there twice the last line counts. The lines are those of websockify's TokenFile.
///
/// # Errors
/// Which line is wrong, and why. No token is shown.
pub fn parse(text: &str) -> Result<Vec<(&str, Target)>, String> {
    entries(text).map(|(n, line)| entry(line).map_err(|why| format!("line {n}: {why}"))).collect()
}

fn entry(line: &str) -> Result<(&str, Target), String> {
    const FORM: &str =
        "write a token, a colon, a space and an address, as in token: localhost:5900";
    let (token, target) = split(line).ok_or(FORM)?;
    if token.is_empty() || split(target).is_some() {
        return Err(FORM.into());
    }
    let address = match target.strip_prefix(THEIR_UNIX) {
        Some(path) => &format!("unix:{path}"),
        None => target,
    };
    match Target::parse(address) {
        Ok(target) => Ok((token, target)),
        Err(BadAddress { why, instead }) => Err(format!("{why}; write {instead}")),
    }
}

/// Both sides of the first colon that white space follows. A token may have colons.
fn split(line: &str) -> Option<(&str, &str)> {
    let ends = line.match_indices(':').map(|(at, _)| (&line[..at], &line[at + 1..]));
    let (token, rest) = { ends }.find(|(_, rest)| rest.starts_with(char::is_whitespace))?;
    Some((token.trim_end(), rest.trim_start()))
}

/// The tokens that a request may mean, the likeliest first: that of `?token=`, or else the path behind `script`, the part
/// that led to the route.
pub fn tokens(uri: &Uri, script: &str) -> Vec<Vec<u8>> {
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<_>>();
    if let Some(token) = query_values(uri, "token").find(|token| !token.is_empty()) {
        let mut tokens = vec![decode(token)];
        // Some encode a space as +, but a + may be just that.
        if token.contains('+') {
            tokens.push(decode(&token.replace('+', " ")));
        }
        return tokens;
    }
    let rest = uri.path().strip_prefix(script).unwrap_or_default();
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    if rest.is_empty() { Vec::new() } else { vec![decode(rest)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "# desktops\n\nann: localhost:5901\n  bob:\t10.0.0.2:5902  \nc:d: [::1]:5903\n\
                    e:  unix:/run/e.sock\nf: unix_socket:/run/f.sock\ng: tls://g.example:1\n\
                    h i: unix:@h\nj :  a_b:1\n#k: x:1\nžluť: l:1\n{1-2}: fe80--1.example:65535";
        let got: Vec<_> =
            parse(text).unwrap().iter().map(|(token, to)| format!("{token}={to}")).collect();
        let want = [
            "ann=localhost:5901",
            "bob=10.0.0.2:5902",
            "c:d=[::1]:5903",
            "e=unix:/run/e.sock",
            "f=unix:/run/f.sock",
            "g=tls://g.example:1",
            "h i=unix:@h",
            "j=a_b:1",
            "žluť=l:1",
            "{1-2}=fe80--1.example:65535",
        ];
        assert_eq!(got, want);
        assert_eq!(parse("").unwrap(), [], "there may be none yet");
    }

    #[test]
    fn wrong_lines_are_named_without_their_tokens() {
        for (text, want) in [
            ("a: b:1\ns3cret", "line 2: write a token, a colon"),
            ("s3cret:localhost:5900", "line 1: write a token, a colon"),
            ("s3cret localhost:5900", "line 1: write a token, a colon"),
            ("s3cret:", "line 1: write a token, a colon"),
            (": localhost:5900", "line 1: write a token, a colon"),
            ("s3cret: s4cret: localhost:5900", "line 1: write a token, a colon"),
            ("#\n\ns3cret: localhost", "line 3: \"localhost\" has no port; write localhost:7777"),
            ("s3cret: localhost:0", "line 1: port 0 can't be connected to; write"),
            ("s3cret: 5900", "line 1: \"5900\" has no port, or no host name"),
            ("s3cret: /run/x.sock", "line 1: the path of a Unix socket stands behind unix:"),
            ("s3cret: http://a:1", "line 1: an address is no URL"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(want), "{text:?}: {why}");
            assert!(!why.contains("s3cret") && !why.contains("s4cret"), "{why}");
        }
    }

    #[test]
    fn tokens_of_a_request() {
        for (uri, script, want) in [
            ("/?token=abc", "", &["abc"][..]),
            ("/websockify?token=abc", "", &["abc"]),
            ("/vnc/abc?token=def", "/vnc", &["def"]),
            ("/abc", "", &["abc"]),
            ("/vnc/abc", "/vnc", &["abc"]),
            ("/vnc", "/vnc", &[]),
            ("/vnc/", "/vnc", &[]),
            ("/", "", &[]),
            ("/abc?token=", "", &["abc"]),
            ("/abc?token", "", &["abc"]),
            ("/abc?x=1&Token=def", "", &["abc"]),
            ("/?x=1&token=&token=abc&token=def", "", &["abc"]),
            ("/?t%6Fken=abc", "", &["abc"]),
            ("/?token=a%2Bb%20c%3D", "", &["a+b c="]),
            ("/?token=a+b", "", &["a+b", "a b"]),
            ("/a+b", "", &["a+b"]),
            ("/a%2Fb%20c/d", "", &["a/b c/d"]),
            ("//abc", "", &["/abc"]),
            ("/?token=../../etc/passwd", "", &["../../etc/passwd"]),
            ("/?token=%00%ff", "", &["\0\u{fffd}"]),
            ("*", "", &["*"]),
        ] {
            let got = tokens(&uri.parse().unwrap(), script);
            let got: Vec<_> = got.iter().map(|token| String::from_utf8_lossy(token)).collect();
            assert_eq!(got, want, "{uri}");
        }
    }
}
