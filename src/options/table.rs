//! Table: every option, one row each. What argh does not know of an option stands here, and only here.

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, Optionality};

use super::about::About;
use super::args::Args;
use super::guard::guard;
use crate::net::tls::LETS_ENCRYPT;
use crate::server::ServerConfig;

/// The groups of the help, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Listen,
    Backend,
    Programs,
    Lines,
    Pages,
    Access,
    Limits,
    Time,
    Tls,
    Log,
    General,
}

impl Group {
    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Listen => "Where to listen",
            Group::Backend => "Where lines go",
            Group::Programs => "Programs",
            Group::Lines => "Lines and messages",
            Group::Pages => "Pages",
            Group::Access => "Who may connect",
            Group::Limits => "Limits",
            Group::Time => "Slow clients and time limits",
            Group::Tls => "TLS",
            Group::Log => "Log",
            Group::General => "General",
        }
    }
}

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
    Listen,
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
    Programs,
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
    Computed(&'static str, fn(&Args, &ServerConfig) -> String),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name without dashes, which is its key in a file.
    pub key: &'static str,
    pub group: Group,
    pub scope: Scope,
    /// Whether the one value is a list with commas.
    pub list: bool,
    pub default: Unset,
    pub about: About,
    pub says: Option<Says>,
    pub private: Option<Exposure>,
    /// What websocketd, websockify or habit call it, without dashes, and what to write behind ours then.
    pub theirs: &'static [(&'static str, &'static str)],
    /// Whether `--help` shows it, not only `--help all`.
    pub common: bool,
}

use Group::*;

/// Every option, in the order of the help, of the example file and of what `check` prints.
pub const TABLE: &[Row] = &[
    whole("port", Listen).common().says(Says::Listen).theirs(&[("p", "")]),
    whole("listen", Listen)
        .common()
        .says(Says::Listen)
        .theirs(&[("unixsocket", "unix:PATH"), ("unixlisten", "unix:PATH")]),
    own("to", Backend)
        .common()
        .says(Says::Target)
        .theirs(&[("ssltarget", "tls://HOST:PORT"), ("unixtarget", "unix:PATH")]),
    whole("route", Backend).common(),
    route("connect-timeout", Backend).default("5s"),
    route("backend-ca", Backend).about(About::TlsBackend).without("the system's"),
    own("program", Programs).common().says(Says::Target),
    own("program-dir", Programs)
        .common()
        .says(Says::Target)
        .private(Exposure::Programs)
        .theirs(&[("dir", "")]),
    route("pass-env", Programs)
        .list()
        .about(About::Programs)
        .default("PATH")
        .theirs(&[("passenv", "")]),
    route("kill-grace", Programs).about(About::Programs).default("1s").theirs(&[("closems", "")]),
    route("eol", Lines).common().about(About::Lines).default("lf"),
    route("newlines", Lines).about(About::Lines).default("split"),
    route("charset", Lines).common().about(About::Lines).default("utf-8"),
    route("max-line", Lines).default("1MiB").theirs(&[("maxframesize", "")]),
    route("flush-after", Lines).common().about(About::Lines).default("0"),
    route("binary", Lines).common(),
    route("subprotocol", Lines).list().without("the client's first offer"),
    whole("static-dir", Pages).common().theirs(&[("staticdir", ""), ("web", "")]),
    whole("cgi-dir", Pages).private(Exposure::Programs).theirs(&[("cgidir", "")]),
    whole("cgi-timeout", Pages).about(About::Cgi).default("30s"),
    whole("header", Pages),
    whole("header-ws", Pages),
    whole("header-http", Pages),
    whole("dev-console", Pages).common().theirs(&[("devconsole", "")]),
    route("origin", Access)
        .common()
        .list()
        .without("all; with a password, token or client certificate those of --same-origin"),
    route("same-origin", Access)
        .computed("", |args, _| {
            guard(args).is_ok_and(|guard| guard.origins.same_origin).to_string()
        })
        .theirs(&[("sameorigin", "")]),
    route("origin-required", Access),
    route("auth-file", Access).common().private(Exposure::Secret),
    route("token-file", Access).common().private(Exposure::Secret),
    whole("auth-static", Access).about(About::Passwords).theirs(&[("webauth", "")]),
    whole("trust-proxy", Access).list().without("none"),
    whole("max-connections", Limits)
        .computed("what the limit of open files allows", |_, config| {
            config.connections.max.to_string()
        }),
    whole("max-connections-per-ip", Limits).without("no limit"),
    own("max-sessions", Limits)
        .computed("what the limit of open files allows", |_, config| {
            config.http.max_sessions.to_string()
        })
        .theirs(&[("maxforks", "")]),
    route("max-sessions-per-ip", Limits).common().without("no limit"),
    route("connect-rate", Limits).without("no limit"),
    route("refuse", Limits).default("http"),
    route("slow-client", Time).common().default("wait"),
    route("queue", Time).about(About::Queue).default("1MiB"),
    route("write-timeout", Time).default("30s"),
    route("ping-interval", Time)
        .common()
        .default("30s")
        .theirs(&[("pingms", ""), ("heartbeat", "")]),
    route("ping-timeout", Time).default("15s"),
    route("idle-timeout", Time).default("0"),
    whole("handshake-timeout", Time).default("10s"),
    route("close-timeout", Time).default("5s"),
    whole("shutdown-timeout", Time).default("10s"),
    whole("tls-cert", Tls)
        .common()
        .private(Exposure::SecretWithout("tls-key"))
        .theirs(&[("sslcert", ""), ("cert", "")]),
    whole("tls-key", Tls)
        .common()
        .about(About::CertificateFile)
        .private(Exposure::Secret)
        .without("in the file of --tls-cert")
        .theirs(&[("sslkey", ""), ("key", "")]),
    whole("tls-client-ca", Tls).about(About::Certificate).theirs(&[
        ("sslca", ""),
        ("verifyclient", ""),
        ("cafile", ""),
    ]),
    whole("redirect-port", Tls).about(About::Certificate).theirs(&[("redirport", "")]),
    whole("acme-domain", Tls).common().list(),
    whole("acme-cache", Tls).common().about(About::Acme).private(Exposure::Secret),
    whole("acme-email", Tls).about(About::Acme).without("none"),
    whole("acme-directory", Tls).about(About::Acme).default(LETS_ENCRYPT),
    whole("acme-ca", Tls).about(About::Acme).without("the system's"),
    whole("log-level", Log).common().default("info").theirs(&[
        ("loglevel", ""),
        ("v", "debug"),
        ("verbose", "debug"),
    ]),
    whole("log-format", Log).default("text"),
    route("trace", Log).theirs(&[("traffic", "")]),
    typed("config", General).common(),
    typed("help", General).common(),
    typed("version", General).common(),
];

const fn typed(key: &'static str, group: Group) -> Row {
    Row {
        key,
        group,
        scope: Scope::Typed,
        list: false,
        default: Unset::None,
        about: About::Anything,
        says: None,
        private: None,
        theirs: &[],
        common: false,
    }
}

const fn whole(key: &'static str, group: Group) -> Row {
    Row { scope: Scope::Whole, ..typed(key, group) }
}

const fn route(key: &'static str, group: Group) -> Row {
    Row { scope: Scope::Route, ..typed(key, group) }
}

const fn own(key: &'static str, group: Group) -> Row {
    Row { scope: Scope::OwnOfRoute, ..typed(key, group) }
}

impl Row {
    const fn common(self) -> Self {
        Row { common: true, ..self }
    }

    const fn list(self) -> Self {
        Row { list: true, ..self }
    }

    const fn default(self, value: &'static str) -> Self {
        Row { default: Unset::Value(value), ..self }
    }

    const fn without(self, words: &'static str) -> Self {
        Row { default: Unset::Nothing(words), ..self }
    }

    const fn computed(
        self,
        words: &'static str,
        value: fn(&Args, &ServerConfig) -> String,
    ) -> Self {
        Row { default: Unset::Computed(words, value), ..self }
    }

    const fn about(self, about: About) -> Self {
        Row { about, ..self }
    }

    const fn says(self, says: Says) -> Self {
        Row { says: Some(says), ..self }
    }

    const fn private(self, private: Exposure) -> Self {
        Row { private: Some(private), ..self }
    }

    const fn theirs(self, theirs: &'static [(&'static str, &'static str)]) -> Self {
        Row { theirs, ..self }
    }

    /// Its flag, which a program, the words behind `--`, has not.
    pub fn flag(&self) -> Option<&'static FlagInfo<'static>> {
        let flags = Args::get_args_info().flags;
        flags.iter().find(|flag| flag.long.strip_prefix("--") == Some(self.key))
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
    find(key).is_some_and(|row| row.about == About::Lines)
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
        assert!(TABLE.is_sorted_by_key(|row| row.group));
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
                let title = row.group.title();
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
