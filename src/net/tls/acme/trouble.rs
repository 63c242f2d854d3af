//! Trouble: why there is no certificate, what to check, and how long to leave the authority alone.

use std::fmt;
use std::io;
use std::time::Duration;

use rustls_acme::acme::{AcmeError, Problem};

use crate::text::reason;

/// The first pause after a failure that may pass by itself; doubled at each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The first pause after the authority said no. Let's Encrypt takes five failed proofs of a name, and
/// one more every twelve minutes: with this one, doubled up to the longest, we never ask for more.
const FIRST_PAUSE_REFUSED: Duration = Duration::from_secs(60);

const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Why an order failed.
#[derive(Debug)]
pub struct Trouble {
    why: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// No connection to the authority.
    Unreachable,
    /// The authority's own certificate is not accepted.
    Untrusted,
    /// What it answered is no ACME.
    Foreign,
    /// It could not, this time.
    Busy,
    /// The same, as our request was one number behind.
    StaleNonce,
    /// We asked too often.
    Limited,
    /// It will not.
    Refused,
    /// It found no proof that this name is ours.
    Unproven(String),
}

impl Trouble {
    /// The authority could not prove that `domain` is ours.
    pub fn unproven(domain: String, problem: Option<Problem>) -> Self {
        let why = problem.and_then(|problem| problem.detail);
        let why = why.unwrap_or_else(|| "the authority does not say why".into());
        Trouble { why, kind: Kind::Unproven(domain) }
    }

    /// The authority will not issue it.
    pub fn refused(why: impl Into<String>) -> Self {
        Trouble { why: why.into(), kind: Kind::Refused }
    }

    /// It took too long.
    pub fn timed_out(limit: Duration) -> Self {
        let why = format!("the authority did not finish within {} s", limit.as_secs());
        Trouble { why, kind: Kind::Busy }
    }

    /// Whether the same request may be made again at once (RFC 8555, section 6.5).
    pub fn is_stale_nonce(&self) -> bool {
        self.kind == Kind::StaleNonce
    }

    /// What the operator should look at; `directory` is the authority's.
    pub fn check(&self, directory: &str) -> Option<String> {
        Some(match &self.kind {
            Kind::Unreachable => format!("this machine must reach {directory}"),
            Kind::Untrusted => {
                "this machine's clock; if the authority's CA is a private one, add --acme-ca FILE"
                    .into()
            }
            Kind::Foreign => format!("--acme-directory {directory} must be an ACME directory"),
            Kind::Limited => "the authority says when; to practise, use its staging \
                              directory (--acme-directory)"
                .into(),
            Kind::Unproven(domain) => format!(
                "port 443 of {domain} must reach this process, at all addresses that the name has"
            ),
            Kind::Busy | Kind::StaleNonce | Kind::Refused => return None,
        })
    }

    /// How long to leave the authority alone after so many failures in a row, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let first = match self.kind {
            Kind::Unreachable | Kind::Busy | Kind::StaleNonce => FIRST_PAUSE,
            Kind::Untrusted | Kind::Foreign | Kind::Refused | Kind::Unproven(_) => {
                FIRST_PAUSE_REFUSED
            }
            Kind::Limited => LONGEST_PAUSE,
        };
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        first.saturating_mul(doubled).min(LONGEST_PAUSE)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<AcmeError> for Trouble {
    fn from(error: AcmeError) -> Self {
        match error {
            // Its type can't be named from outside rustls-acme; its text has it all.
            AcmeError::HttpRequest(error) => read(&error.to_string()),
            AcmeError::Io(error) => Trouble { why: reason(&error), kind: Kind::Unreachable },
            AcmeError::Json(_) | AcmeError::MissingHeader(_) => {
                Trouble { why: error.to_string(), kind: Kind::Foreign }
            }
            other => Trouble::refused(other.to_string()),
        }
    }
}

/// Reads the text of an error of rustls-acme's HTTP client.
fn read(text: &str) -> Trouble {
    let trouble = |why: String, kind| Trouble { why, kind };
    if let Some(answer) = text.strip_prefix("non 2xx http status: ") {
        return refusal(answer);
    }
    if let Some((_, certificate)) = text.split_once("InvalidCertificate(") {
        let end = certificate.find(|c: char| !c.is_alphanumeric() && c != '(');
        let word = certificate[..end.unwrap_or(certificate.len())].rsplit('(').next();
        let why = format!("the authority's own certificate: {}", word.unwrap_or_default());
        return trouble(why, Kind::Untrusted);
    }
    // An I/O error as Debug shows it: the system's, or one of a library.
    let quoted = ["message: \"", "error: \""].iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        rest.split('"').next()
    });
    trouble(reason(&io::Error::other(quoted.unwrap_or(text))), Kind::Unreachable)
}

/// Reads a status and a body, quoted as Rust's Debug does.
fn refusal(answer: &str) -> Trouble {
    let (status, quoted) = answer.split_once(' ').unwrap_or((answer, ""));
    // Debug and JSON quote alike but for characters that are seldom in such a document.
    let problem = serde_json::from_str::<String>(quoted)
        .and_then(|body| serde_json::from_str::<Problem>(&body))
        .unwrap_or(Problem { typ: None, detail: None });
    let kind =
        problem.typ.as_deref().and_then(|typ| typ.strip_prefix("urn:ietf:params:acme:error:"));
    let kind = match (kind, status.as_bytes().first()) {
        (Some("badNonce"), _) => Kind::StaleNonce,
        (Some("rateLimited"), _) => Kind::Limited,
        (_, Some(b'5')) => Kind::Busy,
        (None, _) if status == "429" => Kind::Limited,
        (None, _) => Kind::Foreign,
        (Some(_), _) => Kind::Refused,
    };
    let why = problem.detail.unwrap_or_else(|| format!("the authority answered {answer}"));
    Trouble { why, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as they come from rustls-acme and its HTTP client.
    #[test]
    fn errors_are_told_in_plain_words() {
        let refused = |typ: &str, detail: &str| {
            let body = format!("{{\n  \"type\": \"{typ}\",\n  \"detail\": \"{detail}\"\n}}");
            format!("non 2xx http status: 400 {body:?}")
        };
        for (text, why, kind) in [
            (
                "http error: ConnectError(TcpConnect(Os { code: 111, kind: ConnectionRefused, \
                 message: \"Connection refused\" }))"
                    .into(),
                "connection refused",
                Kind::Unreachable,
            ),
            (
                "http error: ConnectError(TcpConnect(Custom { kind: Uncategorized, error: \"failed \
                 to lookup address information: Name or service not known\" }))"
                    .into(),
                "failed to lookup address information: Name or service not known",
                Kind::Unreachable,
            ),
            (
                "http error: ConnectError(TlsConnect(Custom { kind: InvalidData, error: \
                 InvalidCertificate(UnknownIssuer) }))"
                    .into(),
                "the authority's own certificate: UnknownIssuer",
                Kind::Untrusted,
            ),
            (
                "http error: ConnectError(TlsConnect(Custom { kind: InvalidData, error: \
                 InvalidCertificate(Other(OtherError(CaUsedAsEndEntity))) }))"
                    .into(),
                "the authority's own certificate: CaUsedAsEndEntity",
                Kind::Untrusted,
            ),
            (
                refused("urn:ietf:params:acme:error:badNonce", "JWS has an invalid nonce"),
                "JWS has an invalid nonce",
                Kind::StaleNonce,
            ),
            (
                refused("urn:ietf:params:acme:error:rejectedIdentifier", r#"not \"a.example\""#),
                r#"not "a.example""#,
                Kind::Refused,
            ),
            (
                refused("urn:ietf:params:acme:error:rateLimited", "too many, retry after"),
                "too many, retry after",
                Kind::Limited,
            ),
            (
                "non 2xx http status: 404 \"404 page not found\\n\"".into(),
                "the authority answered 404 \"404 page not found\\n\"",
                Kind::Foreign,
            ),
            ("non 2xx http status: 503 \"\"".into(), "the authority answered 503 \"\"", Kind::Busy),
            ("non 2xx http status: 429".into(), "the authority answered 429", Kind::Limited),
            (
                "http error: ConnectError(TlsConnect(Custom { kind: UnexpectedEof, error: \"TLS \
                 handshake eof\" }))"
                    .into(),
                "TLS handshake eof",
                Kind::Unreachable,
            ),
            ("never seen".into(), "never seen", Kind::Unreachable),
        ] {
            let trouble = read(&text);
            assert_eq!((trouble.to_string().as_str(), &trouble.kind), (why, &kind), "{text}");
        }
    }

    #[test]
    fn pauses_grow_and_the_authority_is_not_asked_too_often() {
        let unreachable = read("connection refused");
        let pauses: Vec<_> = (1..5).map(|n| unreachable.pause(n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
        assert_eq!(unreachable.pause(u32::MAX), LONGEST_PAUSE);
        // Let's Encrypt's bucket: five tokens, one more every twelve minutes.
        let unproven = Trouble::unproven("a.example".into(), None);
        let mut tokens = 5.0;
        for failures in 1..200 {
            tokens -= 1.0;
            assert!(tokens >= 0.0, "after {failures} failures");
            tokens = f64::min(5.0, tokens + unproven.pause(failures).as_secs_f64() / 720.0);
        }
    }

    #[test]
    fn operators_are_told_what_to_check() {
        let trouble = Trouble::unproven("a.example".into(), None);
        assert!(trouble.check("https://ca").unwrap().contains("port 443 of a.example must reach"));
        assert!(read("x").check("https://ca").unwrap().contains("must reach https://ca"));
        assert!(Trouble::refused("no").check("https://ca").is_none());
    }
}
