//! Upgrade: checks a WebSocket handshake, connects its backend, and makes the 101.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Instant, SystemTime};

use httpdate::HttpDate;
use hyper::{Request, header};

use super::context::Context;
use super::extra::Extra;
use super::gate::auth::Identity;
use super::gate::forwarded::Arrival;
use super::gate::guard::Admitted;
use super::handoff::{Accepted, Joined, Ready, Refused};
use super::handshake::{self, Upgrade};
use super::peer::Peer;
use super::permits::{Capacity, SessionPermits, admit};
use super::refusal::Refusal;
use super::routes::{Found, Refuse, Route};
use super::subject::{Subject, logged_path};
use crate::backend::ClientFacts;
use crate::registry::SessionCard;

/// Answers a WebSocket handshake: parse, guard, limits, backend, 101. No backend is connected for a client that is
/// refused.
///
/// # Errors
/// The refusal, by any row of the table of the opening handshake.
pub async fn upgrade(
    request: &Request<()>,
    arrival: &Arrival,
    context: &Context,
    peer: &Peer,
    subject: &Subject,
) -> Result<Accepted, Refusal> {
    let upgrade = handshake::check(request)?;
    let Found { route, covered } =
        context.routes.find(arrival, request.uri().path(), &upgrade.offers)?;
    let ours = route.handshake.subprotocols.as_deref();
    let subprotocol = handshake::choose_subprotocol(&upgrade.offers, ours);
    let wanted = Wanted { request, arrival, route, covered, subprotocol, peer };
    let mut identity = Identity::default();
    let joined = {
        let mut joining = pin!(join(wanted, &context.capacity, &mut identity));
        let joined = poll_fn(|cx| {
            // A stop wakes this task, which may be waiting for the backend.
            match context.capacity.registry.is_stopping() {
                true => Poll::Ready(Err(Refusal::stopping())),
                false => joining.as_mut().poll(cx),
            }
        });
        joined.await
    };
    let joined = match joined {
        Ok(ready) => Joined::Session(ready),
        Err(refusal) if refusal.temporary && route.handshake.refuse == Refuse::Close => {
            let (why, is_warning) =
                (format!("{} (closed with 1013)", refusal.why), refusal.status.is_server_error());
            subject.refused_for(&logged_path(request), 101, &why, is_warning);
            let greeting = route.session.greeting.as_ref();
            let said =
                greeting.map(|lines| lines.refusal(&wanted.describe(&identity), &refusal.why));
            let said = said.unwrap_or_default();
            Joined::Refused(Refused { why: refusal.why, said, route: route.clone() })
        }
        Err(refusal) => return Err(refusal),
    };
    let extra = &context.config.extra_headers.ws;
    Ok(Accepted { head: switching_protocols(&upgrade, subprotocol, extra), joined })
}

/// A correct handshake and its route.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    request: &'a Request<()>,
    arrival: &'a Arrival,
    route: &'a Arc<Route>,
    /// The length of the part of the path that the route's rule matched, in bytes.
    covered: usize,
    subprotocol: Option<&'a str>,
    peer: &'a Peer,
}

impl<'a> Wanted<'a> {
    /// What the backend is told of a client with this identity.
    fn describe(&self, identity: &'a Identity) -> ClientFacts<'a> {
        let script = &self.request.uri().path()[..self.covered];
        self.peer.describe(self.request, script, self.arrival, self.subprotocol, identity)
    }
}

/// Checks whether the client may connect, and connects to the backend. The identity that it proves is kept even if that
/// fails.
async fn join(
    wanted: Wanted<'_>,
    capacity: &Capacity,
    identity: &mut Identity,
) -> Result<Box<Ready>, Refusal> {
    let Wanted { request, arrival, route, subprotocol, peer, .. } = wanted;
    let (headers, query) = (request.headers(), request.uri().query());
    let Admitted { identity: proved, permit: address } =
        route.guard.check(headers, query, arrival).await?;
    *identity = peer.identify(proved);
    let own = admit(&route.counters.sessions, route.max_sessions)?;
    let permits = SessionPermits::new(capacity.admit()?, Some(own), address);
    let limit = route.handshake.connect_timeout;
    let client = wanted.describe(identity);
    let connected = route.pool.connect(&client, limit, permits.clone()).await;
    let (backend, name) = connected.map_err(Refusal::no_backend)?;
    let greeting = route.session.greeting.as_ref().map(|lines| lines.of(&client));
    let greeting = greeting.unwrap_or_default();
    let card = SessionCard {
        since: Instant::now(),
        forwarded_for: arrival.forwarded_for(peer.addr),
        user: identity.user.clone(),
        route: route.path.clone(),
        path: logged_path(request).into(),
        backend: name,
        subprotocol: subprotocol.map(Box::from),
    };
    Ok(Box::new(Ready { backend, greeting, permits, card, route: route.clone() }))
}

/// The head of the 101 (RFC 6455, section 4.2.2), with names spelled as there, as some clients compare bytes. No
/// extension is ever answered.
fn switching_protocols(upgrade: &Upgrade, subprotocol: Option<&str>, extra: &Extra) -> Vec<u8> {
    let mut head = Vec::with_capacity(256 + extra.lines().len());
    head.extend(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    let mut add = |name: &[u8], value: &str| {
        for part in [name, b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    add(b"Sec-WebSocket-Accept", &upgrade.accept);
    if let Some(name) = subprotocol {
        // A token that came in a header or was checked at the start.
        add(b"Sec-WebSocket-Protocol", name);
    }
    if !extra.headers().contains_key(header::DATE) {
        let now = HttpDate::from(SystemTime::now());
        write!(head, "Date: {now}\r\n").expect("a Vec takes all");
    }
    head.extend_from_slice(extra.lines());
    head.extend(b"\r\n");
    head
}
