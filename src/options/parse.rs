//! Parse: from words to options, and what to say of those that are none.

use argh::{ArgsInfo, FlagInfoKind, FromArgs};

use super::args::Args;
use super::file::Setting;
use super::similar::no_option;
use super::table::{Kind, kind_of};

/// What a command line asks for.
#[derive(Debug)]
pub enum Typed {
    /// To run, with these options.
    Run(Box<Args>),
    /// To show the help.
    Help {
        /// All of it.
        all: bool,
    },
    /// To show the version.
    Version,
}

/// A command line, taken apart.
#[derive(Debug)]
pub struct Line<'w> {
    /// Its words up to `--`.
    ours: &'w [String],
    /// The options in front.
    pub options: Vec<Setting>,
    /// What follows them: a command, or a mistake.
    pub rest: &'w [String],
    /// What stands behind `--`.
    program: Option<&'w [String]>,
}

impl<'w> Line<'w> {
    /// Takes a command line apart, without the program's name.
    ///
    /// # Errors
    /// One sentence that says what is wrong with an option and what to type.
    pub fn read(words: &'w [String]) -> Result<Self, String> {
        let mut parts = words.splitn(2, |word| word == "--");
        let (ours, program) = (parts.next().unwrap_or_default(), parts.next());
        let kind = |name: &str| kind_of(name).ok_or_else(|| no_option(name));
        let (options, rest) = scan(ours, &kind)?;
        Ok(Line { ours, options, rest, program })
    }

    /// Its words, those of a command aside.
    pub fn typed(&self) -> Vec<String> {
        let dashes = self.program.map(|_| "--".to_owned());
        let program = self.program.unwrap_or_default();
        self.front().iter().cloned().chain(dashes).chain(program.iter().cloned()).collect()
    }

    /// The words of the options in front.
    fn front(&self) -> &'w [String] {
        &self.ours[..self.ours.len() - self.rest.len()]
    }

    /// What it asks for, any command aside.
    ///
    /// # Errors
    /// One sentence that says what is wrong and what to type.
    pub fn ask(&self) -> Result<Typed, String> {
        match self.options.last() {
            Some(last) if last.key == "help" => {
                return Ok(Typed::Help {
                    all: self.rest.first().is_some_and(|word| word == "all"),
                });
            }
            Some(last) if last.key == "version" => return Ok(Typed::Version),
            _ => {}
        }
        if self.program == Some(&[]) {
            return Err(
                "-- stands before a program: type wsrelay --port 8080 -- cat, or drop it".into()
            );
        }
        let mut args: Args = from_words(&self.options, &[])?;
        args.program = self.program.unwrap_or_default().to_vec();
        Ok(Typed::Run(Box::new(args)))
    }
}

/// Reads a command line without a command, and without the program's name.
///
/// # Errors
/// One sentence that says what is wrong and what to type.
pub fn parse(words: &[String]) -> Result<Typed, String> {
    let line = Line::read(words)?;
    match (line.ask(), line.rest) {
        (Ok(Typed::Run(_)) | Err(_), rest @ [_, ..]) => Err(unexpected(line.front(), rest)),
        (asked, _) => asked,
    }
}

/// Reads the words behind a command.
///
/// # Errors
/// One sentence that says what is wrong and what to type.
pub fn parse_command<T: FromArgs + ArgsInfo>(name: &str, words: &[String]) -> Result<T, String> {
    let info = T::get_args_info();
    let help = format!("wsrelay {name} --help says what it takes");
    let kind = |option: &str| match info.flags.iter().find(|flag| flag.long == option) {
        Some(flag) if flag.kind == FlagInfoKind::Switch => Ok(Kind::Switch),
        Some(flag) if flag.optionality == argh::Optionality::Repeating => Ok(Kind::Repeatable),
        Some(_) => Ok(Kind::Value),
        None if kind_of(option).is_some() => {
            Err(format!("{option} is not for wsrelay {name}: {help}"))
        }
        None => Err(no_option(option)),
    };
    let (mut options, mut positionals, mut rest) = (Vec::new(), Vec::new(), words);
    loop {
        let (more, behind) = scan(rest, &kind)?;
        options.extend(more);
        let Some((word, behind)) = behind.split_first() else { break };
        positionals.push(word.clone());
        rest = behind;
    }
    match (positionals.get(info.positionals.len()), info.positionals.get(positionals.len())) {
        (Some(word), _) => Err(format!("don't know what to do with {word:?}: {help}")),
        (_, Some(missing)) => Err(format!("a {} is missing: {help}", missing.name)),
        _ => from_words(&options, &positionals),
    }
}

/// The options in front of the first word that is none, and what follows them. Nothing is read behind one
/// that asks for the help or the version. `words` end before `--`; `kind` says what an option takes, or
/// that there is none.
fn scan<'w>(
    words: &'w [String],
    kind: &dyn Fn(&str) -> Result<Kind, String>,
) -> Result<(Vec<Setting>, &'w [String]), String> {
    let (mut options, mut rest): (Vec<Setting>, _) = (Vec::new(), words);
    while let Some((word, behind)) = rest.split_first()
        && (word.starts_with('-') || word == "help")
    {
        rest = behind;
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ if word == "-h" || word == "help" => ("--help", None),
            _ if word == "-V" => ("--version", None),
            _ => (&**word, None),
        };
        let kind = if name == "--version" { Kind::Switch } else { kind(name)? };
        let key = name.trim_start_matches('-').to_owned();
        match (kind, &value) {
            (Kind::Switch, Some(value)) => return Err(needless(word, name, value)),
            (Kind::Switch, None) | (_, Some(_)) => {}
            (_, None) => {
                let (next, behind) = rest.split_first().ok_or(format!("{name} needs a value"))?;
                (value, rest) = (Some(next.clone()), behind);
            }
        }
        if matches!(kind, Kind::Value | Kind::List) && options.iter().any(|one| one.key == key) {
            return Err(format!("{name} is given twice: give it once"));
        }
        let ends = matches!(&*key, "help" | "version");
        options.push(Setting { key, value, line: 0 });
        if ends {
            break;
        }
    }
    Ok((options, rest))
}

/// What to say to `--switch=value`.
fn needless(word: &str, name: &str, value: &str) -> String {
    match value.to_ascii_lowercase().as_str() {
        // All are off by themselves, and without the value it would be on.
        "false" | "f" | "0" | "no" | "off" => format!("leave out {word}: it is off"),
        _ => format!("{name} takes no value: leave out ={value}"),
    }
}

/// What argh makes of options that were found right.
fn from_words<T: FromArgs>(options: &[Setting], positionals: &[String]) -> Result<T, String> {
    let words: Vec<_> = options.iter().flat_map(Setting::words).collect();
    let words = words.iter().chain(positionals).map(String::as_str).collect::<Vec<_>>();
    T::from_args(&["wsrelay"], &words).map_err(|exit| exit.output)
}

/// What to type in place of `words` that belong to no option, behind `options`. Users of websocketd
/// name a program there, often netcat, those of websockify a port or an address.
fn unexpected(options: &[String], words: &[String]) -> String {
    if let [netcat, host, port] = words
        && matches!(&**netcat, "nc" | "ncat" | "netcat")
        && !host.starts_with('-')
    {
        let to = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        return format!(
            "type --to {to}:{port} in place of {netcat} {host} {port}: no netcat is needed"
        );
    }
    let word = &words[0];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./_-+".contains(&b);
    if word.bytes().all(plain) && word.bytes().any(|b| b.is_ascii_alphabetic()) {
        return format!(
            "don't know what to do with {word:?}: a program stands behind --: type {}",
            with_dashes(options, words)
        );
    }
    format!(
        "don't know what to do with {word:?}: try wsrelay --port 8082 --to localhost:7777, \
         wsrelay --port 8082 -- PROGRAM, or wsrelay --help"
    )
}

/// The command line with `--` before the program, as far as it can be shown without quotes.
fn with_dashes(options: &[String], words: &[String]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./_-+:,=@%".contains(&b);
    let shown = |words: &[String], otherwise: &str| match words.iter().all(|w| w.bytes().all(plain))
    {
        true => words.join(" "),
        false => otherwise.to_owned(),
    };
    // Where the options come last, they are no program's.
    let ours = |word: &String| options.is_empty() && kind_of(word).is_some();
    let program = words.split(ours).next().unwrap_or_default();
    let options = match options {
        [] => "--port 8082".into(),
        options => shown(options, "[options]"),
    };
    format!("wsrelay {options} -- {}", shown(program, "PROGRAM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Typed, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    fn args(line: &str) -> Args {
        match typed(line) {
            Ok(Typed::Run(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn both_ways_to_give_a_value() {
        for line in ["--port 8082 --to a:1", "--port=8082 --to=a:1"] {
            let args = args(line);
            assert_eq!(args.port.as_deref(), Some("8082"));
            assert_eq!(args.to.as_deref(), Some("a:1"));
        }
        assert_eq!(args("--to=a:1 --subprotocol=a=b").subprotocol.as_deref(), Some("a=b"));
    }

    #[test]
    fn help_and_version_are_asked_for() {
        for (line, want) in [
            ("--help", false),
            ("-h", false),
            ("help", false),
            ("--port 1 --help", false),
            ("--help all", true),
            ("-h all", true),
            ("help all", true),
        ] {
            let Ok(Typed::Help { all }) = typed(line) else { panic!("{line}") };
            assert_eq!(all, want, "{line}");
        }
        for line in ["--version", "-V", "--port 1 -V"] {
            assert!(matches!(typed(line), Ok(Typed::Version)), "{line}");
        }
    }

    #[test]
    fn a_program_and_all_that_is_its_own() {
        let args = args("--port 1 -- demo --help --to=b:1 -- -h");
        assert_eq!(args.program, ["demo", "--help", "--to=b:1", "--", "-h"]);
        assert!(args.to.is_none());
    }

    #[test]
    fn mistakes_are_told_in_one_sentence() {
        for (line, want) in [
            ("--frobnicate 1", "there is no option --frobnicate: wsrelay --help all"),
            ("--prot 1", "there is no option --prot: did you mean --port?"),
            ("--staticdir .", "did you mean --static-dir?"),
            ("--maxforks=9", "did you mean --max-sessions?"),
            (
                "localhost:7777",
                "with \"localhost:7777\": try wsrelay --port 8082 --to localhost:7777",
            ),
            ("6080 localhost:5900", "with \"6080\": try wsrelay --port 8082 --to localhost:7777"),
            ("--port=80 ./count.sh 10", "behind --: type wsrelay --port=80 -- ./count.sh 10"),
            (
                "--port=80 python3 -u a.py --to b",
                "type wsrelay --port=80 -- python3 -u a.py --to b",
            ),
            ("--port=80 --binary ./a -h", "type wsrelay --port=80 --binary -- ./a -h"),
            ("cat -n --port 80", "type wsrelay --port 8082 -- cat -n"),
            ("--port 80 --header a;b sh -c x", "type wsrelay [options] -- sh -c x"),
            ("--port 80 sh -c a;b", "type wsrelay --port 80 -- PROGRAM"),
            ("-port 80 ./count.sh", "there is no option -port: did you mean --port?"),
            ("-help", "there is no option -help: did you mean --help?"),
            ("-version", "there is no option -version: did you mean --version?"),
            ("--port", "--port needs a value"),
            ("--binary=yes", "--binary takes no value"),
            ("--dev-console=yes", "--dev-console takes no value"),
            ("--binary=false --port 1", "leave out --binary=false: it is off"),
            ("--devconsole", "did you mean --dev-console?"),
            ("--to a:1 --to b:1", "--to is given twice"),
            ("--port 1 --", "wsrelay --port 8080 -- cat"),
            ("--port 1 cat -- cat", "don't know what to do with \"cat\""),
            ("--passenv A -- cat", "did you mean --pass-env?"),
            ("--dir=programs", "did you mean --program-dir?"),
            ("--cgidir=cgi", "did you mean --cgi-dir?"),
            (
                "--port 80 nc localhost 7777",
                "type --to localhost:7777 in place of nc localhost 7777",
            ),
            ("--port 80 nc ::1 7777", "type --to [::1]:7777 in place of nc ::1 7777"),
            ("--port 80 nc -l 7777", "type wsrelay --port 80 -- nc -l 7777"),
            ("--port 80 nc", "a program stands behind --"),
            ("--static-dir demo --prot 1", "there is no option --prot: did you mean --port?"),
        ] {
            let text = typed(line).unwrap_err();
            assert!(text.contains(want), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        }
    }
}
