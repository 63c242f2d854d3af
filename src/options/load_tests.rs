//! What counts where: typed, the route's own, what stands above the routes.

use super::*;
use crate::framing::{Eol, Framing};

/// What a file of this text and this command line come to, or what is wrong.
fn load(text: &str, typed: &str) -> Result<(Options, ServerConfig), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wsrelay.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let typed = format!("--config {path} {typed}");
    let words: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
    let Typed::Run(args) = parse::parse(&words).unwrap() else { panic!("{typed}") };
    let loaded = Options::load(*args, &words)
        .and_then(|options| options.config().map(|config| (options, config)));
    loaded.map_err(|error| error.to_string().replace(&path, "wsrelay.toml"))
}

fn config(text: &str, typed: &str) -> ServerConfig {
    load(text, typed).unwrap().1
}

/// `host/path backend` of each route, in order.
fn routes(config: &ServerConfig) -> Vec<String> {
    config.http.routes.iter().map(|route| format!("{} {}", route.rule, route.backend)).collect()
}

fn eol(route: &RouteConfig) -> Option<Eol> {
    match &route.session.framing {
        Framing::Lines(rules) => Some(rules.eol),
        _ => None,
    }
}

#[test]
fn what_is_typed_counts_more() {
    let text = "port = 8082\nto = \"a:1\"\nbinary = true\n";
    for (typed, listen, to) in [
        ("", "port 8082", "/ a:1"),
        ("--to x:1", "port 8082", "/ x:1"),
        ("--to=x:1 --listen 127.0.0.1:1", "127.0.0.1:1", "/ x:1"),
        ("--port 1", "port 1", "/ a:1"),
        ("-- cat", "port 8082", "/ cat"),
    ] {
        let config = config(text, typed);
        assert_eq!(config.listen[0].to_string(), listen, "{typed}");
        assert_eq!(routes(&config), [to], "{typed}");
        assert_eq!(eol(&config.http.routes[0]), None, "{typed}");
    }
    let config = config("port = 1\nprogram = [\"cat\"]", "--to a:1");
    assert_eq!(routes(&config), ["/ a:1"]);
}

const ROUTES: &str = "\
port = 1
to = \"a:1\"
eol = \"crlf\"
slow-client = \"drop\"
queue = \"2MiB\"
max-sessions = 100
pass-env = \"A\"
auth-file = \"users\"

[[route]]
path = \"/chat\"
to = \"b:1\"
eol = \"lf\"
auth-file = false

[[route]]
path = \"/vnc\"
to = \"c:1\"
binary = true
max-sessions = 7
slow-client = \"wait\"

[[route]]
host = \"*.example.org\"
subprotocol = [\"irc\", \"text.irc\"]
program = [\"cat\"]
";

#[test]
fn a_routes_own_settings_count_more_than_those_above() {
    let config = config(ROUTES, "");
    assert_eq!(
        routes(&config),
        ["*.example.org/ for subprotocol irc, text.irc cat", "/chat b:1", "/vnc c:1", "/ a:1"]
    );
    let [irc, chat, vnc, default] = &config.http.routes[..] else { unreachable!() };
    assert_eq!(
        [irc, chat, vnc, default].map(eol).map(|eol| eol.map(|eol| eol == Eol::CrLf)),
        [Some(true), Some(false), None, Some(true)]
    );
    assert!(chat.guard.auth_file.is_none() && vnc.guard.auth_file.is_some());
    assert_eq!(vnc.max_sessions.unwrap().get(), 7);
    assert!(chat.max_sessions.is_none() && default.max_sessions.is_none());
    assert_eq!(config.http.max_sessions, 100);
    assert_eq!(vnc.session.slow_client, crate::session::SlowClient::Wait);
    let crate::backend::Target::Program(program) = &irc.backend else { panic!("{irc:?}") };
    assert_eq!(program.pass_env, ["A"]);
}

#[test]
fn what_is_typed_counts_more_than_routes_too() {
    let config =
        config(ROUTES, "--to x:1 --eol lf --max-sessions 9 --route /chat=y:1 --route /z=z:1");
    assert_eq!(
        routes(&config),
        [
            "*.example.org/ for subprotocol irc, text.irc cat",
            "/chat y:1",
            "/z z:1",
            "/vnc c:1",
            "/ x:1"
        ]
    );
    assert_eq!(config.http.max_sessions, 9);
    assert_eq!(config.http.routes[3].max_sessions.unwrap().get(), 7);
    assert_eq!(eol(&config.http.routes[0]), Some(Eol::Lf));
    let vnc = &self::config(ROUTES, "--slow-client drop").http.routes[2];
    assert!(matches!(vnc.session.slow_client, crate::session::SlowClient::Drop { .. }));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, typed, want) in [
        (
            "port = 8082\nto = \"a:1\"\nping-interval = 30",
            "",
            "wsrelay.toml, line 3: --ping-interval 30: a duration needs a unit",
        ),
        ("port = 1\nto = \"a:1\"", "--eol mac", "--eol mac: type one of lf, crlf, cr, nul"),
        (
            "port = 1\n[[route]]\npath = \"/a\"",
            "",
            "line 2: this route says not where its lines go",
        ),
        (
            "port = 1\n[[route]]\npath = \"a\"\nto = \"a:1\"",
            "",
            "line 3: path \"a\": a path begins",
        ),
        ("port = 1\n[[route]]\nhost = \"a:1\"\nto = \"a:1\"", "", "line 3: host \"a:1\": any port"),
        ("port = 1\n[[route]]\nto = \"a\"", "", "line 3: --to a: \"a\" has no port"),
        ("port = 1\n[[route]]\nto = \"a:1\"\neol = \"mac\"", "", "line 4: --eol mac: type one of"),
        ("port = 1\neol = \"mac\"\n[[route]]\nto = \"a:1\"", "", "line 2: --eol mac: type one of"),
        (
            "port = 1\n[[route]]\nto = \"a:1\"\neol = \"lf\"",
            "--binary",
            "line 4: --eol is about lines",
        ),
        (
            "port = 1\n[[route]]\nto = \"a:1\"\nprogram = [\"cat\"]",
            "",
            "line 3: --to relays to a server, and -- cat starts a program",
        ),
        (
            "port = 1\nto = \"a:1\"\n[[route]]\nto = \"b:1\"",
            "",
            "line 3: there is another route for /: drop one",
        ),
        (
            "port = 1\n[[route]]\npath = \"/a\"\nto = \"a:1\"\n[[route]]\npath = \"/a/\"\nto = \"b:1\"",
            "",
            "line 5: there is another route for /a: drop one",
        ),
        (
            "port = 1\n[[route]]\nto = \"a:1\"\nbackend-ca = \"ca\"",
            "",
            "line 4: --backend-ca checks the certificate of a TLS backend",
        ),
        (
            "port = 1\n[[route]]\nprogram = [\"cat\"]\npath = \"/p\"\n[[route]]\nto = \"a:1\"\npass-env = \"A\"",
            "",
            "line 7: --pass-env is about programs, and --to starts none",
        ),
        (
            "port = 1\n[[route]]\nto = \"tls://a:1\"\nkill-grace = \"2s\"",
            "",
            "line 4: --kill-grace is about programs",
        ),
        ("port = 1\nroute = [\"/a\"]", "", "line 2: --route /a: it needs a path and an address"),
        ("port = 1", "", "say where the lines go"),
    ] {
        let got = load(text, typed).unwrap_err();
        assert!(got.contains(want), "{text:?} {typed:?}: {got}");
        assert!(!got.contains('\n'), "{got}");
    }
}

/// A browser shows its certificate to whatever page asks it to connect, on every route.
#[test]
fn client_certificates_close_routes_to_other_pages_too() {
    let route = "[[route]]\npath = \"/a\"\nto = \"a:1\"\n";
    let ca = "tls-cert = \"c\"\ntls-client-ca = \"ca\"\n";
    for (text, typed, closed) in [
        (format!("port = 1\n{ca}{route}"), "", true),
        (format!("port = 1\n{route}"), "--tls-cert c --tls-client-ca ca", true),
        (format!("port = 1\n{ca}{route}origin = \"*\"\n"), "", false),
        (format!("port = 1\n{route}"), "", false),
    ] {
        let config = config(&text, typed);
        assert_eq!(config.http.routes[0].guard.origins.same_origin, closed, "{text} {typed}");
    }
}

#[test]
fn a_route_does_without_what_it_calls_false() {
    let text = "port = 1\nslow-client = \"drop\"\nqueue = \"2KiB\"\n\
                [[route]]\nto = \"a:1\"\nslow-client = false\n";
    assert_eq!(
        config(text, "").http.routes[0].session.slow_client,
        crate::session::SlowClient::Wait
    );
    let text = "port = 1\nbinary = true\n[[route]]\nto = \"a:1\"\neol = false\n";
    assert_eq!(eol(&config(text, "").http.routes[0]), None, "it is still about bytes");
    let text = "port = 1\nbackend-ca = \"ca\"\npass-env = \"A\"\n[[route]]\nto = \"tls://a:1\"\n\
                [[route]]\npath = \"/p\"\nprogram = [\"cat\"]\n[[route]]\npath = \"/a\"\nto = \"a:1\"\n";
    assert_eq!(
        config(text, "").http.routes.len(),
        3,
        "what is inherited is for those that can use it"
    );
}

#[test]
fn a_routes_trace_that_nobody_would_see_is_refused() {
    let text = "port = 1\nlog-level = \"warn\"\n[[route]]\nto = \"a:1\"\ntrace = true\n";
    let (options, _) = load(text, "").unwrap();
    let why = options.log_config().unwrap_err().to_string();
    assert!(why.contains("line 5: --trace logs what passes"), "{why}");
    let (options, _) = load(text, "--log-level info").unwrap();
    assert!(options.log_config().is_ok());
}

/// Which clients a route is for is no setting: typed, it would send others there.
#[test]
fn what_is_typed_sends_no_other_clients_to_a_route() {
    let text = "port = 1\nto = \"a:1\"\n[[route]]\nsubprotocol = \"irc\"\nto = \"b:1\"\n\
                [[route]]\npath = \"/c\"\nto = \"c:1\"\n";
    let config = config(text, "--subprotocol chat");
    assert_eq!(routes(&config), ["/c c:1", "/ for subprotocol irc b:1", "/ a:1"]);
    let of = |n: usize| config.http.routes[n].handshake.subprotocols.names().unwrap();
    assert_eq!([of(0), of(1), of(2)], [["chat"], ["irc"], ["chat"]]);
}
