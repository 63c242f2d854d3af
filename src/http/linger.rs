//! Linger: how a connection is left that was answered for the last time.

use std::time::Duration;

use crate::clock::timeout;
use crate::net::stream::ByteStream;

/// How long a connection that was answered for the last time may take to hang up.
pub const LINGER: Duration = Duration::from_secs(2);

/// Hangs up so that no reset overtakes the last response.
pub async fn linger(mut io: ByteStream) {
    let _ = timeout(LINGER, io.leave()).await;
}
