//! Arrived: a connection on which HTTP can begin.

use std::time::Duration;

use super::peer::Peer;
use crate::net::stream::ByteStream;
use crate::registry::Registration;

/// A connection on which HTTP can begin: whatever comes before that has been read. With another stream than
/// a [`ByteStream`], one on which TLS is to be spoken first.
#[derive(Debug)]
pub struct Arrived<S = ByteStream> {
    /// What HTTP is spoken on.
    pub io: S,
    /// Who is at its other end.
    pub peer: Peer,
    /// What is left of the time for the first request.
    pub left: Duration,
    /// Its entry in the registry.
    pub registration: Registration,
}
