//! TerminalType: what TERMINAL-TYPE answers (RFC 1091), in the three steps of the Mud Terminal Type Standard.

/// The first answer: the client's name.
pub const CLIENT_NAME: &str = "WSRELAY";

/// The second: what it understands.
const TERMINAL: &str = "XTERM-256COLOR";

/// ANSI colours.
pub const ANSI: u16 = 1;
/// UTF-8.
pub const UTF_8: u16 = 4;
/// 256 colours.
pub const COLOURS_256: u16 = 8;
/// The client speaks through a proxy.
pub const PROXY: u16 = 128;

/// The answers, one for each time that the type is asked for: the name, the terminal, the bits of MTTS, these again as
/// the sign of the list's end, and then from the start.
#[derive(Debug, Default)]
pub struct TerminalType {
    asked: u8,
}

impl TerminalType {
    /// The next answer. `bits`: the client's abilities.
    pub fn next(&mut self, bits: u16) -> String {
        let asked = self.asked;
        self.asked = (asked + 1) % 4;
        match asked {
            0 => CLIENT_NAME.to_owned(),
            1 => TERMINAL.to_owned(),
            _ => format!("MTTS {bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_repeated_once_and_then_it_begins_anew() {
        let mut terminal = TerminalType::default();
        let answers: Vec<_> = (0..6).map(|_| terminal.next(ANSI | PROXY)).collect();
        let want =
            ["WSRELAY", "XTERM-256COLOR", "MTTS 129", "MTTS 129", "WSRELAY", "XTERM-256COLOR"];
        assert_eq!(answers, want);
    }
}
