//! Options: which telnet options are agreed to, and the state of each.

use super::bytes::{BINARY, CHARSET, ECHO, EOR, GMCP, MSSP, NEW_ENVIRON, SGA, TTYPE};
use super::negotiation::{Said, State};

/// The side of an option, as RFC 1143 calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ours: the peer says DO and DONT, we say WILL and WONT.
    Us,
    /// The peer's: it says WILL and WONT, we say DO and DONT.
    Him,
}

/// Who may use an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Ours,
    Theirs,
    Both,
    /// Both, where the client's subprotocol wants it.
    Mud,
    /// Theirs, where the client's subprotocol wants it.
    MudTheirs,
}

/// The options that may be agreed to. All others are refused, and have no state: RFC 1143's NO.
const AGREED: [(u8, Use); 9] = [
    (BINARY, Use::Both),
    // Both at once would send each byte to and fro for ever (RFC 857).
    (ECHO, Use::Theirs),
    (SGA, Use::Both),
    (TTYPE, Use::Ours),
    (EOR, Use::Both),
    (NEW_ENVIRON, Use::Ours),
    (CHARSET, Use::Both),
    (MSSP, Use::MudTheirs),
    (GMCP, Use::Mud),
];

/// The place of an option among those.
fn place(option: u8) -> Option<usize> {
    AGREED.iter().position(|(agreed, _)| *agreed == option)
}

/// The options of one connection.
#[derive(Debug, Default)]
pub struct Options {
    /// Whether the client's subprotocol has a place for GMCP and MSSP.
    pub is_mud: bool,
    states: [[State; 2]; AGREED.len()],
}

impl Options {
    /// No option is on.
    pub fn new(is_mud: bool) -> Self {
        Options { is_mud, ..Options::default() }
    }

    /// Whether an option is on.
    pub fn is_on(&self, side: Side, option: u8) -> bool {
        place(option).is_some_and(|place| self.states[place][side as usize] == State::Yes)
    }

    /// The peer says that an option be on or off. Returns what is said in turn.
    pub fn hear(&mut self, side: Side, option: u8, said: Said) -> Option<Said> {
        let Some(place) = place(option) else { return State::No.hear(said, false) };
        let wanted = match (AGREED[place].1, side) {
            (Use::Both, _) | (Use::Ours, Side::Us) | (Use::Theirs, Side::Him) => true,
            (Use::Mud, _) | (Use::MudTheirs, Side::Him) => self.is_mud,
            (Use::Ours | Use::Theirs | Use::MudTheirs, _) => false,
        };
        self.states[place][side as usize].hear(said, wanted)
    }

    /// We want an option that may be agreed to. Returns what is said.
    pub fn want(&mut self, side: Side, option: u8) -> Option<Said> {
        self.states[place(option)?][side as usize].want(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 8 of the contract: these are agreed to, all else is refused.
    #[test]
    fn every_option_on_both_sides() {
        for is_mud in [false, true] {
            for option in 0..=u8::MAX {
                let [us, him] = match option {
                    BINARY | SGA | EOR | CHARSET => [true, true],
                    ECHO => [false, true],
                    TTYPE | NEW_ENVIRON => [true, false],
                    GMCP => [is_mud, is_mud],
                    MSSP => [false, is_mud],
                    _ => [false, false],
                };
                let mut options = Options::new(is_mud);
                for (side, agreed) in [(Side::Us, us), (Side::Him, him)] {
                    assert_eq!(options.hear(side, option, true), Some(agreed), "{option} {side:?}");
                    assert_eq!(options.is_on(side, option), agreed, "{option} {side:?}");
                    // An answer only to a change of state, or to a wish that is refused again.
                    let again = (!agreed).then_some(false);
                    assert_eq!(options.hear(side, option, true), again, "{option} {side:?}");
                    let off = agreed.then_some(false);
                    assert_eq!(options.hear(side, option, false), off, "{option} {side:?}");
                    assert_eq!(options.hear(side, option, false), None, "{option} {side:?}");
                    assert!(!options.is_on(side, option));
                }
            }
        }
    }
}
