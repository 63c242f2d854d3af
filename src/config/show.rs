//! Show: a configuration as a file that says all of it, defaults included.

use std::fmt::{Display, Write};
use std::iter;
use std::time::Duration;

use super::{Config, Refuse, SlowClient};
use crate::backend::Backend;
use crate::cli::Args;
use crate::framing::{Eol, Framing, LineRules, Newlines};
use crate::log::{LogConfig, LogFormat};
use crate::net::address::ListenAddr;

/// Lines of a TOML file.
struct Toml(String);

impl Toml {
    fn set(&mut self, key: &str, value: impl Display) {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: impl Display) {
        // TOML's basic strings escape as Rust does, but for what has no place in any of these values.
        self.set(key, format_args!("{:?}", value.to_string()));
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
            self.set(key, format_args!("{values:?}"));
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

impl Config {
    /// All that holds, as a file for `--config`. `args` are what this configuration was made of.
    pub fn to_toml(&self, args: &Args, log: &LogConfig) -> String {
        let mut toml = Toml(String::new());
        self.show_listen(&mut toml);
        match &self.backend {
            Backend::Program(program) => {
                let words: Vec<_> = iter::once(&program.command).chain(&program.args).collect();
                toml.set("program", format_args!("{words:?}"));
                toml.text("pass-env", program.pass_env.join(","));
                toml.time("kill-grace", Some(program.kill_grace));
            }
            backend => toml.text("to", backend),
        }
        if let Some(dir) = &self.pages.dir {
            toml.text("static-dir", dir.display());
        }
        toml.set("dev-console", args.dev_console);
        self.show_guard(args, &mut toml);
        self.show_session(&mut toml);
        if let Some(names) = &self.handshake.subprotocols {
            toml.text("subprotocol", names.join(","));
        }
        toml.text(
            "refuse",
            match self.handshake.refuse {
                Refuse::Http => "http",
                Refuse::Close => "close",
            },
        );
        toml.set("max-sessions", self.max_sessions);
        toml.time("handshake-timeout", Some(self.handshake.timeout));
        toml.time("connect-timeout", Some(self.handshake.connect_timeout));
        toml.time("shutdown-timeout", Some(self.shutdown_timeout));
        toml.text("log-level", log.level);
        toml.text(
            "log-format",
            match log.format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            },
        );
        toml.set("trace", self.session.trace);
        toml.0
    }

    fn show_listen(&self, toml: &mut Toml) {
        match &*self.listen {
            [ListenAddr::Everywhere(port)] => toml.set("port", port),
            addrs => {
                let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
                toml.set("listen", format_args!("{addrs:?}"));
            }
        }
    }

    fn show_guard(&self, args: &Args, toml: &mut Toml) {
        toml.list("origin", &args.origin);
        toml.set("same-origin", self.guard.origins.same_origin);
        toml.set("origin-required", args.origin_required);
        toml.given("trust-proxy", &args.trust_proxy);
        toml.given("auth-file", &args.auth_file);
        toml.given("token-file", &args.token_file);
        toml.set("auth-static", args.auth_static);
        toml.given("max-sessions-per-ip", &args.max_sessions_per_ip);
        toml.given("connect-rate", &args.connect_rate);
        toml.list("header", &args.header);
        toml.list("header-ws", &args.header_ws);
        toml.list("header-http", &args.header_http);
    }

    fn show_session(&self, toml: &mut Toml) {
        let session = &*self.session;
        match &session.framing {
            Framing::Raw { .. } => toml.set("binary", true),
            Framing::Lines(rules) => show_lines(rules, toml),
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
