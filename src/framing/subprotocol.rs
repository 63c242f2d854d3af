//! Subprotocol: what the names that clients offer promise about the messages of a session. A table.

/// What a subprotocol promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A text message is a line, both ways.
    Text,
    /// A binary message is a line, its bytes as the backend sent them.
    BinaryLines,
    /// The backend's bytes in binary messages.
    Raw,
    /// Binary messages of UTF-8 text with its ends of line, without the backend's telnet.
    Terminal,
    /// As `Terminal`; text messages are GMCP.
    Gmcp,
    /// What no session keeps: bytes as base64, from before WebSocket had binary messages.
    Base64,
}

/// A subprotocol with a meaning of its own.
#[derive(Clone, Copy, Debug)]
pub struct Subprotocol {
    /// Its name, which is compared exactly.
    pub name: &'static str,
    /// What it promises.
    pub promise: Promise,
    /// The length in bytes that a line may have in any case, without its end; 0 if it demands none.
    pub least_line: usize,
    /// Whether a message is a line without its end, whatever `--keep-eol` says.
    pub drops_eol: bool,
}

/// The longest line of IRC, in bytes: 8,191 of message tags and 512 of the message
/// (<https://ircv3.net/specs/extensions/message-tags>).
const IRC_LINE: usize = 8_703;

/// All of them. Any other name means what the options of the route say.
const TABLE: &[Subprotocol] = &[
    irc("text.ircv3.net", Promise::Text),
    irc("binary.ircv3.net", Promise::BinaryLines),
    plain("binary", Promise::Raw),
    plain("mqtt", Promise::Raw),
    plain("mqttv3.1", Promise::Raw),
    plain("v10.stomp", Promise::Raw),
    plain("v11.stomp", Promise::Raw),
    plain("v12.stomp", Promise::Raw),
    plain("telnet.mudstandards.org", Promise::Raw),
    plain("terminal.mudstandards.org", Promise::Terminal),
    plain("gmcp.mudstandards.org", Promise::Gmcp),
    plain("base64", Promise::Base64),
];

const fn plain(name: &'static str, promise: Promise) -> Subprotocol {
    Subprotocol { name, promise, least_line: 0, drops_eol: false }
}

/// One of IRC over WebSocket (<https://ircv3.net/specs/extensions/websocket>).
const fn irc(name: &'static str, promise: Promise) -> Subprotocol {
    Subprotocol { name, promise, least_line: IRC_LINE, drops_eol: true }
}

impl Subprotocol {
    /// All subprotocols with a meaning of their own.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        TABLE.iter()
    }

    /// The one with this name; `None` if the name has no meaning of its own.
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|known| known.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_compared_exactly() {
        for known in Subprotocol::all() {
            assert_eq!(Subprotocol::all().filter(|other| other.name == known.name).count(), 1);
            assert_eq!(
                Subprotocol::find(known.name).map(|found| found.promise),
                Some(known.promise)
            );
        }
        for other in ["", "ex3", "BINARY", "Text.ircv3.net", "text.ircv3.net ", "v13.stomp", "irc"]
        {
            assert!(Subprotocol::find(other).is_none(), "{other}");
        }
    }
}
