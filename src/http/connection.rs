//! Connection: serves HTTP, then the session that a handshake opened.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tracing::field::display;

use bytes::Bytes;
use futures::AsyncWriteExt;

use super::answer::answer;
use super::arrived::Arrived;
use super::context::Context;
use super::fast_path::{self, First};
use super::handoff::{Accepted, Handoff, Joined, Ready, Refused};
use super::http1::{Answering, HttpEnd, HttpStart, HttpTimeouts, serve_requests};
use super::linger::linger;
use super::peer::Peer;
use super::permits::SessionPermits;
use super::request_state::RequestState;
use super::subject;
use crate::clock::timeout;
use crate::net::stream::ByteStream;
use crate::record::record;
use crate::registry::{Mailbox, Registration};
use crate::session::{self, Session, Terms};
use crate::sync::Current;

/// Serves one connection to its end: requests, and after a 101 its session.
///
/// The two are boxed one after the other, and the future itself holds pointers only, so that an idle session does not
/// keep the memory that HTTP needed.
pub fn serve(arrived: Arrived, current: Arc<Current<Context>>) -> impl Future<Output = ()> + Send {
    let Arrived { io, peer, left, registration } = arrived;
    let opening = Box::pin(open(io, peer, left, registration, current));
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
    mut io: ByteStream,
    peer: Peer,
    left: Duration,
    registration: Registration,
    current: Arc<Current<Context>>,
) -> Option<(Box<Session>, Arc<SessionPermits>, Registration)> {
    let card = &registration.card;
    let subject = peer.subject();
    let timeouts = HttpTimeouts::of(&current.get().config, left);
    let (mut io, early, accepted) =
        match fast_path::begin(&mut io, left, &peer, &current, &card.mailbox).await {
            First::Accepted(accepted, early) => (io, early, Some(accepted)),
            First::Gone => (io, Bytes::new(), None),
            First::Other { ahead, answer, left } => {
                let start = HttpStart { io, ahead, answer };
                let timeouts = HttpTimeouts { first: left, ..timeouts };
                // Boxed, as most sessions do not need it.
                Box::pin(serve_http(start, peer, timeouts, &card.mailbox, current)).await
            }
        };
    let Some(Accepted { head, joined }) = accepted else {
        Box::pin(linger(io)).await;
        return None;
    };
    // Without its 101 the client has no session.
    if let Err(error) = send(&mut io, &head, timeouts.response).await {
        subject.connection_ended(display(&error));
        return None;
    }
    match joined {
        Joined::Session(ready) => {
            let Ready { backend, stage, greeting, permits, card: entry, session: config, recorder } =
                *ready;
            card.open(entry);
            subject::opened(card);
            let stage = match &recorder {
                Some(to) => Some(record(to, card, &config.framing, stage)),
                None => stage,
            };
            let session = Session::new(Terms {
                client: io,
                early,
                backend,
                config,
                stage,
                greeting,
                card: card.clone(),
            });
            Some((session, permits, registration))
        }
        Joined::Refused(Refused { why, said, session: config }) => {
            Box::pin(session::refuse(io, &early, &said, &why, &config)).await;
            None
        }
    }
}

/// Serves HTTP by hyper. Returns the stream, what was read behind the last request, and the handshake that was accepted.
async fn serve_http(
    start: HttpStart,
    peer: Peer,
    timeouts: HttpTimeouts,
    mailbox: &Mailbox,
    current: Arc<Current<Context>>,
) -> (ByteStream, Bytes, Option<Accepted>) {
    let subject = peer.subject();
    let (peer, handoff) = (Arc::new(peer), Handoff::default());
    let answer = {
        let handoff = handoff.clone();
        move |request, state: &RequestState| {
            let (context, peer, handoff) = (current.get(), peer.clone(), handoff.clone());
            let state = state.clone();
            Box::pin(async move { Ok(answer(request, &context, &peer, &handoff, &state).await) })
                as Answering
        }
    };
    let HttpEnd { io, early, is_whole } =
        serve_requests(start, &subject, timeouts, mailbox, answer).await;
    (io, early, handoff.take().filter(|_| is_whole))
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
