//! ClientName: the name of a client's address, which facts about the client show.

use std::sync::Arc;
use std::time::Duration;

use super::ClientFacts;
use crate::clock::timeout;
use crate::net::lookup;

/// The name of a client's address that has this address too, if it is found within `limit`.
pub async fn client_name(client: &ClientFacts<'_>, limit: Duration) -> Option<Arc<str>> {
    let ip = client.source()?.ip().to_canonical();
    timeout(limit, lookup::client_name(ip)).await.ok().flatten()
}
