//! The relay's certificates, which may change while it runs.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use support::tls::{Ca, assert_echoes, openssl, tls};
use support::{Relay, echo, run};
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
    wsrelay::net::tls::CertificateSubject::of(&der).unwrap().cn.unwrap()
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

/// As on a disk that does not answer. Only the reader of the file waits for it, however few threads there are.
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
