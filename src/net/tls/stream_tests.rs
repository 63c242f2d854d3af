//! The stream over real sockets, against rustls's usual connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::*;
use crate::net::tls::connection::tests::{configs as configs_with, name};
use crate::task::block_on;

type Peer = StreamOwned<ClientConnection, TcpStream>;

/// The configurations of both ends. The client has rustls's own cryptography.
fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    configs_with(version, ring::default_provider())
}

/// Two ends of a connection; the second one blocks, with a deadline.
fn sockets() -> (Plain, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    far.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    (Plain::tcp(near).unwrap(), far)
}

/// A stream to a client, and that client.
fn pair(version: &'static SupportedProtocolVersion) -> (Box<Tls>, Peer) {
    pair_of(configs(version))
}

fn pair_of((server, client): (Arc<ServerConfig>, Arc<ClientConfig>)) -> (Box<Tls>, Peer) {
    let (near, far) = sockets();
    let peer = thread::spawn(move || {
        let mut peer = StreamOwned::new(ClientConnection::new(client, name()).unwrap(), far);
        peer.conn.complete_io(&mut peer.sock).unwrap();
        peer
    });
    let tls = block_on(Tls::accept(near, server)).unwrap();
    (tls, peer.join().unwrap())
}

/// The records that the peer has made.
fn records(peer: &mut Peer) -> Vec<u8> {
    let mut records = Vec::new();
    while peer.conn.wants_write() {
        peer.conn.write_tls(&mut records).unwrap();
    }
    records
}

fn held(tls: &Tls) -> usize {
    tls.partial.capacity() + tls.rest.len() + tls.out.capacity()
}

#[test]
fn an_idle_stream_holds_no_buffer() {
    for version in [&TLS12, &TLS13] {
        let (mut tls, mut peer) = pair(version);
        peer.write_all(&[b'x'; 100_000]).unwrap();
        block_on(tls.read_exact(&mut [0; 100_000])).unwrap();
        block_on(tls.write_all(&[b'y'; 10_000])).unwrap();
        block_on(tls.flush()).unwrap();
        peer.read_exact(&mut [0; 10_000]).unwrap();
        assert_eq!(held(&tls), 0);
    }
    // rustls's own part of it is 1,088 bytes.
    assert!(size_of::<Tls>() <= 1216, "{} bytes", size_of::<Tls>());
}

#[test]
fn readers_with_small_buffers_get_every_byte() {
    let (mut tls, mut peer) = pair(&TLS13);
    let sent: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let (copy, sizes) = (sent.clone(), [1, 7, 4096, 16_000, 20_000]);
    let writer = thread::spawn(move || {
        peer.write_all(&copy).unwrap();
        peer
    });
    let mut got = Vec::new();
    for size in sizes.into_iter().cycle() {
        let mut buf = vec![0; size];
        let n = block_on(tls.read(&mut buf)).unwrap();
        got.extend_from_slice(&buf[..n]);
        assert!(tls.rest.len() <= SEALED, "{} bytes", tls.rest.len());
        if got.len() == sent.len() {
            break;
        }
    }
    assert!(got == sent);
    writer.join().unwrap();
}

/// A peer may renew its keys at any time, and ask that we renew ours; here between the halves of a record.
#[test]
fn keys_are_renewed_in_the_middle_of_a_record() {
    let (mut tls, mut peer) = pair(&TLS13);
    for n in 0..20_u8 {
        peer.conn.refresh_traffic_keys().unwrap();
        peer.conn.writer().write_all(&[n; 3]).unwrap();
        let all = records(&mut peer);
        let (half, rest) = all.split_at(all.len() - 9);
        peer.sock.write_all(half).unwrap();
        let mut buf = [0; 8];
        // Until the half has come: nothing can be read, and yet it can be written.
        while tls.partial.is_empty() {
            block_on(poll_fn(|cx| {
                assert!(Pin::new(&mut tls).poll_read(cx, &mut buf).is_pending());
                Poll::Ready(())
            }));
        }
        block_on(tls.write_all(&[n; 5])).unwrap();
        peer.read_exact(&mut [0; 5]).unwrap();
        peer.sock.write_all(rest).unwrap();
        assert_eq!(block_on(tls.read(&mut buf)).unwrap(), 3);
        assert_eq!(buf[..3], [n; 3]);
    }
    assert_eq!(held(&tls), 0);
}

#[test]
fn every_cipher_suite_is_understood_by_rustls_own() {
    let suites = ring::default_provider().cipher_suites.into_iter();
    let suites: Vec<_> = suites.filter(|suite| suite.tls13().is_some()).collect();
    assert_eq!(suites.len(), 3);
    for suite in suites {
        let clients = CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
        let (mut tls, mut peer) = pair_of(configs_with(&TLS13, clients));
        assert_eq!(
            tls.agreed().negotiated_cipher_suite().map(|one| one.suite()),
            Some(suite.suite())
        );
        for size in [1, 64, 1000, RECORD, 3 * RECORD + 1] {
            let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let mut got = vec![0; size];
            peer.write_all(&sent).unwrap();
            block_on(tls.read_exact(&mut got)).unwrap();
            assert!(got == sent, "{suite:?}: {size} bytes up");
            got.fill(0);
            block_on(tls.write_all(&sent)).unwrap();
            block_on(tls.flush()).unwrap();
            peer.read_exact(&mut got).unwrap();
            assert!(got == sent, "{suite:?}: {size} bytes down");
            peer.conn.refresh_traffic_keys().unwrap();
        }
    }
}

#[test]
fn what_the_peer_does_not_take_is_one_record() {
    let (mut tls, mut peer) = pair(&TLS13);
    let chunk = [b'x'; 64 * 1024];
    let mut sent = 0;
    block_on(poll_fn(|cx| {
        while let Poll::Ready(n) = Pin::new(&mut tls).poll_write(cx, &chunk) {
            sent += n.unwrap();
        }
        Poll::Ready(())
    }));
    assert!((1..=SEALED).contains(&tls.out.len()), "{} bytes", tls.out.len());
    assert!(tls.take_moved(true) && !tls.take_moved(true));
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).expect("a close_notify");
        (all.len(), peer)
    });
    block_on(tls.close()).unwrap();
    let (got, mut peer) = reader.join().unwrap();
    assert_eq!(got, sent);
    // Our end is closed, the peer's is not.
    assert_eq!(block_on(tls.write(b"x")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    peer.write_all(b"last").unwrap();
    peer.conn.send_close_notify();
    peer.flush().unwrap();
    let mut last = String::new();
    block_on(tls.read_to_string(&mut last)).unwrap();
    assert_eq!(last, "last");
}

#[test]
fn parts_of_a_response_leave_in_one_record() {
    let (mut tls, mut peer) = pair(&TLS13);
    let long = [b'z'; RECORD];
    let parts = [b"head ".as_slice(), b"", b"body ", &long].map(IoSlice::new);
    assert_eq!(block_on(tls.write_vectored(&parts)).unwrap(), RECORD);
    assert_eq!(block_on(tls.write_vectored(&[IoSlice::new(b"")])).unwrap(), 0);
    let mut record = [0; SEALED];
    let n = peer.sock.peek(&mut record).unwrap();
    assert_eq!(n, 5 + RECORD + 1 + 16, "a header, the bytes, their kind and a tag");
    let mut got = vec![0; RECORD];
    peer.read_exact(&mut got).unwrap();
    assert!(got.starts_with(b"head body zz"));
}

#[test]
fn bytes_that_are_wrong_are_answered_by_an_alert_behind_what_came_before() {
    let (mut tls, mut peer) = pair(&TLS13);
    peer.conn.writer().write_all(b"good").unwrap();
    let mut all = records(&mut peer);
    peer.conn.writer().write_all(b"bad").unwrap();
    let good = all.len();
    all.extend(records(&mut peer));
    *all.last_mut().unwrap() ^= 1;
    peer.sock.write_all(&all).unwrap();
    let mut buf = [0; 100];
    assert_eq!(block_on(tls.read_exact(&mut buf[..4])).map(|()| &buf[..4]).unwrap(), b"good");
    for _ in 0..2 {
        let error = block_on(tls.read(&mut buf)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = block_on(tls.write(b"x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    let alert = peer.read(&mut buf).unwrap_err();
    assert!(alert.to_string().contains("BadRecordMac"), "{alert} ({good} bytes were good)");
}

/// A client that begins a message of the handshake and never ends it.
#[test]
fn a_handshake_without_end_is_given_up() {
    let (server, _) = configs(&TLS13);
    let (near, mut far) = sockets();
    let writer = thread::spawn(move || {
        // A ClientHello of 16 MiB, in records of 16 KiB.
        let record = [&[22, 3, 1, 0x40, 0][..], &[1, 0xff, 0xff, 0xff], &[0; 0x4000 - 4]].concat();
        while far.write_all(&record).is_ok() {}
    });
    let (error, io) = block_on(Tls::accept(near, server)).map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    drop(io);
    writer.join().unwrap();
}

/// The other role, with the end that only it tells apart.
#[test]
fn a_server_that_ends_without_a_close_notify_is_told_from_one_that_ends_with_it() {
    for polite in [true, false] {
        let (server, client) = configs(&TLS13);
        let (near, far) = sockets();
        let peer = thread::spawn(move || {
            let mut peer = StreamOwned::new(ServerConnection::new(server).unwrap(), far);
            peer.write_all(b"all").unwrap();
            if polite {
                peer.conn.send_close_notify();
            }
            peer.flush().unwrap();
        });
        let mut tls = block_on(Tls::connect(near, client, name())).unwrap();
        peer.join().unwrap();
        let mut all = Vec::new();
        let end = block_on(tls.read_to_end(&mut all)).map_err(|error| error.kind());
        assert_eq!(all, b"all");
        assert_eq!(end, if polite { Ok(3) } else { Err(io::ErrorKind::UnexpectedEof) });
        assert_eq!(block_on(tls.read(&mut [0; 8])).unwrap(), 0, "it is reported once");
    }
}
