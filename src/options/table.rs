//! Table: every option, one row each. What argh does not know of an option stands here, and only here.

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, Optionality};

use super::about::About;
use super::args::Args;
use crate::net::tls::LETS_ENCRYPT;
use crate::server::ServerConfig;

// The groups of the help.
const LISTEN: &str = "Where to listen";
const BACKEND: &str = "Where lines go";
const PROGRAMS: &str = "Programs";
const LINES: &str = "Lines and messages";
const PAGES: &str = "Pages";
const ACCESS: &str = "Who may connect";
const LIMITS: &str = "Limits";
const TIME: &str = "Slow clients and time limits";
const TLS: &str = "TLS";
const LOG: &str = "Log";
const GENERAL: &str = "General";

/// Where an option may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On the command line only.
    Typed,
    /// There, or in a file above its routes.
    Whole,
    /// In a route of a file too, which inherits what stands above it.
    Route,
    /// In a route of a file too, which inherits nothing.
    OwnOfRoute,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is on or off.
    Switch,
    /// A value, once.
    Value,
    /// One value that is a list with commas, which a file may write as a list.
    List,
    /// A value, any number of times.
    Repeatable,
    /// The words of a program.
    Words,
}

/// What several options say in different ways: one that is typed overrides all of them in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Where to listen.
    Address,
    /// Where lines go.
    Target,
}

/// What must not happen to the path that is an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Nobody may read it.
    Secret,
    /// Likewise, unless this other option is given.
    SecretWithout(&'static str),
    /// Who reads it sees the source of programs.
    Source,
}

/// What holds where an option is not given.
#[derive(Clone, Copy, Debug)]
pub enum Unset {
    /// Nothing, which the help need not mention.
    None,
    /// Nothing, which the help words so.
    Nothing(&'static str),
    /// This value.
    Value(&'static str),
    /// A value that depends on others: how the help words it, and which it is.
    Computed(&'static str, Compute),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name without dashes, which is its key in a file.
    pub key: &'static str,
    /// The heading of its group in the help.
    pub group: &'static str,
    pub scope: Scope,
    /// Whether the one value is a list with commas.
    pub list: bool,
    pub default: Unset,
    pub about: About,
    pub says: Option<Says>,
    pub private: Option<Exposure>,
    /// What websocketd, websockify or habit call it, without dashes; behind `=` what to write behind ours.
    pub theirs: &'static str,
    /// Whether `--help` shows it, not only `--help all`.
    pub common: bool,
}

/// How the help words a default.
const OPEN_FILES: &str = "what the limit of open files allows";

use About::*;
use Exposure::{Secret, SecretWithout, Source};
use Says::{Address, Target};

/// Every option, in the order of the help, of the example file and of what `check` prints.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    whole("port", LISTEN).common().says(Address).theirs("p"),
    whole("listen", LISTEN).common().says(Address).theirs("unixsocket=unix:PATH unixlisten=unix:PATH"),
    own("to", BACKEND).common().says(Target).theirs("ssltarget=tls://HOST:PORT unixtarget=unix:PATH"),
    whole("route", BACKEND).common(),
    own("target-file", BACKEND).says(Target).private(Secret).theirs("targetconfig tokensource"),
    route("connect-timeout", BACKEND).default("5s"),
    route("backend-ca", BACKEND).about(TlsBackend).without("the system's"),
    route("proxy-protocol", BACKEND).about(Server).default("off"),
    route("hello", BACKEND),
    route("goodbye", BACKEND),
    route("resolve-clients", BACKEND).about(ClientName).theirs("reverselookup"),
    own("program", PROGRAMS).common().says(Target),
    own("program-dir", PROGRAMS).common().says(Target).private(Source).theirs("dir"),
    route("pass-env", PROGRAMS).list().about(Programs).default("PATH").theirs("passenv"),
    route("kill-grace", PROGRAMS).about(Programs).default("1s").theirs("closems"),
    route("eol", LINES).common().about(LineEnds).without("lf; crlf with --telnet"),
    route("keep-eol", LINES).about(Lines),
    route("newlines", LINES).about(Lines).default("split"),
    route("charset", LINES).common().about(Charset).default("utf-8"),
    route("charset-fallback", LINES).about(Lines).without("none"),
    route("max-line", LINES).default("1MiB").theirs("maxframesize"),
    route("rate", LINES).about(Lines).without("no limit"),
    route("flush-after", LINES).common().about(Lines).default("0"),
    route("telnet", LINES).common(),
    route("binary", LINES).common(),
    route("binary-lines", LINES).about(Lines),
    route("subprotocol", LINES).list().without("the client's first offer that can be kept"),
    whole("static-dir", PAGES).common().theirs("staticdir web"),
    whole("cgi-dir", PAGES).private(Source).theirs("cgidir"),
    whole("cgi-timeout", PAGES).about(Cgi).default("30s"),
    whole("header", PAGES),
    whole("header-ws", PAGES),
    whole("header-http", PAGES),
    whole("dev-console", PAGES).common().theirs("devconsole"),
    route("origin", ACCESS).common().list().without("all; with a password, token or client certificate those of --same-origin"),
    route("same-origin", ACCESS).computed("", |args, _| args.is_same_origin().to_string()).theirs("sameorigin"),
    route("origin-required", ACCESS),
    route("auth-file", ACCESS).common().private(Secret),
    route("token-file", ACCESS).common().private(Secret),
    whole("auth-static", ACCESS).about(Passwords).theirs("webauth"),
    whole("trust-proxy", ACCESS).list().without("none"),
    whole("forwarded-header", ACCESS).about(TrustedProxy).default("x-forwarded-for"),
    whole("accept-proxy", ACCESS).about(TrustedProxy),
    whole("max-connections", LIMITS).computed(OPEN_FILES, |_, config| config.connections.max.to_string()),
    whole("max-connections-per-ip", LIMITS).without("no limit"),
    own("max-sessions", LIMITS).computed(OPEN_FILES, |_, config| config.http.max_sessions.to_string()).theirs("maxforks"),
    route("max-sessions-per-ip", LIMITS).common().without("no limit"),
    route("connect-rate", LIMITS).without("no limit"),
    route("refuse", LIMITS).default("http"),
    route("refusal", LIMITS).about(RefuseClose),
    route("slow-client", TIME).common().default("wait"),
    route("queue", TIME).about(Queue).default("1MiB"),
    route("write-timeout", TIME).default("30s"),
    route("ping-interval", TIME).common().default("30s").theirs("pingms heartbeat"),
    route("ping-timeout", TIME).default("15s"),
    route("idle-timeout", TIME).default("0"),
    whole("handshake-timeout", TIME).default("10s"),
    route("close-timeout", TIME).default("5s"),
    whole("shutdown-timeout", TIME).default("10s"),
    whole("tls-cert", TLS).common().private(SecretWithout("tls-key")).theirs("sslcert cert"),
    whole("tls-key", TLS).common().about(CertificateFile).private(Secret).without("in the file of --tls-cert").theirs("sslkey key"),
    whole("tls-client-ca", TLS).about(Certificate).theirs("sslca verifyclient cafile"),
    whole("redirect-port", TLS).about(Certificate).theirs("redirport"),
    whole("acme-domain", TLS).common().list(),
    whole("acme-cache", TLS).common().about(Acme).private(Secret),
    whole("acme-email", TLS).about(Acme).without("none"),
    whole("acme-directory", TLS).about(Acme).default(LETS_ENCRYPT),
    whole("acme-ca", TLS).about(Acme).without("the system's"),
    whole("log-level", LOG).common().default("info").theirs("loglevel v=debug verbose=debug"),
    whole("log-format", LOG).default("text"),
    route("trace", LOG).theirs("traffic"),
    route("record", LOG).private(Secret),
    whole("record-max", LOG).about(Recordings).default("1GiB"),
    typed("config", GENERAL).common(),
    typed("help", GENERAL).common(),
    typed("version", GENERAL).common(),
];

#[rustfmt::skip]
const fn row(key: &'static str, group: &'static str, scope: Scope) -> Row {
    let (default, about, says, private) = (Unset::None, Anything, None, None);
    Row { key, group, scope, list: false, default, about, says, private, theirs: "", common: false }
}

const fn typed(key: &'static str, group: &'static str) -> Row {
    row(key, group, Scope::Typed)
}

const fn whole(key: &'static str, group: &'static str) -> Row {
    row(key, group, Scope::Whole)
}

const fn route(key: &'static str, group: &'static str) -> Row {
    row(key, group, Scope::Route)
}

const fn own(key: &'static str, group: &'static str) -> Row {
    row(key, group, Scope::OwnOfRoute)
}

type Compute = fn(&Args, &ServerConfig) -> String;

#[rustfmt::skip]
impl Row {
    const fn common(self) -> Self { Row { common: true, ..self } }
    const fn list(self) -> Self { Row { list: true, ..self } }
    const fn default(self, value: &'static str) -> Self { Row { default: Unset::Value(value), ..self } }
    const fn without(self, words: &'static str) -> Self { Row { default: Unset::Nothing(words), ..self } }
    const fn computed(self, words: &'static str, value: Compute) -> Self { Row { default: Unset::Computed(words, value), ..self } }
    const fn about(self, about: About) -> Self { Row { about, ..self } }
    const fn says(self, says: Says) -> Self { Row { says: Some(says), ..self } }
    const fn private(self, private: Exposure) -> Self { Row { private: Some(private), ..self } }
    const fn theirs(self, theirs: &'static str) -> Self { Row { theirs, ..self } }
}

impl Row {
    /// Its flag, which a program, the words behind `--`, has not.
    pub fn flag(&self) -> Option<&'static FlagInfo<'static>> {
        let flags = Args::get_args_info().flags;
        flags.iter().find(|flag| flag.long.strip_prefix("--") == Some(self.key))
    }

    /// Their names for it, and what to write behind ours.
    pub fn theirs_with_values(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        self.theirs.split_whitespace().map(|name| name.split_once('=').unwrap_or((name, "")))
    }

    /// What it takes.
    pub fn kind(&self) -> Kind {
        match self.flag().map(|flag| (&flag.kind, &flag.optionality)) {
            None => Kind::Words,
            Some((FlagInfoKind::Switch, _)) => Kind::Switch,
            Some((_, Optionality::Repeating)) => Kind::Repeatable,
            Some(_) if self.list => Kind::List,
            Some(_) => Kind::Value,
        }
    }

    /// Whether its value may be a plain number: a count, a size, a time.
    pub fn is_number(&self) -> bool {
        self.flag().is_some_and(|flag| match flag.kind {
            FlagInfoKind::Option { arg_name } => matches!(arg_name, "n" | "size" | "time"),
            FlagInfoKind::Switch => false,
        })
    }

    /// Whether a route of a file may say it.
    pub fn is_of_routes(&self) -> bool {
        matches!(self.scope, Scope::Route | Scope::OwnOfRoute)
    }
}

/// The row of an option, given without its dashes.
pub fn find(key: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.key == key)
}

/// What an option takes, given with its dashes; `None` if there is no such option.
pub fn kind_of(option: &str) -> Option<Kind> {
    find(option.strip_prefix("--")?).map(Row::kind).filter(|kind| *kind != Kind::Words)
}

/// The value of an option that is not given.
///
/// # Panics
/// If the option has no default.
pub fn default_of(key: &str) -> &'static str {
    match find(key).map(|row| row.default) {
        Some(Unset::Value(value)) => value,
        _ => panic!("{key} has no default"),
    }
}

/// The value of `eol` if it is not said: a telnet server expects the end of line of the network virtual terminal (RFC 854).
pub fn default_eol(args: &Args) -> &'static str {
    if args.telnet { "crlf" } else { "lf" }
}

/// Whether this says where lines go.
pub fn is_target(key: &str) -> bool {
    find(key).is_some_and(|row| row.says == Some(Says::Target))
}

/// Whether both are ways to say the same thing.
pub fn is_way(one: &str, other: &str) -> bool {
    let says = |key| find(key).and_then(|row| row.says);
    one == other || says(one).is_some() && says(one) == says(other)
}

/// Whether what is said of all goes for a route too.
pub fn is_inherited(key: &str) -> bool {
    find(key).is_some_and(|row| row.scope == Scope::Route)
}

/// Whether a key is about lines, for which a route that speaks bytes has no use.
pub fn is_about_lines(key: &str) -> bool {
    find(key).is_some_and(|row| matches!(row.about, About::Lines | About::LineEnds))
}

/// Whether what is said of all goes for a route too that speaks bytes.
pub fn is_for_bytes(key: &str) -> bool {
    find(key).is_some_and(|row| row.about != About::Lines)
}

/// Whether a key is about a charset, which bytes have only where it is given for them.
pub fn is_about_charset(key: &str) -> bool {
    find(key).is_some_and(|row| row.about == About::Charset)
}

#[cfg(test)]
mod tests {
    use super::super::show::written;
    use super::*;

    #[test]
    fn each_option_has_a_row_and_each_row_an_option() {
        let info = Args::get_args_info();
        let mut flags: Vec<_> = info.flags.iter().map(|flag| &flag.long[2..]).collect();
        // argh has its own flag first, and the program apart.
        assert_eq!(flags.remove(0), "help");
        assert_eq!(info.positionals.iter().map(|one| one.name).collect::<Vec<_>>(), ["program"]);
        let rows =
            TABLE.iter().map(|row| row.key).filter(|key| !matches!(*key, "help" | "program"));
        assert_eq!(rows.collect::<Vec<_>>(), flags, "the same, in the same order");
    }

    #[test]
    fn groups_stand_together() {
        let mut groups: Vec<_> = TABLE.iter().map(|row| row.group).collect();
        groups.dedup();
        let all = groups.iter().collect::<std::collections::HashSet<_>>();
        assert_eq!(groups.len(), all.len(), "{groups:?}");
    }

    #[test]
    fn rows_fit_what_argh_knows() {
        for row in TABLE {
            let key = row.key;
            let kind = row.kind();
            let has_value = !matches!(row.default, Unset::None);
            assert!(
                kind != Kind::Switch || !has_value || key == "same-origin",
                "{key}: off is its default"
            );
            assert!(!(row.list && kind == Kind::Switch), "{key}");
            let text = row.flag().map_or(info_of_program(), |flag| flag.description);
            // A default that stands in a text is one more place for it.
            assert!(!text.contains("default") || key == "help", "{key}: {text}");
            assert!(text.ends_with('.') || key == "help", "{key}: {text}");
            if let Some(Exposure::SecretWithout(other)) = row.private {
                assert!(find(other).is_some(), "{key}: {other}");
            }
        }
    }

    fn info_of_program() -> &'static str {
        Args::get_args_info().positionals[0].description
    }

    #[test]
    fn what_is_given_is_found_by_its_key() {
        let args = Args {
            tls_cert: Some("c".into()),
            listen: vec!["a".into(), "b".into()],
            binary: true,
            ..Args::default()
        };
        let given = TABLE.iter().filter(|row| !args.given(row.key).is_empty());
        assert_eq!(given.map(|row| row.key).collect::<Vec<_>>(), ["listen", "binary", "tls-cert"]);
        assert_eq!(args.given("listen"), ["a", "b"]);
    }

    /// The example has a heading for each group, and each key once, in the order of the table, with its
    /// default.
    #[test]
    fn the_example_file_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wsrelay.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let above = text.split("# [[route]]").next().unwrap();
        let mut lines = above.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
        let mut group = None;
        let keys = |line: &&str| line.split(" = ").next().is_some_and(|key| find(key).is_some());
        for row in TABLE.iter().filter(|row| row.scope != Scope::Typed) {
            if group != Some(row.group) {
                group = Some(row.group);
                let title = row.group;
                let found = lines.find(|line| keys(line) || line.starts_with(title));
                assert!(found.is_some_and(|line| line.starts_with(title)), "{title}: {found:?}");
            }
            let line = lines.find(keys).unwrap_or_else(|| panic!("{} is missing", row.key));
            let value = line.strip_prefix(&format!("{} = ", row.key));
            let value = value.unwrap_or_else(|| panic!("{line:?} is in place of {}", row.key));
            let (value, remark) = value.split_once("    #").unwrap_or((value, ""));
            let default = match row.default {
                Unset::Value(default) => written(row, default),
                _ if row.kind() == Kind::Switch => "false".into(),
                _ => continue,
            };
            let told = value == default || remark.contains(&format!("default: {default}"));
            assert!(told, "{line:?}: {default} is the default");
        }
        assert_eq!(lines.find(keys), None);
    }
}
