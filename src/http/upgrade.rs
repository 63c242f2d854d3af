//! Upgrade: checks a WebSocket handshake, connects its backend, and makes the 101.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Instant, SystemTime};

use futures::future::try_join;
use httpdate::HttpDate;
use hyper::{Request, header};

use super::context::Context;
use super::extra::Extra;
use super::gate::auth::{Credentials, Identity};
use super::gate::forwarded::Arrival;
use super::gate::guard::Admitted;
use super::handoff::{Accepted, Joined, Ready, Refused};
use super::handshake::{self, Upgrade};
use super::peer::Peer;
use super::permits::{Capacity, SessionPermits, admit};
use super::refusal::Refusal;
use super::routes::{Found, HandshakeConfig, Refuse, ResolveClients, Route};
use super::subject::Subject;
use super::subprotocols::Choice;
use crate::backend::{BackendIo, ClientFacts, OpenError, client_name};
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
    let choice = route.handshake.subprotocols.choose(&upgrade.offers, &route.session);
    let path = context.logged_path(request);
    let wanted = Wanted { request, path: &path, arrival, route, covered, choice, peer };
    let mut client = Client::default();
    let joined = {
        let mut joining = pin!(join(wanted, &context.capacity, &mut client));
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
            subject.refused_for(&path, 101, &why, is_warning);
            let greeting = route.session.greeting.as_ref();
            let said = greeting.map(|lines| lines.refusal(&wanted.describe(&client), &refusal.why));
            let said = said.unwrap_or_default();
            Joined::Refused(Refused { why: refusal.why, said, session: choice.session.clone() })
        }
        Err(refusal) => return Err(refusal),
    };
    let extra = &context.config.extra_headers.ws;
    Ok(Accepted { head: switching_protocols(&upgrade, choice.name, extra), joined })
}

/// A correct handshake and its route.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    request: &'a Request<()>,
    /// Its path, as it is logged.
    path: &'a str,
    arrival: &'a Arrival,
    route: &'a Arc<Route>,
    /// The length of the part of the path that the route's rule matched, in bytes.
    covered: usize,
    choice: Choice<'a>,
    peer: &'a Peer,
}

impl<'a> Wanted<'a> {
    /// What the backend is told of this client.
    fn describe(&self, Client { identity, name }: &'a Client) -> ClientFacts<'a> {
        let script = &self.request.uri().path()[..self.covered];
        let facts =
            self.peer.describe(self.request, script, self.arrival, self.choice.name, identity);
        ClientFacts { name: name.as_deref(), ..facts }
    }
}

/// What is found out of a client that wants a session.
#[derive(Default)]
struct Client {
    /// What it has proved.
    identity: Identity,
    /// The name of its address.
    name: Option<Arc<str>>,
}

/// Checks whether the client may connect, and connects to the backend. What is found out of it is kept even if that
/// fails.
async fn join(
    wanted: Wanted<'_>,
    capacity: &Capacity,
    found: &mut Client,
) -> Result<Box<Ready>, Refusal> {
    let Wanted { request, arrival, route, choice, peer, .. } = wanted;
    let Admitted { identity: proved, permit: address } =
        route.guard.check(Credentials::of(request), arrival).await?;
    found.identity = peer.identify(proved);
    let own = admit(&route.counters.sessions, route.max_sessions)?;
    let permits = SessionPermits::new(capacity.admit()?, Some(own), address);
    let limit = route.handshake.connect_timeout;
    let connected = match route.handshake.resolve_clients {
        ResolveClients::Never => {
            route.pool.connect(&wanted.describe(found), limit, permits.clone()).await
        }
        // Boxed, as most sessions should not have to hold room for it.
        _ => Box::pin(resolve_and_connect(wanted, found, permits.clone())).await,
    };
    let (backend, name) = connected.map_err(Refusal::no_backend)?;
    let client = wanted.describe(found);
    let greeting = route.session.greeting.as_ref().map(|lines| lines.of(&client));
    let greeting = greeting.unwrap_or_default();
    let stage = choice.session.stage(client.source().map(|addr| addr.ip()));
    let card = SessionCard {
        since: Instant::now(),
        forwarded_for: arrival.forwarded_for(peer.addr),
        user: found.identity.user.clone(),
        route: route.path.clone(),
        path: wanted.path.into(),
        backend: name,
        subprotocol: choice.name.map(Box::from),
    };
    let session = choice.session.clone();
    let recorder = route.recorder.clone();
    Ok(Box::new(Ready { backend, stage, greeting, permits, card, session, recorder }))
}

/// Looks up the client's name and connects to the backend, each within `--connect-timeout`. Without a name by then there
/// is none.
async fn resolve_and_connect(
    wanted: Wanted<'_>,
    found: &mut Client,
    permits: Arc<SessionPermits>,
) -> Result<(BackendIo, Arc<str>), OpenError> {
    let HandshakeConfig { connect_timeout: limit, resolve_clients, .. } = wanted.route.handshake;
    if resolve_clients == ResolveClients::First {
        found.name = client_name(&wanted.describe(found), limit).await;
        return wanted.route.pool.connect(&wanted.describe(found), limit, permits).await;
    }
    let client = wanted.describe(found);
    let name = async { Ok(client_name(&client, limit).await) };
    // A client whose backend refuses does not wait for its name.
    let (name, connected) =
        try_join(name, wanted.route.pool.connect(&client, limit, permits)).await?;
    found.name = name;
    Ok(connected)
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
