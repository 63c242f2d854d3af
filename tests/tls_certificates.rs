//! Certificates: the relay's, which may change while it runs, and those of clients.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Instant;

use futures_rustls::rustls::{ClientConfig, HandshakeKind, version};
use rcgen::DnType;
use support::program::relay_sh;
use support::tls::{Ca, Pair, Tls, connect, openssl, tls};
use support::{Client, HttpResponse, Relay, echo, handshake, run};
use wsrelay::net::tls::LOOK;

/// Arguments of a relay that is not going to start.
fn run_with(options: &[&str]) -> (Option<i32>, String) {
    let done = run(&[&["--listen", "127.0.0.1:0", "--to", "localhost:1"], options].concat());
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

/// The common name of the certificate that the relay shows.
fn shown(relay: &Relay, config: Arc<ClientConfig>) -> String {
    let tls = tls(relay.tcp(), config).expect("a handshake");
    let der = tls.conn.peer_certificates().unwrap()[0].to_vec();
    wsrelay::net::tls::Subject::of(&der).unwrap().cn.unwrap()
}

fn assert_echoes(client: &mut Client<Tls>) {
    client.send("hello");
    assert_eq!(client.recv(), "hello");
}

#[test]
fn keys_of_every_kind() {
    let ca = Ca::new();
    let path = |name: &str| ca.path(name).to_str().unwrap().to_owned();
    let (key, cert, both) = (path("k.pem"), path("c.pem"), path("both.pem"));
    let rsa = ["genrsa", "-traditional", "-out", &key, "2048"];
    let ec = ["ecparam", "-name", "secp384r1", "-genkey", "-out", &key];
    let ed25519 = ["genpkey", "-algorithm", "ed25519", "-out", &key];
    for (generate, label) in [
        (&rsa[..], "BEGIN RSA PRIVATE KEY"),
        (&ec, "BEGIN EC PRIVATE KEY"),
        (&ed25519, "BEGIN PRIVATE KEY"),
    ] {
        openssl(generate);
        let text = fs::read_to_string(&key).unwrap();
        assert!(text.contains(label), "{text}");
        let names = "subjectAltName=DNS:localhost";
        openssl(&["req", "-x509", "-key", &key, "-out", &cert, "-subj", "/CN=k", "-addext", names]);
        fs::write(&both, fs::read_to_string(&cert).unwrap() + &text).unwrap();
        let echo = echo().to_string();
        for options in [&["--tls-cert", &cert, "--tls-key", &key][..], &["--tls-cert", &both]] {
            let relay = support::relay(&[options, &["--to", &echo]].concat());
            let to = relay.addr.to_string();
            let said = openssl(&["s_client", "-connect", &to, "-CAfile", &cert, "-brief"]);
            assert!(said.contains("Verification: OK"), "{label}: {said}");
        }
    }
}

#[test]
fn what_is_wrong_with_files_is_said() {
    let ca = Ca::new();
    let (pair, other) = (ca.issue(&["localhost"], "a"), ca.issue(&["localhost"], "b"));
    let cert = ca.write("cert.pem", &pair.cert);
    let key = ca.write("key.pem", &pair.key);
    let others = ca.write("other.pem", &other.key);
    let empty = ca.write("empty.pem", "");
    let (encrypted, der) = (ca.path("encrypted.pem"), ca.path("cert.der"));
    let (encrypted, der) = (encrypted.to_str().unwrap(), der.to_str().unwrap());
    let own = std::fs::read_to_string(&cert).unwrap();
    let reversed = ca.write("reversed.pem", &format!("{}{own}", ca.pem));
    openssl(&["pkcs8", "-topk8", "-in", &key, "-out", encrypted, "-passout", "pass:x"]);
    openssl(&["x509", "-in", &cert, "-outform", "der", "-out", der]);
    for (options, status, want) in [
        (&["--tls-key", &*key][..], 2, "--tls-key needs a certificate: add --tls-cert FILE"),
        (&["--tls-client-ca", &cert], 2, "add --tls-cert FILE"),
        (&["--redirect-port", "80"], 2, "add --tls-cert FILE"),
        (&["--backend-ca", &cert], 2, "type --to tls://HOST:PORT"),
        (&["--tls-cert", &cert], 1, "has no private key: add --tls-key FILE"),
        (&["--tls-cert", &cert, "--tls-key", &cert], 1, "cert.pem has no private key"),
        (&["--tls-cert", &key, "--tls-key", &key], 1, "key.pem has no certificate"),
        (&["--tls-cert", &cert, "--tls-key", &others], 1, "does not belong to the certificate in"),
        (
            &["--tls-cert", &reversed, "--tls-key", &key],
            1,
            "reversed.pem has the certificate of the key behind others: put it first",
        ),
        (
            &["--tls-cert", &cert, "--tls-key", encrypted],
            1,
            "is encrypted: decrypt it with openssl",
        ),
        (
            &["--tls-cert", der, "--tls-key", &key],
            1,
            "is DER, and not PEM: convert it with openssl",
        ),
        (&["--tls-cert", &empty, "--tls-key", &key], 1, "empty.pem is empty"),
        (&["--tls-cert", &cert, "--tls-key", &empty], 1, "empty.pem is empty"),
        (&["--tls-cert", "/nonexistent"], 1, "can't read --tls-cert /nonexistent: no such file"),
        (
            &["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", "/nonexistent"],
            1,
            "can't read --tls-client-ca /nonexistent",
        ),
    ] {
        let (code, stderr) = run_with(options);
        assert_eq!((code, stderr.lines().count()), (Some(status), 1), "{options:?}: {stderr}");
        assert!(stderr.contains(want), "{options:?}: {stderr}");
    }
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let ca = Ca::new();
    let mut relay = ca.relay_to(echo(), &[]);
    assert_eq!(shown(&relay, ca.client(None)), "relay");
    let mut old = ca.connect(&relay, "/");

    // By a signal.
    let pair = ca.issue(&["localhost"], "second");
    ca.write("cert.pem", &pair.cert);
    ca.write("key.pem", &pair.key);
    relay.signal("HUP");
    relay.wait_log(&["certificate reloaded", "cert.pem"]);
    assert_eq!(shown(&relay, ca.client(None)), "second");
    assert_echoes(&mut old);

    // By itself, in two steps that do not fit together in between.
    let pair = ca.issue(&["localhost"], "third");
    ca.write("cert.pem", &pair.cert);
    relay.wait_log(&["certificate not reloaded: the old one is kept", "does not belong"]);
    assert_eq!(shown(&relay, ca.client(None)), "second");
    relay.seen.clear();
    ca.write("key.pem", &pair.key);
    relay.wait_log(&["certificate reloaded"]);
    assert_eq!(shown(&relay, ca.client(None)), "third");
    assert_echoes(&mut old);
    old.close();

    relay.seen.clear();
    ca.write("cert.pem", "garbage");
    relay.wait_log(&["certificate not reloaded", "has no certificate"]);
    assert_eq!(shown(&relay, ca.client(None)), "third");
}

#[test]
fn a_link_that_is_turned_to_another_directory_is_a_change() {
    let ca = Ca::new();
    for name in ["one", "two"] {
        let pair = ca.issue(&["localhost"], name);
        fs::create_dir(ca.path(name)).unwrap();
        ca.write(&format!("{name}/both.pem"), &(pair.cert + &pair.key));
    }
    symlink("one", ca.path("live")).unwrap();
    let both = ca.path("live/both.pem");
    let echo = echo().to_string();
    let mut relay = support::relay(&["--to", &echo, "--tls-cert", both.to_str().unwrap()]);
    assert_eq!(shown(&relay, ca.client(None)), "one");
    symlink("two", ca.path("next")).unwrap();
    fs::rename(ca.path("next"), ca.path("live")).unwrap();
    relay.wait_log(&["certificate reloaded"]);
    assert_eq!(shown(&relay, ca.client(None)), "two");
}

/// As of a disk that does not answer. Nobody waits for it but who reads from it, however few threads there are.
#[test]
fn a_file_that_can_not_be_read_to_its_end_holds_nobody_up() {
    let ca = Ca::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--listen", "127.0.0.1:0", "--to", &echo().to_string()]).args(ca.options());
    command.env("ASYNC_STD_THREAD_COUNT", "1");
    let mut relay = support::start(command);
    assert_eq!(shown(&relay, ca.client(None)), "relay");
    let (pair, cert) = (ca.issue(&["localhost"], "second"), ca.path("cert.pem"));
    let fifo = ca.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::rename(&fifo, &cert).unwrap();
    relay.signal("HUP");
    // It opens once somebody reads.
    let writer = fs::File::options().write(true).open(&cert).unwrap();
    let began = Instant::now();
    while began.elapsed() < 2 * LOOK {
        assert_eq!(shown(&relay, ca.client(None)), "relay");
    }
    fs::remove_file(&cert).unwrap();
    ca.write("key.pem", &pair.key);
    ca.write("cert.pem", &pair.cert);
    drop(writer);
    relay.wait_log(&["certificate reloaded"]);
    assert_eq!(shown(&relay, ca.client(None)), "second");
}

#[test]
fn a_configuration_can_name_another_certificate_but_not_none() {
    let ca = Ca::new();
    for name in ["one", "two"] {
        let pair = ca.issue(&["localhost"], name);
        ca.write(&format!("{name}.pem"), &(pair.cert + &pair.key));
    }
    let base = format!("listen = \"127.0.0.1:0\"\nto = \"{}\"\n", echo());
    let tls = |name: &str| format!("{base}tls-cert = \"{}\"\n", ca.path(name).display());
    let file = ca.write("wsrelay.toml", &tls("one.pem"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--config", &file]);
    let mut relay = support::start(command);
    assert_eq!(shown(&relay, ca.client(None)), "one");
    for (text, log, want) in [
        (tls("two.pem"), "reloaded file=", "two"),
        (tls("none.pem"), "can't read --tls-cert", "two"),
        (base.clone(), "whether TLS is spoken", "two"),
        (tls("one.pem"), "reloaded file=", "one"),
    ] {
        relay.seen.clear();
        ca.write("wsrelay.toml", &text);
        relay.signal("HUP");
        relay.wait_log(&[log]);
        // By then the new configuration holds, or the old one is kept.
        relay.wait_log(&["certificate reloaded"]);
        assert_eq!(shown(&relay, ca.client(None)), want, "{text}");
    }
}

/// The old file is being read when it is replaced, and its disk never answers.
#[test]
fn other_certificates_are_looked_at_though_the_old_ones_still_are() {
    let ca = Ca::new();
    for name in ["one", "two"] {
        let pair = ca.issue(&["localhost"], name);
        ca.write(&format!("{name}.pem"), &(pair.cert + &pair.key));
    }
    let path = |name: &str| ca.path(name).display().to_string();
    let config = |name: &str| {
        let base = format!("listen = \"127.0.0.1:0\"\nto = \"{}\"\n", echo());
        ca.write("wsrelay.toml", &format!("{base}tls-cert = \"{}\"\n", path(name)))
    };
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.args(["--config", &config("one.pem")]);
    let mut relay = support::start(command);
    assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap().success());
    fs::rename(path("fifo"), path("one.pem")).unwrap();
    // It opens once somebody looks.
    let _writer = fs::File::options().write(true).open(path("one.pem")).unwrap();
    config("two.pem");
    relay.signal("HUP");
    relay.wait_log(&["certificate reloaded", "two.pem"]);
    assert_eq!(shown(&relay, ca.client(None)), "two");
    relay.seen.clear();
    let pair = ca.issue(&["localhost"], "three");
    ca.write("two.pem", &(pair.cert + &pair.key));
    relay.wait_log(&["certificate reloaded", "two.pem"]);
    assert_eq!(shown(&relay, ca.client(None)), "three");
}

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
    for version in
        [&futures_rustls::rustls::version::TLS12, &futures_rustls::rustls::version::TLS13]
    {
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

/// A connection on which a page has been asked for already, as whoever means to keep it would do.
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
