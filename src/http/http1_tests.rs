//! Tests of HTTP on one connection, whose client has sent all it will send before it is looked at.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;
use crate::http::body::full;
use crate::net::address::PeerAddr;
use crate::net::plain::Plain;
use crate::task;

const LIMIT: Duration = Duration::from_secs(20);

/// More than a socket takes at once.
const LARGE: usize = 1 << 20;

/// Answers by path: at once, a while later, with a large body, or never.
fn by_path(request: Request<Incoming>, state: &RequestState) -> Answering {
    let path = request.uri().path().to_owned();
    if path == "/never" {
        state.needs_client();
    }
    Box::pin(async move {
        match &*path {
            "/never" => std::future::pending().await,
            "/late" => {
                for _ in 0..10 {
                    task::yield_now().await;
                }
            }
            _ => {}
        }
        let length = if path == "/large" { LARGE } else { 2 };
        Ok(Response::new(full(vec![b'x'; length].into())))
    })
}

/// What a client receives that sends all this and its FIN, before the server reads.
fn receives(sent: &[u8]) -> String {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(sent).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    theirs.set_read_timeout(Some(LIMIT)).unwrap();
    ours.set_nonblocking(true).unwrap();
    let received = std::thread::spawn(move || {
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        String::from_utf8(received).unwrap()
    });
    task::block_on(async {
        let io = ByteStream::plain(Plain::unix(ours).unwrap());
        let began = Instant::now();
        // The end is there before the first byte is read.
        while !io.is_ended() {
            assert!(began.elapsed() < LIMIT, "the FIN is not noticed");
            task::yield_now().await;
        }
        let client = PeerAddr::Unix;
        let subject = Subject { id: 1, client, forwarded_for: None, user: None };
        let timeouts = HttpTimeouts { first: LIMIT, request: LIMIT, response: LIMIT };
        serve_requests(io.into(), &subject, timeouts, &Mailbox::default(), by_path).await;
    });
    received.join().unwrap()
}

#[test]
fn a_client_that_ends_its_stream_gets_what_it_has_asked_for() {
    let (at_once, late) = ("GET /a HTTP/1.1\r\nHost: t\r\n\r\n", "GET /late HTTP/1.0\r\n\r\n");
    let large = "GET /large HTTP/1.1\r\nHost: t\r\n\r\n";
    let (never, half) = ("GET /never HTTP/1.1\r\nHost: t\r\n\r\n", "GET /a HTTP/1.1\r\nHost:");
    let garbage = "garbage\n";
    let post = "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab";
    for (requests, want) in [
        (&[at_once][..], &[200][..]),
        (&[late], &[200]),
        (&[large], &[200]),
        (&[post], &[200]),
        (&[at_once, at_once], &[200, 200]),
        (&[at_once, late], &[200, 200]),
        (&[garbage], &[400]),
        (&[half], &[400]),
        (&["\r\n"], &[]),
        (&[""], &[]),
        (&[at_once, garbage], &[200, 400]),
        (&[at_once, half], &[200, 400]),
        (&[large, garbage], &[200, 400]),
        (&[large, half], &[200, 400]),
        (&[large, at_once, large, garbage], &[200, 200, 200, 400]),
        (&[post, garbage], &[200, 400]),
        (&[&post[..post.len() - 1]], &[200]),
        // Nobody waits for this one any more.
        (&[never], &[]),
        (
            &[&never.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nab")],
            &[],
        ),
        (&[at_once, never], &[200]),
    ] {
        let received = receives(requests.concat().as_bytes());
        let status = |line: &str| line.split(' ').nth(1).unwrap().parse::<u16>().unwrap();
        let heads = received.match_indices("HTTP/1.").map(|(at, _)| &received[at..]);
        let got: Vec<u16> = heads.map(status).collect();
        assert_eq!(got, want, "{requests:?}");
        let bodies = received.bytes().filter(|b| *b == b'x').count();
        let large = requests.iter().filter(|request| **request == large).count();
        assert!(bodies >= large * LARGE, "{requests:?}: {bodies} bytes");
        if want.ends_with(&[400]) {
            let (_, why) = received.rsplit_once("\r\n\r\n").unwrap();
            assert!(why.len() > 10 && why.ends_with('\n'), "{requests:?}: {why:?}");
        }
    }
}
