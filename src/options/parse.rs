//! Parse: from words to options, and what to say of those that are none.

use argh::{ArgsInfo, FlagInfoKind, FromArgs};

use super::args::Args;
use super::similar::no_option;

/// What a command line asks for.
#[derive(Debug)]
pub enum Typed {
    /// To run, with these options.
    Run(Box<Args>),
    /// To print this and go, with success.
    Print(String),
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// One sentence that says what is wrong and what to type.
pub fn parse(args: &[String]) -> Result<Typed, String> {
    let mut parts = args.splitn(2, |arg| arg == "--");
    let (typed, program) = (parts.next().unwrap_or_default(), parts.next());
    let ours = normalise(typed)?;
    if ours.iter().any(|arg| arg == "--version") {
        return Ok(Typed::Print(format!("wsrelay {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let [typed, ours] =
        [typed, &ours].map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
    // Before argh, which would look for options behind it, too: those of somebody's program.
    if let Some(at) = first_word(&typed)
        && !matches!(typed[at], "demo" | "check" | "help")
    {
        return Err(unexpected(&typed[..at], &typed[at..]));
    }
    let mut args = match Args::from_args(&["wsrelay"], &ours) {
        Ok(args) => args,
        Err(exit) if exit.status.is_ok() => return Ok(Typed::Print(with_usage(&exit.output))),
        Err(exit) => {
            let command = command_of(&ours);
            return Err(
                command.map_or_else(|| explain(&exit.output), |c| explain_of(c, &exit.output))
            );
        }
    };
    if program == Some(&[]) {
        return Err(
            "-- stands before a program: type wsrelay --port 8080 -- cat, or drop it".into()
        );
    }
    args.program = program.unwrap_or_default().to_vec();
    Ok(Typed::Run(Box::new(args)))
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is on or off.
    Switch,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Repeatable,
}

/// What `option` (with its dashes) takes.
///
/// # Errors
/// One sentence, if there is no such option.
pub fn kind_of(option: &str) -> Result<Kind, String> {
    // argh keeps its table of options to itself, but it answers questions.
    let takes = |words: &[&str]| Args::from_args(&["wsrelay"], words);
    match takes(&[option]) {
        Ok(_) => Ok(Kind::Switch),
        Err(exit) if exit.status.is_ok() => Ok(Kind::Switch),
        Err(exit) if exit.output.starts_with("Unrecognized") => Err(explain(&exit.output)),
        Err(_) if takes(&[option, "1", option, "1"]).is_ok() => Ok(Kind::Repeatable),
        Err(_) => Ok(Kind::Value),
    }
}

/// Whether the value of `option` (with its dashes) may be a plain number: a count, a size, a time.
pub fn takes_number(option: &str) -> bool {
    let named = |kind: &FlagInfoKind<'_>| match kind {
        FlagInfoKind::Option { arg_name } => matches!(*arg_name, "n" | "size" | "time"),
        FlagInfoKind::Switch => false,
    };
    Args::get_args_info().flags.iter().any(|flag| flag.long == option && named(&flag.kind))
}

/// argh knows neither `--name=value` nor short forms: they are written out. `args` end before `--`.
///
/// # Errors
/// One sentence, if a switch is given a value.
pub fn normalise(args: &[String]) -> Result<Vec<String>, String> {
    let mut out = Vec::with_capacity(args.len() + 4);
    for arg in args {
        match arg.as_str() {
            "-h" => out.push("--help".into()),
            "-V" => out.push("--version".into()),
            long if long.starts_with("--") && long.contains('=') => {
                let (name, value) = long.split_once('=').expect("it was looked for");
                if kind_of(name) == Ok(Kind::Switch) {
                    return Err(match value.to_ascii_lowercase().as_str() {
                        // All are off by themselves, and without the value it would be on.
                        "false" | "f" | "0" | "no" | "off" => {
                            format!("leave out {long}: it is off")
                        }
                        _ => format!("{name} takes no value: leave out ={value}"),
                    });
                }
                out.extend([name.to_owned(), value.to_owned()]);
            }
            _ => out.push(arg.clone()),
        }
    }
    Ok(out)
}

/// argh's help for a terminal of 80 columns, with a usage that can be taken in at a glance: its own
/// first line names every option in a row.
fn with_usage(help: &str) -> String {
    const USAGE: &str = "\
Usage: wsrelay [options] --to ADDR     relay to a backend
       wsrelay [options] -- CMD ARG…   relay to a program, one process a session
       wsrelay [options] --program-dir DIR
                                       the same, to the program the path names
       wsrelay --config FILE           the same, from a TOML file
       wsrelay check FILE              check such a file
       wsrelay demo                    the built-in chat: a line server, a page,
                                       the relay between them
";
    match help.split_once('\n') {
        Some((first, rest)) if first.starts_with("Usage: wsrelay [--config") => {
            format!("{USAGE}{}", folded(rest))
        }
        _ => folded(help),
    }
}

/// The same, with the paragraphs that argh leaves in one line broken.
fn folded(help: &str) -> String {
    const COLUMNS: usize = 80;
    let mut out = String::new();
    for line in help.lines() {
        let mut column = 0;
        for word in line.split_inclusive(' ') {
            if column > 0 && column + word.trim_end().chars().count() > COLUMNS {
                out.truncate(out.trim_end().len());
                out.push('\n');
                column = 0;
            }
            out.push_str(word);
            column += word.chars().count();
        }
        out.push('\n');
    }
    out
}

/// argh's message as one sentence that says what to type.
fn explain(output: &str) -> String {
    let first = output.lines().next().unwrap_or_default().trim();
    let Some(unknown) = first.strip_prefix("Unrecognized argument: ") else {
        let mut text = first.trim_end_matches('.').to_owned();
        if let Some(rest) = text.strip_prefix("No value provided for option '") {
            text = format!("{} needs a value", rest.trim_end_matches('\''));
        } else if let Some(rest) = text.strip_prefix("Error parsing option '") {
            // All values are taken as text, so the one thing argh itself can object to is a second.
            let name = rest.split('\'').next().unwrap_or(rest);
            text = format!("{name} is given twice: give it once");
        }
        return text;
    };
    no_option(unknown)
}

/// The same, of what stands behind `wsrelay COMMAND`.
fn explain_of(command: &str, output: &str) -> String {
    let help = format!("wsrelay {command} --help says what it takes");
    if output.starts_with("Required positional arguments") {
        return format!("a file is missing: {help}");
    }
    match output.trim().strip_prefix("Unrecognized argument: ") {
        Some(word) if !word.starts_with('-') => {
            format!("don't know what to do with {word:?}: {help}")
        }
        Some(option) if kind_of(option).is_ok() => {
            format!("{option} is not for wsrelay {command}: {help}")
        }
        _ => explain(output),
    }
}

/// The command among these words, if there is one.
fn command_of<'w>(words: &[&'w str]) -> Option<&'w str> {
    first_word(words).map(|at| words[at]).filter(|word| matches!(*word, "demo" | "check"))
}

/// Where the first word stands that is neither an option nor its value. Nowhere, if an option that
/// there is none of comes first: whether it takes a value is not known.
fn first_word(words: &[&str]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (name, value) = match words.get(at)?.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (words[at], None),
        };
        if !name.starts_with('-') {
            return Some(at);
        }
        at += if kind_of(name).ok()? == Kind::Switch || value.is_some() { 1 } else { 2 };
    }
}

/// What to type in place of `words` that belong to no option, behind `options`. Users of websocketd
/// name a program there, often netcat, those of websockify a port or an address.
fn unexpected(options: &[&str], words: &[&str]) -> String {
    if let [netcat @ ("nc" | "ncat" | "netcat"), host, port] = words
        && !host.starts_with('-')
    {
        let to = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
        return format!(
            "type --to {to}:{port} in place of {netcat} {host} {port}: no netcat is needed"
        );
    }
    let word = words[0];
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
fn with_dashes(options: &[&str], words: &[&str]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./_-+:,=@%".contains(&b);
    let shown = |words: &[&str], otherwise: &str| match words.iter().all(|w| w.bytes().all(plain)) {
        true => words.join(" "),
        false => otherwise.to_owned(),
    };
    // Where the options come last, they are no program's.
    let ours = |word: &&str| options.is_empty() && word.starts_with("--") && kind_of(word).is_ok();
    let program = words.split(ours).next().unwrap_or_default();
    let options = if options.is_empty() { &["--port", "8082"] } else { options };
    format!("wsrelay {} -- {}", shown(options, "[options]"), shown(program, "PROGRAM"))
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
    fn help_and_version_are_printed() {
        for line in ["--help", "-h", "help", "demo --help", "demo -h"] {
            let Ok(Typed::Print(text)) = typed(line) else { panic!("{line}") };
            assert!(text.contains("Usage: wsrelay"), "{line}: {text}");
        }
        for line in ["--version", "-V"] {
            let Ok(Typed::Print(text)) = typed(line) else { panic!("{line}") };
            assert_eq!(text, format!("wsrelay {}\n", env!("CARGO_PKG_VERSION")));
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        for line in ["--help", "demo --help", "check --help"] {
            let Ok(Typed::Print(text)) = typed(line) else { panic!("{line}") };
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }

    #[test]
    fn a_program_and_all_that_is_its_own() {
        let args = args("--port 1 -- demo --help --to=b:1 -- -h");
        assert_eq!(args.program, ["demo", "--help", "--to=b:1", "--", "-h"]);
        assert!(args.command.is_none() && args.to.is_none());
    }

    #[test]
    fn mistakes_are_told_in_one_sentence() {
        for (line, want) in [
            ("--frobnicate 1", "there is no option --frobnicate: wsrelay --help"),
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
            ("check", "a file is missing: wsrelay check --help says what it takes"),
            ("check a.toml b.toml", "with \"b.toml\": wsrelay check --help says what it takes"),
            ("demo 8083", "with \"8083\": wsrelay demo --help says what it takes"),
            (
                "demo --to a:1",
                "--to is not for wsrelay demo: wsrelay demo --help says what it takes",
            ),
            ("demo --prot 1", "there is no option --prot: did you mean --port?"),
            ("--static-dir demo --prot 1", "there is no option --prot: did you mean --port?"),
        ] {
            let text = typed(line).unwrap_err();
            assert!(text.contains(want), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        }
    }
}
