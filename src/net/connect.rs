//! Connect: opens a TCP connection to whichever address of a server answers first.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::lookup;
use super::plain::Plain;
use crate::clock::timeout;

/// The result of `work`.
///
/// # Errors
/// Those of `work`; `TimedOut` at the deadline.
pub async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let left = deadline.saturating_duration_since(Instant::now());
    timeout(left, work).await?
}

/// Connects to the first of a name's addresses that answers. If none does, the name is looked up again next time.
///
/// # Errors
/// If the name does not resolve; as of [`to_any`].
pub async fn to_name(host: &str, port: u16, deadline: Instant) -> io::Result<Plain> {
    let found = within(deadline, lookup::resolve(host)).await?;
    let mut addrs = found.to_vec();
    addrs.iter_mut().for_each(|addr| addr.set_port(port));
    let connected = to_any(&addrs, deadline).await;
    if connected.is_err() {
        lookup::forget(host, &found);
    }
    connected
}

/// Connects to the first of the addresses that answers.
///
/// # Errors
/// As of `connect(2)` with the last address; `TimedOut` at the deadline.
pub async fn to_any(addrs: &[SocketAddr], deadline: Instant) -> io::Result<Plain> {
    let mut last = None;
    for (i, addr) in addrs.iter().enumerate() {
        // The time left is shared among the addresses left: one that drops packets must not use up the time of the
        // next.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addrs.len() - i) as u32;
        match timeout(share, Plain::connect_tcp(*addr)).await.map_err(io::Error::from).flatten() {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name has no address")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// An address that refuses, one that does not answer (its backlog is full), and one that accepts; with the sockets
    /// behind them.
    fn addresses() -> ([SocketAddr; 3], impl Sized) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [refuses, swallows, answers] = [None, Some(0), Some(128)].map(|backlog| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.bind(&any.into()).unwrap();
            if let Some(backlog) = backlog {
                socket.listen(backlog).unwrap();
            }
            socket
        });
        let addr = |socket: &socket2::Socket| socket.local_addr().unwrap().as_socket().unwrap();
        let addrs = [addr(&refuses), addr(&swallows), addr(&answers)];
        let connect =
            || std::net::TcpStream::connect_timeout(&addrs[1], Duration::from_millis(100)).ok();
        let waiting: Vec<_> = std::iter::from_fn(connect).collect();
        (addrs, (refuses, swallows, answers, waiting))
    }

    #[test]
    fn every_address_has_its_turn() {
        let ([refuses, swallows, answers], _kept) = addresses();
        let connect = |addrs: &[SocketAddr], limit| {
            let connect = to_any(addrs, Instant::now() + Duration::from_millis(limit));
            crate::task::block_on(connect)
        };
        for addrs in [
            &[answers][..],
            &[answers, refuses],
            &[refuses, answers],
            &[refuses, refuses, answers],
            &[swallows, answers],
            &[swallows, refuses, answers],
        ] {
            let stream = connect(addrs, 1500).unwrap();
            assert_eq!(
                stream.as_socket().peer_addr().unwrap().as_socket(),
                Some(answers),
                "{addrs:?}"
            );
        }
        for (addrs, kind) in [
            (&[refuses][..], io::ErrorKind::ConnectionRefused),
            (&[swallows], io::ErrorKind::TimedOut),
            (&[swallows, refuses], io::ErrorKind::ConnectionRefused),
            (&[refuses, swallows], io::ErrorKind::TimedOut),
            (&[], io::ErrorKind::Other),
        ] {
            assert_eq!(connect(addrs, 100).unwrap_err().kind(), kind, "{addrs:?}");
        }
    }
}
