//! Tap: hears what passes between a session and its backend, for its recording.

use std::time::{Instant, SystemTime};

use serde_json::json;

use super::entry::{By, Speaker};
use super::head::{Head, Kind};
use super::recorder::{Recorded, Recorder};
use crate::clock;
use crate::framing::{Framing, Mark, Payload, Stage};
use crate::net::address::PeerAddr;
use crate::registry::Card;

/// A stage that changes nothing: what the session's own stage leaves of the backend's bytes is recorded, and what the
/// session says before that stage changes it.
#[derive(Debug)]
struct Tap {
    recorded: Recorded,
    since: Instant,
    /// Who ended the session, and when.
    ended: Option<(u64, By)>,
    inner: Option<Box<dyn Stage>>,
}

/// Records a session of this framing from now on; the stage takes the place of `inner`. The session's facts are on its
/// card.
pub fn record(
    recorder: &Recorder,
    card: &Card,
    framing: &Framing,
    inner: Option<Box<dyn Stage>>,
) -> Box<dyn Stage> {
    let since = card.session().map_or_else(clock::now, |session| session.since);
    let recorded = recorder.begin(card.id, head(card, framing, since));
    Box::new(Tap { recorded, since, ended: None, inner })
}

/// The head of a session's recording.
fn head(card: &Card, framing: &Framing, since: Instant) -> Head {
    let mut facts =
        vec![("id", json!(card.id)), ("client", json!(PeerAddr::from(card.client).to_string()))];
    if let Some(session) = card.session() {
        let mut add =
            |key, value: Option<String>| facts.extend(value.map(|value| (key, json!(value))));
        add("forwarded_for", session.forwarded_for.map(|ip| ip.to_string()));
        add("user", session.user.as_deref().map(str::to_owned));
        add("route", Some(session.route.to_string()));
        add("path", Some(session.path.to_string()));
        add("backend", Some(session.backend.to_string()));
        add("subprotocol", session.subprotocol.as_deref().map(str::to_owned));
    }
    let (kind, charset) = match framing {
        Framing::Lines(rules) | Framing::BinaryLines(rules) => {
            (Kind::Lines { eol: rules.eol.as_str() }, rules.charset.name())
        }
        Framing::Terminal(rules) => (Kind::Bytes, rules.charset.name()),
        Framing::Raw(rules) => (Kind::Bytes, rules.charset.unwrap_or_default().name()),
    };
    let since = SystemTime::now() - since.elapsed();
    Head { kind, charset: charset.to_owned(), since, facts }
}

impl Tap {
    fn at(&self) -> u64 {
        clock::now().saturating_duration_since(self.since).as_millis() as u64
    }

    fn note(&mut self, speaker: Speaker, bytes: &[u8]) {
        if !bytes.is_empty() && self.recorded.is_wanted() {
            self.recorded.say(self.at(), speaker, bytes);
        }
    }
}

impl Stage for Tap {
    fn down(
        &mut self,
        bytes: &[u8],
        rest: &mut Vec<u8>,
        marks: &mut Vec<Mark>,
        answer: &mut Vec<u8>,
    ) {
        let before = rest.len();
        match &mut self.inner {
            Some(inner) => inner.down(bytes, rest, marks, answer),
            None => rest.extend_from_slice(bytes),
        }
        self.note(Speaker::Backend, &rest[before..]);
    }

    fn up(&mut self, out: &mut Vec<u8>, start: usize) {
        self.note(Speaker::Client, &out[start..]);
        if let Some(inner) = &mut self.inner {
            inner.up(out, start);
        }
    }

    fn takes_messages(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.takes_messages())
    }

    fn take(&mut self, message: Payload<'_>, out: &mut Vec<u8>) -> bool {
        self.inner.as_mut().is_some_and(|inner| inner.take(message, out))
    }

    fn deadline(&self) -> Option<Instant> {
        self.inner.as_ref().and_then(|inner| inner.deadline())
    }

    fn due(&mut self, answer: &mut Vec<u8>) {
        self.inner.iter_mut().for_each(|inner| inner.due(answer));
    }

    fn dropped(&self) -> u64 {
        self.inner.as_ref().map_or(0, |inner| inner.dropped())
    }

    fn answers(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.answers())
    }

    fn ended(&mut self, by: &str) {
        self.ended = Some((self.at(), By::parse(by).unwrap_or(By::Relay)));
        if let Some(inner) = &mut self.inner {
            inner.ended(by);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let (at, by) = match self.ended {
            // Nothing is said to a client behind this, but lines may still wait for the backend.
            Some((at, By::Backend)) => (at, By::Backend),
            Some((_, by)) => (self.at(), by),
            None => (self.at(), By::Relay),
        };
        self.recorded.end(at, by);
    }
}
