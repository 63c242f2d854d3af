//! TLS handshake: comes before HTTP where TLS is spoken; those who don't speak it are told so.

use std::sync::Arc;
use std::time::Instant;

use futures::AsyncWriteExt;
use futures::future::BoxFuture;
use hyper::StatusCode;

use super::waiting::{Waited, before};
use crate::clock::timeout;
use crate::http::linger::{LINGER, linger};
use crate::http::refusal::Refusal;
use crate::http::{Arrived, Peer, Subject};
use crate::net::plain::Plain;
use crate::net::stream::ByteStream;
use crate::net::tls::{Acceptor, HandshakeFailure};

/// What a browser that forgot the s is told, as nginx does by its status 497.
const PLAIN_HTTP: &str =
    "this port speaks TLS: use https:// or wss:// in place of http:// or ws://";

/// Does the handshake with a client, who has what is left for it and its request together; `None` if it
/// came to nothing, which is logged and answered then.
///
/// Not an async function, whose future would hold the connection twice; boxed, as only some need the room.
pub fn accept(
    arrived: Arrived<Plain>,
    acceptor: Arc<Acceptor>,
) -> BoxFuture<'static, Option<Arrived>> {
    Box::pin(async move {
        let began = Instant::now();
        let limit = arrived.left;
        let subject = arrived.peer.subject();
        let accepting = acceptor.accept(arrived.io);
        let mailbox = &arrived.registration.card.mailbox;
        let accepted = match before(limit, mailbox, accepting).await {
            Waited::Done(accepted) => accepted,
            Waited::Stopped => return None,
            Waited::TimedOut => {
                subject.dropped(&format!("no TLS handshake within {limit:?}"));
                return None;
            }
        };
        match accepted {
            Ok((io, facts)) => Some(Arrived {
                io,
                peer: Peer { tls: Some(Arc::new(facts)), ..arrived.peer },
                left: limit.saturating_sub(began.elapsed()),
                registration: arrived.registration,
            }),
            Err((failure, io)) => {
                turn_away(failure, io, &subject).await;
                None
            }
        }
    })
}

async fn turn_away(failure: HandshakeFailure, mut io: ByteStream, subject: &Subject) {
    match failure {
        HandshakeFailure::Silent => {}
        HandshakeFailure::NoCertificate | HandshakeFailure::Proof => linger(io).await,
        HandshakeFailure::Handshake(why) => {
            subject.dropped(&why);
            // An alert has been written.
            linger(io).await;
        }
        HandshakeFailure::PlainHttp => {
            subject.refused("", 400, PLAIN_HTTP);
            let response = Refusal::written(StatusCode::BAD_REQUEST, PLAIN_HTTP);
            let said = timeout(LINGER, io.write_all(response.as_bytes())).await;
            if matches!(said, Ok(Ok(()))) {
                linger(io).await;
            }
        }
    }
}
