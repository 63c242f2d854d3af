//! Telnet: the stage itself. What is told from what is here; what it means, in the other files.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::charset::Charset;
use super::super::payload::Payload;
use super::super::stage::{Event, Mark, Stage};
use super::bytes::{
    self, AYT, DO, DONT, END_OF_RECORD, GA, IAC, IS, NOP, Return, SEND, WILL, WONT,
};
use super::options::{Options, Side};
use super::parser::{Parser, Token};
use super::terminal_type::{ANSI, CLIENT_NAME, COLOURS_256, PROXY, TerminalType, UTF_8};
use super::{charset, environment, mud};

/// The silence of a backend after which we offer options ourselves: some devices say nothing before.
const SILENCE: Duration = Duration::from_secs(1);

/// Bytes of GMCP that may wait until the backend agrees to it.
const MOST_WAITING: usize = 64 * 1024;

/// What a route and a client's subprotocol say about telnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelnetRules {
    /// The backend's charset.
    pub charset: Charset,
    /// Whether a line ends in a carriage return alone once BINARY is on: then there is no `CR LF` of the network virtual
    /// terminal, and a daemon that passes bytes to a terminal takes it for two ends of line.
    pub has_enter: bool,
    /// Whether the client shows what a terminal does: colours and the cursor's movements.
    pub is_terminal: bool,
    /// Whether the client's text messages are GMCP, both ways.
    pub is_mud: bool,
}

/// Telnet with one backend (RFC 854).
#[derive(Debug)]
pub struct Telnet {
    parser: Parser,
    end: End,
}

/// Our end of the connection.
#[derive(Debug)]
struct End {
    rules: TelnetRules,
    /// The client's address, for the backend that asks.
    client: Option<IpAddr>,
    options: Options,
    terminal_type: TerminalType,
    /// Whether the last byte of text was a carriage return.
    after_cr: bool,
    /// When a backend that has said nothing is offered options.
    silent_until: Option<Instant>,
    /// GMCP that waits for the backend's agreement.
    waiting: Vec<u8>,
    /// Messages of GMCP that found no room there.
    dropped: u64,
}

impl Telnet {
    /// Speaks by `rules` for a client at this address, from `now` on.
    pub fn new(rules: TelnetRules, client: Option<IpAddr>, now: Instant) -> Self {
        Telnet {
            parser: Parser::default(),
            end: End {
                rules,
                client,
                options: Options::new(rules.is_mud),
                terminal_type: TerminalType::default(),
                after_cr: false,
                silent_until: Some(now + SILENCE),
                waiting: Vec::new(),
                dropped: 0,
            },
        }
    }
}

impl Stage for Telnet {
    fn down(
        &mut self,
        mut bytes: &[u8],
        rest: &mut Vec<u8>,
        marks: &mut Vec<Mark>,
        answer: &mut Vec<u8>,
    ) {
        let Telnet { parser, end } = self;
        end.silent_until = None;
        while let Some(token) = parser.next(&mut bytes) {
            match token {
                Token::Text(text) => end.text(text, rest),
                Token::Command(GA | END_OF_RECORD) => {
                    let prompt = Mark { at: rest.len(), event: Event::Prompt };
                    if marks.last() != Some(&prompt) {
                        marks.push(prompt);
                    }
                }
                // The evidence that RFC 854 asks for must not look like a line of the client's.
                Token::Command(AYT) => answer.extend([IAC, NOP]),
                // To be ignored (RFC 1123, section 3.2.3).
                Token::Command(_) => {}
                Token::Negotiation(verb, option) => {
                    let message = end.negotiate(verb, option, answer);
                    marks.extend(
                        message.map(|text| Mark { at: rest.len(), event: Event::Message(text) }),
                    );
                }
                Token::Subnegotiation(option, inner) => {
                    let message = end.subnegotiate(option, inner, answer);
                    marks.extend(
                        message.map(|text| Mark { at: rest.len(), event: Event::Message(text) }),
                    );
                }
            }
        }
    }

    fn up(&mut self, out: &mut Vec<u8>, start: usize) {
        let options = &self.end.options;
        let cr = match options.is_on(Side::Us, bytes::BINARY) {
            false => Return::Nvt,
            true if self.end.rules.has_enter => Return::Enter,
            true => Return::Binary,
        };
        bytes::escape(out, start, cr);
        if options.is_on(Side::Us, bytes::EOR) {
            out.extend([IAC, END_OF_RECORD]);
        }
    }

    fn takes_messages(&self) -> bool {
        self.end.rules.is_mud
    }

    fn take(&mut self, message: Payload<'_>, out: &mut Vec<u8>) -> bool {
        match message {
            Payload::Text(text) if self.end.rules.is_mud => {
                self.end.say_gmcp(text, out);
                true
            }
            _ => false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.end.silent_until
    }

    fn due(&mut self, answer: &mut Vec<u8>) {
        if self.end.silent_until.take().is_some() {
            self.end.offer(answer);
        }
    }

    fn dropped(&self) -> u64 {
        self.parser.dropped + self.end.dropped
    }
}

impl End {
    /// Appends text to `rest`, `CR NUL` as `CR`.
    fn text(&mut self, mut text: &[u8], rest: &mut Vec<u8>) {
        if self.options.is_on(Side::Him, bytes::BINARY) {
            self.after_cr = false;
            rest.extend_from_slice(text);
            return;
        }
        if self.after_cr
            && let [0, behind @ ..] = text
        {
            text = behind;
        }
        self.after_cr = text.last() == Some(&b'\r');
        while let Some(at) = find_cr_nul(text) {
            rest.extend_from_slice(&text[..=at]);
            text = &text[at + 2..];
        }
        rest.extend_from_slice(text);
    }

    /// Answers WILL, WONT, DO or DONT. Returns what it is to the client.
    fn negotiate(&mut self, verb: u8, option: u8, answer: &mut Vec<u8>) -> Option<String> {
        let (side, said) = match verb {
            WILL | WONT => (Side::Him, verb == WILL),
            _ => (Side::Us, verb == DO),
        };
        let before = self.options.is_on(side, option);
        if let Some(said) = self.options.hear(side, option, said) {
            say(side, option, said, answer);
        }
        let now = self.options.is_on(side, option);
        (now != before).then(|| self.changed(side, option, now, answer)).flatten()
    }

    /// What follows from an option that is on now, or off.
    fn changed(
        &mut self,
        side: Side,
        option: u8,
        on: bool,
        answer: &mut Vec<u8>,
    ) -> Option<String> {
        match (option, side) {
            (bytes::ECHO, _) => return self.rules.is_mud.then(|| mud::echo(on)),
            (bytes::TTYPE, _) => self.terminal_type = TerminalType::default(),
            (bytes::GMCP, _) if on => answer.append(&mut self.waiting),
            _ => {}
        }
        None
    }

    /// Answers a subnegotiation of an option that is on. Returns what it is to the client.
    fn subnegotiate(&mut self, option: u8, inner: &[u8], answer: &mut Vec<u8>) -> Option<String> {
        let is_on = |side| self.options.is_on(side, option);
        let (us, him) = (is_on(Side::Us), is_on(Side::Him));
        match (option, inner) {
            (bytes::TTYPE, [SEND]) if us => {
                let name = self.terminal_type.next(self.abilities());
                bytes::subnegotiation(option, &[&[IS], name.as_bytes()], answer);
            }
            (bytes::NEW_ENVIRON, [SEND, asked @ ..]) if us => {
                let ip = self.client.map(|ip| ip.to_canonical().to_string());
                let variables = [
                    ("CLIENT_NAME", Some(CLIENT_NAME)),
                    ("CHARSET", Some(self.rules.charset.name())),
                    ("IPADDRESS", ip.as_deref()),
                ];
                let value = environment::answer(asked, &variables);
                bytes::subnegotiation(option, &[&value], answer);
            }
            (bytes::CHARSET, asked) if us || him => {
                if let Some(value) = charset::answer(asked, self.rules.charset) {
                    bytes::subnegotiation(option, &[&value], answer);
                }
            }
            (bytes::GMCP, message) if us || him => return mud::gmcp(message),
            (bytes::MSSP, status) if him => return Some(mud::mssp(status)),
            _ => {}
        }
        None
    }

    /// The bits of MTTS.
    fn abilities(&self) -> u16 {
        let terminal = if self.rules.is_terminal { ANSI | COLOURS_256 } else { 0 };
        let utf8 = if self.rules.charset.is_utf8() { UTF_8 } else { 0 };
        terminal | utf8 | PROXY
    }

    /// Offers what most backends ask for.
    fn offer(&mut self, answer: &mut Vec<u8>) {
        for (side, option) in
            [(Side::Him, bytes::SGA), (Side::Us, bytes::SGA), (Side::Us, bytes::TTYPE)]
        {
            if let Some(said) = self.options.want(side, option) {
                say(side, option, said, answer);
            }
        }
    }

    /// A GMCP message of the client's. Before the backend has agreed it waits.
    fn say_gmcp(&mut self, text: &str, out: &mut Vec<u8>) {
        let is_on = |side| self.options.is_on(side, bytes::GMCP);
        if is_on(Side::Him) || is_on(Side::Us) {
            bytes::subnegotiation(bytes::GMCP, &[text.as_bytes()], out);
        } else if self.waiting.len() + text.len() <= MOST_WAITING {
            bytes::subnegotiation(bytes::GMCP, &[text.as_bytes()], &mut self.waiting);
        } else {
            self.dropped += 1;
        }
    }
}

/// Where a `CR` stands before a `NUL`.
fn find_cr_nul(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0, text)
        .filter_map(|nul| nul.checked_sub(1))
        .find(|before| text[*before] == b'\r')
}

/// Says that an option be on or off.
fn say(side: Side, option: u8, on: bool, answer: &mut Vec<u8>) {
    let verb = match (side, on) {
        (Side::Us, true) => WILL,
        (Side::Us, false) => WONT,
        (Side::Him, true) => DO,
        (Side::Him, false) => DONT,
    };
    answer.extend([IAC, verb, option]);
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
