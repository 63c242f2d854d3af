//! Options: those typed and those of the file together, for the whole and for each route.

use std::path::Path;

use super::about::About;
use super::args::Args;
use super::file::{File, Setting, Table};
use super::parse::{self, Line, Typed};
use super::route::RouteOptions;
use super::server::{config_with, log_config, private};
use super::table::{
    is_about_charset, is_about_lines, is_for_bytes, is_inherited, is_target, is_way,
};
use crate::error::StartError;
use crate::http::RouteConfig;
use crate::log::LogConfig;
use crate::server::ServerConfig;

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
    /// The keys that it says itself, with their lines.
    keys: Vec<(String, usize)>,
    line: usize,
}

impl Options {
    /// Reads the file, if one was named. `typed` is the command line that `args` came from.
    ///
    /// # Errors
    /// If the file can't be read, is not TOML, or has keys or types that no option has: one sentence
    /// with file, line and key.
    pub fn load(args: Args, typed: &[String]) -> Result<Self, StartError> {
        let Some(path) = &args.config else { return Ok(Options { args, ..Options::default() }) };
        let file = File::read(Path::new(path))?;
        let mut known = Line::read(typed).map_err(StartError::usage)?.options;
        if !args.program.is_empty() {
            known.push(Setting { key: "program".into(), value: None, line: 0 });
        }
        let counts = |key: &str| !known.iter().any(|typed| is_way(key, &typed.key));
        let settings: Vec<_> =
            file.top.settings.iter().filter(|setting| counts(&setting.key)).cloned().collect();
        let program = if counts("program") { file.top.program_words() } else { Vec::new() };
        let words: Vec<_> = settings.iter().flat_map(Setting::words).collect();
        let args = parse(&[words, typed.to_vec(), program].concat())?;
        let all_typed = known.iter().map(|one| one.key.clone()).collect();
        known.retain(|typed| is_inherited(&typed.key));
        let route = |table| FileRoute::load(&file, table, &known, &args);
        let routes = file.routes.iter().map(route).collect::<Result<_, _>>()?;
        Ok(Options { args, settings, typed: all_typed, routes, file: Some(file) })
    }

    /// What they come to.
    ///
    /// # Errors
    /// One sentence that says what is wrong and where, or what to type.
    pub fn config(&self) -> Result<ServerConfig, StartError> {
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
        let mut config = config_with(&self.args, routes).map_err(|error| self.blame(error))?;
        let of_routes = self.routes.iter().flat_map(|route| private(&route.options.args));
        config.http.pages.private.extend(of_routes);
        Ok(config)
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
        self.settings.iter().any(|setting| is_target(&setting.key))
            || !file.top.program.is_empty() && self.args.program == file.top.program
    }

    /// Says where in the file it stands, if `error` is about something that stands there, or should.
    fn blame(&self, error: StartError) -> StartError {
        let StartError::Usage { options, text } = &error else { return error };
        let is_typed = |option: &&str| self.typed.iter().any(|typed| typed == option);
        match (line_of(options, &self.settings), &self.file) {
            (Some(line), _) => self.wrong(line, text),
            (None, Some(file)) if !options.iter().any(is_typed) => {
                StartError::Environment(format!("{}: {text}", file.name))
            }
            _ => error,
        }
    }

    fn blame_route(&self, route: &FileRoute, error: StartError) -> StartError {
        let line = match &error {
            StartError::Usage { options, .. } => {
                let of_key = |option: &&str| route.keys.iter().find(|(key, _)| key == option);
                let key = options.iter().find_map(of_key).map(|(_, line)| *line);
                line_of(options, &route.settings).or(key)
            }
            StartError::Environment(_) => None,
        };
        self.wrong(line.unwrap_or(route.line), &error.to_string())
    }

    fn wrong(&self, line: usize, why: &str) -> StartError {
        match &self.file {
            Some(file) => file.wrong(line, why),
            None => StartError::usage(why),
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
        if !table.settings.iter().any(|own| is_target(&own.key)) && table.program.is_empty() {
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
        let with_program = |settings: &[Setting]| {
            let words: Vec<_> = settings.iter().flat_map(Setting::words).collect();
            parse(&[words, table.program_words()].concat())
        };
        let args = with_program(&settings)?;
        // No route's own, but it says who may connect where a route does not.
        let args = Args { tls_client_ca: whole.tls_client_ca.clone(), ..args };
        let options = RouteOptions {
            path: table.path.clone(),
            host: table.host.clone(),
            by_subprotocol,
            args,
        };
        let (own, keys) = (with_program(&table.settings)?, table.keys.clone());
        Ok(FileRoute { options, settings, own, keys, line: table.line })
    }

    /// All of it, checked. What is said of all routes need not be of use to this one, but what it says
    /// itself does.
    fn check(&self) -> Result<RouteConfig, StartError> {
        let config = self.options.check()?;
        About::Programs.check(&self.own)?;
        About::Server.check(&self.own)?;
        About::TlsBackend.check(&self.own)?;
        if !About::LineEnds.is_there(&self.options.args) {
            let binary = self.options.args.binary;
            About::LineEnds.check(&Args { binary, ..self.own.clone() })?;
        }
        if !About::ClientName.is_there(&self.options.args) {
            About::ClientName.check(&self.own)?;
        }
        Ok(config)
    }
}

/// Whether what stands above the routes makes no sense beside what a route says itself.
fn gives_way(key: &str, table: &Table) -> bool {
    let says = |key: &str, value: &str| {
        let is_value = |given: &String| given.eq_ignore_ascii_case(value);
        table.settings.iter().any(|own| own.key == key && own.value.as_ref().is_some_and(is_value))
    };
    let is_binary = || table.settings.iter().any(|own| own.key == "binary");
    let about_lines = |own: &Setting| is_about_lines(&own.key);
    match key {
        "binary" => table.settings.iter().any(about_lines),
        // Without a word of its own it waits.
        "queue" => table.has("slow-client") && !says("slow-client", "drop"),
        // Without a word of its own it refuses by HTTP, or as is said above.
        "refusal" => table.has("refuse") && !says("refuse", "close"),
        key => (!is_for_bytes(key) || is_about_charset(key)) && is_binary(),
    }
}

fn parse(words: &[String]) -> Result<Args, StartError> {
    match parse::parse(words).map_err(StartError::usage)? {
        Typed::Run(args) => Ok(*args),
        Typed::Help { .. } | Typed::Version => unreachable!("a file has no --help"),
    }
}

/// The line of the first of these options that stands in the file.
fn line_of(options: &[&str], settings: &[Setting]) -> Option<usize> {
    let setting = |option: &&str| settings.iter().find(|one| one.key == *option);
    options.iter().find_map(setting).map(|setting| setting.line).filter(|line| *line > 0)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
