//! The error of an order: its cause, what the operator can check, and the pause before the next order.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use instant_acme::{Error, Problem};

/// The first pause after a temporary failure; doubled at each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The first pause after a refusal. Let's Encrypt allows five failed validations of a name, and one more every
/// twelve minutes: with this pause, doubled up to the longest, we stay within that.
const FIRST_PAUSE_REFUSED: Duration = Duration::from_secs(60);

const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The longest pause that the authority can ask for: a certificate is renewed weeks before its end, one that
/// is valid for six days two days before.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The most characters of a response that the error shows: some responses are whole pages.
const SHOWN: usize = 200;

/// The prefix of ACME's problem types (RFC 8555, section 6.7).
const ACME_ERROR: &str = "urn:ietf:params:acme:error:";

/// Why an order failed.
#[derive(Debug)]
pub struct AcmeError {
    why: String,
    kind: AcmeErrorKind,
    /// The time that the authority asks us to wait.
    retry_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AcmeErrorKind {
    /// No connection to the authority.
    Unreachable,
    /// The authority's own certificate is not accepted.
    Untrusted,
    /// The response is not ACME.
    NotAcme,
    /// A temporary failure of the authority.
    Busy,
    /// The nonce of our request was no longer valid.
    StaleNonce,
    /// The order is not ready to be finalized, though the authority said so.
    NotReady,
    /// A rate limit of the authority.
    RateLimited,
    /// The authority refuses the order.
    Refused,
    /// The authority could not validate this name.
    Unproven(String),
}

impl AcmeError {
    fn new(why: impl Into<String>, kind: AcmeErrorKind) -> Self {
        AcmeError { why: why.into(), kind, retry_after: None }
    }

    /// The connection to the authority failed.
    pub fn unreachable(why: impl Into<String>) -> Self {
        AcmeError::new(why, AcmeErrorKind::Unreachable)
    }

    /// The authority's own certificate is not accepted.
    pub fn untrusted(why: impl Into<String>) -> Self {
        AcmeError::new(why, AcmeErrorKind::Untrusted)
    }

    /// The response is not ACME.
    pub fn not_acme(why: impl Into<String>) -> Self {
        AcmeError::new(why, AcmeErrorKind::NotAcme)
    }

    /// The authority could not validate `domain`.
    pub fn unproven(domain: String, problem: Option<Problem>) -> Self {
        let why = problem.and_then(|problem| problem.detail);
        let why = why.unwrap_or_else(|| "the authority does not say why".into());
        AcmeError::new(why, AcmeErrorKind::Unproven(domain))
    }

    /// The authority refuses the order.
    pub fn refused(why: impl Into<String>) -> Self {
        AcmeError::new(why, AcmeErrorKind::Refused)
    }

    /// The order took too long.
    pub fn timed_out(limit: Duration) -> Self {
        let why = format!("the authority did not finish within {} s", limit.as_secs());
        AcmeError::new(why, AcmeErrorKind::Busy)
    }

    /// The authority sent no response in time.
    pub fn silent(limit: Duration) -> Self {
        let why = format!("the authority did not answer within {} s", limit.as_secs());
        AcmeError::new(why, AcmeErrorKind::Unreachable)
    }

    /// A response whose status is not success.
    pub fn answered(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        if let Ok(problem @ Problem { r#type: Some(_), .. }) = serde_json::from_slice(body) {
            return AcmeError::problem(problem, status, retry_after);
        }
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => AcmeErrorKind::RateLimited,
            status if status.is_server_error() => AcmeErrorKind::Busy,
            _ => AcmeErrorKind::NotAcme,
        };
        let body: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
        let why = format!("the authority answered {} {body:?}", status.as_u16());
        AcmeError { retry_after, ..AcmeError::new(why, kind) }
    }

    /// A problem document that came with this status (RFC 8555, section 6.7).
    fn problem(problem: Problem, status: StatusCode, retry_after: Option<Duration>) -> Self {
        let name = problem.r#type.as_deref().and_then(|name| name.strip_prefix(ACME_ERROR));
        let kind = match name {
            Some("badNonce") => AcmeErrorKind::StaleNonce,
            Some("rateLimited") => AcmeErrorKind::RateLimited,
            Some("orderNotReady") => AcmeErrorKind::NotReady,
            Some("serverInternal") => AcmeErrorKind::Busy,
            _ if status.is_server_error() => AcmeErrorKind::Busy,
            None if status == StatusCode::TOO_MANY_REQUESTS => AcmeErrorKind::RateLimited,
            None => AcmeErrorKind::NotAcme,
            Some(_) => AcmeErrorKind::Refused,
        };
        let why = problem.detail.clone().unwrap_or_else(|| problem.to_string());
        AcmeError { retry_after, ..AcmeError::new(why, kind) }
    }

    /// Whether the same request can be repeated at once (RFC 8555, section 6.5).
    pub fn is_stale_nonce(&self) -> bool {
        self.kind == AcmeErrorKind::StaleNonce
    }

    /// Whether the authority said that an order is not ready to be finalized (RFC 8555, section 7.4).
    pub fn is_not_ready(&self) -> bool {
        self.kind == AcmeErrorKind::NotReady
    }

    /// What the operator should check; `directory` is the URL of the authority.
    pub fn check(&self, directory: &str) -> Option<String> {
        Some(match &self.kind {
            AcmeErrorKind::Unreachable => format!("this machine must reach {directory}"),
            AcmeErrorKind::Untrusted => {
                "this machine's clock; if the authority's CA is a private one, add --acme-ca FILE"
                    .into()
            }
            AcmeErrorKind::NotAcme => {
                format!("--acme-directory {directory} must be an ACME directory")
            }
            AcmeErrorKind::RateLimited => "the authority says when; to practise, use its staging \
                              directory (--acme-directory)"
                .into(),
            AcmeErrorKind::Unproven(domain) => format!(
                "port 443 of {domain} must reach this process, at all addresses that the name has"
            ),
            AcmeErrorKind::Busy
            | AcmeErrorKind::StaleNonce
            | AcmeErrorKind::NotReady
            | AcmeErrorKind::Refused => return None,
        })
    }

    /// The pause before the next order after this many failures in a row, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let first = match self.kind {
            AcmeErrorKind::Unreachable
            | AcmeErrorKind::Busy
            | AcmeErrorKind::StaleNonce
            | AcmeErrorKind::NotReady => FIRST_PAUSE,
            AcmeErrorKind::Untrusted
            | AcmeErrorKind::NotAcme
            | AcmeErrorKind::Refused
            | AcmeErrorKind::Unproven(_) => FIRST_PAUSE_REFUSED,
            AcmeErrorKind::RateLimited => LONGEST_PAUSE,
        };
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        let asked = self.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        first.saturating_mul(doubled).min(LONGEST_PAUSE).max(asked)
    }
}

impl fmt::Display for AcmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for AcmeError {}

impl From<Error> for AcmeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Other(error) => match error.downcast::<AcmeError>() {
                Ok(error) => *error,
                Err(error) => AcmeError::refused(error.to_string()),
            },
            Error::Api(problem) => AcmeError::problem(problem, StatusCode::BAD_REQUEST, None),
            Error::Json(_) | Error::Str(_) | Error::Http(_) | Error::InvalidUri(_) => {
                AcmeError::not_acme(format!("the authority's answer is no ACME: {error}"))
            }
            other => AcmeError::refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_become_errors() {
        let problem = |name: &str, detail: &str| {
            serde_json::json!({ "type": format!("{ACME_ERROR}{name}"), "detail": detail })
                .to_string()
        };
        for (status, body, why, kind) in [
            (
                400,
                problem("badNonce", "JWS has an invalid nonce"),
                "JWS has an invalid nonce",
                AcmeErrorKind::StaleNonce,
            ),
            (403, problem("orderNotReady", "wait"), "wait", AcmeErrorKind::NotReady),
            (
                400,
                problem("rejectedIdentifier", "not \"a.example\""),
                "not \"a.example\"",
                AcmeErrorKind::Refused,
            ),
            (429, problem("rateLimited", "retry later"), "retry later", AcmeErrorKind::RateLimited),
            (500, problem("serverInternal", "oops"), "oops", AcmeErrorKind::Busy),
            (503, problem("other", "down"), "down", AcmeErrorKind::Busy),
            (
                404,
                "404 page not found\n".into(),
                "the authority answered 404 \"404 page not found\\n\"",
                AcmeErrorKind::NotAcme,
            ),
            (400, "{}".into(), "the authority answered 400 \"{}\"", AcmeErrorKind::NotAcme),
            (503, String::new(), "the authority answered 503 \"\"", AcmeErrorKind::Busy),
            (429, String::new(), "the authority answered 429 \"\"", AcmeErrorKind::RateLimited),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = AcmeError::answered(status, body.as_bytes(), None);
            assert_eq!((error.to_string().as_str(), &error.kind), (why, &kind), "{status} {body}");
            let passed_on = AcmeError::from(Error::Other(Box::new(error)));
            assert_eq!((passed_on.to_string().as_str(), &passed_on.kind), (why, &kind));
        }
        let page = AcmeError::answered(StatusCode::BAD_GATEWAY, &[b'x'; 100_000], None);
        assert!(page.to_string().len() < 2 * SHOWN);
    }

    #[test]
    fn the_authority_sets_the_pause() {
        let pause = |seconds, failures| {
            let asked = Some(Duration::from_secs(seconds));
            AcmeError::answered(StatusCode::SERVICE_UNAVAILABLE, b"", asked)
                .pause(failures)
                .as_secs()
        };
        assert_eq!((pause(0, 1), pause(90, 1), pause(90, 20)), (1, 90, 3600));
        assert_eq!(pause(7 * 24 * 3600, 1), 24 * 3600);
    }

    #[test]
    fn pauses_grow_and_the_authority_is_not_asked_too_often() {
        let unreachable = AcmeError::unreachable("connection refused");
        let pauses: Vec<_> = (1..5).map(|n| unreachable.pause(n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8]);
        assert_eq!(unreachable.pause(u32::MAX), LONGEST_PAUSE);
        // Let's Encrypt's bucket: five tokens, one more every twelve minutes.
        let unproven = AcmeError::unproven("a.example".into(), None);
        let mut tokens = 5.0;
        for failures in 1..200 {
            tokens -= 1.0;
            assert!(tokens >= 0.0, "after {failures} failures");
            tokens = f64::min(5.0, tokens + unproven.pause(failures).as_secs_f64() / 720.0);
        }
    }

    #[test]
    fn errors_name_what_to_check() {
        let error = AcmeError::unproven("a.example".into(), None);
        assert!(error.check("https://ca").unwrap().contains("port 443 of a.example must reach"));
        assert!(
            AcmeError::unreachable("x")
                .check("https://ca")
                .unwrap()
                .contains("must reach https://ca")
        );
        assert!(AcmeError::refused("no").check("https://ca").is_none());
    }
}
