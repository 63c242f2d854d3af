//! Subprotocol: which subprotocols a route keeps, and the settings of the sessions that each brings, checked.

use std::sync::Arc;

use super::args::Args;
use super::session::line_rules;
use super::values::{names, usage};
use crate::error::StartError;
use crate::framing::{Framing, LineRules, Promise, RawRules, Subprotocol, TelnetRules};
use crate::http::Subprotocols;
use crate::http::handshake::is_token;
use crate::session::SessionConfig;

/// A subprotocol of `--subprotocol`: `NAME`, or `NAME=FRAMING`, which is how a file's `[[subprotocol]]` is kept.
struct Named<'a> {
    name: &'a str,
    framing: Option<Promise>,
}

/// What may be said of a name's framing.
const FRAMINGS: &[(&str, Promise)] = &[
    ("text", Promise::Text),
    ("binary-lines", Promise::BinaryLines),
    ("raw", Promise::Raw),
    ("terminal", Promise::Terminal),
    ("gmcp", Promise::Gmcp),
];

/// The names of `--subprotocol`, if it was given.
///
/// # Errors
/// [`StartError::Usage`].
pub fn subprotocol_names(args: &Args) -> Result<Option<Vec<String>>, StartError> {
    let bare = |one: &String| one.split('=').next().unwrap_or_default().to_owned();
    Ok(listed(args)?.map(|list| list.iter().map(bare).collect()))
}

/// The list of `--subprotocol`, if it was given: names, each with its framing if that is said.
fn listed(args: &Args) -> Result<Option<Vec<String>>, StartError> {
    let Some(list) = &args.subprotocol else { return Ok(None) };
    let why = "can't be a subprotocol's name (letters, digits and !#$%&'*+-.^_`|~)";
    let is_name = |one: &str| is_token(one.split_once('=').map_or(one, |(name, _)| name));
    names("subprotocol", list, is_name, why, "chat or --subprotocol a,b").map(Some)
}

/// The subprotocols of a route; `own` are the settings of sessions as its options say.
///
/// # Errors
/// [`StartError::Usage`].
pub fn subprotocols(args: &Args, own: &Arc<SessionConfig>) -> Result<Subprotocols, StartError> {
    let Some(list) = listed(args)? else {
        let known = Subprotocol::all().map(|known| {
            let name = Named { name: known.name, framing: None };
            Ok((known.name.to_owned(), session(args, own, &name, false)?))
        });
        return Ok(Subprotocols::new(known.collect::<Result<_, StartError>>()?, true));
    };
    let named: Vec<_> = list.iter().map(|one| Named::parse(one)).collect::<Result<_, _>>()?;
    let known = named
        .iter()
        .map(|one| Ok((one.name.to_owned(), session(args, own, one, true)?)))
        .collect::<Result<Vec<_>, StartError>>()?;
    if known.iter().all(|(_, session)| session.is_none()) {
        // There is one name at least.
        let (name, why) = (named[0].name, needed(named[0].promise().unwrap_or(Promise::Text)));
        return usage(["subprotocol", "binary"], format!("--subprotocol {name}: {why}"));
    }
    Ok(Subprotocols::new(known, false))
}

impl<'a> Named<'a> {
    fn parse(text: &'a str) -> Result<Self, StartError> {
        let Some((name, framing)) = text.split_once('=') else {
            return Ok(Named { name: text, framing: None });
        };
        let Some((_, framing)) = FRAMINGS.iter().find(|(word, _)| *word == framing) else {
            let words: Vec<_> = FRAMINGS.iter().map(|(word, _)| *word).collect();
            let words = words.join(", ");
            let text =
                format!("subprotocol {name}: {framing:?} is no framing: write one of {words}");
            return usage(["subprotocol"], text);
        };
        match Subprotocol::find(name) {
            Some(known) if known.promise != *framing => usage(
                ["subprotocol"],
                format!("subprotocol {name}: its name says what it means: leave its framing out"),
            ),
            _ => Ok(Named { name, framing: Some(*framing) }),
        }
    }

    /// What it promises; `None`: what the route's options say.
    fn promise(&self) -> Option<Promise> {
        self.framing.or_else(|| Subprotocol::find(self.name).map(|known| known.promise))
    }
}

/// The settings of the sessions of a subprotocol; `None` if the route can't keep what it promises.
fn session(
    args: &Args,
    own: &Arc<SessionConfig>,
    named: &Named<'_>,
    is_named: bool,
) -> Result<Option<Arc<SessionConfig>>, StartError> {
    let Some(promise) = named.promise() else { return Ok(Some(own.clone())) };
    if !keeps(args, promise, is_named) {
        return Ok(None);
    }
    let known = Subprotocol::find(named.name);
    let mut session = SessionConfig::clone(own);
    let lines = |session: &mut SessionConfig| {
        let mut rules = line_rules(args, session.max_line)?;
        if let Some(known) = known {
            rules.max_line = rules.max_line.max(known.least_line);
            rules.keep_eol &= !known.drops_eol;
        }
        session.max_line = rules.max_line;
        Ok(rules)
    };
    session.framing = match promise {
        Promise::Text => Framing::Lines(lines(&mut session)?),
        Promise::BinaryLines => Framing::BinaryLines(lines(&mut session)?),
        Promise::Raw => {
            // Telnet commands and all.
            session.telnet = None;
            Framing::Raw(RawRules { max_message: session.max_line, charset: None })
        }
        Promise::Terminal | Promise::Gmcp => {
            let is_mud = promise == Promise::Gmcp;
            session.telnet =
                session.telnet.map(|rules| TelnetRules { is_terminal: true, is_mud, ..rules });
            Framing::Terminal(LineRules { keep_eol: true, ..lines(&mut session)? })
        }
        Promise::Base64 => return Ok(None),
    };
    Ok(Some(Arc::new(session)))
}

/// Whether a route with these options can keep a promise.
fn keeps(args: &Args, promise: Promise, is_named: bool) -> bool {
    match promise {
        Promise::Text | Promise::BinaryLines => !args.binary,
        Promise::Raw => args.binary || is_named,
        Promise::Terminal | Promise::Gmcp => args.telnet && !args.binary,
        Promise::Base64 => false,
    }
}

/// What to say of a name that no session of a route can keep.
fn needed(promise: Promise) -> &'static str {
    match promise {
        Promise::Text | Promise::BinaryLines | Promise::Raw => {
            "it is about lines, and --binary relays none: drop one"
        }
        Promise::Terminal | Promise::Gmcp => "it is for telnet servers: add --telnet, or drop it",
        Promise::Base64 => "it is for clients without binary messages: type --subprotocol binary",
    }
}

#[cfg(test)]
#[path = "subprotocol_tests.rs"]
mod tests;
