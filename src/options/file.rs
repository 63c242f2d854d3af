//! File: settings from a TOML file. A key is an option without its dashes, so that who knows the
//! one knows the other; what it may hold is what the option may.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::parse::{Kind, kind_of};
use crate::error::StartError;
use crate::file;

/// A configuration file as it stands.
#[derive(Debug, Default)]
pub struct File {
    /// What its messages call it: its path, as it was given.
    pub name: String,
    /// What stands above the routes.
    pub top: Table,
    /// Its `[[route]]` tables.
    pub routes: Vec<Table>,
}

/// The settings of one table, the whole file's or a route's.
#[derive(Debug, Default)]
pub struct Table {
    /// Its line, from 1; 0 is the file itself.
    pub line: usize,
    /// Its keys that are options.
    pub settings: Vec<Setting>,
    /// All its keys, those with `false` too, which are no settings.
    pub keys: Vec<String>,
    /// What would be typed behind `--`.
    pub program: Vec<String>,
    /// The path of a route.
    pub path: Option<String>,
    /// The host of a route.
    pub host: Option<String>,
}

/// One key and its value. One whose value is a list of values for a repeatable option comes as
/// several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The option without its dashes.
    pub key: String,
    /// What would be typed behind the option; `None` if that is a switch.
    pub value: Option<String>,
    /// The line of the key, from 1; 0 if it was typed.
    pub line: usize,
}

/// What a route may say, `path` and `host` aside: all that is about its sessions.
const OF_ROUTES: [&str; 31] = [
    "to",
    "program",
    "program-dir",
    "pass-env",
    "kill-grace",
    "binary",
    "eol",
    "newlines",
    "charset",
    "max-line",
    "flush-after",
    "subprotocol",
    "refuse",
    "origin",
    "same-origin",
    "origin-required",
    "auth-file",
    "token-file",
    "max-sessions",
    "max-sessions-per-ip",
    "connect-rate",
    "slow-client",
    "queue",
    "connect-timeout",
    "backend-ca",
    "write-timeout",
    "ping-interval",
    "ping-timeout",
    "idle-timeout",
    "close-timeout",
    "trace",
];

/// Options whose one value is a list, with commas.
const LISTS: [&str; 3] = ["pass-env", "subprotocol", "trust-proxy"];

/// Whether a key may stand in a route.
pub fn is_of_routes(key: &str) -> bool {
    OF_ROUTES.contains(&key)
}

impl Setting {
    /// The option with its dashes.
    pub fn option(&self) -> String {
        format!("--{}", self.key)
    }

    /// What would be typed.
    pub fn words(&self) -> impl Iterator<Item = String> + use<> {
        [Some(self.option()), self.value.clone()].into_iter().flatten()
    }
}

impl Table {
    /// Whether it has this key.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// What would be typed for the program, if there is one.
    pub fn program_words(&self) -> Vec<String> {
        let dashes = (!self.program.is_empty()).then(|| "--".to_owned());
        dashes.into_iter().chain(self.program.iter().cloned()).collect()
    }
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it can't be read, is not TOML, or has keys or types that no option has: file, line and key.
    pub fn read(path: &Path) -> Result<Self, StartError> {
        let name = path.display().to_string();
        let text = file::read_text(path)
            .map_err(|why| StartError::Environment(format!("can't read {name}: {why}")))?;
        File::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, StartError> {
        let mut file = File { name: name.to_owned(), ..File::default() };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            file.wrong(line, &format!("not TOML: {}", error.message()))
        })?;
        let mut top = Table::default();
        for (key, value) in table.get_ref() {
            match (&**key.get_ref(), tables(value.get_ref())) {
                ("route", Some(routes)) => {
                    file.routes = routes
                        .into_iter()
                        .map(|(route, at)| file.read_route(text, route, line_of(text, at)))
                        .collect::<Result<_, _>>()?;
                }
                ("route", None) if matches!(value.get_ref(), DeValue::Table(_)) => {
                    let line = line_of(text, key.span().start);
                    return Err(file.wrong(line, "route: there can be several, so write [[route]]"));
                }
                _ => file.read_key(text, key, value, &mut top)?,
            }
        }
        file.top = top;
        Ok(file)
    }

    fn read_route(
        &self,
        text: &str,
        table: &DeTable<'_>,
        line: usize,
    ) -> Result<Table, StartError> {
        let mut route = Table { line, ..Table::default() };
        for (key, value) in table {
            let at = line_of(text, key.span().start);
            let name = key.get_ref();
            let place = match &**name {
                "path" => Some(&mut route.path),
                "host" => Some(&mut route.host),
                _ => None,
            };
            if let Some(place) = place {
                let DeValue::String(value) = value.get_ref() else {
                    return Err(self.wrong(at, &format!("{name}: write a string")));
                };
                *place = Some(value.to_string());
                continue;
            }
            if !is_of_routes(name) && kind_of(&format!("--{name}")).is_ok() {
                let why = format!("{name}: it is not for one route alone, write it above them all");
                return Err(self.wrong(at, &why));
            }
            self.read_key(text, key, value, &mut route)?;
        }
        Ok(route)
    }

    fn read_key(
        &self,
        text: &str,
        key: &Key<'_>,
        value: &Value<'_>,
        table: &mut Table,
    ) -> Result<(), StartError> {
        table.keys.push(key.get_ref().to_string());
        if key.get_ref() == "program" {
            let line = line_of(text, key.span().start);
            let wrong = || self.wrong(line, "program: write a list: [\"command\", \"argument\"]");
            table.program = words(value.get_ref()).ok_or_else(wrong)?;
            return Ok(());
        }
        table.settings.extend(self.read_setting(text, key, value)?);
        Ok(())
    }

    fn read_setting(
        &self,
        text: &str,
        key: &Key<'_>,
        value: &Value<'_>,
    ) -> Result<Vec<Setting>, StartError> {
        let line = line_of(text, key.span().start);
        let key = key.get_ref().to_string();
        let wrong = |why: &str| Err(self.wrong(line, &format!("{key}: {why}")));
        let kind = match kind_of(&format!("--{key}")) {
            Err(_) if key.starts_with('-') => return wrong("leave out its dashes"),
            Err(why) => return wrong(&why.replace("--", "")),
            Ok(_) if matches!(&*key, "" | "config" | "help" | "version") => {
                return wrong("it has no place in a file");
            }
            Ok(Kind::Switch) => {
                let DeValue::Boolean(on) = value.get_ref() else {
                    return wrong("it is on or off: write true or false");
                };
                let setting = Setting { key: key.clone(), value: None, line };
                return Ok(if *on { vec![setting] } else { Vec::new() });
            }
            // As if it were not there: a route does without what stands above it.
            Ok(_) if matches!(value.get_ref(), DeValue::Boolean(false)) => return Ok(Vec::new()),
            Ok(kind) => kind,
        };
        let is_list = matches!(value.get_ref(), DeValue::Array(_));
        let takes_list = kind == Kind::Repeatable || LISTS.contains(&&*key);
        let values = match words(value.get_ref()) {
            Some(values) if takes_list || !is_list => values,
            _ if takes_list => return wrong("write a string, a number, or a list of strings"),
            _ => return wrong("write a string or a number"),
        };
        // These would be read as options, wherever they stand.
        let is_option = |value: &String| value.starts_with("--") || value == "-h" || value == "-V";
        if values.iter().any(is_option) {
            return wrong("a value can't begin with --, nor be -h or -V");
        }
        if key == "origin" && values.is_empty() {
            return wrong(
                "an empty list names no page: name those that may connect, or write false for the default",
            );
        }
        let values = if kind == Kind::Repeatable { values } else { vec![values.join(",")] };
        let setting = |value| Setting { key: key.clone(), value: Some(value), line };
        Ok(values.into_iter().map(setting).collect())
    }

    /// What is wrong in a line.
    pub fn wrong(&self, line: usize, why: &str) -> StartError {
        StartError::Environment(format!("{}, line {line}: {why}", self.name))
    }
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

/// The tables of a list of nothing else, and where each begins.
fn tables<'v, 'i>(value: &'v DeValue<'i>) -> Option<Vec<(&'v DeTable<'i>, usize)>> {
    let DeValue::Array(list) = value else { return None };
    let table = |one: &'v Value<'i>| match one.get_ref() {
        DeValue::Table(table) => Some((table, one.span().start)),
        _ => None,
    };
    list.iter().map(table).collect::<Option<Vec<_>>>().filter(|tables| !tables.is_empty())
}

/// The words of a string, a number, or a list of them.
fn words(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Integer(number) if number.radix() == 10 => Some(vec![number.as_str().to_owned()]),
        DeValue::Array(list) => {
            let words: Option<Vec<_>> = list.iter().map(|one| words(one.get_ref())).collect();
            words.map(|words| words.concat())
        }
        _ => None,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, StartError> {
        File::parse("wsrelay.toml", text)
    }

    fn setting(key: &str, value: Option<&str>, line: usize) -> Setting {
        Setting { key: key.into(), value: value.map(str::to_owned), line }
    }

    #[test]
    fn keys_are_options() {
        let text = "\
port = 8082
listen = [\"127.0.0.1:1\", \"[::1]:1\"]
subprotocol = [\"a\", \"b\"]
binary = true
trace = false
";
        let mut file = parse(text).unwrap();
        file.top.settings.sort_by_key(|setting| setting.line);
        let want = [
            setting("port", Some("8082"), 1),
            setting("listen", Some("127.0.0.1:1"), 2),
            setting("listen", Some("[::1]:1"), 2),
            setting("subprotocol", Some("a,b"), 3),
            setting("binary", None, 4),
        ];
        assert_eq!(file.top.settings, want);
    }

    #[test]
    fn routes_are_tables() {
        let text = "\
port = 1
[[route]]
path = \"/chat\"
host = \"example.org\"
to = \"a:1\"
binary = false
auth-file = false

[[route]]
program = [\"cat\", \"-n\"]
";
        let file = parse(text).unwrap();
        assert_eq!(file.top.keys, ["port"]);
        let [chat, cat] = &file.routes[..] else { panic!("{file:?}") };
        assert_eq!((chat.line, cat.line), (2, 9));
        assert_eq!(chat.path.as_deref(), Some("/chat"));
        assert_eq!(chat.host.as_deref(), Some("example.org"));
        assert_eq!(chat.settings, [setting("to", Some("a:1"), 5)]);
        assert!(chat.has("binary") && chat.has("auth-file") && !chat.has("port"));
        assert_eq!(cat.program_words(), ["--", "cat", "-n"]);
        let listed = parse("route = [\"/a=a:1\", \"/b=b:1\"]").unwrap();
        assert_eq!(listed.top.settings.len(), 2);
    }

    #[test]
    fn mistakes_are_told_with_file_line_and_key() {
        for (text, want) in [
            (
                "port = 8082\nprot = 1\n",
                "wsrelay.toml, line 2: prot: there is no option prot: did you mean port?",
            ),
            ("binary = \"yes\"", "line 1: binary: it is on or off: write true or false"),
            ("port = 80.5", "line 1: port: write a string or a number"),
            ("listen = 80.5", "line 1: listen: write a string, a number, or a list of strings"),
            ("to = [\"a:1\", \"b:1\"]", "line 1: to: write a string or a number"),
            ("--eol = \"lf\"", "line 1: --eol: leave out its dashes"),
            ("\nto = { host = 1 }", "line 2: to: write a string"),
            ("port = ", "line 1: not TOML"),
            ("port = 1\nport = 2", "line 2: not TOML: duplicate key"),
            ("[to]\nhost = 1", "line 1: to: write a string"),
            ("to = \"--help\"", "line 1: to: a value can't begin with --"),
            ("to = \"-V\"", "line 1: to: a value can't begin with --, nor be -h or -V"),
            ("static-dir = \"-h\"", "line 1: static-dir: a value can't begin with --, nor be"),
            ("\"\" = true", "line 1: : it has no place in a file"),
            ("origin = []", "line 1: origin: an empty list names no page"),
            ("[[route]]\norigin = []", "line 2: origin: an empty list names no page"),
            ("config = \"x\"", "line 1: config:"),
            ("[[route]]\nport = 1", "line 2: port: it is not for one route alone"),
            ("[[route]]\nprot = 1", "line 2: prot: there is no option prot"),
            ("[[route]]\npath = 1", "line 2: path: write a string"),
            ("[route]\npath = \"/\"", "line 1: route: there can be several, so write [[route]]"),
            ("path = \"/\"", "line 1: path: there is no option path"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: {error}");
        }
    }
}
