//! Greeting: the lines by which a backend learns of its client: those that a session begins with, and those that it ends
//! with.

use super::reason::CloseReason;
use crate::backend::{ClientFacts, Fact, Template};
use crate::framing::{Encoder, Framing, LineRules, Payload};

/// The lines of a route's own.
#[derive(Clone, Debug)]
pub struct GreetingConfig {
    /// For the backend, before anything that the client says.
    pub hello: Vec<Template>,
    /// For the backend, when the client has left.
    pub goodbye: Vec<Template>,
    /// For the client, in place of a session.
    pub refusal: Option<Template>,
    /// How a line becomes bytes, whatever the framing of the session is.
    pub rules: LineRules,
}

/// The lines of one session.
#[derive(Debug, Default)]
pub struct Greeting {
    /// What the backend gets first, in its charset.
    pub hello: Vec<u8>,
    /// What it gets last.
    pub goodbye: Option<Box<Goodbye>>,
}

/// The last lines, in which the reason is not known yet.
#[derive(Debug)]
pub struct Goodbye {
    lines: Vec<Template>,
    rules: LineRules,
}

impl GreetingConfig {
    /// The lines about this client.
    pub fn of(&self, client: &ClientFacts<'_>) -> Greeting {
        let lines = |templates: &[Template]| -> Vec<_> {
            templates.iter().map(|template| template.fill(client)).collect()
        };
        let goodbye = Goodbye { lines: lines(&self.goodbye), rules: self.rules.clone() };
        Greeting {
            hello: written(&lines(&self.hello), &self.rules, ""),
            goodbye: (!self.goodbye.is_empty()).then(|| Box::new(goodbye)),
        }
    }

    /// The line for a client that is refused for this reason, as its backend would say it; nothing if there is none.
    pub fn refusal(&self, client: &ClientFacts<'_>, reason: &str) -> Vec<u8> {
        let lines: Vec<_> = self.refusal.iter().map(|template| template.fill(client)).collect();
        written(&lines, &self.rules, reason)
    }

    /// Whether a line has this fact in it.
    pub fn names(&self, fact: &Fact) -> bool {
        let mut all = self.hello.iter().chain(&self.goodbye).chain(&self.refusal);
        all.any(|template| template.names(fact))
    }
}

impl Goodbye {
    /// The lines of a session that ended for this reason.
    pub fn lines(&self, reason: &CloseReason) -> Vec<u8> {
        written(&self.lines, &self.rules, &reason.text())
    }
}

/// Lines as the backend gets them.
fn written(lines: &[Template], rules: &LineRules, reason: &str) -> Vec<u8> {
    // They are the operator's, whatever a client may send.
    let rules = LineRules { max_line: usize::MAX, ..rules.clone() };
    let mut encoder: Encoder = Framing::Lines(rules).encoder();
    let mut bytes = Vec::new();
    for line in lines {
        let line = line.line(reason);
        encoder.encode(Payload::Text(&line), &mut bytes).expect("a line, of any length");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Charset, Eol, Newlines};
    use http::Request;

    fn config(hello: &[&str], goodbye: &[&str], eol: Eol, charset: &str) -> GreetingConfig {
        let read = |lines: &[&str]| -> Vec<_> {
            lines.iter().map(|line| Template::parse(line).unwrap()).collect()
        };
        let rules = LineRules {
            eol,
            keep_eol: false,
            newlines: Newlines::Reject,
            charset: Charset::for_label(charset).unwrap(),
            fallback: None,
            max_line: 4,
        };
        GreetingConfig { hello: read(hello), goodbye: read(goodbye), refusal: None, rules }
    }

    #[test]
    fn lines_are_those_of_the_backend() {
        let request = Request::get("/?n=%C3%A9%20%F0%9F%90%88").body(()).unwrap();
        let client = ClientFacts { user: Some("ada"), ..ClientFacts::of(&request) };
        for (eol, charset, hello, goodbye) in [
            (Eol::Lf, "utf-8", &b"I \xc3\xa9_\xf0\x9f\x90\x88\nB\n"[..], &b"BYE ada idle\n"[..]),
            (Eol::CrLf, "windows-1252", b"I \xe9_?\r\nB\r\n", b"BYE ada idle\r\n"),
        ] {
            let config = config(&["I {query:n}", "B"], &["BYE {user} {reason}"], eol, charset);
            let greeting = config.of(&client);
            assert_eq!(greeting.hello.escape_ascii().to_string(), hello.escape_ascii().to_string());
            assert_eq!(greeting.goodbye.unwrap().lines(&CloseReason::Idle), goodbye);
        }
    }

    #[test]
    fn without_lines_nothing_is_kept() {
        let request = Request::get("/").body(()).unwrap();
        let client = ClientFacts::of(&request);
        let greeting = config(&["A"], &[], Eol::Lf, "utf-8").of(&client);
        assert!(greeting.goodbye.is_none());
        let greeting = config(&[], &["A"], Eol::Lf, "utf-8").of(&client);
        assert!(greeting.hello.is_empty() && greeting.hello.capacity() == 0);
    }

    #[test]
    fn a_reason_ends_a_line_and_not_a_message() {
        let request = Request::get("/").body(()).unwrap();
        let mut config = config(&[], &["BYE :{reason*}"], Eol::CrLf, "utf-8");
        config.refusal = Template::parse("ERROR :{reason*}").ok();
        let client = ClientFacts::of(&request);
        let reason = CloseReason::ClientGone("a\r\nQUIT".into());
        assert_eq!(config.of(&client).goodbye.unwrap().lines(&reason), b"BYE :a__QUIT\r\n");
        assert_eq!(config.refusal(&client, "no\nbackend"), b"ERROR :no_backend\r\n");
    }
}
