//! Linger: closes a connection without a reset behind its last response.

use std::time::Duration;

use crate::clock::timeout;
use crate::net::stream::ByteStream;

/// How long the client may take to end its stream after the last response.
pub const LINGER: Duration = Duration::from_secs(2);

/// Sends a FIN and reads until the client's, as unread bytes at a close would send a reset, which may overtake the
/// response.
pub async fn linger(mut io: ByteStream) {
    let _ = timeout(LINGER, io.leave()).await;
}
