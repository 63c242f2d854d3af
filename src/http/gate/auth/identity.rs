//! Identity: who a request has proved to be from, and the header that it does so with.

use std::sync::Arc;

use hyper::header::{self, HeaderMap};

/// A name that was proved; `None` where a token without a name was.
pub type User = Option<Arc<str>>;

/// Who a request has proved to be from. The default is nobody in particular.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The name.
    pub user: User,
    /// The scheme that it was proved by (RFC 9110, section 11.1): `Basic` or `Bearer`; the latter for a token,
    /// wherever it stood.
    pub scheme: Option<&'static str>,
}

/// What follows this scheme in the Authorization header, if there is one such header.
pub fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (given, rest) = value.to_str().ok()?.trim().split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// A key that is a secret of this process.
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the kernel has random numbers");
    key
}
