//! Help: what `--help` prints, from the table and from what argh knows.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

use super::args::Args;
use super::table::{Kind, Row, TABLE, Unset};

/// Characters of a line, at most.
const COLUMNS: usize = 80;

/// Where texts begin.
const INDENT: usize = 27;

const USAGE: &str = "\
Usage: wsrelay [options] --to ADDR        relay to a server
       wsrelay [options] -- PROGRAM ARG…  start a program for each session
       wsrelay [options] --config FILE    with options from a file
";

const NOTES: &str = "\
Sizes are 64KiB, 1MiB or plain bytes. Times are 500ms, 30s or 5m; 0 is off.
--name=value is the same as --name value.
";

const MORE: &str = "wsrelay --help all shows every option.\n";

const SIGNALS: &str = "\
SIGTERM and SIGINT end all sessions, then wsrelay; the second ends it at once.
SIGHUP reads the file of --config and all files that options name again.

Exit status: 0 after SIGTERM or SIGINT; 1 if wsrelay can't start, or a file is
wrong; 2 if the command line is wrong.
";

/// The help: what most people need, or `all`.
pub fn help(all: bool, commands: &[CommandInfoWithArgs]) -> String {
    let mut out = USAGE.to_owned();
    for command in commands {
        let usage = format!("       {}", usage_of(command));
        out += &format!("{usage:<42}{}\n", summary(command));
    }
    let mut group = None;
    for row in TABLE.iter().filter(|row| all || row.common) {
        if group != Some(row.group) {
            out += if all || group.is_none() { "\n" } else { "" };
            out += &format!("{}:\n", row.group);
            group = Some(row.group);
        }
        entry(&mut out, &name(row), &text(row, all));
    }
    out + "\n" + NOTES + if all { SIGNALS } else { MORE }
}

/// The help of a command.
pub fn help_of_command(command: &CommandInfoWithArgs) -> String {
    let mut out = format!("Usage: {}\n\n", usage_of(command));
    wrapped(&mut out, 0, command.description);
    out += "\nOptions:\n";
    for flag in command.flags.iter().filter(|flag| flag.long != "--help") {
        let repeatable =
            if flag.optionality == Optionality::Repeating { " (repeatable)" } else { "" };
        entry(&mut out, &name_of_flag(flag), &format!("{}{repeatable}", flag.description));
    }
    entry(&mut out, "-h, --help", "Show this help.");
    out
}

/// What is typed for a command.
fn usage_of(command: &CommandInfoWithArgs) -> String {
    let takes = command.positionals.iter().map(|one| one.name.to_uppercase());
    let options = (command.flags.len() > 1).then(|| "[options]".to_owned());
    let words = ["wsrelay", command.name].map(str::to_owned).into_iter();
    words.chain(options).chain(takes).collect::<Vec<_>>().join(" ")
}

/// What a command does, in a few words.
fn summary(command: &CommandInfoWithArgs) -> String {
    let short = command.description.split([':', '.']).next().unwrap_or_default();
    short[..1].to_lowercase() + &short[1..]
}

/// An option and what it takes.
fn name(row: &Row) -> String {
    match row.flag() {
        Some(flag) if flag.long == "--help" => "-h, --help [all]".into(),
        Some(flag) if flag.long == "--version" => "-V, --version".into(),
        Some(flag) => name_of_flag(flag),
        None => "-- PROGRAM ARG…".into(),
    }
}

fn name_of_flag(flag: &FlagInfo<'_>) -> String {
    match flag.kind {
        FlagInfoKind::Switch => flag.long.to_owned(),
        FlagInfoKind::Option { arg_name } => format!("{} {}", flag.long, arg_name.to_uppercase()),
    }
}

/// What an option does, all of it or the first sentence, and its default.
fn text(row: &Row, all: bool) -> String {
    let text = match row.flag() {
        Some(flag) if flag.long == "--help" => "Show this help, or all options.",
        Some(flag) => flag.description,
        None => Args::get_args_info().positionals[0].description,
    };
    let mut out = match text.split_once(". ") {
        Some((first, _)) if !all => format!("{first}."),
        _ => text.to_owned(),
    };
    if !all {
        return out;
    }
    out += match row.kind() {
        Kind::Repeatable if row.list => " (repeatable, or comma-separated)",
        Kind::Repeatable => " (repeatable)",
        Kind::List => " (comma-separated)",
        Kind::Switch | Kind::Value | Kind::Words => "",
    };
    match row.default {
        Unset::Value(value) => out + &format!(" (default {value})"),
        Unset::Nothing(words) | Unset::Computed(words, _) if !words.is_empty() => {
            out + &format!(" (default: {words})")
        }
        _ => out,
    }
}

/// A name, and beside it its text.
fn entry(out: &mut String, name: &str, text: &str) {
    *out += &format!("  {name}");
    let column = name.chars().count() + 2;
    if column + 2 > INDENT {
        out.push('\n');
        *out += &" ".repeat(INDENT);
    } else {
        *out += &" ".repeat(INDENT - column);
    }
    wrapped(out, INDENT, text);
}

/// A text from column `indent` on, in lines that fit.
fn wrapped(out: &mut String, indent: usize, text: &str) {
    let mut column = indent;
    // argh wants texts to begin with a small letter.
    let text = &(text[..1].to_uppercase() + &text[1..]);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > COLUMNS {
            *out += &format!("\n{}", " ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        *out += word;
        column += length;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_help_is_short() {
        let short = help(false, &[]);
        assert!(short.lines().count() <= 50, "{short}");
        for row in TABLE {
            let line = format!("\n  {}", name(row));
            assert_eq!(short.contains(&line), row.common, "{}", row.key);
            assert!(help(true, &[]).contains(&line), "{}", row.key);
        }
    }

    #[test]
    fn everything_fits_a_terminal() {
        for text in [help(false, &[]), help(true, &[])] {
            assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        }
    }

    #[test]
    fn defaults_come_from_the_table() {
        let words = help(true, &[]).split_whitespace().collect::<Vec<_>>().join(" ");
        for row in TABLE {
            let want = match row.default {
                Unset::Value(value) => format!(" (default {value})"),
                Unset::Nothing(value) => format!(" (default: {value})"),
                _ => continue,
            };
            let text = words.split_once(&name(row)).unwrap().1;
            let next = text.find(want.as_str()).unwrap_or_else(|| panic!("{}: {want}", row.key));
            assert!(next < 400, "{}: {want} stands elsewhere", row.key);
        }
    }
}
