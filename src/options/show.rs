//! Show: a configuration as a file that says all of it, defaults included.

use super::args::Args;
use super::load::Options;
use super::route::RouteOptions;
use super::table::{Kind, Row, Scope, TABLE, Unset};
use crate::error::StartError;
use crate::server::ServerConfig;

impl Options {
    /// All that holds, as a file for `--config`.
    ///
    /// # Errors
    /// As of [`config`](Options::config).
    pub fn to_toml(&self) -> Result<String, StartError> {
        let config = self.config()?;
        self.log_config()?;
        let args = &self.args;
        // Routes are shown as tables.
        let shown = TABLE.iter().filter(|row| row.scope != Scope::Typed && row.key != "route");
        let line = |row: &Row| Some(format!("{} = {}\n", row.key, value(row, args, &config)?));
        let mut toml: String = shown.filter_map(line).collect();
        let typed = args.route.iter().map(|text| RouteOptions::typed(text, args));
        let routes = typed.chain(self.routes().cloned().map(Ok)).collect::<Result<Vec<_>, _>>()?;
        let default = RouteOptions::default_of(args);
        let mut rules: Vec<_> = default.iter().map(RouteOptions::rule).collect::<Result<_, _>>()?;
        for route in &routes {
            // What was typed takes the place of what stands in the file.
            let rule = route.rule()?;
            if !rules.contains(&rule) {
                rules.push(rule);
                toml += &of_route(route, args, &config);
            }
        }
        Ok(toml)
    }
}

/// A route, with what holds there and not elsewhere.
fn of_route(route: &RouteOptions, whole: &Args, config: &ServerConfig) -> String {
    let keys = [("path", &route.path), ("host", &route.host)];
    let keys = keys.iter().filter_map(|(key, given)| Some((*key, quoted(given.as_deref()?))));
    let of_row = |row: &Row| {
        let own = value(row, &route.args, config);
        let common = value(row, whole, config);
        match own {
            _ if row.scope == Scope::OwnOfRoute => given(row, &route.args),
            own if own != common => {
                // What all others have, and this one has not, if it could have it.
                own.or_else(|| row.about.is_there(&route.args).then(|| "false".to_owned()))
            }
            own => own.filter(|_| row.key == "subprotocol" && route.by_subprotocol),
        }
    };
    let rows = TABLE.iter().filter(|row| row.is_of_routes());
    let rows = rows.filter_map(|row| Some((row.key, of_row(row)?)));
    let lines = keys.chain(rows).map(|(key, value)| format!("{key} = {value}\n"));
    format!("\n[[route]]\n{}", lines.collect::<String>())
}

/// The value of an option as TOML has it; `None` if it has none.
fn value(row: &Row, args: &Args, config: &ServerConfig) -> Option<String> {
    match row.default {
        Unset::Computed(_, value) => Some(value(args, config)),
        Unset::Value(value) if row.about.is_there(args) => {
            given(row, args).or_else(|| Some(written(row, value)))
        }
        _ if row.kind() == Kind::Switch => Some((!args.given(row.key).is_empty()).to_string()),
        _ => given(row, args),
    }
}

/// The same of one that is given.
fn given(row: &Row, args: &Args) -> Option<String> {
    let values = args.given(row.key);
    match row.kind() {
        _ if values.is_empty() => None,
        Kind::Words | Kind::Repeatable => {
            Some(format!("[{}]", values.into_iter().map(quoted).collect::<Vec<_>>().join(", ")))
        }
        _ => Some(written(row, values[0])),
    }
}

/// One value of an option as TOML has it.
pub(super) fn written(row: &Row, value: &str) -> String {
    let is_number = row.is_number() && value.parse().is_ok_and(|n: u32| n.to_string() == value);
    if is_number { value.to_owned() } else { quoted(value) }
}

/// One of TOML's basic strings. What a terminal would not show, or would obey, is escaped too, in the
/// one way that TOML has for all of it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\'' => out.push(c),
            c if c.escape_debug().len() > 1 => out += &format!("\\U{:08X}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
