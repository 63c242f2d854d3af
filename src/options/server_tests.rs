//! What the options of the server as a whole come to, and what is said of wrong ones.

use super::*;
use crate::framing::{Eol, Framing};
use crate::http::gate::rule::Rule;
use crate::options::{Typed, parse};
use crate::session::SlowClient;

fn config(line: &str) -> Result<ServerConfig, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match parse(&words)? {
        Typed::Run(args) => super::config(&args).map_err(|e| {
            assert_eq!(e.exit_code(), 2);
            e.to_string()
        }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = config("--port 8082 --to localhost:7777").unwrap();
    assert_eq!(config.listen, [ListenAddr::Everywhere(8082)]);
    let [route] = &config.http.routes[..] else { panic!("{:?}", config.http.routes) };
    assert_eq!(route.rule, Rule::default());
    assert_eq!(route.backend.to_string(), "localhost:7777");
    assert_eq!(route.session.max_line, 1024 * 1024);
    assert_eq!(route.session.slow_client, SlowClient::Wait);
    let limits = route.session.limits;
    assert_eq!(limits.ping_interval, Some(Duration::from_secs(30)));
    assert_eq!(limits.ping_timeout, Some(Duration::from_secs(15)));
    assert_eq!(limits.write_timeout, Some(Duration::from_secs(30)));
    assert_eq!((limits.idle_timeout, limits.flush_after), (None, None));
    assert_eq!(route.session.close_timeout, Duration::from_secs(5));
    assert_eq!(config.http.handshake_timeout, Duration::from_secs(10));
    assert_eq!(route.handshake.connect_timeout, Duration::from_secs(5));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(10));
    assert!(config.http.pages.dir.is_none() && config.http.pages.builtin.is_empty());
}

#[test]
fn a_program_takes_more_descriptors() {
    let server = config("--port 1 --to localhost:7777").unwrap();
    let config = config("--port 1 -- cat -n").unwrap();
    let Target::Program(program) = &config.http.routes[0].backend else { panic!("{config:?}") };
    assert_eq!((program.command.as_str(), &program.args[..]), ("cat", &["-n".to_owned()][..]));
    assert_eq!(program.pass_env, ["PATH"]);
    assert_eq!(program.kill_grace, Duration::from_secs(1));
    assert!(config.http.max_sessions < server.http.max_sessions / 2);
    let programs = self::config("--port 1 --program-dir d").unwrap();
    assert_eq!(programs.http.max_sessions, config.http.max_sessions);
    let cgi = self::config("--port 1 --to localhost:7777 --cgi-dir d --pass-env A").unwrap();
    assert_eq!(cgi.http.max_sessions, config.http.max_sessions);
    let answers = cgi.http.pages.cgi.unwrap();
    assert_eq!(answers.timeout, Duration::from_secs(30));
    assert_eq!(answers.programs.pass_env, ["A"]);
}

#[test]
fn connections_leave_room_for_backends() {
    for (open_files, sessions, each, has_files, want) in [
        (256, u64::MAX, 2, false, 128),
        (256, u64::MAX, 2, true, 112),
        (256, u64::MAX, 5, false, 72),
        (256, 10, 2, false, 214),
        (1024, u64::MAX, 2, false, 512),
        (1_048_576, u64::MAX, 2, false, 524_288),
        (40, u64::MAX, 2, false, 16),
        (0, 1, 2, true, 16),
    ] {
        let got = connections_within(open_files, sessions, each, has_files);
        assert_eq!(got, want, "{open_files} {sessions} {each} {has_files}");
        let sessions = sessions.min(sessions_within(open_files, each));
        assert!(open_files < 64 || got + sessions * (each - 1) + 32 <= open_files);
        assert!(open_files < 64 || got > sessions, "who is one too many is told so");
    }
    let most = connections_within(u64::MAX, u64::MAX, 2, false);
    assert!(most > u64::MAX / 4);
    let given = config("--port 1 --to a:1 --max-connections 7 --max-connections-per-ip 3");
    let given = given.unwrap().connections;
    assert_eq!((given.max, given.max_per_ip.unwrap().get()), (7, 3));
}

#[test]
fn routes_need_no_default_and_come_in_order() {
    let line = "--port 1 --route /a=a:1 --route /a/b=unix:/b --eol crlf --max-sessions 7";
    let config = config(line).unwrap();
    let shown = |route: &RouteConfig| format!("{} {}", route.rule, route.backend);
    let routes: Vec<_> = config.http.routes.iter().map(shown).collect();
    assert_eq!(routes, ["/a/b unix:/b", "/a a:1"]);
    assert_eq!(config.http.max_sessions, 7);
    for route in &config.http.routes {
        let Framing::Lines(rules) = &route.session.framing else { panic!("{route:?}") };
        assert_eq!(rules.eol, Eol::CrLf);
        assert!(route.max_sessions.is_none(), "the limit is that of all routes together");
    }
}

#[test]
fn a_trace_that_nobody_would_see_is_refused() {
    let with = |level: &str| {
        let log_level = Some(level.to_owned());
        log_config(&Args { trace: true, log_level, ..Args::default() })
    };
    assert!(with("warn").unwrap_err().to_string().contains("--log-level info"));
    assert!(with("info").is_ok() && with("debug").is_ok());
}

#[test]
fn what_cant_be_off_is_not_said_to_be_off_by_0() {
    let base = "--port 8082 --to localhost:7777";
    for (option, can_be_off) in [("--connect-timeout", false), ("--idle-timeout", true)] {
        let got = config(&format!("{base} {option} 5")).unwrap_err();
        assert_eq!(got.contains("(0 is off)"), can_be_off, "{got}");
    }
}

#[test]
fn wrong_and_conflicting_options_say_what_to_type() {
    let base = "--port 8082 --to localhost:7777";
    for (line, want) in [
        ("", "--port 8082"),
        ("--port 8082", "--to localhost:7777"),
        ("--to localhost:7777", "--port 8082"),
        ("--port x --to a:1", "--port x: not a port number"),
        ("--port 70000 --to a:1", "not a port number"),
        ("--port 1 --to 7777", "has no port"),
        ("--port 1 --listen 127.0.0.1:1 --to a:1", "one or the other"),
        ("--listen 127.0.0.1 --to a:1", "has no port"),
        (&format!("{base} --eol mac"), "type one of lf, crlf"),
        (&format!("{base} --newlines keep"), "split, space, reject"),
        (&format!("{base} --charset latin-99"), "latin-99"),
        (&format!("{base} --binary --eol crlf"), "--eol is about lines"),
        (&format!("{base} --max-line 0"), "--max-line 64KiB"),
        (&format!("{base} --max-line 1XiB"), "--max-line 64KiB"),
        (&format!("{base} --ping-interval 30"), "a duration needs a unit"),
        (&format!("{base} --connect-timeout 0"), "can't be off"),
        (&format!("{base} --queue 1MiB"), "--slow-client drop"),
        (&format!("{base} --slow-client kill"), "wait, drop"),
        (&format!("{base} --subprotocol a,,b"), "can't be a subprotocol"),
        (&format!("{base} --refuse maybe"), "http, close"),
        (&format!("{base} --max-sessions 0"), "above 0"),
        (&format!("{base} --kill-grace 1s"), "--kill-grace is about programs"),
        (&format!("{base} --pass-env A"), "--pass-env is about programs"),
        (&format!("{base} -- cat -n"), "one or the other"),
        (&format!("{base} --program-dir d"), "--program-dir starts programs of a directory: give"),
        ("--port 1 --program-dir d -- cat", "and -- cat starts a program: give one"),
        (&format!("{base} --cgi-timeout 5s"), "about the programs of --cgi-dir"),
        (&format!("{base} --cgi-dir d --cgi-timeout 0"), "can't be off"),
        (&format!("{base} --cgi-dir d --pass-env A=B"), "type --pass-env PATH,HOME"),
        ("--port 1 --program-dir d --kill-grace 0", "can't be off"),
        ("--port 1 --kill-grace 0 -- cat", "can't be off"),
        ("--port 1 --pass-env A=B -- cat", "type --pass-env PATH,HOME"),
        ("--port 1 --pass-env , -- cat", "type --pass-env PATH,HOME"),
        ("-- cat", "--port 8082"),
        ("--port 1 --route /chat", "type --route /chat=localhost:7777"),
        ("--port 1 --route chat=a:1", "begins with /"),
        ("--port 1 --route /chat=a", "--route /chat=a: \"a\" has no port; type --route"),
        ("--port 1 --route /chat=a:1 --route /chat/=b:1", "--route /chat=… is given twice"),
        (&format!("{base} --route /=b:1"), "--route /=… is given twice (--to is that of /)"),
        ("--port 1 --route /chat=a:1 --eol mac", "type one of lf, crlf"),
    ] {
        let got = config(line).unwrap_err();
        assert!(got.contains(want), "{line:?}: {got}");
        assert!(!got.contains('\n'), "{line:?}: {got}");
    }
}
