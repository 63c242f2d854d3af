//! The files that people write, in all the forms that editors, shells and `cat` give them: each is read whole, or
//! refused with a sentence that says what to do.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use rustls::{ServerConnection, StreamOwned};
use support::tls::{Ca, Pair, server_config};
use support::{Backend, Steady, run, start};

const WSRELAY: &str = env!("CARGO_BIN_EXE_wsrelay");

/// Users whose password is their name, by `{SHA}`.
const USERS: &str =
    "first:{SHA}4JlqN8E9RMOwYHSTnUP6N1m9MsE=\nlast:{SHA}IT7T6kU79hBoj/gEHgo7e2q7Xm4=\n";
const TOKENS: &str = "one:token-1\ntwo:token-2\n";

/// Changes to a file that must not change its meaning.
type Form = (&'static str, fn(&str) -> Vec<u8>);

const FORMS: [Form; 13] = [
    ("as it is", |text| text.into()),
    ("byte order mark", |text| format!("\u{feff}{text}").into()),
    ("byte order marks of two files", |text| {
        let (first, rest) = text.split_once('\n').unwrap();
        format!("\u{feff}{first}\n\u{feff}{rest}").into()
    }),
    ("CRLF", |text| text.replace('\n', "\r\n").into()),
    ("byte order mark and CRLF", |text| format!("\u{feff}{}", text.replace('\n', "\r\n")).into()),
    ("CR", |text| text.replace('\n', "\r").into()),
    ("no last newline", |text| text.trim_end().into()),
    ("empty lines", |text| format!("\n\n{}\n\n", text.replace('\n', "\n\n")).into()),
    ("spaces before", |text| {
        text.lines().map(|line| format!("  \t{line}\n")).collect::<String>().into()
    }),
    ("spaces behind", |text| text.replace('\n', " \t\n").into()),
    ("spaces and CRLF", |text| {
        text.lines().map(|line| format!(" {line} \r\n")).collect::<String>().into()
    }),
    ("comments", |text| format!("# one\n{}# žluť\n", text.replace('\n', "\n # two\n")).into()),
    ("a comment at the end", |text| format!("{text}# end").into()),
];

/// PEM, as `cat` joins it.
const JOINED: [Form; 2] = [
    ("cat without last newlines", |text| text.replace("-----\n-----", "----------").into()),
    ("all in one line", |text| text.replace('\n', "").into()),
];

/// The files and clients of a relay, by which a test sees that nothing of a file is lost.
struct Case {
    ca: Ca,
    other: Ca,
    pair: Pair,
    client: Pair,
    to: String,
}

impl Case {
    fn new() -> Self {
        let (ca, other) = (Ca::new(), Ca::new());
        let pair = ca.issue(&["localhost"], "relay");
        let client = ca.issue(&[], "client");
        let backend = Backend::listen();
        let to = format!("tls://localhost:{}", backend.addr.port());
        let config = server_config(&pair);
        backend.serve(move |peer| {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut tls = StreamOwned::new(connection, Steady(peer.0.into_inner()));
            let _ = std::io::copy(&mut tls, &mut std::io::sink());
        });
        Case { ca, other, pair, client, to }
    }

    /// Starts a relay whose PEM files have one form, and all others another, and connects as all users.
    fn try_forms(&self, pem: Form, text: Form) {
        let dir = self.ca.path("");
        let write =
            |name: &str, form: Form, text: &str| fs::write(dir.join(name), form.1(text)).unwrap();
        // A file of one certificate and key, too: the key is behind the certificate.
        write("cert.pem", pem, &format!("{}{}", self.pair.cert, self.pair.key));
        write("authorities.pem", pem, &format!("{}{}", self.ca.pem, self.other.pem));
        write("others-first.pem", pem, &format!("{}{}", self.other.pem, self.ca.pem));
        write("users", text, USERS);
        write("tokens", text, TOKENS);
        let settings = format!(
            "port = 0\nto = \"{}\"\nbackend-ca = \"authorities.pem\"\ntls-cert = \"cert.pem\"\n\
             tls-client-ca = \"others-first.pem\"\nauth-file = \"users\"\ntoken-file = \"tokens\"\n",
            self.to
        );
        write("wsrelay.toml", text, &settings);
        let mut command = Command::new(WSRELAY);
        command.args(["--config", "wsrelay.toml"]).current_dir(&dir);
        let relay = start(command);
        let config = self.ca.client(Some(&self.client));
        // first:first and last:last.
        for credentials in
            ["Basic Zmlyc3Q6Zmlyc3Q=", "Basic bGFzdDpsYXN0", "Bearer token-1", "Bearer token-2"]
        {
            let tls = support::tls::tls(relay.tcp(), config.clone()).expect("a handshake");
            expect_session(tls, credentials, (pem.0, text.0));
        }
    }
}

fn expect_session(mut tls: support::tls::Tls, credentials: &str, forms: (&str, &str)) {
    use std::io::Write;
    let header = format!("Authorization: {credentials}\r\n");
    tls.write_all(support::handshake("/", &header).as_bytes()).unwrap();
    let response = support::HttpResponse::read(&mut tls);
    assert_eq!(response.status, 101, "{forms:?} {credentials}: {}", response.text());
}

#[test]
fn nothing_is_lost_in_any_form() {
    let case = Case::new();
    for (i, form) in FORMS.into_iter().chain(JOINED).enumerate() {
        case.try_forms(form, *FORMS.get(i).unwrap_or(&FORMS[0]));
    }
}

/// The name of the form, how a text gets it, and the error.
type Refused = (&'static str, fn(&Path, &str), &'static str);

/// Files that are no text, and their errors.
const REFUSED: [Refused; 7] = [
    (
        "UTF-16",
        |path, text| write_wide(path, &format!("\u{feff}{text}"), u16::to_le_bytes),
        "it is UTF-16, as > of Windows PowerShell",
    ),
    (
        "UTF-16, the other way round",
        |path, text| write_wide(path, &format!("\u{feff}{text}"), u16::to_be_bytes),
        "it is UTF-16",
    ),
    (
        "UTF-16 without a mark",
        |path, text| write_wide(path, text, u16::to_le_bytes),
        "it is UTF-16",
    ),
    (
        "a NUL byte",
        |path, text| fs::write(path, format!("{text}\0")).unwrap(),
        "has a NUL byte: is it a text file?",
    ),
    ("a directory", |path, _| fs::create_dir(path).unwrap(), "is a directory"),
    (
        "a gigabyte",
        |path, _| fs::File::create(path).unwrap().set_len(1 << 30).unwrap(),
        "it is longer than 64 MiB",
    ),
    ("nothing", |_, _| {}, "no such file or directory"),
];

fn write_wide(path: &Path, text: &str, bytes: fn(u16) -> [u8; 2]) {
    fs::write(path, text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>()).unwrap();
}

#[test]
fn what_is_no_text_is_refused_with_words() {
    let ca = Ca::new();
    let pair = ca.issue(&["localhost"], "relay");
    let file = |name: &str, text: &str| ca.write(name, text);
    let (cert, key, config) = (
        file("cert.pem", &pair.cert),
        file("key.pem", &pair.key),
        "port = 0\nto = \"localhost:1\"\n",
    );
    let bad = ca.path("bad");
    let bad = bad.to_str().unwrap();
    let to = ["--port", "0", "--to", "localhost:1"];
    let tls = ["--port", "0", "--to", "tls://localhost:1"];
    let kinds: [(&str, Vec<&str>, &str); 7] = [
        ("", vec!["--config", bad], config),
        ("--tls-cert ", [&to[..], &["--tls-cert", bad, "--tls-key", &key]].concat(), &pair.cert),
        ("--tls-key ", [&to[..], &["--tls-cert", &cert, "--tls-key", bad]].concat(), &pair.key),
        (
            "--tls-client-ca ",
            [&to[..], &["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", bad]].concat(),
            &ca.pem,
        ),
        ("--backend-ca ", [&tls[..], &["--backend-ca", bad]].concat(), &ca.pem),
        ("--auth-file ", [&to[..], &["--auth-file", bad]].concat(), USERS),
        ("--token-file ", [&to[..], &["--token-file", bad]].concat(), TOKENS),
    ];
    for (option, args, text) in &kinds {
        for (what, write, want) in &REFUSED {
            write(Path::new(bad), text);
            let done = run(args);
            let said = String::from_utf8(done.stderr).unwrap();
            assert_eq!(done.status.code(), Some(1), "{option}{what}: {said}");
            let begin = format!("wsrelay: can't read {option}{bad}: ");
            assert!(said.starts_with(&begin) && said.contains(want), "{option}{what}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
            let _ = fs::remove_file(bad).or_else(|_| fs::remove_dir(bad));
        }
        // An empty file is an error.
        for empty in ["", "\n", "\u{feff}", "# nothing\r\n"] {
            fs::write(bad, empty).unwrap();
            let done = run(args);
            let said = String::from_utf8(done.stderr).unwrap();
            assert!(matches!(done.status.code(), Some(1 | 2)), "{option}{empty:?}: {said}");
            assert!(said.contains(bad), "{option}{empty:?}: {said}");
            fs::remove_file(bad).unwrap();
        }
    }
}
