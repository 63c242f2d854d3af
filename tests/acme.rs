//! Automatic certificates: errors at the start, the time without a certificate, and an authority that
//! answers in unusual ways. tests/peers/test_acme.py has a real one.

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use support::authority::{Authority, Framing, Manners};
use support::tls::{Ca, tls};
use support::{HttpResponse, Mute, Refusing, Relay, relay, run};
use tempfile::TempDir;

/// A directory for a cache, and a relay that uses it.
struct Site {
    dir: TempDir,
    ca: Arc<Ca>,
}

impl Site {
    fn new() -> Self {
        Site { dir: TempDir::new().unwrap(), ca: Arc::new(Ca::new()) }
    }

    fn cache(&self) -> std::path::PathBuf {
        self.dir.path().join("cache")
    }

    /// The options for an authority at this port.
    fn options(&self, port: u16) -> Vec<String> {
        let (cache, ca) = (self.cache(), self.ca.path("ca.pem"));
        let words = [
            "--to",
            "127.0.0.1:9",
            "--acme-domain",
            "relay.example",
            "--acme-cache",
            cache.to_str().unwrap(),
            "--acme-ca",
            ca.to_str().unwrap(),
            "--acme-directory",
            &format!("https://127.0.0.1:{port}/directory"),
        ];
        words.map(str::to_owned).into()
    }

    fn relay(&self, port: u16, more: &[&str]) -> Relay {
        let options = self.options(port);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        relay(&[&options, more].concat())
    }

    /// Why the relay does not start: exit status and text.
    fn refused(&self, more: &[&str]) -> (i32, String) {
        let options = self.options(9);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        said(&[&["--listen", "127.0.0.1:0"], &options[..], more].concat())
    }
}

/// A relay with a certificate from an authority that behaves like this.
fn obtained(manners: Manners) -> (Authority, Site, Relay) {
    let site = Site::new();
    let authority = Authority::start(site.ca.clone(), manners);
    let port = authority.addr.port();
    let mut relay =
        site.relay(port, &["--acme-domain", "localhost", "--acme-email", "a@b.example"]);
    relay.wait_log(&["certificate obtained"]);
    assert!(tls(relay.tcp(), site.ca.client(None)).is_ok());
    (authority, site, relay)
}

fn said(args: &[&str]) -> (i32, String) {
    let done = run(args);
    (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn mistakes_are_told_at_the_start() {
    let base = ["--port", "0", "--to", "localhost:1"];
    for (more, want) in [
        (&["--acme-domain", "a.example"][..], "add --acme-cache /var/lib/wsrelay"),
        (&["--acme-cache", "d"], "add --acme-domain relay.example.org"),
        (&["--acme-email", "a@b.c"], "add --acme-domain relay.example.org"),
        (&["--acme-directory", "https://x/"], "add --acme-domain relay.example.org"),
        (&["--acme-ca", "f"], "add --acme-domain relay.example.org"),
        (&["--acme-domain", "*.a.example", "--acme-cache", "d"], "a wildcard"),
        (&["--acme-domain", "192.0.2.1:443", "--acme-cache", "d"], "with a port"),
        (
            &["--acme-domain", "a.example", "--acme-cache", "d", "--tls-cert", "c"],
            "give one or the other",
        ),
    ] {
        let (code, text) = said(&[&base, more].concat());
        assert_eq!(code, 2, "{more:?}: {text}");
        assert!(text.contains(want) && text.lines().count() == 1, "{more:?}: {text}");
    }
}

#[test]
fn a_cache_that_is_of_no_use_is_told_at_the_start() {
    let site = Site::new();
    fs::write(site.cache(), "a file").unwrap();
    let (code, text) = site.refused(&[]);
    assert_eq!(code, 1, "{text}");
    let want = format!("can't make --acme-cache {}: ", site.cache().display());
    assert!(text.contains(&want) && text.lines().count() == 1, "{text}");

    // The stored key can't be read, which is an error: authorities limit new accounts.
    let site = Site::new();
    drop(site.relay(9, &[]));
    let file = fs::read_dir(site.cache()).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (code, text) = site.refused(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("account-") && text.contains("give another --acme-cache"), "{text}");
}

#[test]
fn an_authority_s_ca_that_is_of_no_use_is_told_at_the_start() {
    for (content, want) in [(None, "no such file"), (Some("hello"), "has no certificate")] {
        let site = Site::new();
        let file = site.ca.path("ca.pem");
        fs::remove_file(&file).unwrap();
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let (code, text) = site.refused(&[]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("--acme-ca ") && text.contains(want), "{text}");
    }
}

#[test]
fn without_a_certificate_clients_are_turned_away_and_told_of_once() {
    let site = Site::new();
    let authority = Refusing::bind("127.0.0.1");
    let mut relay = site.relay(authority.addr.port(), &["--redirect-port", "0"]);
    let tried = relay.wait_log(&["ERROR can't get a certificate", "connection refused"]);
    let directory = format!("https://127.0.0.1:{}/directory", authority.addr.port());
    assert!(tried.contains(&format!("must reach {directory}")), "{tried}");
    for _ in 0..3 {
        let alert = tls(relay.tcp(), site.ca.client(None)).err().expect("no certificate");
        assert!(alert.to_string().contains("AccessDenied"), "{alert}");
    }
    // It is tried again, with pauses that grow.
    relay.wait_log(&["can't get a certificate", "again_in_s=2"]);
    relay.signal("TERM");
    let log = relay.log_to_end();
    let turned_away = |line: &&String| line.contains("clients are turned away");
    assert_eq!(log.iter().filter(turned_away).count(), 1, "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("connection dropped")), "{log:#?}");
    assert!(relay.wait_exit().success());
}

#[test]
fn requests_without_tls_are_sent_on_before_there_is_a_certificate() {
    let site = Site::new();
    let relay = site.relay(Refusing::bind("127.0.0.1").addr.port(), &["--redirect-port", "0"]);
    // redirecting http://127.0.0.1:PORT to https://…
    let second = relay.stdout_line();
    let plain = second.split(' ').nth(1).and_then(|url| url.strip_prefix("http://"));
    let plain = plain.and_then(|addr| addr.parse().ok()).unwrap_or_else(|| panic!("{second}"));
    let mut tcp = support::tcp_to(plain);
    tcp.write_all(b"GET /a?b HTTP/1.1\r\nHost: relay.example\r\n\r\n").unwrap();
    let response = HttpResponse::read(&mut tcp);
    assert_eq!(response.status, 301);
    let location = format!("https://relay.example:{}/a?b", relay.addr.port());
    assert_eq!(response.header("location"), Some(&*location));
}

#[test]
fn an_authority_that_says_nothing_stops_nothing() {
    let site = Site::new();
    let authority = Mute::listen();
    let mut relay = site.relay(authority.addr.port(), &[]);
    assert!(tls(relay.tcp(), site.ca.client(None)).is_err());
    relay.wait_log(&["clients are turned away"]);
    relay.signal("TERM");
    assert!(relay.wait_exit().success());
}

/// As in one of two processes, of which validation reaches only the other.
#[test]
fn what_another_process_got_is_served() {
    let site = Site::new();
    let authority = Refusing::bind("127.0.0.1");
    let mut relay = site.relay(authority.addr.port(), &[]);
    relay.wait_log(&["can't get a certificate"]);
    let of = format!("https://127.0.0.1:{}/directory\0relay.example\0", authority.addr.port());
    let name = HEXLOWER.encode(&Sha256::digest(of)[..8]);
    let pair = site.ca.issue(&["localhost"], "relay");
    let kept = site.ca.write("kept.pem", &(pair.key + &pair.cert));
    fs::rename(kept, site.cache().join(format!("certificate-{name}.pem"))).unwrap();
    relay.wait_log(&["certificate found"]);
    assert!(tls(relay.tcp(), site.ca.client(None)).is_ok());
}

#[test]
fn it_can_stand_in_a_file() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("relay.toml");
    let text = "port = 443\nto = \"localhost:7777\"\nredirect-port = 80\nacme-cache = \"cache\"\n\
                acme-domain = [\"A.example\", \"b.example\"]\nacme-email = \"me@a.example\"\n";
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        let done = run(&["check", file.to_str().unwrap()]);
        (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = check(text);
    assert_eq!(code, 0);
    for line in [
        "acme-domain = [\"A.example\", \"b.example\"]",
        "acme-cache = \"cache\"",
        "acme-email = \"me@a.example\"",
        "acme-directory = \"https://acme-v02.api.letsencrypt.org/directory\"",
        "redirect-port = 80",
    ] {
        assert!(said.lines().any(|said| said == line), "{line} is not in:\n{said}");
    }
    assert_eq!(check(&said), (0, said));
    // The authority got no request.
    assert!(!dir.path().join("cache").exists());
}

#[test]
fn nothing_is_written_unless_a_certificate_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wsrelay"));
    command.current_dir(&dir).args(["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"]);
    drop(support::start(command));
    assert!(is_empty(dir.path()));
}

#[test]
fn answers_may_be_framed_in_any_way() {
    for framing in [Framing::Length, Framing::Chunked, Framing::End] {
        for nonce_status in [200, 204] {
            obtained(Manners { framing, nonce_status, ..Manners::default() });
        }
    }
}

#[test]
fn an_order_that_is_ready_still_is_not_finalized_again() {
    let (authority, ..) = obtained(Manners { ready_for: 4, ..Manners::default() });
    assert_eq!(authority.asked("POST /finalize").len(), 1);
    let asked = authority.asked("POST /order/1");
    assert_eq!(asked.len(), 4);
    // With pauses that grow: 250, 500, 1000 and 2000 ms.
    for (pair, pause) in asked.windows(2).zip([500, 1000, 2000]) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(pause), "{asked:?}");
    }
}

#[test]
fn the_authority_says_when_to_ask_again() {
    let manners = Manners { ready_for: 2, retry_after: "2", ..Manners::default() };
    let (authority, ..) = obtained(manners);
    let asked = [authority.asked("POST /finalize"), authority.asked("POST /order/1")].concat();
    assert_eq!(asked.len(), 3);
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(2)), "{asked:?}");
}

#[test]
fn an_order_that_is_not_ready_yet_is_finalized_later() {
    let (authority, _site, mut relay) = obtained(Manners { not_ready: 2, ..Manners::default() });
    let finalized = authority.asked("POST /finalize");
    assert_eq!(finalized.len(), 3);
    let pause = Duration::from_millis(250);
    assert!(finalized.windows(2).all(|pair| pair[1] - pair[0] >= pause), "{finalized:?}");
    assert_eq!(authority.asked("POST /order").len(), 1);
    relay.signal("TERM");
    assert!(!relay.log_to_end().iter().any(|line| line.contains("can't get a certificate")));
}
