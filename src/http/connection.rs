//! Connection: serves HTTP, then the session that a handshake opened.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::AsyncWriteExt;

use super::answer::answer;
use super::arrived::Arrived;
use super::context::Context;
use super::handoff::{Accepted, Handoff, Joined, Ready};
use super::http1::{Answering, HttpEnd, HttpTimeouts, serve_requests};
use super::linger::linger;
use super::peer::Peer;
use super::permits::SessionPermits;
use super::request_state::RequestState;
use super::subject;
use crate::clock::timeout;
use crate::net::stream::ByteStream;
use crate::registry::Registration;
use crate::session::{self, Session, Terms};
use crate::sync::Current;

/// Serves one connection to its end: requests, and after a 101 its session.
///
/// The two are boxed one after the other, and the future itself holds pointers only, so that an idle session does not
/// keep the memory that HTTP needed.
pub fn serve(arrived: Arrived, current: Arc<Current<Context>>) -> impl Future<Output = ()> + Send {
    let Arrived { io, peer, left, registration } = arrived;
    let opening = Box::pin(open(io, Arc::new(peer), left, registration, current));
    async move {
        if let Some((session, permits, registration)) = opening.await {
            let reason = session.run().await;
            // Before the log line, so that whoever reads it can open another session.
            drop(permits);
            subject::closed(&registration.card, &reason);
        }
    }
}

/// Serves HTTP to its end; returns the session, if one was opened. Its future holds each argument twice.
async fn open(
    io: ByteStream,
    peer: Arc<Peer>,
    left: Duration,
    registration: Registration,
    current: Arc<Current<Context>>,
) -> Option<(Box<Session>, Arc<SessionPermits>, Registration)> {
    let card = &registration.card;
    let subject = peer.subject();
    let handoff = Handoff::default();
    let timeouts = HttpTimeouts::of(&current.get().config, left);
    let answer = {
        let handoff = handoff.clone();
        move |request, state: &RequestState| {
            let (context, peer, handoff) = (current.get(), peer.clone(), handoff.clone());
            let state = state.clone();
            Box::pin(async move { Ok(answer(request, &context, &peer, &handoff, &state).await) })
                as Answering
        }
    };
    let spoken = serve_requests(io, &subject, timeouts, &card.mailbox, answer).await;
    let HttpEnd { mut io, early, is_whole } = spoken;
    let Some(Accepted { head, joined }) = handoff.take().filter(|_| is_whole) else {
        linger(io).await;
        return None;
    };
    // Without its 101 the client has no session.
    if let Err(error) = send(&mut io, &head, timeouts.response).await {
        tracing::debug!(id = subject.id, client = %subject.client, %error, "connection ended");
        return None;
    }
    match joined {
        Joined::Session(ready) => {
            let Ready { backend, permits, card: session, route } = *ready;
            card.open(session);
            subject::opened(card);
            let session = Session::new(Terms {
                client: io,
                early,
                backend,
                config: route.session.clone(),
                stage: None,
                card: card.clone(),
            });
            Some((session, permits, registration))
        }
        Joined::Refused(why, route) => {
            let close_timeout = route.session.close_timeout;
            session::refuse(io, &early, &why, close_timeout).await;
            None
        }
    }
}

/// Writes all of the 101. A socket takes it at once, unless answers to other requests wait there: a timer is set only
/// then.
async fn send(io: &mut ByteStream, head: &[u8], limit: Duration) -> io::Result<()> {
    let mut sent = pin!(async {
        io.write_all(head).await?;
        io.flush().await
    });
    if let Poll::Ready(sent) = poll_fn(|cx| Poll::Ready(sent.as_mut().poll(cx))).await {
        return sent;
    }
    timeout(limit, sent).await?
}
