//! Subprotocols: which of a client's offers a route chooses, and the settings of the session that it brings. Pure.

use std::sync::Arc;

use crate::session::SessionConfig;

/// The subprotocols of a route.
#[derive(Clone, Debug)]
pub struct Subprotocols {
    /// Those that are known by name, with the settings of their sessions; `None`: the route can't keep what the name
    /// promises.
    known: Vec<(String, Option<Arc<SessionConfig>>)>,
    /// Whether names that are not known may be chosen. Their sessions are as the route's options say.
    takes_others: bool,
}

/// What an offer came to.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The subprotocol to answer with, if any.
    pub name: Option<&'a str>,
    /// The settings of the session.
    pub session: &'a Arc<SessionConfig>,
}

impl Subprotocols {
    /// Those with these names, and with `takes_others` all that are not among them.
    pub fn new(known: Vec<(String, Option<Arc<SessionConfig>>)>, takes_others: bool) -> Self {
        Subprotocols { known, takes_others }
    }

    /// Chooses the first of a client's `offers` that the route can keep: the client's order decides. `own` are the
    /// settings of sessions as the route's options say.
    pub fn choose<'a>(&'a self, offers: &'a [String], own: &'a Arc<SessionConfig>) -> Choice<'a> {
        let keep = |offer: &'a String| {
            let session = match self.known.iter().find(|(name, _)| name == offer) {
                Some((_, session)) => session.as_ref()?,
                None if self.takes_others => own,
                None => return None,
            };
            Some(Choice { name: Some(offer), session })
        };
        offers.iter().find_map(keep).unwrap_or(Choice { name: None, session: own })
    }

    /// The names that can be chosen, if it is not any.
    #[cfg(test)]
    pub fn names(&self) -> Option<Vec<&str>> {
        let kept = self.known.iter().filter(|(_, session)| session.is_some());
        (!self.takes_others).then(|| kept.map(|(name, _)| &**name).collect())
    }
}
