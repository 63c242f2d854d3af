//! Head: the first line of a recording, which says whose session it is. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The version of the format, in each head.
const VERSION: u64 = 1;

/// The size of a terminal that nobody has told us, as asciicast demands one.
const TERMINAL: (u64, u64) = (80, 24);

/// Whose session it is, and how it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Lines or bytes.
    pub kind: Kind,
    /// The charset of the backend, by the name of the WHATWG Encoding Standard.
    pub charset: String,
    /// When the session began.
    pub since: SystemTime,
    /// Facts about it: `id`, `client`, `path` …
    pub facts: Vec<(&'static str, Value)>,
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines, which end so as a rule: JSON lines.
    Lines {
        /// The end of line.
        eol: &'static str,
    },
    /// Bytes as they come, perhaps those of a terminal: asciicast v2.
    Bytes,
}

impl Kind {
    /// The extension of a file's name, without its dot.
    pub fn extension(&self) -> &'static str {
        match self {
            Kind::Lines { .. } => "jsonl",
            Kind::Bytes => "cast",
        }
    }
}

impl Head {
    /// The line, without its end.
    pub fn line(&self) -> String {
        let mut ours = vec![("wsrelay", json!(VERSION))];
        ours.extend(self.facts.iter().cloned());
        ours.push(("since", json!(utc(self.since))));
        ours.push(("charset", json!(self.charset)));
        match self.kind {
            Kind::Lines { eol } => ours.push(("eol", json!(eol))),
            Kind::Bytes => return self.asciicast(&object(&ours)),
        }
        object(&ours)
    }

    /// The head of an asciicast, with our facts under a key of its own, which players ignore.
    fn asciicast(&self, ours: &str) -> String {
        let fact = |key| self.facts.iter().find(|(known, _)| *known == key).map(|(_, value)| value);
        let (id, path) = (fact("id").and_then(Value::as_u64), fact("path").and_then(Value::as_str));
        let title = format!("session {} at {}", id.unwrap_or(0), path.unwrap_or("/"));
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let cast = object(&[
            ("version", json!(2)),
            ("width", json!(TERMINAL.0)),
            ("height", json!(TERMINAL.1)),
            ("timestamp", json!(since.as_secs())),
            ("title", json!(title)),
        ]);
        format!("{},\"wsrelay\":{ours}}}", &cast[..cast.len() - 1])
    }
}

/// An object in JSON, its keys in this order.
pub fn object(pairs: &[(&str, Value)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// A moment as RFC 3339 writes it, in UTC and with milliseconds: `2026-11-28T18:03:39.042Z`. Before 1970 it is 1970.
pub fn utc(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day since 1970. Counted in periods of 400 years that begin on 1 March, so that leap days come
/// last.
fn date(days: u64) -> (u64, u64, u64) {
    // From 1 March of the year 0 to 1 January 1970.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, millis, want) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.001Z"),
            (951_868_800, 0, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800, 0, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599, 0, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600, 0, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis);
            assert_eq!(utc(at), want);
        }
        assert_eq!(utc(UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn each_kind_has_its_head() {
        let facts = vec![("id", json!(7)), ("client", json!("[::1]:9")), ("path", json!("/a\"b"))];
        let head =
            |kind| Head { kind, charset: "UTF-8".into(), since: UNIX_EPOCH, facts: facts.clone() };
        let line = head(Kind::Lines { eol: "\r\n" }).line();
        let value: Value = serde_json::from_str(&line).unwrap();
        let want = json!({
            "wsrelay": 1, "id": 7, "client": "[::1]:9", "path": "/a\"b",
            "since": "1970-01-01T00:00:00.000Z", "charset": "UTF-8", "eol": "\r\n",
        });
        assert_eq!(value, want);
        let value: Value = serde_json::from_str(&head(Kind::Bytes).line()).unwrap();
        assert_eq!(value["version"], 2);
        assert_eq!((&value["width"], &value["height"]), (&json!(80), &json!(24)));
        assert_eq!(value["title"], "session 7 at /a\"b");
        assert_eq!(value["wsrelay"]["client"], "[::1]:9");
    }
}
