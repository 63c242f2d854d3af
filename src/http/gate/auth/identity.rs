//! Identity: the user that a request has proved to be, and the header that proves it.

use std::sync::Arc;

use hyper::header::{self, HeaderMap};

/// A proved user name; `None` for a token without a name.
pub type User = Option<Arc<str>>;

/// The identity that a request has proved. The default is none.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The name.
    pub user: User,
    /// The authentication scheme (RFC 9110, section 11.1): `Basic`, or `Bearer` for every token.
    pub scheme: Option<&'static str>,
}

/// The credentials behind this scheme in the Authorization header, if there is exactly one such header.
pub fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (given, rest) = value.to_str().ok()?.trim().split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}
