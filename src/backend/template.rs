//! Template: a line of text with facts about a client in it, such as `NICK {user}`. Pure.

use super::{ClientFacts, Fact};

/// The most bytes of one value: a client chooses many of them, and a line for a backend has to end.
const LONGEST_VALUE: usize = 512;

/// A line of text with the names of facts in braces. `{{` and `}}` are braces.
///
/// Each value is one word, whatever the client sends: white space and control characters become `_`, and no value is
/// `-`. With `{name*}` spaces stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value {
        fact: Fact,
        /// Whether spaces stay.
        has_spaces: bool,
    },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong, and what to type.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['\r', '\n', '\0']) {
            return Err("it is more than one line: give the option once for each".into());
        }
        let mut template = Template(Vec::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            template.push(&rest[..at]);
            let (brace, behind) = rest[at..].split_at(1);
            if let Some(behind) = behind.strip_prefix(brace) {
                template.push(brace);
                rest = behind;
                continue;
            }
            let end = behind.find(['{', '}']).filter(|end| behind[*end..].starts_with('}'));
            let (Some(end), "{") = (end, brace) else {
                return Err(format!("a brace stands alone: type {brace}{brace} for one"));
            };
            template.0.push(value(&behind[..end])?);
            rest = &behind[end + 1..];
        }
        template.push(rest);
        Ok(template)
    }

    /// Whether it has the value of this fact in it.
    pub fn names(&self, fact: &Fact) -> bool {
        let is_it = |piece: &Piece| matches!(piece, Piece::Value { fact: one, .. } if one == fact);
        self.0.iter().any(is_it)
    }

    /// The template with the facts about this client. A reason stays to be filled in.
    pub fn fill(&self, client: &ClientFacts<'_>) -> Template {
        let mut filled = Template(Vec::new());
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push(text),
                Piece::Value { fact: Fact::Reason, .. } => filled.0.push(piece.clone()),
                Piece::Value { fact, has_spaces } => {
                    filled.push(&known(client, fact, *has_spaces));
                }
            }
        }
        filled
    }

    /// The line. Other facts than the reason are filled in already, or are not known.
    pub fn line(&self, reason: &str) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value { fact: Fact::Reason, has_spaces } => word(reason, *has_spaces),
            Piece::Value { has_spaces, .. } => word("", *has_spaces),
        });
        pieces.collect()
    }

    /// Appends a part of the line.
    fn push(&mut self, part: &str) {
        match self.0.last_mut() {
            _ if part.is_empty() => {}
            Some(Piece::Text(text)) => text.push_str(part),
            _ => self.0.push(Piece::Text(part.to_owned())),
        }
    }
}

/// The value whose name stands in braces.
fn value(name: &str) -> Result<Piece, String> {
    let (of, has_spaces) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
    let fact = Fact::named(of);
    let fact =
        fact.ok_or_else(|| format!("there is no {{{name}}}: type one of {}", Fact::NAMES))?;
    Ok(Piece::Value { fact, has_spaces })
}

/// The value of a fact.
fn known(client: &ClientFacts<'_>, fact: &Fact, has_spaces: bool) -> String {
    let value = client.lookup(fact).unwrap_or_default();
    let value = word(&String::from_utf8_lossy(&value), has_spaces);
    match fact {
        // A colon may begin the last word of a line, as it does with IRC: WEBIRC asks for this form.
        Fact::Ip | Fact::LocalIp | Fact::Host if value.starts_with(':') => format!("0{value}"),
        _ => value,
    }
}

/// A value as one word of a line.
fn word(value: &str, has_spaces: bool) -> String {
    let mut word = String::new();
    for char in value.chars() {
        let char = match char {
            ' ' if has_spaces => ' ',
            _ if char.is_whitespace() || char.is_control() => '_',
            _ => char,
        };
        if word.len() + char.len_utf8() > LONGEST_VALUE {
            break;
        }
        word.push(char);
    }
    if word.is_empty() { "-".into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address::PeerAddr;
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    /// The line of a template for a client of this user, URI and `x` header.
    fn line(template: &str, user: Option<&str>, uri: &str, x: &[u8]) -> String {
        let mut request = Request::get(uri).body(()).unwrap();
        request.headers_mut().insert("x", HeaderValue::from_bytes(x).unwrap());
        let peer = PeerAddr::Ip("[2001:db8::7]:5000".parse().unwrap());
        let client = ClientFacts { user, peer, ..ClientFacts::of(&request) };
        Template::parse(template).unwrap().fill(&client).line("connection refused")
    }

    #[test]
    fn what_stands_around_values() {
        for (template, want) in [
            ("", ""),
            ("HELLO", "HELLO"),
            ("HELLO {user}!", "HELLO ada!"),
            ("{user}{user*}{id}", "adaada1"),
            ("{{user}}", "{user}"),
            ("{{{user}}}", "{ada}"),
            ("{{{{", "{{"),
            ("}}{{", "}{"),
            ("{{\"ip\":\"{ip}\"}}", "{\"ip\":\"2001:db8::7\"}"),
            ("a\tb {header:x}", "a\tb 1"),
            ("QUIT :{reason*} ({reason})", "QUIT :connection refused (connection_refused)"),
        ] {
            assert_eq!(line(template, Some("ada"), "/", b"1"), want, "{template}");
        }
    }

    #[test]
    fn mistakes_say_what_to_type() {
        let names = format!("type one of {}", Fact::NAMES);
        let alone = |brace| format!("a brace stands alone: type {brace}{brace} for one");
        for (template, want) in [
            ("{nick}", format!("there is no {{nick}}: {names}")),
            ("{}", format!("there is no {{}}: {names}")),
            ("{*}", format!("there is no {{*}}: {names}")),
            ("{ip**}", format!("there is no {{ip**}}: {names}")),
            ("{ ip}", format!("there is no {{ ip}}: {names}")),
            ("{IP}", format!("there is no {{IP}}: {names}")),
            ("{query:}", format!("there is no {{query:}}: {names}")),
            ("{header:a b}", format!("there is no {{header:a b}}: {names}")),
            ("a { b", alone("{")),
            ("{ip", alone("{")),
            ("{", alone("{")),
            ("{i{ip}}", alone("{")),
            ("ip}", alone("}")),
            ("{ip}}", alone("}")),
            ("{{ip}", alone("}")),
            ("{{{", alone("{")),
            ("a\nb", "it is more than one line: give the option once for each".into()),
            ("a\r", "it is more than one line: give the option once for each".into()),
            ("a\0", "it is more than one line: give the option once for each".into()),
        ] {
            assert_eq!(Template::parse(template).unwrap_err(), want, "{template:?}");
        }
    }

    /// What a client may send, as a word, and with its spaces.
    #[test]
    fn a_value_is_one_word() {
        for (sent, plain, spaced) in [
            ("", "-", "-"),
            (" ", "_", " "),
            ("a b  c", "a_b__c", "a b  c"),
            ("a\tb", "a_b", "a_b"),
            ("a\nQUIT", "a_QUIT", "a_QUIT"),
            ("a\r\nQUIT", "a__QUIT", "a__QUIT"),
            ("a\0b", "a_b", "a_b"),
            ("a\x07\x1b[31m", "a__[31m", "a__[31m"),
            ("a\x7fb", "a_b", "a_b"),
            ("a\u{80}\u{9b}b", "a__b", "a__b"),
            ("a\u{85}b", "a_b", "a_b"),
            ("a\u{2028}b\u{2029}c", "a_b_c", "a_b_c"),
            ("a\u{a0}b\u{3000}c", "a_b_c", "a_b_c"),
            ("{ip}", "{ip}", "{ip}"),
            ("}}{{", "}}{{", "}}{{"),
            ("{user*}", "{user*}", "{user*}"),
            ("-", "-", "-"),
            ("žluťoučký 🐈", "žluťoučký_🐈", "žluťoučký 🐈"),
        ] {
            assert_eq!(line("{user}", Some(sent), "/", b""), plain, "{sent:?}");
            assert_eq!(line("{user*}", Some(sent), "/", b""), spaced, "{sent:?}");
        }
        assert_eq!(line("[{user}] [{user*}]", None, "/", b""), "[-] [-]");
    }

    #[test]
    fn paths_and_queries_are_decoded_first() {
        for (uri, path, query) in [
            ("/", "/", "-"),
            ("/a%20b?n=c%20d", "/a_b", "c_d"),
            ("/%0D%0AQUIT?n=%0d%0aQUIT", "/__QUIT", "__QUIT"),
            ("/%00?n=%00", "/_", "_"),
            ("/%7Bip%7D?n=%7Bip%7D", "/{ip}", "{ip}"),
            ("/%C3%A9?n=%C3%A9", "/é", "é"),
            ("/%E2%80%A8?n=%C2%85", "/_", "_"),
            // What is no UTF-8 becomes U+FFFD, as with everything that can't be decoded.
            ("/%FF?n=a%C3", "/\u{fffd}", "a\u{fffd}"),
            ("/%zz?n=%", "/%zz", "%"),
            ("/%2520?n=a+b", "/%20", "a+b"),
            ("/?n=", "/", "-"),
            ("/?n", "/", "-"),
            ("/?N=1", "/", "-"),
        ] {
            assert_eq!(line("{path}", None, uri, b""), path, "{uri}");
            assert_eq!(line("{query:n}", None, uri, b""), query, "{uri}");
        }
        assert_eq!(line("{path*}", None, "/a%20%09b", b""), "/a _b");
        assert_eq!(line("{header:x}", None, "/", b"caf\xe9 a\tb"), "caf\u{fffd}_a_b");
    }

    #[test]
    fn a_value_ends_at_512_bytes() {
        let long = "x".repeat(10_000);
        assert_eq!(line("<{user}>", Some(&long), "/", b""), format!("<{}>", &long[..512]));
        for (sent, length) in [
            ("x".repeat(511) + "é", 511),
            ("x".repeat(510) + "é", 512),
            ("🐈".repeat(200), 512),
            ("x".repeat(509) + "🐈", 509),
            // Each of them becomes one byte.
            ("\u{2028}".repeat(600), 512),
        ] {
            assert_eq!(line("{user}", Some(&sent), "/", b"").len(), length);
        }
    }

    #[test]
    fn an_address_does_not_begin_with_a_colon() {
        let request = Request::get("/").body(()).unwrap();
        for (peer, want) in [
            ("[::1]:5000", "0::1 0::1 0::1"),
            ("[::ffff:192.0.2.1]:5000", "192.0.2.1 192.0.2.1 0::1"),
            ("[::2:3]:5000", "0::2:3 0::2:3 0::1"),
            ("[fe80::1]:5000", "fe80::1 fe80::1 0::1"),
        ] {
            let peer = PeerAddr::Ip(peer.parse().unwrap());
            let local = "[::1]:80".parse().ok();
            let client = ClientFacts { peer, local, ..ClientFacts::of(&request) };
            let template = Template::parse("{ip} {host*} {local-ip}").unwrap();
            assert_eq!(template.fill(&client).line(""), want);
        }
    }

    proptest! {
        /// Whatever a client sends, a line has as many words as the template, and no more than it should.
        #[test]
        fn no_value_makes_another_word_or_line(user in ".*", x in proptest::collection::vec(32u8.., 0..700)) {
            let x = x.into_iter().filter(|b| *b != 0x7f).collect::<Vec<_>>();
            let line = line("A {user} {header:x} Z", Some(&user), "/", &x);
            prop_assert_eq!(line.split_whitespace().count(), 4);
            prop_assert!(!line.contains(char::is_control));
            prop_assert!(line.len() <= "A   Z".len() + 2 * LONGEST_VALUE);
        }

        /// Every text is a template, or is told what is wrong with it.
        #[test]
        fn no_text_panics(text in "[{}a*:ip \n]*") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.line("");
            }
        }
    }
}
