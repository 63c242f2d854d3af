//! File: settings from a TOML file. A key is an option without its dashes, so that who knows the
//! one knows the other; what it may hold is what the option may.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::{self, Args, Typed};
use crate::error::{StartError, reason};

/// A configuration file as it stands.
#[derive(Debug, Default)]
pub struct File {
    /// What its messages call it: its path, as it was given.
    name: String,
    settings: Vec<Setting>,
    /// What would be typed behind `--`.
    program: Vec<String>,
}

/// One key and its value. One whose value is a list of values for a repeatable option comes as
/// several.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    /// What would be typed behind the option; `None` if that is a switch.
    value: Option<String>,
    /// The line of the key, from 1.
    line: usize,
}

impl Setting {
    fn option(&self) -> String {
        format!("--{}", self.key)
    }

    fn words(&self) -> impl Iterator<Item = String> {
        [Some(self.option()), self.value.clone()].into_iter().flatten()
    }
}

/// The options that hold: those typed, and those of the file that `--config` names.
#[derive(Debug)]
pub struct Options {
    /// Typed or not.
    pub args: Args,
    typed: Vec<String>,
    file: Option<File>,
}

impl Options {
    /// Reads the file, if one was named. `typed` is the command line that `args` came from.
    ///
    /// # Errors
    /// If the file can't be read, is not TOML, or has keys or types that no option has: one sentence
    /// with file, line and key.
    pub fn load(args: Args, typed: &[String]) -> Result<Self, StartError> {
        let Some(path) = &args.config else {
            return Ok(Options { args, typed: Vec::new(), file: None });
        };
        let file = File::read(Path::new(path))?;
        let ours = typed.split(|word| word == "--").next().unwrap_or_default();
        let mut names = cli::normalise(ours).map_err(StartError::Usage)?;
        if !args.program.is_empty() {
            // A program takes the place of a backend.
            names.push("--to".into());
        }
        // The one or the other was typed: then neither of the file's counts.
        let is_typed = names.iter().any(|name| name == "--to");
        let program = if is_typed { Vec::new() } else { file.program_words() };
        let words = [file.words(&names), typed.to_vec(), program].concat();
        match cli::parse(&words).map_err(StartError::Usage)? {
            Typed::Run(args) => Ok(Options { args: *args, typed: names, file: Some(file) }),
            Typed::Print(_) => unreachable!("a file has no --help"),
        }
    }

    /// Says where in the file it stands, if `error` is about something that stands there.
    pub fn blame(&self, error: StartError) -> StartError {
        match &self.file {
            Some(file) => file.locate(error, &self.typed),
            None => error,
        }
    }
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it can't be read, is not TOML, or has keys or types that no option has: file, line and key.
    pub fn read(path: &Path) -> Result<Self, StartError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| StartError::Environment(format!("can't read {name}: {}", reason(&e))))?;
        File::parse(&name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, StartError> {
        let mut file = File { name: name.to_owned(), ..File::default() };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            file.wrong(line, &format!("not TOML: {}", error.message()))
        })?;
        for (key, value) in table.get_ref() {
            if key.get_ref() == "program" {
                let line = line_of(text, key.span().start);
                let wrong =
                    || file.wrong(line, "program: write a list: [\"command\", \"argument\"]");
                file.program = words(value.get_ref()).ok_or_else(wrong)?;
                continue;
            }
            let settings = file.read_setting(text, key, value)?;
            file.settings.extend(settings);
        }
        Ok(file)
    }

    /// The words of a command line that the settings stand for, but for those of `typed` options.
    fn words(&self, typed: &[String]) -> Vec<String> {
        // Two ways to say one thing.
        let ways = ["--port", "--listen"];
        let is_typed = |setting: &&Setting| {
            let option = &*setting.option();
            let is_way = ways.contains(&option);
            typed.iter().any(|word| word == option || is_way && ways.contains(&&**word))
        };
        self.settings.iter().filter(|setting| !is_typed(setting)).flat_map(Setting::words).collect()
    }

    /// What would be typed for the program, if there is one.
    fn program_words(&self) -> Vec<String> {
        let dashes = (!self.program.is_empty()).then(|| "--".to_owned());
        dashes.into_iter().chain(self.program.iter().cloned()).collect()
    }

    /// Says where in the file it stands, if `error` is about a setting that was not typed.
    fn locate(&self, error: StartError, typed: &[String]) -> StartError {
        let StartError::Usage(text) = &error else { return error };
        // Every such text names the option that it is about before any other.
        let about = |word: &str| {
            let setting = self.settings.iter().find(|setting| setting.option() == word)?;
            (!typed.contains(&setting.option())).then_some(setting)
        };
        match text.split([' ', ':']).find_map(about) {
            Some(setting) => self.wrong(setting.line, text),
            None => error,
        }
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
        let kind = match cli::kind_of(&format!("--{key}")) {
            Err(why) => return wrong(&why.replace("--", "")),
            Ok(_) if matches!(&*key, "config" | "help" | "version") => {
                return wrong("it has no place in a file");
            }
            Ok(cli::Kind::Switch) => {
                let DeValue::Boolean(on) = value.get_ref() else {
                    return wrong("it is on or off: write true or false");
                };
                let setting = Setting { key: key.clone(), value: None, line };
                return Ok(if *on { vec![setting] } else { Vec::new() });
            }
            Ok(kind) => kind,
        };
        let Some(values) = words(value.get_ref()) else {
            return wrong("write a string, a number, or a list of strings");
        };
        if values.iter().any(|value| value.starts_with("--")) {
            return wrong("a value can't begin with --");
        }
        let values = if kind == cli::Kind::Repeatable { values } else { vec![values.join(",")] };
        let setting = |value| Setting { key: key.clone(), value: Some(value), line };
        Ok(values.into_iter().map(setting).collect())
    }

    /// What is wrong in a line.
    fn wrong(&self, line: usize, why: &str) -> StartError {
        StartError::Environment(format!("{}, line {line}: {why}", self.name))
    }
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;
type Value<'a> = Spanned<DeValue<'a>>;

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
        file.settings.sort_by_key(|setting| setting.line);
        let want = [
            setting("port", Some("8082"), 1),
            setting("listen", Some("127.0.0.1:1"), 2),
            setting("listen", Some("[::1]:1"), 2),
            setting("subprotocol", Some("a,b"), 3),
            setting("binary", None, 4),
        ];
        assert_eq!(file.settings, want);
    }

    #[test]
    fn options_override_the_file() {
        let file =
            parse("port = 8082\nto = \"a:1\"\nlisten = [\"b:1\", \"c:1\"]\nbinary = true").unwrap();
        for (typed, want) in [
            (
                &["--to", "x:1"][..],
                &["--binary", "--listen", "--listen", "--port", "8082", "b:1", "c:1"][..],
            ),
            (&["--to", "x:1", "--listen", "y:1"], &["--binary"]),
            (&["--port", "1"], &["--binary", "--to", "a:1"]),
        ] {
            let typed: Vec<_> = typed.iter().map(|word| (*word).to_owned()).collect();
            let mut words = file.words(&typed);
            words.sort_unstable();
            assert_eq!(words, want);
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_is_told_with_its_line() {
        let file = parse("port = 8082\nping-interval = 30").unwrap();
        let wrong = || StartError::Usage("--ping-interval 30: a duration needs a unit".into());
        let text = file.locate(wrong(), &[]).to_string();
        assert_eq!(text, "wsrelay.toml, line 2: --ping-interval 30: a duration needs a unit");
        let typed = ["--ping-interval".to_owned()];
        assert!(matches!(file.locate(wrong(), &typed), StartError::Usage(_)));
    }

    #[test]
    fn mistakes_are_told_with_file_line_and_key() {
        for (text, want) in [
            (
                "port = 8082\nprot = 1\n",
                "wsrelay.toml, line 2: prot: there is no option prot: did you mean port?",
            ),
            ("binary = \"yes\"", "line 1: binary: it is on or off: write true or false"),
            ("port = 80.5", "line 1: port: write a string, a number"),
            ("\nto = { host = 1 }", "line 2: to: write a string"),
            ("port = ", "line 1: not TOML"),
            ("port = 1\nport = 2", "line 2: not TOML: duplicate key"),
            ("[to]\nhost = 1", "line 1: to: write a string"),
            ("to = \"--help\"", "line 1: to: a value can't begin with --"),
            ("config = \"x\"", "line 1: config:"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains('\n'), "{text}: {error}");
        }
    }
}
