//! Body: the bodies of responses.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};

/// A response's body. Not `Sync`, as a file that is being read is not.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// A body whose bytes are all known.
pub fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
