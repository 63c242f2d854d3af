//! Show: a configuration as a file that says all of it, defaults included.

use std::fmt::{Display, Write};
use std::iter;
use std::time::Duration;

use super::args::Args;
use super::guard::guard;
use super::load::{ABOUT_LINES, Options};
use super::route::{RouteOptions, handshake};
use super::session::session;
use crate::backend::Target;
use crate::error::StartError;
use crate::framing::{Eol, Framing, LineRules, Newlines};
use crate::http::gate::guard::GuardConfig;
use crate::http::{CgiConfig, Config, Refuse};
use crate::log::{LogConfig, LogFormat};
use crate::net::address::ListenAddr;
use crate::net::tls::{AcmeConfig, CertSource};
use crate::session::{SessionConfig, SlowClient};

/// Lines of a TOML file.
struct Toml(String);

impl Toml {
    fn set(&mut self, key: &str, value: impl Display) {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: impl Display) {
        self.set(key, quoted(&value.to_string()));
    }

    /// A setting that has no default.
    fn given(&mut self, key: &str, value: &Option<String>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A list of which nothing is the default.
    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            self.set(key, format_args!("[{}]", values.join(", ")));
        }
    }

    fn time(&mut self, key: &str, value: Option<Duration>) {
        let millis = value.unwrap_or_default().as_millis();
        match (millis % 1000, millis / 1000) {
            (0, secs) => self.text(key, format_args!("{secs}s")),
            _ => self.text(key, format_args!("{millis}ms")),
        }
    }
}

/// One of TOML's basic strings. What a terminal would not show, or would obey, is escaped too, in the
/// one way that TOML has for all of it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\'' => out.push(c),
            c if c.escape_debug().len() > 1 => out += &format!("\\U{:08X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Options {
    /// All that holds, as a file for `--config`.
    ///
    /// # Errors
    /// As of [`config`](Options::config).
    pub fn to_toml(&self) -> Result<String, StartError> {
        let (config, log) = (self.config()?, self.log_config()?);
        let args = &self.args;
        let mut toml = Toml(String::new());
        show_listen(&config, &mut toml);
        toml.given("tls-cert", &args.tls_cert);
        toml.given("tls-key", &args.tls_key);
        if let Some(CertSource::Acme(acme)) = config.tls.as_ref().map(|tls| &tls.source) {
            show_acme(acme, &mut toml);
        }
        toml.given("tls-client-ca", &args.tls_client_ca);
        if let Some(port) = config.tls.as_ref().and_then(|tls| tls.redirect_port) {
            toml.set("redirect-port", port);
        }
        let default = RouteOptions::default_of(args);
        if let Some(default) = &default {
            show_backend(&default.check()?.backend, &mut toml);
        }
        show_cgi(&config, default.as_ref(), &mut toml);
        if let Some(dir) = &config.pages.dir {
            toml.text("static-dir", dir.display());
        }
        toml.set("dev-console", args.dev_console);
        toml.given("trust-proxy", &args.trust_proxy);
        toml.set("auth-static", args.auth_static);
        toml.list("header", &args.header);
        toml.list("header-ws", &args.header_ws);
        toml.list("header-http", &args.header_http);
        let common = of_sessions(args)?;
        toml.0.push_str(&common.0);
        toml.set("max-connections", config.max_connections);
        if let Some(most) = config.max_connections_per_ip {
            toml.set("max-connections-per-ip", most);
        }
        toml.set("max-sessions", config.max_sessions);
        toml.time("handshake-timeout", Some(config.handshake_timeout));
        toml.time("shutdown-timeout", Some(config.shutdown_timeout));
        show_log(&log, &mut toml);
        let typed = args.route.iter().map(|text| RouteOptions::typed(text, args));
        let routes = typed.chain(self.routes().cloned().map(Ok)).collect::<Result<Vec<_>, _>>()?;
        let mut shown: Vec<_> = default.iter().map(RouteOptions::rule).collect::<Result<_, _>>()?;
        for route in &routes {
            // What was typed takes the place of what stands in the file.
            let rule = route.rule()?;
            if !shown.contains(&rule) {
                shown.push(rule);
                show_route(route, &common, &mut toml)?;
            }
        }
        Ok(toml.0)
    }
}

/// A route, with what holds there and not elsewhere.
fn show_route(route: &RouteOptions, common: &Toml, toml: &mut Toml) -> Result<(), StartError> {
    toml.0.push_str("\n[[route]]\n");
    toml.given("path", &route.path);
    toml.given("host", &route.host);
    let config = route.check()?;
    show_backend(&config.backend, toml);
    if let Some(most) = config.max_sessions {
        toml.set("max-sessions", most);
    }
    let own = of_sessions(&route.args)?;
    let own: Vec<&str> = own.0.lines().collect();
    let is_own = |line: &&&str| {
        let by_subprotocol = route.by_subprotocol && line.starts_with("subprotocol = ");
        by_subprotocol || !common.0.lines().any(|other| other == **line)
    };
    own.iter().filter(is_own).for_each(|line| toml.0 += &format!("{line}\n"));
    // What all others have, and this one has not.
    let is_raw = own.contains(&"binary = true");
    let has = |wanted: &str| own.iter().any(|line| key(line) == wanted);
    for key in common.0.lines().map(key).filter(|key| !has(key)) {
        if !(is_raw && ABOUT_LINES.contains(&key)) {
            toml.set(key, false);
        }
    }
    Ok(())
}

/// The key of a line.
fn key(line: &str) -> &str {
    line.split(" = ").next().unwrap_or(line)
}

fn show_listen(config: &Config, toml: &mut Toml) {
    match &*config.listen {
        [ListenAddr::Everywhere(port)] => toml.set("port", port),
        addrs => {
            let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
            toml.list("listen", &addrs);
        }
    }
}

fn show_acme(acme: &AcmeConfig, toml: &mut Toml) {
    toml.list("acme-domain", &acme.domains);
    toml.text("acme-cache", acme.cache.display());
    for contact in &acme.contact {
        toml.text("acme-email", contact.trim_start_matches("mailto:"));
    }
    toml.text("acme-directory", &acme.directory);
    if let Some(ca) = &acme.ca {
        toml.text("acme-ca", ca.display());
    }
}

fn show_backend(backend: &Target, toml: &mut Toml) {
    match backend {
        Target::Program(program) => {
            let words: Vec<_> =
                iter::once(&program.command).chain(&program.args).cloned().collect();
            toml.list("program", &words);
            show_started(&program.pass_env, program.kill_grace, toml);
        }
        Target::Programs(programs) => {
            toml.text("program-dir", programs.dir.display());
            show_started(&programs.pass_env, programs.kill_grace, toml);
        }
        backend => toml.text("to", backend),
    }
}

/// What programs are started with.
fn show_started(pass_env: &[String], kill_grace: Duration, toml: &mut Toml) {
    toml.text("pass-env", pass_env.join(","));
    toml.time("kill-grace", Some(kill_grace));
}

/// The programs that answer requests. What they are started with is that of the default route's
/// programs, and stands there if it has any.
fn show_cgi(config: &Config, default: Option<&RouteOptions>, toml: &mut Toml) {
    let Some(CgiConfig { programs, timeout }) = &config.pages.cgi else { return };
    if default.is_none_or(|default| default.args.to.is_some()) {
        show_started(&programs.pass_env, programs.kill_grace, toml);
    }
    toml.text("cgi-dir", programs.dir.display());
    toml.time("cgi-timeout", Some(*timeout));
}

/// What holds for sessions, of one route or of all.
fn of_sessions(args: &Args) -> Result<Toml, StartError> {
    let mut toml = Toml(String::new());
    show_guard(args, &guard(args)?, &mut toml);
    show_session(&session(args)?, &mut toml);
    let handshake = handshake(args)?;
    if let Some(names) = &handshake.subprotocols {
        toml.text("subprotocol", names.join(","));
    }
    toml.text(
        "refuse",
        match handshake.refuse {
            Refuse::Http => "http",
            Refuse::Close => "close",
        },
    );
    toml.time("connect-timeout", Some(handshake.connect_timeout));
    toml.given("backend-ca", &args.backend_ca);
    toml.set("trace", args.trace);
    Ok(toml)
}

fn show_guard(args: &Args, guard: &GuardConfig, toml: &mut Toml) {
    toml.list("origin", &args.origin);
    toml.set("same-origin", guard.origins.same_origin);
    toml.set("origin-required", args.origin_required);
    toml.given("auth-file", &args.auth_file);
    toml.given("token-file", &args.token_file);
    toml.given("max-sessions-per-ip", &args.max_sessions_per_ip);
    toml.given("connect-rate", &args.connect_rate);
}

fn show_session(session: &SessionConfig, toml: &mut Toml) {
    match &session.framing {
        Framing::Raw { .. } => toml.set("binary", true),
        Framing::Lines(rules) => {
            toml.set("binary", false);
            show_lines(rules, toml);
        }
    }
    toml.set("max-line", session.max_line);
    if let Framing::Lines(_) = session.framing {
        toml.time("flush-after", session.limits.flush_after);
    }
    match session.slow_client {
        SlowClient::Wait => toml.text("slow-client", "wait"),
        SlowClient::Drop { queue } => {
            toml.text("slow-client", "drop");
            toml.set("queue", queue);
        }
    }
    toml.time("write-timeout", session.limits.write_timeout);
    toml.time("ping-interval", session.limits.ping_interval);
    toml.time("ping-timeout", session.limits.ping_timeout);
    toml.time("idle-timeout", session.limits.idle_timeout);
    toml.time("close-timeout", Some(session.close_timeout));
}

fn show_log(log: &LogConfig, toml: &mut Toml) {
    toml.text("log-level", log.level);
    toml.text(
        "log-format",
        match log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        },
    );
}

fn show_lines(rules: &LineRules, toml: &mut Toml) {
    toml.text(
        "eol",
        match rules.eol {
            Eol::Lf => "lf",
            Eol::CrLf => "crlf",
        },
    );
    toml.text(
        "newlines",
        match rules.newlines {
            Newlines::Split => "split",
            Newlines::Space => "space",
            Newlines::Reject => "reject",
        },
    );
    toml.text("charset", rules.charset);
}
