//! The conditions of a request, which decide whether a file is sent (RFC 9110, 13); pure.
//!
//! By hand: headers 0.4 has typed conditions, but in builds with debug assertions a space inside a client's tag panics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// What distinguishes one version of a file from another.
#[derive(Debug)]
pub struct Validators {
    /// A strong entity tag, quotes included.
    pub etag: String,
    /// The modification time in whole seconds. `None` if it is before 1970, or in the future, which a server must not
    /// send.
    pub modified: Option<SystemTime>,
}

impl Validators {
    /// The validators of a file with this modification time and length in bytes, at `now`.
    pub fn new(modified: SystemTime, len: u64, now: SystemTime) -> Self {
        let since = modified.duration_since(UNIX_EPOCH);
        let stamp = match &since {
            Ok(after) => format!("{:x}", after.as_nanos()),
            Err(before) => format!("-{:x}", before.duration().as_nanos()),
        };
        Self {
            etag: format!("\"{stamp}-{len:x}\""),
            modified: since
                .ok()
                .filter(|_| modified <= now)
                .map(|after| UNIX_EPOCH + Duration::from_secs(after.as_secs())),
        }
    }
}

/// The result of a request's conditions.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file is sent.
    Send,
    /// 304: the client has this version.
    NotModified,
    /// 412: it is not the version that the client expects.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2. Dates that can't be read are ignored.
pub fn evaluate(headers: &HeaderMap, file: &Validators) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !any_tag(headers, IF_MATCH, |tag| strong(tag, file)) {
            return Verdict::Failed;
        }
    } else if modified_since(headers, IF_UNMODIFIED_SINCE, file) == Some(true) {
        return Verdict::Failed;
    }
    let unchanged = if headers.contains_key(IF_NONE_MATCH) {
        any_tag(headers, IF_NONE_MATCH, |tag| weak(tag, file))
    } else {
        modified_since(headers, IF_MODIFIED_SINCE, file) == Some(false)
    };
    if unchanged { Verdict::NotModified } else { Verdict::Send }
}

/// Whether `If-Range`, if there is one, lets `Range` apply (RFC 9110, 13.1.5): the tag strongly, the date exactly.
pub fn range_applies(headers: &HeaderMap, file: &Validators) -> bool {
    match single(headers, IF_RANGE) {
        None => !headers.contains_key(IF_RANGE),
        Some(value) if value.as_bytes().ends_with(b"\"") => strong(value.as_bytes(), file),
        Some(value) => date(value).is_some_and(|date| Some(date) == file.modified),
    }
}

fn strong(tag: &[u8], file: &Validators) -> bool {
    tag == file.etag.as_bytes()
}

fn weak(tag: &[u8], file: &Validators) -> bool {
    strong(tag.strip_prefix(b"W/").unwrap_or(tag), file)
}

/// Whether one of the header's entity tags passes `test`; `*` always does. What follows a malformed tag is ignored.
fn any_tag(headers: &HeaderMap, name: HeaderName, test: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        value == b"*" || Tags(value).any(&test)
    })
}

/// The entity tags of a list, quotes and `W/` included. Not split at commas: a tag may hold some.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|b| !matches!(b, b' ' | b'\t' | b','))?;
        let list = &self.0[start..];
        let open = if list.starts_with(b"W/") { 2 } else { 0 };
        let inner = list[open..].strip_prefix(b"\"")?;
        let end = open + 1 + inner.iter().position(|b| *b == b'"')? + 1;
        self.0 = &list[end..];
        Some(&list[..end])
    }
}

/// Whether the file changed after the header's date; `None` if either is not known.
fn modified_since(headers: &HeaderMap, name: HeaderName, file: &Validators) -> Option<bool> {
    Some(file.modified? > date(single(headers, name)?)?)
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

/// The header's value, if it was sent once.
pub fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
