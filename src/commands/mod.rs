//! Commands: what `wsrelay` can be asked to do, one file each.
//!
//! ```text
//!  words ─▶ plan ─┬─▶ check, demo, replay: the words behind it are its own
//!                 ├─▶ serve, where no command is named
//!                 └─▶ a text to print: help, version
//! ```

mod check;
mod demo;
mod replay;
mod serve;

use std::ffi::OsString;
use std::io::Write;

use argh::CommandInfoWithArgs;

use crate::error::StartError;
use crate::limits;
use crate::options::{self, Args, Line, Typed};

/// The commands, in the order of the help.
const COMMANDS: [Command; 3] = [demo::COMMAND, check::COMMAND, replay::COMMAND];

/// A command.
#[derive(Clone, Copy, Debug)]
struct Command {
    name: &'static str,
    /// Its own options, and what its help says.
    info: fn() -> CommandInfoWithArgs,
    /// Reads the words behind it.
    plan: fn(Invocation) -> Result<Job, StartError>,
}

/// What a command does, when its words are read.
pub type Job = Box<dyn FnOnce() -> Result<(), StartError>>;

/// What is to be done.
pub enum Plan {
    /// To print this.
    Print(String),
    /// To run this.
    Run(Job),
}

/// What was typed.
#[derive(Debug)]
struct Invocation {
    /// The options in front of the command, and a program behind `--`.
    args: Args,
    /// The words that they came from.
    typed: Vec<String>,
    /// The words behind the command.
    words: Vec<String>,
}

/// What a command line names.
#[derive(Debug)]
enum Named {
    Print(String),
    Run(Command, Box<Invocation>),
}

/// Does what a command line asks for, without the program's name.
///
/// # Errors
/// [`StartError`], if that can't even be started.
pub fn run(words: impl Iterator<Item = OsString>) -> Result<(), StartError> {
    let words: Result<Vec<String>, _> = words.map(OsString::into_string).collect();
    let words = words.map_err(|word| StartError::usage(format!("{word:?} is not valid UTF-8")))?;
    // First, as what it allows is the default of --max-sessions.
    limits::raise();
    match plan(&words)? {
        Plan::Print(text) => {
            say(&text);
            Ok(())
        }
        Plan::Run(job) => job(),
    }
}

/// What a command line asks for, without the program's name.
///
/// # Errors
/// [`StartError::Usage`], one sentence that says what to type.
pub fn plan(words: &[String]) -> Result<Plan, StartError> {
    match named(words).map_err(StartError::usage)? {
        Named::Print(text) => Ok(Plan::Print(text)),
        Named::Run(command, invocation) => (command.plan)(*invocation).map(Plan::Run),
    }
}

/// What a command line names, its command's own words aside.
fn named(words: &[String]) -> Result<Named, String> {
    let line = Line::read(words)?;
    let command =
        COMMANDS.into_iter().find(|one| line.rest.first().is_some_and(|word| word == one.name));
    let asked = if command.is_some() { line.ask() } else { options::parse(words) };
    let behind = line.rest.get(1..).unwrap_or_default();
    let asks = |words: &[&str]| behind.iter().any(|word| words.contains(&&**word));
    let help_of = |command: Command| options::help_of_command(&(command.info)());
    Ok(match (asked?, command) {
        (Typed::Run(_), Some(command)) if asks(&["--help", "-h", "help"]) => {
            Named::Print(help_of(command))
        }
        (Typed::Help { .. }, Some(command)) => Named::Print(help_of(command)),
        (Typed::Help { all }, None) => {
            Named::Print(options::help(all, &COMMANDS.map(|one| (one.info)())))
        }
        (Typed::Run(args), command) if !asks(&["--version", "-V"]) => {
            let invocation =
                Invocation { args: *args, typed: line.typed(), words: behind.to_vec() };
            Named::Run(command.unwrap_or(serve::COMMAND), Box::new(invocation))
        }
        _ => Named::Print(format!("wsrelay {}\n", env!("CARGO_PKG_VERSION"))),
    })
}

/// Prints lines on stdout, for whoever waits for them. Nobody may be there to read them.
fn say(lines: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Named, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        named(&words)
    }

    #[test]
    fn a_command_takes_what_stands_behind_it() {
        let Ok(Named::Run(command, read)) = typed("--eol crlf demo --port=1 -- cat") else {
            panic!()
        };
        assert_eq!(command.name, "demo");
        assert_eq!(read.args.eol.as_deref(), Some("crlf"));
        assert_eq!(read.typed, ["--eol", "crlf", "--", "cat"]);
        assert_eq!((read.args.program, read.words), (vec!["cat".into()], vec!["--port=1".into()]));
        let Ok(Named::Run(command, read)) = typed("--port 1 -- demo") else { panic!() };
        assert_eq!(command.name, "");
        assert_eq!(read.args.program, ["demo"]);
    }

    #[test]
    fn every_command_has_a_help_that_fits_a_terminal() {
        for command in COMMANDS {
            let name = command.name;
            for line in ["{} --help", "{} -h", "{} help", "help {}", "--help {}", "--port 1 {} -h"]
            {
                let line = line.replace("{}", name);
                let Ok(Named::Print(text)) = typed(&line) else { panic!("{line}") };
                assert!(text.starts_with(&format!("Usage: wsrelay {name} ")), "{line}: {text}");
                assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            }
            let Ok(Named::Print(text)) = typed("--help") else { panic!() };
            assert!(text.contains(&format!("\n       wsrelay {name} ")), "{text}");
            assert!((command.info)().name == name && text.lines().count() <= 60, "{text}");
        }
        for line in ["--version", "-V", "demo --version", "--port 1 demo -V"] {
            let Ok(Named::Print(text)) = typed(line) else { panic!("{line}") };
            assert_eq!(text, format!("wsrelay {}\n", env!("CARGO_PKG_VERSION")));
        }
    }

    #[test]
    fn mistakes_behind_a_command_are_told_in_one_sentence() {
        for (line, want) in [
            ("check", "a file is missing: wsrelay check --help says what it takes"),
            ("check a.toml b.toml", "with \"b.toml\": wsrelay check --help says what it takes"),
            ("demo 8083", "with \"8083\": wsrelay demo --help says what it takes"),
            (
                "demo --to a:1",
                "--to is not for wsrelay demo: wsrelay demo --help says what it takes",
            ),
            ("demo --prot 1", "there is no option --prot: did you mean --port?"),
            ("demo --port", "--port needs a value"),
            ("demo --port 1 --port 2", "--port is given twice"),
        ] {
            let Ok(Named::Run(command, read)) = typed(line) else { panic!("{line}") };
            let Err(error) = (command.plan)(*read) else { panic!("{line}") };
            let text = error.to_string();
            assert!(text.contains(want), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        }
    }
}
