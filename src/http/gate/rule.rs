//! Rule: matches requests to a route by host, path and subprotocol. Pure.

use std::cmp::Reverse;
use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use super::host::HostPort;
use super::origin::Hosts;

/// The bytes that are encoded where a path is shown.
const NOT_SHOWN: &AsciiSet =
    &CONTROLS.add(b' ').add(b'%').add(b'*').add(b'/').add(b'?').add(b'#').add(b'"');

/// The requests that a route applies to. `None` matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Requests to this host, or to any host below this domain, on any port.
    pub host: Option<Hosts>,
    /// Requests at or below this path.
    pub path: Prefix,
    /// Requests that offer one of these.
    pub subprotocols: Option<Vec<String>>,
}

/// A path, whole segment by whole segment: `/chat` has `/chat/room` below it, but not `/chats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prefix(Vec<Vec<u8>>);

/// The result of matching a rule with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// No match.
    No,
    /// No match, but only because of the subprotocols.
    ButForSubprotocol,
    /// A match; the number of bytes of the request's raw path that the rule's path covers.
    Yes(usize),
}

impl Prefix {
    /// Reads `/chat` or `/`, percent-encoded or not.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("a path begins with /, {text:?} does not"));
        };
        if rest.contains(['?', '#']) {
            return Err("only the path counts, not what follows ? or #".into());
        }
        if rest.is_empty() {
            return Ok(Prefix::default());
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A * stands for all paths below elsewhere; here it would match nothing.
        if rest.split('/').any(|one| one == "*") {
            return Err("all below a path is meant anyway: leave out /* (or write %2A)".into());
        }
        let segments: Vec<Vec<u8>> =
            rest.split('/').map(|one| percent_decode_str(one).collect()).collect();
        match segments.iter().find(|one| matches!(&one[..], b"" | b"." | b"..")) {
            None => Ok(Prefix(segments)),
            Some(_) => Err("it has an empty segment, or one of dots alone".into()),
        }
    }

    /// The number of bytes of a raw path that it covers, if that is at or below it.
    ///
    /// Empty segments are skipped, as they are where files and programs are looked for: `//admin` must not lead past
    /// the route that guards `/admin`.
    pub fn covers(&self, raw: &str) -> Option<usize> {
        let mut covered = 0;
        for segment in &self.0 {
            let rest = raw[covered..].strip_prefix('/')?.trim_start_matches('/');
            let theirs = rest.split('/').next().unwrap_or_default();
            if !percent_decode_str(theirs).eq(segment.iter().copied()) {
                return None;
            }
            covered = raw.len() - rest.len() + theirs.len();
        }
        Some(covered)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(f, "/{}", percent_encode(segment, NOT_SHOWN)))
    }
}

impl Rule {
    /// Matches a request by its host, raw path and offered subprotocols.
    pub fn fit(&self, host: Option<&HostPort>, path: &str, offers: &[String]) -> Fit {
        let Some(covered) = self.path.covers(path) else { return Fit::No };
        let at = |hosts: &Hosts| host.is_some_and(|at| hosts.contains(&at.host));
        if !self.host.as_ref().is_none_or(at) {
            return Fit::No;
        }
        match &self.subprotocols {
            Some(ours) if !ours.iter().any(|name| offers.contains(name)) => Fit::ButForSubprotocol,
            _ => Fit::Yes(covered),
        }
    }

    /// The sort key of a rule: of several that match, the one with the least key is chosen. The host comes first, as with
    /// other servers, then the longest path, then the subprotocol.
    pub fn precedence(&self) -> impl Ord + use<> {
        let host = match &self.host {
            None => (0, 0),
            Some(Hosts::Below(domain)) => (1, domain.len()),
            Some(Hosts::Exactly(_)) => (2, 0),
        };
        Reverse((host, self.path.0.len(), self.subprotocols.is_some()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}")?;
        }
        write!(f, "{}", self.path)?;
        match &self.subprotocols {
            Some(names) => write!(f, " for subprotocol {}", names.join(", ")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(host: &str, path: &str, subprotocols: &[&str]) -> Rule {
        Rule {
            host: (!host.is_empty()).then(|| Hosts::parse(host).unwrap()),
            path: Prefix::parse(path).unwrap(),
            subprotocols: (!subprotocols.is_empty())
                .then(|| subprotocols.iter().map(ToString::to_string).collect()),
        }
    }

    fn fit(rule: &Rule, host: &str, path: &str, offers: &[&str]) -> Fit {
        let offers: Vec<_> = offers.iter().map(ToString::to_string).collect();
        rule.fit(HostPort::parse(host).as_ref(), path, &offers)
    }

    #[test]
    fn paths_fit_by_whole_segments() {
        for (prefix, path, want) in [
            ("/", "/", Some(0)),
            ("/", "/chat", Some(0)),
            ("/", "*", Some(0)),
            ("/chat", "/chat", Some(5)),
            ("/chat/", "/chat", Some(5)),
            ("/chat", "/chat/", Some(5)),
            ("/chat", "/chat/room/1", Some(5)),
            ("/chat/room", "/chat/room/1", Some(10)),
            ("/chat", "/ch%61t/1", Some(7)),
            ("/ch%61t", "/chat", Some(5)),
            ("/a%2Fb", "/a%2fb", Some(6)),
            ("/chat", "//chat", Some(6)),
            ("/chat/room", "///chat//room//1", Some(13)),
            ("/é", "/%C3%A9", Some(7)),
            ("/a%2Fb", "/a/b", None),
            ("/a/b", "/a%2fb", None),
            ("/chat", "/chats", None),
            ("/chat", "/cha", None),
            ("/chat", "/Chat", None),
            ("/chat", "/x/../chat", None),
            ("/chat", "/", None),
            ("/chat", "*", None),
            ("/chat", "//", None),
            ("/chat", "//chats", None),
            ("/chat", "chat", None),
        ] {
            let want = want.map_or(Fit::No, Fit::Yes);
            assert_eq!(fit(&rule("", prefix, &[]), "", path, &[]), want, "{prefix} {path}");
        }
    }

    #[test]
    fn hosts_and_subprotocols() {
        let exact = rule("Example.org", "/", &[]);
        let below = rule("*.example.org", "/", &[]);
        for (host, is_exact, is_below) in [
            ("example.org", true, false),
            ("EXAMPLE.ORG:8082", true, false),
            ("example.org.", true, false),
            ("a.example.org", false, true),
            ("a.b.example.org:1", false, true),
            ("evilexample.org", false, false),
            ("example.org.evil.com", false, false),
            ("", false, false),
            ("not a host", false, false),
        ] {
            assert_eq!(fit(&exact, host, "/", &[]) == Fit::Yes(0), is_exact, "{host}");
            assert_eq!(fit(&below, host, "/", &[]) == Fit::Yes(0), is_below, "{host}");
        }
        let irc = rule("", "/", &["irc", "text.irc"]);
        assert_eq!(fit(&irc, "", "/", &["chat", "irc"]), Fit::Yes(0));
        for offers in [&[][..], &["IRC"], &["chat"]] {
            assert_eq!(fit(&irc, "", "/", offers), Fit::ButForSubprotocol, "{offers:?}");
        }
        assert_eq!(fit(&rule("", "/x", &["irc"]), "", "/", &[]), Fit::No);
    }

    #[test]
    fn the_most_particular_comes_first() {
        let sorted = [
            rule("a.example.org", "/", &["irc"]),
            rule("a.example.org", "/", &[]),
            rule("*.b.example.org", "/", &[]),
            rule("*.example.org", "/chat", &[]),
            rule("*.example.org", "/", &[]),
            rule("", "/chat/room", &[]),
            rule("", "/chat", &["irc"]),
            rule("", "/chat", &[]),
            rule("", "/", &["irc"]),
            rule("", "/", &[]),
        ];
        let mut rules = sorted.to_vec();
        rules.reverse();
        rules.sort_by_key(Rule::precedence);
        assert_eq!(rules, sorted);
    }

    #[test]
    fn what_is_no_path() {
        for (text, want) in [
            ("", "begins with /"),
            ("chat", "begins with /"),
            ("/a?b", "what follows ?"),
            ("/a#b", "what follows ?"),
            ("/a//b", "an empty segment"),
            ("//", "an empty segment"),
            ("/a/../b", "of dots alone"),
            ("/%2e", "of dots alone"),
            ("/a/*", "all below a path is meant anyway"),
        ] {
            let got = Prefix::parse(text).map_err(|why| why.to_string());
            match got {
                Err(why) => assert!(why.contains(want), "{text}: {why}"),
                Ok(read) => panic!("{text}: {read}"),
            }
        }
        assert_eq!(Prefix::parse("/%2a").map(|read| read.to_string()), Ok("/%2A".into()));
    }

    proptest! {
        /// What is shown is read the same, and a path is at its own prefix, all of it.
        #[test]
        fn what_is_shown_is_read_the_same(
            segments in proptest::collection::vec("[^/]{1,5}", 0..4)
        ) {
            let prefix = Prefix(segments.iter().map(|one| one.as_bytes().to_vec()).collect());
            let dots = segments.iter().any(|one| one == "." || one == "..");
            prop_assume!(!dots);
            let shown = prefix.to_string();
            prop_assert_eq!(Prefix::parse(&shown), Ok(prefix.clone()));
            let whole = if segments.is_empty() { 0 } else { shown.len() };
            prop_assert_eq!(prefix.covers(&shown), Some(whole));
            prop_assert_eq!(prefix.covers(&format!("{shown}/more")), Some(whole));
        }
    }
}
