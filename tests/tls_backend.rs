//! Backends that speak TLS: which certificates are accepted, the errors for others, and that nothing is lost.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::thread;

use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use rustls::{ServerConnection, StreamOwned};
use support::tls::{Ca, Pair, accept, openssl, read_to_end, server_config, shutdown_write};
use support::{Backend, Mute, Relay, Steady, handshake, relay};

/// A relay in front of a TLS backend at `host`, which believes `ca`.
fn relay_to(host: &str, backend: &Backend, ca: &str, options: &[&str]) -> Relay {
    let to = format!("tls://{host}:{}", backend.addr.port());
    relay(&[&["--to", &to, "--backend-ca", ca], options].concat())
}

fn path(ca: &Ca) -> String {
    ca.path("ca.pem").to_str().unwrap().to_owned()
}

/// Echoes lines on each connection.
fn serve_echo(backend: Backend, pair: &Pair) -> std::net::SocketAddr {
    let config = server_config(pair);
    backend.serve(move |peer| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut tls = BufReader::new(StreamOwned::new(connection, Steady(peer.0.into_inner())));
        let mut line = Vec::new();
        while tls.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if tls.get_mut().write_all(&line).is_err() {
                return;
            }
            line.clear();
        }
    })
}

/// The 502 of a relay in front of this server, and its log line.
fn refusal(relay: &mut Relay) -> String {
    let response = relay.http(&handshake("/", ""));
    let text = response.text();
    assert_eq!(response.status, 502, "{text}");
    relay.wait_log(&["refused", "status=502", text.trim_end()]);
    text
}

#[test]
fn lines_both_ways() {
    let ca = Ca::new();
    let backend = Backend::listen();
    // By name, and by address.
    let names = ["localhost", "127.0.0.1"];
    let pair = ca.issue(&names, "backend");
    let relays = names.map(|host| relay_to(host, &backend, &path(&ca), &[]));
    serve_echo(backend, &pair);
    let big = "x".repeat(1024 * 1024);
    for mut relay in relays {
        for _ in 0..2 {
            let mut client = relay.connect("/");
            for text in ["hello", "", "žluťoučký kůň", &big] {
                client.send(text);
                assert!(client.recv() == text, "{} bytes", text.len());
            }
            client.close();
        }
        relay.wait_log(&["session closed", "backend=tls://"]);
    }
}

#[test]
fn both_ends_are_told_of_an_end() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "backend");
    let backend = Backend::listen();
    let mut relay = relay_to("localhost", &backend, &path(&ca), &[]);
    let session = |relay: &Relay| {
        thread::scope(|scope| {
            let accepting = scope.spawn(|| accept(&backend, &pair).unwrap());
            (relay.connect("/"), accepting.join().unwrap())
        })
    };
    // The client's end: all it said, a close_notify, a FIN; and what is said after that is no fault.
    let (mut client, mut peer) = session(&relay);
    client.send(&"x".repeat(100_000));
    client.send("bye");
    client.0.close(None).unwrap();
    assert_eq!(read_to_end(&mut peer), ("x".repeat(100_000) + "\nbye\n").as_bytes());
    peer.write_all(b"too late\n").unwrap();
    shutdown_write(&mut peer);
    drop(peer);
    client.expect_end();
    drop(client);
    relay.wait_log(&["session closed", "by=\"client\"", "lines_up=2"]);

    // The backend's: last lines, the tail, and an end that it meant.
    let (mut client, mut peer) = session(&relay);
    peer.write_all(("x".repeat(100_000) + "\nbye").as_bytes()).unwrap();
    shutdown_write(&mut peer);
    assert_eq!(client.recv().len(), 100_000);
    assert_eq!(client.recv(), "bye");
    client.expect_close(1000, "backend closed");
    assert_eq!(read_to_end(&mut peer), b"");

    // One that somebody on the way may have made: no close_notify.
    let (mut client, mut peer) = session(&relay);
    peer.write_all(b"a line\nand half of").unwrap();
    peer.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.recv(), "a line");
    assert_eq!(client.recv(), "and half of");
    let why = "backend failed: its TLS connection ended without a close_notify";
    client.expect_close(1011, why);
    drop(client);
    relay.wait_log(&["session closed", "by=\"backend\"", why, "code=1011"]);
}

#[test]
fn what_rustls_holds_is_read_without_another_event() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "backend");
    let backend = Backend::listen();
    let relay = relay_to("localhost", &backend, &path(&ca), &[]);
    let (mut client, mut peer) = thread::scope(|scope| {
        let accepting = scope.spawn(|| accept(&backend, &pair).unwrap());
        (relay.connect("/"), accepting.join().unwrap())
    });
    for n in 0..3 {
        peer.write_all(format!("{n}\n").repeat(20_000).as_bytes()).unwrap();
        for _ in 0..20_000 {
            assert_eq!(client.recv(), n.to_string());
        }
    }
    drop(peer);
}

#[test]
fn much_in_flight_both_ways() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "backend");
    let backend = Backend::listen();
    let relay = relay_to("localhost", &backend, &path(&ca), &[]);
    serve_echo(backend, &pair);
    let mut client = relay.connect("/");
    let text = "x".repeat(64 * 1024 - 1);
    let before = relay.rss();
    // Nothing is read until nothing can be written any more.
    let unit = support::frame(0x81, text.as_bytes());
    let (taken, rest) = support::faults::Flood(&unit).run(client.tcp(), usize::MAX);
    let growth = relay.rss().saturating_sub(before);
    assert!(growth < 4 * 1024 * 1024, "the relay grew by {} KiB", growth / 1024);
    let mut tcp = client.tcp().try_clone().unwrap();
    let count = (taken + rest.len()) / unit.len();
    let writer = thread::spawn(move || tcp.write_all(&rest));
    for _ in 0..count {
        assert!(client.recv() == text);
    }
    writer.join().unwrap().unwrap();
    client.close();
}

#[test]
fn a_certificate_that_is_not_right_is_502() {
    let (ca, other) = (Ca::new(), Ca::new());
    let names = ["localhost"];
    for (pair, ca_file, want) in [
        (other.issue(&names, "b"), Some(path(&ca)), "is of no issuer in the file of --backend-ca"),
        (ca.issue(&names, "b"), None, "is of an unknown issuer: add --backend-ca FILE"),
        (
            ca.issue(&["other.example"], "b"),
            Some(path(&ca)),
            "its certificate is not for the name localhost",
        ),
        (
            ca.issue(&[], "localhost"),
            Some(path(&ca)),
            "its certificate names no host in its subjectAltName, and a common name does not count: make it with \
             subjectAltName=DNS:localhost",
        ),
        (
            ca.issue_with(&names, "b", |params| {
                let mut extension =
                    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
                extension.set_criticality(true);
                params.custom_extensions = vec![extension];
            }),
            Some(path(&ca)),
            "its certificate has a critical extension that is not known here: make it without, or not critical",
        ),
        (
            ca.issue_with(&names, "b", |params| {
                params.not_before = date_time_ymd(2100, 1, 1);
                params.not_after = date_time_ymd(2101, 1, 1);
            }),
            Some(path(&ca)),
            "its certificate is not valid yet (from Fri, 01 Jan 2100 00:00:00 GMT): check the clocks",
        ),
        (
            ca.issue_expired(&names, "b"),
            Some(path(&ca)),
            "its certificate has expired (Wed, 01 Jan 2020 00:00:00 GMT): renew it",
        ),
        (
            ca.issue_with(&names, "b", |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            Some(path(&ca)),
            "its certificate is not for servers: make it with extendedKeyUsage=serverAuth",
        ),
        (
            ca.issue_with(&names, "b", |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            Some(path(&ca)),
            "its certificate is marked as an authority's: make it with basicConstraints=CA:FALSE",
        ),
        (
            reversed(&ca, ca.issue(&names, "b")),
            Some(path(&ca)),
            "its certificate stands behind its authority's in the chain: put the server's own first",
        ),
        (
            reversed(&other, other.issue(&names, "b")),
            Some(path(&ca)),
            "its certificate stands behind its authority's in the chain: put the server's own first",
        ),
        (
            signed_by_itself(&names),
            Some(path(&ca)),
            "its certificate is self-signed, and not in the file of --backend-ca: add it there",
        ),
        (
            signed_by_itself(&names),
            None,
            "its certificate is self-signed: add --backend-ca FILE, which holds it",
        ),
        (
            Pair { cert: other.pem.clone(), ..other.issue(&names, "b") },
            Some(path(&ca)),
            "its certificate is self-signed, and not in the file",
        ),
    ] {
        let backend = Backend::listen();
        let to = format!("tls://localhost:{}", backend.addr.port());
        let mut options = vec!["--to", &to];
        if let Some(file) = &ca_file {
            options.extend(["--backend-ca", file]);
        }
        let mut relay = relay(&options);
        serve_echo(backend, &pair);
        let text = refusal(&mut relay);
        assert!(text.starts_with(&format!("backend {to}: ")) && text.contains(want), "{text}");
        assert!(!text.contains(".pem"), "a path is nobody's business: {text}");
        for rust in ["Error", "Context", "webpki", "{", "::"] {
            assert!(!text.contains(rust), "{text}");
        }
    }
}

/// The same with the authority's certificate before its own.
fn reversed(ca: &Ca, pair: Pair) -> Pair {
    Pair { cert: format!("{}{}", ca.pem, pair.cert), ..pair }
}

/// A self-signed certificate.
fn signed_by_itself(names: &[&str]) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    Pair { cert: cert.pem(), key: signing_key.serialize_pem() }
}

#[test]
fn alerts_of_backends_are_told_in_words() {
    let ca = Ca::new();
    let file = path(&ca);
    for (alert, want) in [
        (
            40,
            "no cipher suite in common with wsrelay, or it asks for a client certificate, which wsrelay does not have",
        ),
        (70, "it speaks neither TLS 1.2 nor TLS 1.3"),
        (71, "no cipher suite in common with wsrelay"),
        (112, "it does not serve the name 127.0.0.1"),
        (116, "it asks for a client certificate, which wsrelay does not have"),
        (80, "it refused the TLS handshake (InternalError)"),
    ] {
        let backend = Backend::listen();
        let mut relay = relay_to("127.0.0.1", &backend, &file, &[]);
        backend.serve(move |mut peer| {
            let _ = peer.0.fill_buf();
            // RFC 5246, section 7.2: a fatal alert.
            peer.write([21, 3, 3, 0, 2, 2, alert]);
            let _ = peer.0.get_mut().read_to_end(&mut Vec::new());
        });
        let text = refusal(&mut relay);
        assert!(text.contains(want), "{alert}: {text}");
    }
}

#[test]
fn a_certificate_that_signed_itself_can_be_the_one_that_is_believed() {
    let ca = Ca::new();
    let file = |name: &str| ca.path(name).to_str().unwrap().to_owned();
    let make = |name: &str, days: &str| {
        let (cert, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
        // Marked as an authority (CA:TRUE), as most self-signed certificates are.
        let said = openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            &key,
            "-out",
            &cert,
            "-days",
            days,
            "-subj",
            "/CN=x",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]);
        let read = |path: &str| std::fs::read_to_string(path).expect(&said);
        (cert.clone(), Pair { cert: read(&cert), key: read(&key) })
    };
    let (cert, pair) = make("own", "5");
    let (other, _) = make("other", "5");
    let backend = Backend::listen();
    let relay = relay_to("localhost", &backend, &cert, &[]);
    let mut wrong = relay_to("127.0.0.1", &backend, &cert, &[]);
    let mut stranger = relay_to("localhost", &backend, &other, &[]);
    serve_echo(backend, &pair);
    let mut client = relay.connect("/");
    client.send("hello");
    assert_eq!(client.recv(), "hello");
    client.close();
    // Its name still counts, and it counts for itself alone.
    assert!(refusal(&mut wrong).contains("is not for the name 127.0.0.1"));
    assert!(refusal(&mut stranger).contains("its certificate"));
}

#[test]
fn who_does_not_speak_tls_is_502_or_504() {
    let ca = Ca::new();
    let file = path(&ca);
    // Garbage, and a connection that is closed at once.
    for (said, want) in [
        (&b"220 mail.example ESMTP\r\n"[..], "it does not speak TLS: leave out tls://"),
        (b"", "it hung up during"),
    ] {
        let backend = Backend::listen();
        let mut relay = relay_to("127.0.0.1", &backend, &file, &[]);
        backend.serve(move |mut peer| {
            peer.write(said);
            let _ = peer.0.fill_buf();
        });
        let text = refusal(&mut relay);
        assert!(text.contains(want), "{text}");
    }
    // Silence, before and after the connection is there.
    let backend = Backend::listen();
    let mute = Mute::listen();
    for port in [backend.addr.port(), mute.addr.port()] {
        let to = format!("tls://127.0.0.1:{port}");
        let options = ["--to", &to, "--backend-ca", &file, "--connect-timeout", "300ms"];
        let response = relay(&options).http(&handshake("/", ""));
        assert_eq!(response.status, 504);
        assert_eq!(response.text(), "the backend did not answer in 300ms\n");
    }
}

#[test]
fn a_backend_that_takes_nothing_does_not_keep_a_session() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "backend");
    let backend = support::faults::Stall::backend();
    let mut relay = relay_to("localhost", &backend, &path(&ca), &["--close-timeout", "300ms"]);
    let (client, peer) = thread::scope(|scope| {
        let accepting = scope.spawn(|| accept(&backend, &pair).unwrap());
        (relay.connect("/"), accepting.join().unwrap())
    });
    let unit = support::frame(0x81, &[b'x'; 16 * 1024]);
    let _ = support::faults::Flood(&unit).run(client.tcp(), usize::MAX);
    relay.signal("TERM");
    relay.wait_log(&["session closed", "server shutting down"]);
    assert!(relay.wait_exit().success());
    drop((client, peer));
}
