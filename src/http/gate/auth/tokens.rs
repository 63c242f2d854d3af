//! Tokens: secrets that allow a client to connect. Pure.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use hyper::header::{self, HeaderMap};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::identity::{User, authorization};
use crate::file::entries;
use crate::random;

/// The largest number of tokens that are checked in a request's subprotocols, cookies and query. Browsers send a cookie for each
/// path, but a head has room for a thousand, each of them a guess.
const MOST: usize = 4;

/// The known tokens, by their hashes under a key of this process: the time of a look-up reveals nothing of a token, as
/// nobody outside knows the hashes.
pub struct Tokens {
    key: [u8; 32],
    owners: HashMap<[u8; 32], User>,
}

impl Tokens {
    /// Reads lines of `token` or `name:token`; a line that begins with `#` is a comment.
    ///
    /// # Errors
    /// Which line is wrong, and what to do about it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens { key: random::bytes(), owners: HashMap::new() };
        for (n, line) in entries(text) {
            let (name, token) = match line.split_once(':') {
                Some((name, token)) => (Some(name.trim_end()), token.trim_start()),
                None => (None, line),
            };
            if name.is_some_and(|name| name.is_empty() || name.contains(char::is_control)) {
                return Err(format!("line {n} has no name before its colon"));
            }
            if !is_token68(token) {
                return Err(format!(
                    "line {n}: a token has letters, digits and -._~+/= only: make one with \
                     openssl rand -hex 16"
                ));
            }
            let hash = tokens.hash(token.as_bytes());
            if tokens.owners.insert(hash, name.map(Arc::from)).is_some() {
                return Err(format!("line {n}: this token is there twice"));
            }
        }
        match tokens.owners.is_empty() {
            true => Err("there are no tokens in it: make one with openssl rand -hex 16".into()),
            false => Ok(tokens),
        }
    }

    /// The user of a token, if the token is known.
    pub fn owner(&self, token: &[u8]) -> Option<User> {
        self.owners.get(&self.hash(token)).cloned()
    }

    fn hash(&self, token: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix(self.key).chain_update(token).finalize().into()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.owners.len())
    }
}

/// Whether a text can be sent in an Authorization header (RFC 9110, section 11.2).
fn is_token68(text: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    let text = text.trim_end_matches('=');
    !text.is_empty() && text.bytes().all(usual)
}

/// The tokens of a request: `Authorization: Bearer` (RFC 6750), the subprotocols `bearer.TOKEN` (`offered`), cookies
/// `token`, and `?token=`, for a page's script can set no header of a WebSocket.
pub fn presented(headers: &HeaderMap, query: Option<&str>, offered: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let bearer = authorization(headers, "Bearer").map(|token| token.as_bytes().to_vec());
    let cookies = headers.get_all(header::COOKIE).into_iter();
    let cookies = cookies
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix("token="))
        .map(|token| token.trim_matches('"').as_bytes().to_vec())
        .filter(|token| !token.is_empty())
        .take(MOST);
    let queries = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("token="))
        .map(|token| percent_decode_str(token).collect())
        .filter(|token: &Vec<u8>| !token.is_empty())
        .take(MOST);
    let bearer = bearer.into_iter().filter(|token| !token.is_empty());
    let offered = offered.iter().filter(|token| !token.is_empty()).take(MOST).cloned();
    bearer.chain(offered).chain(cookies).chain(queries).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let text = "# devices\r\nlamp: abc123 \r\n\nplain-token\n  door:a.b-c_d~e+f/g==\n#x:y\n";
        let tokens = Tokens::parse(text).unwrap();
        let owner = |token: &str| tokens.owner(token.as_bytes());
        assert_eq!(owner("abc123"), Some(Some("lamp".into())));
        assert_eq!(owner("plain-token"), Some(None));
        assert_eq!(owner("a.b-c_d~e+f/g=="), Some(Some("door".into())));
        for wrong in ["", "abc12", "abc1234", "ABC123", "lamp", "lamp: abc123", "y", "# devices"] {
            assert_eq!(owner(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{tokens:?}"), "Tokens(3)", "tokens are secrets");
    }

    #[test]
    fn files_that_are_wrong() {
        for (text, want) in [
            ("", "no tokens in it"),
            ("# none\n\n", "no tokens in it"),
            ("two words", "line 1: a token has letters"),
            ("a\nlamp:to:ken", "line 2: a token has letters"),
            ("lamp:", "line 1: a token has letters"),
            ("===", "line 1: a token has letters"),
            ("tökén", "line 1: a token has letters"),
            (":token", "no name before its colon"),
            ("a\nlamp:a", "line 2: this token is there twice"),
        ] {
            let why = Tokens::parse(text).unwrap_err();
            assert!(why.contains(want), "{text:?}: {why}");
            assert!(!why.contains("ken:") && !why.contains("words"), "tokens are secrets: {why}");
        }
    }

    #[test]
    fn where_a_request_has_tokens() {
        type Row<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, &'a [&'a str]);
        let table: &[Row<'_>] = &[
            (&[], None, &[]),
            (&[("authorization", "Bearer abc=")], None, &["abc="]),
            (&[("authorization", "bEARER  abc ")], None, &["abc"]),
            (&[("authorization", "Bearer")], None, &[]),
            (&[("authorization", "Bearer ")], None, &[]),
            (&[("authorization", "Basic abc")], None, &[]),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], None, &[]),
            (&[("cookie", "token=abc")], None, &["abc"]),
            (&[("cookie", "a=b; token=abc; c=d")], None, &["abc"]),
            (&[("cookie", "token=\"abc\"")], None, &["abc"]),
            (&[("cookie", "xtoken=abc; Token=abc; token =abc; token")], None, &[]),
            (&[("cookie", "token=a;token=b"), ("cookie", "token=c")], None, &["a", "b", "c"]),
            (&[], Some("token=abc"), &["abc"]),
            (&[], Some("room=1&token=a%2Bb%3d+c"), &["a+b=+c"]),
            (&[], Some("xtoken=abc&Token=abc&token&token="), &[]),
            (&[], Some("token=%"), &["%"]),
            // No more of a kind than people have.
            (&[], Some("token=a&token=b&token=&token=c&token=d&token=e"), &["a", "b", "c", "d"]),
            (
                &[("cookie", "token=a;token=b;token=c"), ("cookie", "token=d;token=e")],
                Some("token=f"),
                &["a", "b", "c", "d", "f"],
            ),
            (
                &[("authorization", "Bearer a"), ("cookie", "token=b")],
                Some("token=c"),
                &["a", "b", "c"],
            ),
        ];
        for (given, query, want) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in *given {
                let name: header::HeaderName = name.parse().unwrap();
                headers.append(name, value.parse().unwrap());
            }
            let got = presented(&headers, *query, &[]);
            let got: Vec<_> = got.iter().map(|token| std::str::from_utf8(token).unwrap()).collect();
            assert_eq!(got, *want, "{given:?} {query:?}");
        }
        let offered = ["", "a", "b", "c", "d", "e"].map(|token| token.as_bytes().to_vec());
        let got = presented(&HeaderMap::new(), Some("token=f"), &offered);
        assert_eq!(got, [b"a", b"b", b"c", b"d", b"f"]);
    }
}
