//! Options: those typed and those of the file together, for the whole and for each route.

use std::path::Path;
use std::slice;

use super::args::Args;
use super::file::{File, Setting, Table, is_of_routes};
use super::parse::{self, Kind, Typed};
use super::route::RouteOptions;
use super::server::{config_with, log_config, pointless};
use crate::error::StartError;
use crate::http::{Config, RouteConfig};
use crate::log::LogConfig;

/// The options that hold: those typed, and those of the file that `--config` names.
#[derive(Debug, Default)]
pub struct Options {
    /// Typed or not, those of single routes aside.
    pub args: Args,
    /// What they were made of, as far as that is known.
    settings: Vec<Setting>,
    /// The options that were typed.
    typed: Vec<String>,
    /// The routes of the file.
    routes: Vec<FileRoute>,
    file: Option<File>,
}

/// A route of the file.
#[derive(Debug)]
struct FileRoute {
    options: RouteOptions,
    settings: Vec<Setting>,
    /// What it says itself, and nobody else for it.
    own: Args,
    line: usize,
}

/// Several ways to say one thing: who has typed one means none of the others in the file.
const WAYS: [&[&str]; 2] = [&["port", "listen"], &TARGETS];

/// What says where the lines go.
const TARGETS: [&str; 3] = ["to", "program", "program-dir"];

/// What a route that speaks bytes has no use for.
pub const ABOUT_LINES: [&str; 4] = ["eol", "newlines", "charset", "flush-after"];

impl Options {
    /// Reads the file, if one was named. `typed` is the command line that `args` came from.
    ///
    /// # Errors
    /// If the file can't be read, is not TOML, or has keys or types that no option has: one sentence
    /// with file, line and key.
    pub fn load(args: Args, typed: &[String]) -> Result<Self, StartError> {
        let Some(path) = &args.config else { return Ok(Options { args, ..Options::default() }) };
        let file = File::read(Path::new(path))?;
        let ours = typed.split(|word| word == "--").next().unwrap_or_default();
        let mut known = settings_of(&parse::normalise(ours).map_err(StartError::Usage)?);
        if !args.program.is_empty() {
            known.push(Setting { key: "program".into(), value: None, line: 0 });
        }
        let counts = |key: &str| !known.iter().any(|typed| is_way(key, &typed.key));
        let settings: Vec<_> =
            file.top.settings.iter().filter(|setting| counts(&setting.key)).cloned().collect();
        let program = if counts("program") { file.top.program_words() } else { Vec::new() };
        let words: Vec<_> = settings.iter().flat_map(Setting::words).collect();
        let args = parse(&[words, typed.to_vec(), program].concat())?;
        let all_typed = known.iter().map(Setting::option).collect();
        known.retain(|typed| is_inherited(&typed.key));
        let route = |table| FileRoute::load(&file, table, &known, &args);
        let routes = file.routes.iter().map(route).collect::<Result<_, _>>()?;
        Ok(Options { args, settings, typed: all_typed, routes, file: Some(file) })
    }

    /// What they come to.
    ///
    /// # Errors
    /// One sentence that says what is wrong and where, or what to type.
    pub fn config(&self) -> Result<Config, StartError> {
        let mut routes: Vec<RouteConfig> = Vec::new();
        let default = match self.has_default() {
            true => {
                RouteOptions::default_of(&self.args).map(|options| options.rule()).transpose()?
            }
            false => None,
        };
        for route in &self.routes {
            let config = route.check().map_err(|e| self.blame_route(route, e))?;
            let rule = &config.rule;
            if routes.iter().any(|other| other.rule == *rule) || default.as_ref() == Some(rule) {
                let why = format!("there is another route for {rule}: drop one");
                return Err(self.wrong(route.line, &why));
            }
            routes.push(config);
        }
        config_with(&self.args, routes).map_err(|error| self.blame(error))
    }

    /// The logging that was asked for.
    ///
    /// # Errors
    /// As of [`config`](Self::config).
    pub fn log_config(&self) -> Result<LogConfig, StartError> {
        let log = log_config(&self.args).map_err(|error| self.blame(error))?;
        for route in &self.routes {
            let (trace, log_level) = (route.options.args.trace, self.args.log_level.clone());
            log_config(&Args { trace, log_level, ..Args::default() })
                .map_err(|error| self.blame_route(route, error))?;
        }
        Ok(log)
    }

    /// The name of the file, if there is one.
    pub fn file(&self) -> Option<&str> {
        self.file.as_ref().map(|file| &*file.name)
    }

    /// The routes of the file.
    pub fn routes(&self) -> impl Iterator<Item = &RouteOptions> {
        self.routes.iter().map(|route| &route.options)
    }

    /// Whether the default route is the file's own.
    fn has_default(&self) -> bool {
        let Some(file) = &self.file else { return false };
        self.settings.iter().any(|setting| TARGETS.contains(&&*setting.key))
            || !file.top.program.is_empty() && self.args.program == file.top.program
    }

    /// Says where in the file it stands, if `error` is about something that stands there, or should.
    fn blame(&self, error: StartError) -> StartError {
        let is_typed =
            |text: &str| text.split([' ', ':']).any(|word| self.typed.iter().any(|t| t == word));
        match (line_of(&error, &self.settings), &self.file, &error) {
            (Some(line), ..) => self.wrong(line, &error.to_string()),
            (None, Some(file), StartError::Usage(text)) if !is_typed(text) => {
                StartError::Environment(format!("{}: {text}", file.name))
            }
            _ => error,
        }
    }

    fn blame_route(&self, route: &FileRoute, error: StartError) -> StartError {
        self.wrong(line_of(&error, &route.settings).unwrap_or(route.line), &error.to_string())
    }

    fn wrong(&self, line: usize, why: &str) -> StartError {
        match &self.file {
            Some(file) => file.wrong(line, why),
            None => StartError::Usage(why.to_owned()),
        }
    }
}

impl FileRoute {
    /// What holds for a route: what was typed, then what it says itself, then what stands above the
    /// routes.
    fn load(
        file: &File,
        table: &Table,
        typed: &[Setting],
        whole: &Args,
    ) -> Result<Self, StartError> {
        let wrong = |why: &str| file.wrong(table.line, why);
        if !table.settings.iter().any(|own| TARGETS.contains(&&*own.key))
            && table.program.is_empty()
        {
            return Err(wrong(
                "this route says not where its lines go: add to = \"localhost:7777\", or \
                 program = [\"./program\"]",
            ));
        }
        let by_subprotocol = table.settings.iter().any(|own| own.key == "subprotocol");
        // Of what is typed, too, a route takes only what it can make sense of, and nothing that would
        // send it other clients.
        let takes = |one: &&Setting| match &*one.key {
            "subprotocol" => !by_subprotocol,
            key => key == "binary" || !gives_way(key, table),
        };
        let typed: Vec<_> = typed.iter().filter(takes).collect();
        let is_typed = |one: &Setting| typed.iter().any(|typed| typed.key == one.key);
        let inherited = file.top.settings.iter().filter(|one| {
            is_inherited(&one.key) && !table.has(&one.key) && !gives_way(&one.key, table)
        });
        let not_typed = inherited.chain(&table.settings).filter(|one| !is_typed(one));
        let settings: Vec<Setting> = not_typed.chain(typed.iter().copied()).cloned().collect();
        let words: Vec<_> = settings.iter().flat_map(Setting::words).collect();
        let args = parse(&[words, table.program_words()].concat())?;
        // No route's own, but it says who may connect where a route does not.
        let args = Args { tls_client_ca: whole.tls_client_ca.clone(), ..args };
        let options = RouteOptions {
            path: table.path.as_ref().map(|(path, _)| path.clone()),
            host: table.host.as_ref().map(|(host, _)| host.clone()),
            by_subprotocol,
            args,
        };
        // They have lines of their own, and are no options, by whose names lines are found.
        let of_line = |line| move |error: StartError| file.wrong(line, &error.to_string());
        if let Some((_, line)) = table.path {
            options.prefix().map_err(of_line(line))?;
        }
        if let Some((_, line)) = table.host {
            options.hosts().map_err(of_line(line))?;
        }
        let own: Vec<_> = table.settings.iter().flat_map(Setting::words).collect();
        Ok(FileRoute { options, settings, own: parse(&own)?, line: table.line })
    }

    /// All of it, checked. What is said of all routes need not be of use to this one, but what it says
    /// itself does.
    fn check(&self) -> Result<RouteConfig, StartError> {
        let config = self.options.check()?;
        pointless(&self.own, slice::from_ref(&config))?;
        Ok(config)
    }
}

/// Whether both are ways to say the same thing.
fn is_way(one: &str, other: &str) -> bool {
    one == other || WAYS.iter().any(|ways| ways.contains(&one) && ways.contains(&other))
}

/// Whether what is said of all goes for a route too. Each has a target of its own, and the sessions of
/// all are counted together.
fn is_inherited(key: &str) -> bool {
    is_of_routes(key) && !TARGETS.contains(&key) && key != "max-sessions"
}

/// Whether what stands above the routes makes no sense beside what a route says itself.
fn gives_way(key: &str, table: &Table) -> bool {
    let says = |key: &str, value: &str| {
        let is_value = |given: &String| given.eq_ignore_ascii_case(value);
        table.settings.iter().any(|own| own.key == key && own.value.as_ref().is_some_and(is_value))
    };
    let is_binary = || table.settings.iter().any(|own| own.key == "binary");
    let about_lines = |own: &Setting| ABOUT_LINES.contains(&&*own.key);
    match key {
        "binary" => table.settings.iter().any(about_lines),
        // Without a word of its own it waits.
        "queue" => table.has("slow-client") && !says("slow-client", "drop"),
        key => ABOUT_LINES.contains(&key) && is_binary(),
    }
}

/// The settings that a command line stands for, as far as it can be read.
fn settings_of(words: &[String]) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(key) = word.strip_prefix("--") else { continue };
        let value = match parse::kind_of(word) {
            Ok(Kind::Value | Kind::Repeatable) => words.next().cloned(),
            _ => None,
        };
        settings.push(Setting { key: key.to_owned(), value, line: 0 });
    }
    settings
}

fn parse(words: &[String]) -> Result<Args, StartError> {
    match parse::parse(words).map_err(StartError::Usage)? {
        Typed::Run(args) => Ok(*args),
        Typed::Print(_) => unreachable!("a file has no --help"),
    }
}

/// The line of the setting that an error is about, if that stands in the file. Every such text
/// names the option that it is about before any other.
fn line_of(error: &StartError, settings: &[Setting]) -> Option<usize> {
    let StartError::Usage(text) = error else { return None };
    let about = |word: &str| settings.iter().find(|setting| setting.option() == word);
    text.split([' ', ':']).find_map(about).map(|setting| setting.line).filter(|line| *line > 0)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
