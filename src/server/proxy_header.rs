//! PROXY header: read before everything else where proxies in front name their clients (`--accept-proxy`).

use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures::AsyncReadExt;

use super::open_connections::{ClosedFor, OpenConnections};
use super::waiting::{Waited, before};
use crate::http::Arrived;
use crate::net::address::canonical;
use crate::net::plain::Plain;
use crate::net::proxy::{Parsed, ProxyHeader, parse};

/// Bytes that are looked at once: headers have about a hundred. One that is longer is read in several steps.
const LOOK: usize = 4096;

/// Reads the header; the client that it names is then the peer. `None` if there is none that counts, which is logged.
///
/// The connection is closed then without an answer: a port that answers those who come without a header could be used
/// by them.
pub async fn accept(
    mut arrived: Arrived<Plain>,
    connections: &Arc<OpenConnections>,
) -> Option<Arrived<Plain>> {
    let began = Instant::now();
    let limit = arrived.left;
    let mailbox = &arrived.registration.card.mailbox;
    let proxy = arrived.peer.addr;
    let why = match before(limit, mailbox, read(&mut arrived.io)).await {
        Waited::Done(Ok(header)) => {
            arrived.left = limit.saturating_sub(began.elapsed());
            name(&mut arrived, header);
            return Some(arrived);
        }
        Waited::Stopped => return None,
        Waited::TimedOut => "no whole PROXY header came in time",
        Waited::Done(Err(Missing::Malformed(why))) => why,
        Waited::Done(Err(Missing::Ended)) => "the connection ended within the PROXY header",
        // As the probes of load balancers do.
        Waited::Done(Err(Missing::Silent)) => {
            arrived.peer.subject().connection_ended("it ended before the PROXY header");
            return None;
        }
        Waited::Done(Err(Missing::Failed(error))) => {
            arrived.peer.subject().connection_ended(tracing::field::display(&error));
            return None;
        }
    };
    connections.report(proxy, ClosedFor::NoHeader(why));
    None
}

/// Makes the client that the header names the peer, also in the registry.
fn name(arrived: &mut Arrived<Plain>, header: ProxyHeader) {
    let peer = &mut arrived.peer;
    if let Some((source, destination)) = header.addresses {
        peer.addr = source.into();
        peer.local = Some(canonical(destination));
        arrived.registration.name(peer.addr.socket_addr());
    }
    let says_more = ProxyHeader { addresses: None, ..header };
    peer.proxied = (says_more != ProxyHeader::default()).then(|| Arc::new(says_more));
}

/// Why there is no header.
enum Missing {
    Malformed(&'static str),
    /// The stream ended before its first byte.
    Silent,
    /// The stream ended within it.
    Ended,
    Failed(io::Error),
}

/// Reads a header and not a byte more: what follows is the first of TLS or of HTTP, and stays in the socket.
async fn read(io: &mut Plain) -> Result<ProxyHeader, Missing> {
    let mut bytes = Vec::new();
    let mut look = vec![0; LOOK];
    loop {
        let before = bytes.len();
        let n = io.peek(&mut look).await.map_err(Missing::Failed)?;
        if n == 0 {
            return Err(if before == 0 { Missing::Silent } else { Missing::Ended });
        }
        bytes.extend_from_slice(&look[..n]);
        let (header, taken) = match parse(&bytes) {
            Parsed::Malformed(why) => return Err(Missing::Malformed(why)),
            // All of it is the header's.
            Parsed::Incomplete => (None, n),
            Parsed::Complete(header, length) => (Some(header), length - before),
        };
        // They are there.
        io.read_exact(&mut look[..taken]).await.map_err(Missing::Failed)?;
        if let Some(header) = header {
            return Ok(header);
        }
    }
}
