//! Trouble: why there is no certificate, what to check, and how long to leave the authority alone.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use instant_acme::{Error, Problem};

/// The first pause after a failure that may pass by itself; doubled at each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The first pause after the authority said no. Let's Encrypt takes five failed proofs of a name, and
/// one more every twelve minutes: with this one, doubled up to the longest, we never ask for more.
const FIRST_PAUSE_REFUSED: Duration = Duration::from_secs(60);

const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The longest pause that the authority can ask for: a certificate is renewed weeks before its end, or, one
/// that is good for six days, two days before.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Characters of an answer that are told of it: some are whole pages.
const SHOWN: usize = 200;

/// What the types of problems begin with that are ACME's (RFC 8555, section 6.7).
const ACME_ERROR: &str = "urn:ietf:params:acme:error:";

/// Why an order failed.
#[derive(Debug)]
pub struct Trouble {
    why: String,
    kind: Kind,
    /// How long the authority wants to be left alone, if it says so.
    retry_after: Option<Duration>,
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
    /// It is not as far yet as it said.
    NotReady,
    /// We asked too often.
    Limited,
    /// It will not.
    Refused,
    /// It found no proof that this name is ours.
    Unproven(String),
}

impl Trouble {
    fn new(why: impl Into<String>, kind: Kind) -> Self {
        Trouble { why: why.into(), kind, retry_after: None }
    }

    /// There is no connection to the authority, or none that holds.
    pub fn unreachable(why: impl Into<String>) -> Self {
        Trouble::new(why, Kind::Unreachable)
    }

    /// The authority's own certificate is not accepted.
    pub fn untrusted(why: impl Into<String>) -> Self {
        Trouble::new(why, Kind::Untrusted)
    }

    /// What it answered is no ACME.
    pub fn foreign(why: impl Into<String>) -> Self {
        Trouble::new(why, Kind::Foreign)
    }

    /// The authority could not prove that `domain` is ours.
    pub fn unproven(domain: String, problem: Option<Problem>) -> Self {
        let why = problem.and_then(|problem| problem.detail);
        let why = why.unwrap_or_else(|| "the authority does not say why".into());
        Trouble::new(why, Kind::Unproven(domain))
    }

    /// The authority will not issue it.
    pub fn refused(why: impl Into<String>) -> Self {
        Trouble::new(why, Kind::Refused)
    }

    /// It took too long.
    pub fn timed_out(limit: Duration) -> Self {
        let why = format!("the authority did not finish within {} s", limit.as_secs());
        Trouble::new(why, Kind::Busy)
    }

    /// It said nothing.
    pub fn silent(limit: Duration) -> Self {
        let why = format!("the authority did not answer within {} s", limit.as_secs());
        Trouble::new(why, Kind::Unreachable)
    }

    /// An answer whose status is no success.
    pub fn answered(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        if let Ok(problem @ Problem { r#type: Some(_), .. }) = serde_json::from_slice(body) {
            return Trouble::problem(problem, status, retry_after);
        }
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => Kind::Limited,
            status if status.is_server_error() => Kind::Busy,
            _ => Kind::Foreign,
        };
        let body: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
        let why = format!("the authority answered {} {body:?}", status.as_u16());
        Trouble { retry_after, ..Trouble::new(why, kind) }
    }

    /// A problem that came with this status (RFC 8555, section 6.7).
    fn problem(problem: Problem, status: StatusCode, retry_after: Option<Duration>) -> Self {
        let name = problem.r#type.as_deref().and_then(|name| name.strip_prefix(ACME_ERROR));
        let kind = match name {
            Some("badNonce") => Kind::StaleNonce,
            Some("rateLimited") => Kind::Limited,
            Some("orderNotReady") => Kind::NotReady,
            Some("serverInternal") => Kind::Busy,
            _ if status.is_server_error() => Kind::Busy,
            None if status == StatusCode::TOO_MANY_REQUESTS => Kind::Limited,
            None => Kind::Foreign,
            Some(_) => Kind::Refused,
        };
        let why = problem.detail.clone().unwrap_or_else(|| problem.to_string());
        Trouble { retry_after, ..Trouble::new(why, kind) }
    }

    /// Whether the same request may be made again at once (RFC 8555, section 6.5).
    pub fn is_stale_nonce(&self) -> bool {
        self.kind == Kind::StaleNonce
    }

    /// Whether the authority said that an order is not ready to be finalized (RFC 8555, section 7.4).
    pub fn is_not_ready(&self) -> bool {
        self.kind == Kind::NotReady
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
            Kind::Busy | Kind::StaleNonce | Kind::NotReady | Kind::Refused => return None,
        })
    }

    /// How long to leave the authority alone after so many failures in a row, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let first = match self.kind {
            Kind::Unreachable | Kind::Busy | Kind::StaleNonce | Kind::NotReady => FIRST_PAUSE,
            Kind::Untrusted | Kind::Foreign | Kind::Refused | Kind::Unproven(_) => {
                FIRST_PAUSE_REFUSED
            }
            Kind::Limited => LONGEST_PAUSE,
        };
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let asked = self.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        first.saturating_mul(doubled).min(LONGEST_PAUSE).max(asked)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Trouble {}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Other(error) => match error.downcast::<Trouble>() {
                Ok(trouble) => *trouble,
                Err(error) => Trouble::refused(error.to_string()),
            },
            Error::Api(problem) => Trouble::problem(problem, StatusCode::BAD_REQUEST, None),
            Error::Json(_) | Error::Str(_) | Error::Http(_) | Error::InvalidUri(_) => {
                Trouble::foreign(format!("the authority's answer is no ACME: {error}"))
            }
            other => Trouble::refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_in_plain_words() {
        let problem = |name: &str, detail: &str| {
            serde_json::json!({ "type": format!("{ACME_ERROR}{name}"), "detail": detail })
                .to_string()
        };
        for (status, body, why, kind) in [
            (
                400,
                problem("badNonce", "JWS has an invalid nonce"),
                "JWS has an invalid nonce",
                Kind::StaleNonce,
            ),
            (403, problem("orderNotReady", "wait"), "wait", Kind::NotReady),
            (
                400,
                problem("rejectedIdentifier", "not \"a.example\""),
                "not \"a.example\"",
                Kind::Refused,
            ),
            (429, problem("rateLimited", "retry later"), "retry later", Kind::Limited),
            (500, problem("serverInternal", "oops"), "oops", Kind::Busy),
            (503, problem("other", "down"), "down", Kind::Busy),
            (
                404,
                "404 page not found\n".into(),
                "the authority answered 404 \"404 page not found\\n\"",
                Kind::Foreign,
            ),
            (400, "{}".into(), "the authority answered 400 \"{}\"", Kind::Foreign),
            (503, String::new(), "the authority answered 503 \"\"", Kind::Busy),
            (429, String::new(), "the authority answered 429 \"\"", Kind::Limited),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let trouble = Trouble::answered(status, body.as_bytes(), None);
            assert_eq!(
                (trouble.to_string().as_str(), &trouble.kind),
                (why, &kind),
                "{status} {body}"
            );
            let passed_on = Trouble::from(Error::Other(Box::new(trouble)));
            assert_eq!((passed_on.to_string().as_str(), &passed_on.kind), (why, &kind));
        }
        let page = Trouble::answered(StatusCode::BAD_GATEWAY, &[b'x'; 100_000], None);
        assert!(page.to_string().len() < 2 * SHOWN);
    }

    #[test]
    fn the_authority_says_how_long_to_wait() {
        let pause = |seconds, failures| {
            let asked = Some(Duration::from_secs(seconds));
            Trouble::answered(StatusCode::SERVICE_UNAVAILABLE, b"", asked).pause(failures).as_secs()
        };
        assert_eq!((pause(0, 1), pause(90, 1), pause(90, 20)), (1, 90, 3600));
        assert_eq!(pause(7 * 24 * 3600, 1), 24 * 3600);
    }

    #[test]
    fn pauses_grow_and_the_authority_is_not_asked_too_often() {
        let unreachable = Trouble::unreachable("connection refused");
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
        assert!(
            Trouble::unreachable("x")
                .check("https://ca")
                .unwrap()
                .contains("must reach https://ca")
        );
        assert!(Trouble::refused("no").check("https://ca").is_none());
    }
}
