//! Origins: which web pages may open a WebSocket here (RFC 6455, section 10.2; RFC 6454). Pure.
//!
//! This protects users of browsers only: other programs can send any Origin.

use std::fmt;

use hyper::header::{self, HeaderMap};

use super::forwarded::Arrival;
use super::host::{HostPort, default_port};

/// Bytes of an Origin that a refusal repeats.
const LONGEST_SHOWN: usize = 100;

/// The origins that may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginRules {
    /// The allowed origins.
    pub allowed: Vec<Entry>,
    /// Whether pages of the requested host itself may connect.
    pub same_origin: bool,
    /// Whether requests without an Origin, as programs other than browsers send, are refused.
    pub required: bool,
}

/// One entry of the allowed origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `*`: every origin.
    Any,
    /// `null`: pages without an origin of their own, such as files and sandboxed frames.
    Null,
    /// Pages of this scheme that have no host, or a name that could be none, in the form of
    /// `Origin::Local`.
    Local(String),
    /// Pages of these hosts.
    Pages {
        /// In lower case; none: of any scheme.
        scheme: Option<String>,
        /// In the form of [`HostPort`].
        host: Hosts,
        /// The ports that match.
        port: Ports,
    },
}

/// The hosts of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hosts {
    /// This one.
    Exactly(String),
    /// All below this domain, however deep; not the domain itself.
    Below(String),
}

/// The ports of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The default port of the page's scheme.
    Default,
    /// This one.
    Exactly(u16),
    /// Any.
    Any,
}

/// The origin of a page, as a browser sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Null,
    /// That of a page which comes with an app: `file://`, `app://.`; the scheme in lower case.
    Local(String),
    Page {
        scheme: String,
        at: HostPort,
    },
}

impl Entry {
    /// Reads `https://example.org`, `https://*.example.org`, `http://localhost:*`, `example.org`, `file://`,
    /// `null` or `*`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "*" => return Ok(Entry::Any),
            "null" => return Ok(Entry::Null),
            _ => {}
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme.to_ascii_lowercase()), rest),
            Some((scheme, _)) => return Err(format!("{scheme:?} is no scheme such as https")),
            None => (None, text),
        };
        if let Some(local) = scheme.as_deref().and_then(|scheme| local(scheme, rest)) {
            return Ok(Entry::Local(local));
        }
        let (rest, any_port) = rest.strip_suffix(":*").map_or((rest, false), |rest| (rest, true));
        let (rest, below) = rest.strip_prefix("*.").map_or((rest, false), |rest| (rest, true));
        let at = HostPort::parse(rest).ok_or_else(|| match rest {
            _ if rest.contains('*') => "* stands for any origin, before a dot for all subdomains, \
                                        and after the colon for any port"
                .to_owned(),
            _ if rest.contains('/') => "an origin has no path, not even a last /".to_owned(),
            _ if !rest.is_ascii() => format!("{rest:?} must be in punycode (xn--…)"),
            _ => format!("{rest:?} is not a host, with or without a port"),
        })?;
        let port = match at.port {
            Some(_) if any_port => return Err("it has two ports".into()),
            Some(port) => Ports::Exactly(port),
            None if any_port => Ports::Any,
            None => Ports::Default,
        };
        let host = if below { Hosts::Below(at.host) } else { Hosts::Exactly(at.host) };
        Ok(Entry::Pages { scheme, host, port })
    }

    fn allows(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (Entry::Any, _) | (Entry::Null, Origin::Null) => true,
            (Entry::Local(ours), Origin::Local(theirs)) => ours == theirs,
            (Entry::Pages { scheme, host, port }, Origin::Page { scheme: theirs, at }) => {
                scheme.as_ref().is_none_or(|scheme| scheme == theirs)
                    && host.contains(&at.host)
                    && port.contains(at.port, theirs)
            }
            _ => false,
        }
    }
}

impl Hosts {
    /// Reads `example.org` or `*.example.org`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |rest| (rest, true));
        match HostPort::parse(name) {
            Some(HostPort { host, port: None }) if below => Ok(Hosts::Below(host)),
            Some(HostPort { host, port: None }) => Ok(Hosts::Exactly(host)),
            Some(_) => Err("any port will do: leave it out".into()),
            None => Err(format!("{name:?} is not a host")),
        }
    }

    /// Whether this host, in the form of [`HostPort`], is one of them.
    pub fn contains(&self, host: &str) -> bool {
        match self {
            Hosts::Exactly(name) => name == host,
            // The dot is part of it: evilexample.org is not below example.org.
            Hosts::Below(domain) => host
                .strip_suffix(domain.as_str())
                .and_then(|below| below.strip_suffix('.'))
                .is_some_and(|below| !below.is_empty()),
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hosts::Exactly(host) => f.write_str(host),
            Hosts::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl Ports {
    fn contains(self, port: Option<u16>, scheme: &str) -> bool {
        let usual = default_port(scheme);
        match self {
            Ports::Any => true,
            Ports::Default => port.is_none() || port == usual,
            Ports::Exactly(ours) => port.or(usual) == Some(ours),
        }
    }
}

impl Origin {
    /// Reads the value of an Origin header (RFC 6454, section 7.1), of which browsers send one.
    fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Origin::Null);
        }
        let (scheme, at) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme))?;
        let scheme = scheme.to_ascii_lowercase();
        if let Some(local) = local(&scheme, at) {
            return Some(Origin::Local(local));
        }
        Some(Origin::Page { scheme, at: HostPort::parse(at)? })
    }

    /// Whether it is the requested host itself, so that the page was served from there.
    fn is_of(&self, arrival: &Arrival) -> bool {
        let (Origin::Page { scheme, at }, Some(host)) = (self, &arrival.host) else { return false };
        // A page that came without TLS may have been altered on its way, whatever its port.
        let is_forged = arrival.secure && scheme == "http";
        let here = host.port_or_default(arrival.scheme());
        !is_forged && host.host == at.host && here.is_some() && here == at.port_or_default(scheme)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Null => f.write_str("null"),
            Origin::Local(text) => f.write_str(text),
            Origin::Page { scheme, at } => write!(f, "{scheme}://{at}"),
        }
    }
}

impl OriginRules {
    /// Decides whether a request with these headers may connect.
    ///
    /// # Errors
    /// One sentence with the refused origin, and the option that would allow it.
    pub fn check(&self, headers: &HeaderMap, arrival: &Arrival) -> Result<(), String> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) if self.required => {
                return Err("a request without an Origin is not allowed here: connect from a web \
                            page, or leave out --origin-required"
                    .into());
            }
            (None, _) => return Ok(()),
            _ if self.is_open() => return Ok(()),
            (Some(_), Some(_)) => return Err("the request has more than one Origin".into()),
            (Some(origin), None) => origin.as_bytes().trim_ascii(),
        };
        let Some(parsed) = std::str::from_utf8(origin).ok().and_then(Origin::parse) else {
            let shown = &origin[..origin.len().min(LONGEST_SHOWN)];
            return Err(format!("\"{}\" is not an origin", shown.escape_ascii()));
        };
        if self.allowed.iter().any(|entry| entry.allows(&parsed))
            || self.same_origin && parsed.is_of(arrival)
        {
            return Ok(());
        }
        Err(self.refusal(&parsed, arrival))
    }

    /// Whether every origin is allowed.
    fn is_open(&self) -> bool {
        self.allowed.contains(&Entry::Any) || self.allowed.is_empty() && !self.same_origin
    }

    fn refusal(&self, origin: &Origin, arrival: &Arrival) -> String {
        let add = format!("origin {origin} is not allowed here: add --origin {origin}");
        let Some(host) = arrival.host.as_ref().filter(|_| self.same_origin) else { return add };
        match origin {
            // The page is of the same host, and we see the scheme of the proxy's own request.
            Origin::Page { scheme, at }
                if at.host == host.host && scheme == "https" && !arrival.secure =>
            {
                format!(
                    "{add}, or --trust-proxy with the address of the proxy that ends TLS and says \
                     X-Forwarded-Proto"
                )
            }
            _ => format!("{add} (this is {}://{host})", arrival.scheme()),
        }
    }
}

/// The origin of pages that no host serves, where that is what a scheme and what follows `://` are:
/// `file://` (Cordova, Electron, microcontrollers), `app://.` (Electron).
fn local(scheme: &str, rest: &str) -> Option<String> {
    let is_local = default_port(scheme).is_none() && (rest.is_empty() || rest == ".");
    is_local.then(|| format!("{scheme}://{rest}"))
}

/// Whether a text is the name of a scheme (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests;
