//! File: settings from a TOML file. A key is an option without its dashes, so that who knows the
//! one knows the other; what it may hold is what the option may.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::similar::no_option;
use super::table::{Kind, Scope, find};
use crate::error::StartError;
use crate::file;

/// A configuration file as it stands.
#[derive(Debug, Default)]
pub struct File {
    /// What its messages call it: its path, as it was given.
    pub name: String,
    /// All of it.
    text: String,
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
    /// All its keys with their lines, those with `false` too, which are no settings.
    pub keys: Vec<(String, usize)>,
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
        self.keys.iter().any(|(known, _)| known == key)
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
        let mut file = File { name: name.to_owned(), text: text.to_owned(), ..File::default() };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| file.line_of(span.start));
            file.wrong(line, &format!("not TOML: {}", error.message()))
        })?;
        let mut top = Table::default();
        for (key, value) in table.get_ref() {
            match (&**key.get_ref(), tables(value.get_ref())) {
                ("route", Some(routes)) => {
                    file.routes = routes
                        .into_iter()
                        .map(|(route, at)| file.read_route(route, file.line_of(at)))
                        .collect::<Result<_, _>>()?;
                }
                ("route", None) if matches!(value.get_ref(), DeValue::Table(_)) => {
                    let line = file.line_of(key.span().start);
                    return Err(file.wrong(line, "route: there can be several, so write [[route]]"));
                }
                _ => file.read_key(key, value, &mut top)?,
            }
        }
        file.top = top;
        Ok(file)
    }

    fn read_route(&self, table: &DeTable<'_>, line: usize) -> Result<Table, StartError> {
        let mut route = Table { line, ..Table::default() };
        for (key, value) in table {
            let at = self.line_of(key.span().start);
            let name = key.get_ref();
            let place = match &**name {
                "path" => Some(&mut route.path),
                "host" => Some(&mut route.host),
                _ => None,
            };
            if let Some(place) = place {
                let text = Takes::Text.words(value).map_err(self.refuses(name))?;
                *place = Some(text.concat());
                route.keys.push((name.to_string(), at));
                continue;
            }
            if find(name).is_some_and(|row| row.scope == Scope::Whole) {
                let why = format!("{name}: it is not for one route alone, write it above them all");
                return Err(self.wrong(at, &why));
            }
            self.read_key(key, value, &mut route)?;
        }
        Ok(route)
    }

    fn read_key(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        table: &mut Table,
    ) -> Result<(), StartError> {
        let line = self.line_of(key.span().start);
        table.keys.push((key.get_ref().to_string(), line));
        if key.get_ref() == "program" {
            table.program = Takes::Words.words(value).map_err(self.refuses("program"))?;
            return Ok(());
        }
        table.settings.extend(self.read_setting(key, value)?);
        Ok(())
    }

    fn read_setting(&self, key: &Key<'_>, value: &Value<'_>) -> Result<Vec<Setting>, StartError> {
        let line = self.line_of(key.span().start);
        if key.get_ref() == "subprotocol" && is_table(value.get_ref()) {
            let value = self.read_subprotocols(value, line)?;
            return Ok(vec![Setting { key: "subprotocol".into(), value: Some(value), line }]);
        }
        let key = key.get_ref().to_string();
        let wrong = |why: &str| Err(self.wrong(line, &format!("{key}: {why}")));
        let row = match find(&key) {
            Some(row) if row.scope != Scope::Typed => row,
            None if key.starts_with('-') => return wrong("leave out its dashes"),
            None if !key.is_empty() => {
                return wrong(&no_option(&format!("--{key}")).replace("--", ""));
            }
            _ => return wrong("it has no place in a file"),
        };
        match value.get_ref() {
            DeValue::Boolean(on) if row.kind() == Kind::Switch => {
                let setting = Setting { key: key.clone(), value: None, line };
                return Ok(if *on { vec![setting] } else { Vec::new() });
            }
            _ if row.kind() == Kind::Switch => {
                return wrong("it is on or off: write true or false");
            }
            // As if it were not there: a route does without what stands above it.
            DeValue::Boolean(false) => return Ok(Vec::new()),
            _ => {}
        }
        let takes = match row.kind() {
            Kind::Repeatable | Kind::List => Takes::List,
            _ if row.is_number() => Takes::Number,
            _ => Takes::Text,
        };
        let values = takes.words(value).map_err(self.refuses(&key))?;
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
        let values = if row.kind() == Kind::Repeatable { values } else { vec![values.join(",")] };
        let setting = |value| Setting { key: key.clone(), value: Some(value), line };
        Ok(values.into_iter().map(setting).collect())
    }

    /// Reads `[[subprotocol]]` tables as the list that would be typed: `NAME` or `NAME=FRAMING` each.
    fn read_subprotocols(&self, value: &Value<'_>, line: usize) -> Result<String, StartError> {
        let Some(tables) = tables(value.get_ref()) else {
            let why = "subprotocol: there can be several, so write [[subprotocol]]";
            return Err(self.wrong(line, why));
        };
        let named = tables.into_iter().map(|(table, at)| self.read_subprotocol(table, at));
        Ok(named.collect::<Result<Vec<_>, _>>()?.join(","))
    }

    fn read_subprotocol(&self, table: &DeTable<'_>, at: usize) -> Result<String, StartError> {
        let (mut name, mut framing) = (None, None);
        for (key, value) in table {
            let place = match &**key.get_ref() {
                "name" => &mut name,
                "framing" => &mut framing,
                other => {
                    let why = format!("subprotocol: it has no {other}: write name and framing");
                    return Err(self.wrong(self.line_of(key.span().start), &why));
                }
            };
            let text = Takes::Text.words(value).map_err(self.refuses(key.get_ref()))?.concat();
            // Neither may look like more than one, once they are in a list.
            if text.contains([',', '=']) || text.starts_with('-') {
                let why = format!(
                    "{}: it can't begin with -, nor have a comma or = in it",
                    key.get_ref()
                );
                return Err(self.wrong(self.line_of(value.span().start), &why));
            }
            *place = Some(text);
        }
        match (name, framing) {
            (Some(name), Some(framing)) => Ok(format!("{name}={framing}")),
            (Some(name), None) => Ok(name),
            (None, _) => {
                Err(self
                    .wrong(self.line_of(at), "subprotocol: add its name, such as name = \"chat\""))
            }
        }
    }

    /// Says that a key does not take a value.
    fn refuses(&self, key: &str) -> impl Fn(Refused) -> StartError {
        move |Refused { at, why }| self.wrong(self.line_of(at), &format!("{key}: {why}"))
    }

    /// The line of a byte, from 1.
    fn line_of(&self, at: usize) -> usize {
        let text = self.text.as_bytes();
        1 + text[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
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

/// Whether it is a table, or a list with one.
fn is_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(list) => list.iter().any(|one| matches!(one.get_ref(), DeValue::Table(_))),
        _ => false,
    }
}

/// The types that a key takes, if it is no switch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A string.
    Text,
    /// A whole number, or a string: sizes and times have units.
    Number,
    /// A string, or a list of strings.
    List,
    /// A list of strings: a command and its arguments.
    Words,
}

/// A value that a key does not take.
struct Refused {
    /// Where it begins, in bytes.
    at: usize,
    /// What to write.
    why: String,
}

impl Takes {
    /// The words of a value.
    fn words(self, value: &Value<'_>) -> Result<Vec<String>, Refused> {
        match (self, value.get_ref()) {
            (Takes::List | Takes::Words, DeValue::Array(list)) => {
                list.iter().map(|one| self.word(one)).collect()
            }
            (Takes::Words, _) => Err(self.refuse(value)),
            _ => Ok(vec![self.word(value)?]),
        }
    }

    fn word(self, value: &Value<'_>) -> Result<String, Refused> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) if self == Takes::Number => {
                let why = "this number is too large".to_owned();
                decimal(number).ok_or(Refused { at: value.span().start, why })
            }
            _ => Err(self.refuse(value)),
        }
    }

    fn refuse(self, value: &Value<'_>) -> Refused {
        let (types, example) = match self {
            Takes::Text => ("a string", None),
            Takes::Number => ("a whole number, or a string", None),
            Takes::List => ("a string or a list of strings", None),
            Takes::Words => ("a list of strings", Some("[\"command\", \"argument\"]".to_owned())),
        };
        let quoted = match value.get_ref() {
            DeValue::Integer(number) => decimal(number).map(|number| format!("\"{number}\"")),
            _ => None,
        };
        let why = match example.or(quoted) {
            Some(example) => format!("write {types}, such as {example}"),
            None => format!("write {types}"),
        };
        Refused { at: value.span().start, why }
    }
}

/// A number of any base as options take it; `None`: it has more than 128 bits.
fn decimal(number: &DeInteger<'_>) -> Option<String> {
    i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
