//! Client certificates: `--tls-client-ca`, and what programs learn of them.

mod support;

use std::io::Write;
use std::sync::Arc;

use rcgen::DnType;
use rustls::{ClientConfig, HandshakeKind, version};
use support::program::relay_sh;
use support::tls::{Ca, Pair, Tls, assert_echoes, connect, tls};
use support::{HttpResponse, Relay, echo, handshake};

/// A relay in front of a shell script that asks clients for certificates of `ca`.
fn asking(ca: &Ca, script: &str, options: &[&str]) -> Relay {
    let ours = ca.options();
    let client_ca = ca.path("ca.pem");
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let asking = ["--tls-client-ca", client_ca.to_str().unwrap()];
    relay_sh(script, &[&ours, &asking[..], options].concat())
}

/// Connects, which is not to work. With TLS 1.3 the client learns of it when it reads.
fn refused(relay: &Relay, config: Arc<ClientConfig>) -> String {
    let mut tls = match tls(relay.tcp(), config) {
        Ok(tls) => tls,
        Err(error) => return error.to_string(),
    };
    std::io::Read::read(&mut tls, &mut [0]).expect_err("an alert").to_string()
}

#[test]
fn an_expired_certificate_is_told() {
    let ca = Ca::new();
    let late = ca.issue_expired(&["localhost"], "Late");
    let cert = ca.write("late.pem", &(late.cert + &late.key));
    let mut relay = support::relay(&["--to", "localhost:1", "--tls-cert", &cert]);
    relay.wait_log(&[
        "WARN the certificate has expired",
        "late.pem",
        "since=\"Jan  1 00:00:00 2020",
    ]);
}

#[test]
fn clients_are_asked_for_certificates() {
    let (ca, other) = (Ca::new(), Ca::new());
    let mut relay = asking(&ca, "cat", &[]);
    let (ada, eve) = (ca.issue(&[], "Ada"), other.issue(&[], "Eve"));
    let late = ca.issue_expired(&[], "Late");
    for (certificate, alert, why) in [
        (None, "CertificateRequired", "the client has no certificate"),
        (Some(&eve), "alert", "the client's certificate is of an unknown issuer"),
        (Some(&late), "CertificateExpired", "the client's certificate has expired"),
    ] {
        let said = refused(&relay, ca.client(certificate));
        assert!(said.contains(alert), "{why}: {said}");
        relay.wait_log(&["connection dropped", "TLS handshake failed", why]);
    }
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ca.client_of(Some(&ada), &[version]);
        // The second time would take up the first one's session.
        for _ in 0..2 {
            let mut client = connect(&relay, "/", config.clone());
            assert_echoes(&mut client);
            client.close();
        }
    }
    relay.wait_log(&["session opened", "user=\"Ada\""]);
}

/// A keep-alive connection on which one page has been requested.
fn kept(relay: &Relay, config: Arc<ClientConfig>) -> Tls {
    let mut tls = tls(relay.tcp(), config).expect("a handshake");
    assert_eq!(ask(&mut tls, "GET / HTTP/1.1\r\nHost: test\r\n\r\n").status, 426);
    tls
}

fn ask(tls: &mut Tls, request: &str) -> HttpResponse {
    tls.write_all(request.as_bytes()).unwrap();
    HttpResponse::read(tls)
}

#[test]
fn a_connection_is_worth_what_its_certificate_is_worth_now() {
    let (ca, other) = (Ca::new(), Ca::new());
    let mut relay = asking(&ca, "cat", &[]);
    let ada = ca.issue(&[], "Ada");
    let (mut one, mut two) =
        (kept(&relay, ca.client(Some(&ada))), kept(&relay, ca.client(Some(&ada))));
    // Another certificate of the relay's own changes nothing for clients.
    let pair = ca.issue(&["localhost"], "second");
    ca.write("key.pem", &pair.key);
    ca.write("cert.pem", &pair.cert);
    relay.wait_log(&["certificate reloaded"]);
    assert_eq!(ask(&mut one, &handshake("/", "")).status, 101);
    relay.seen.clear();
    ca.write("ca.pem", &other.pem);
    relay.wait_log(&["certificate reloaded"]);
    let response = ask(&mut two, &handshake("/", ""));
    assert_eq!((response.status, response.header("connection")), (421, Some("close")));
    assert!(response.text().contains("connect again"), "{}", response.text());
}

#[test]
fn who_came_before_certificates_were_asked_for_is_asked_too() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "relay");
    let both = ca.write("both.pem", &(pair.cert + &pair.key));
    let text = format!("listen = \"127.0.0.1:0\"\nto = \"{}\"\ntls-cert = \"{both}\"\n", echo());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--config", &ca.write("wsrelay.toml", &text)]);
    let mut relay = support::start(command);
    let mut anyone = kept(&relay, ca.client(None));
    let authorities = ca.path("ca.pem");
    ca.write("wsrelay.toml", &format!("{text}tls-client-ca = \"{}\"\n", authorities.display()));
    relay.signal("HUP");
    relay.wait_log(&["certificate reloaded"]);
    assert_eq!(ask(&mut anyone, &handshake("/", "")).status, 421);
}

/// A TLS session that is taken up again shows no certificate, and the one that it began with may have expired.
#[test]
fn who_has_to_show_a_certificate_shows_it_each_time() {
    let ca = Ca::new();
    let ada = ca.issue(&[], "Ada");
    let (open, asking) = (ca.relay_to(echo(), &[]), asking(&ca, "cat", &[]));
    let twice = |relay: &Relay, config: Arc<ClientConfig>| {
        [(); 2].map(|()| {
            let mut client = connect(relay, "/", config.clone());
            // By then it has what it takes to come back, if anything.
            assert_echoes(&mut client);
            let kind = client.0.get_ref().conn.handshake_kind();
            client.close();
            kind.unwrap()
        })
    };
    for version in [&version::TLS12, &version::TLS13] {
        let kinds = twice(&open, ca.client_of(None, &[version]));
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{version:?}");
        let kinds = twice(&asking, ca.client_of(Some(&ada), &[version]));
        assert_eq!(kinds, [HandshakeKind::Full; 2], "{version:?}");
    }
}

/// The variables that a program gets of a client with this certificate.
fn variables(relay: &Relay, ca: &Ca, certificate: Option<&Pair>) -> Vec<String> {
    let mut client = connect(relay, "/", ca.client(certificate));
    let mut lines = Vec::new();
    loop {
        match client.recv() {
            line if line == "." => break,
            line => lines.push(line),
        }
    }
    client.close();
    lines.retain(|line| ["SSL_", "HTTPS", "REMOTE_USER"].iter().any(|name| line.starts_with(name)));
    lines.sort();
    lines
}

#[test]
fn programs_are_told_who_it_is() {
    const SCRIPT: &str = "env; echo .; cat";
    let ca = Ca::new();
    let relay = asking(&ca, SCRIPT, &[]);
    let ada = ca.issue_with(&[], "Ada, Countess", |params| {
        params.distinguished_name.push(DnType::OrganizationalUnitName, "Engines");
    });
    assert_eq!(
        variables(&relay, &ca, Some(&ada)),
        [
            "HTTPS=on",
            "REMOTE_USER=Ada, Countess",
            "SSL_CIPHER=TLS_AES_256_GCM_SHA384",
            "SSL_CLIENT_S_DN=OU=Engines,CN=Ada\\, Countess,O=Example",
            "SSL_CLIENT_S_DN_CN=Ada, Countess",
            "SSL_CLIENT_VERIFY=SUCCESS",
            "SSL_PROTOCOL=TLSv1.3",
            "SSL_TLS_SNI=localhost",
        ]
    );
    let ours = ca.options();
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let relay = relay_sh(SCRIPT, &ours);
    let want = [
        "HTTPS=on",
        "SSL_CIPHER=TLS_AES_256_GCM_SHA384",
        "SSL_CLIENT_VERIFY=NONE",
        "SSL_PROTOCOL=TLSv1.3",
        "SSL_TLS_SNI=localhost",
    ];
    assert_eq!(variables(&relay, &ca, None), want);
}

#[test]
fn no_header_makes_somebody_of_a_client() {
    let ca = Ca::new();
    let relay = relay_sh("env; echo .; cat", &[]);
    let claims = [
        ("SSL_CLIENT_VERIFY", "SUCCESS"),
        ("SSL-Client-S-DN-CN", "root"),
        ("HTTPS", "on"),
        ("Remote-User", "root"),
    ];
    let (mut client, _) = relay.connect_with("/", &claims);
    loop {
        let line = client.recv();
        if line == "." {
            break;
        }
        let name = line.split('=').next().unwrap().to_owned();
        assert!(!["SSL_", "HTTPS", "REMOTE_USER"].iter().any(|it| name.starts_with(it)), "{line}");
    }
    drop((client, ca));
}

#[test]
fn a_password_names_somebody_before_a_certificate_does() {
    let ca = Ca::new();
    let tokens = ca.write("tokens", "grace:secret\n");
    let mut relay = asking(&ca, "cat", &["--token-file", &tokens]);
    let ada = ca.issue(&[], "Ada");
    let mut client = connect(&relay, "/?token=secret", ca.client(Some(&ada)));
    assert_echoes(&mut client);
    client.close();
    relay.wait_log(&["session opened", "user=\"grace\""]);
}

#[test]
fn pages_of_others_may_not_use_a_browsers_certificate() {
    let ca = Ca::new();
    let relay = asking(&ca, "cat", &[]);
    let ada = ca.issue(&[], "Ada");
    let mut tls = tls(relay.tcp(), ca.client(Some(&ada))).unwrap();
    let request = support::handshake("/", "Origin: https://evil.example\r\n");
    std::io::Write::write_all(&mut tls, request.as_bytes()).unwrap();
    assert_eq!(support::HttpResponse::read(&mut tls).status, 403);
}
