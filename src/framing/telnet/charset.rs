//! Charset: what CHARSET answers (RFC 2066): the charset of the route, and no other. We never ask
//! ourselves: servers ask, and some take a client's question for an answer.

use super::super::charset::Charset;

const REQUEST: u8 = 1;
const ACCEPTED: u8 = 2;
const REJECTED: u8 = 3;
const TTABLE_IS: u8 = 4;
const TTABLE_REJECTED: u8 = 5;

/// Begins a request that offers translation tables too, and is followed by a version.
const TTABLE: &[u8] = b"[TTABLE]";

/// The answer to a subnegotiation, if it asks for one. A charset that is accepted is named as it was offered.
pub fn answer(asked: &[u8], ours: Charset) -> Option<Vec<u8>> {
    match asked {
        [REQUEST, rest @ ..] => {
            let list = rest.strip_prefix(TTABLE).map_or(rest, |rest| rest.get(1..).unwrap_or(&[]));
            let is_ours = |name: &&[u8]| {
                let name = str::from_utf8(name).ok().map(Charset::for_label);
                matches!(name, Some(Ok(charset)) if charset == ours)
            };
            let offered = list
                .split_first()
                .and_then(|(separator, list)| list.split(|byte| byte == separator).find(is_ours));
            Some(offered.map_or_else(|| vec![REJECTED], |name| [&[ACCEPTED], name].concat()))
        }
        [TTABLE_IS, ..] => Some(vec![TTABLE_REJECTED]),
        // Whether ours was accepted changes nothing: it is the operator's choice.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_charset_is_accepted_as_it_was_offered() {
        for (ours, asked, want) in [
            ("utf-8", &b"\x01;UTF-8"[..], Some(&b"\x02UTF-8"[..])),
            ("utf-8", b"\x01 US-ASCII utf8 UTF-8", Some(b"\x02utf8")),
            ("utf-8", b"\x01;ISO-8859-1;US-ASCII", Some(b"\x03")),
            ("utf-8", b"\x01[TTABLE]\x01;UTF-8", Some(b"\x02UTF-8")),
            ("windows-1252", b"\x01,UTF-8,ISO-8859-1", Some(b"\x02ISO-8859-1")),
            ("koi8-r", b"\x01;koi8-R;UTF-8", Some(b"\x02koi8-R")),
            // Malformed, and what is no question.
            ("utf-8", b"\x01", Some(b"\x03")),
            ("utf-8", b"\x01;", Some(b"\x03")),
            ("utf-8", b"\x01;\xff;;", Some(b"\x03")),
            ("utf-8", b"\x01[TTABLE]", Some(b"\x03")),
            ("utf-8", b"\x02UTF-8", None),
            ("utf-8", b"\x03", None),
            ("utf-8", b"\x04\x01;", Some(b"\x05")),
            ("utf-8", b"", None),
        ] {
            let ours = Charset::for_label(ours).unwrap();
            assert_eq!(answer(asked, ours).as_deref(), want, "{}", asked.escape_ascii());
        }
    }
}
