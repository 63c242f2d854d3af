//! The lines of the demo chat: commands from clients, answers and announcements from the server.
//!
//! Lines of the server begin with `* `, those of people with `NAME: `, and no name can be `*`. As `/me` makes
//! `* NAME does something`, no name is a word that an answer of the server begins with, and `/me` can't take the form of
//! an announcement.

/// The most characters of a line that is passed on.
pub const MAX_LINE_CHARS: usize = 2_000;

/// The most characters of the name of a person or a room.
pub const MAX_NAME_CHARS: usize = 24;

/// The room that a client enters with its first line if it has chosen none.
pub const LOBBY: &str = "lobby";

/// The first words of answers that look like names; other answers begin with a word that ends in a colon.
const RESERVED: [&str; 8] = ["welcome", "you", "last", "name", "room", "line", "unknown", "bye"];

pub const WELCOME: &str = "* welcome to the chat of wsrelay demo; say something to enter the lobby, \
                           or type /join ROOM; /help lists the commands";
pub const HELP: [&str; 6] = [
    "* help: /join ROOM goes to another room, new or old",
    "* help: /name NAME changes your name",
    "* help: /who tells who is here",
    "* help: /me waves tells what you do",
    "* help: /quit ends the connection",
    "* help: anything else is said to everybody in the room",
];
pub const BAD_NAME: &str =
    "* name must be 1 to 24 visible characters: no space, no colon, no * or / in front";
pub const BAD_ROOM: &str = "* room names are 1 to 24 visible characters: no space, no colon, no slash, no * or dot in front";
pub const ROOM_FULL: &str = "* room is full";
pub const ME_WHAT: &str = "* help: /me waves tells what you do";
pub const NOT_AN_ANNOUNCEMENT: &str =
    "* sorry: that would look like an announcement; say it in other words";
pub const LINE_TOO_LONG: &str = "* line of more than 2,000 characters: not passed on";
pub const LINE_WITHOUT_END: &str = "* line of more than 64 KiB: goodbye";
pub const BYE: &str = "* bye";

pub fn you_are(name: &str, room: &str) -> String {
    format!("* you are {name} in {room}")
}

pub fn name_taken(name: &str) -> String {
    format!("* name {name} is taken here")
}

pub fn here(names: &[&str]) -> String {
    format!("* here: {}", names.join(", "))
}

/// Announces that the next `count` lines were sent earlier.
pub fn last_lines(count: usize) -> String {
    let lines = if count == 1 { "line" } else { "lines" };
    format!("* last {count} {lines}:")
}

pub fn unknown_command(command: &str) -> String {
    let shown: String = command.chars().take(MAX_NAME_CHARS).collect();
    format!("* unknown command {shown}; try /help")
}

pub fn joined(name: &str) -> String {
    format!("* {name} joined")
}

pub fn left(name: &str, why: Leave) -> String {
    match why {
        Leave::Gone => format!("* {name} left"),
        Leave::TooSlow => format!("* {name} left (too slow)"),
    }
}

pub fn renamed(old: &str, new: &str) -> String {
    format!("* {old} is now {new}")
}

/// Why a client is no longer in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It went to another room, quit, or closed its connection.
    Gone,
    /// It did not read the lines of the others.
    TooSlow,
}

/// A line from a client, parsed.
#[derive(Debug, PartialEq, Eq)]
pub enum ChatCommand<'a> {
    Say(&'a str),
    Act(&'a str),
    Join(&'a str),
    Name(&'a str),
    Who,
    Help,
    Quit,
    Nothing,
    Unknown(&'a str),
}

impl<'a> ChatCommand<'a> {
    /// Parses a line that [`clean`] has cleaned.
    pub fn parse(line: &'a str) -> Self {
        let line = line.trim_end();
        if line.is_empty() {
            return Self::Nothing;
        }
        if !line.starts_with('/') {
            return Self::Say(line);
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word.to_ascii_lowercase().as_str() {
            "/join" => Self::Join(rest),
            "/name" => Self::Name(rest),
            "/me" => Self::Act(rest),
            "/who" => Self::Who,
            "/help" => Self::Help,
            "/quit" => Self::Quit,
            _ => Self::Unknown(word),
        }
    }
}

/// The text of a line from a socket: valid UTF-8 (U+FFFD for invalid bytes), without control characters. Tabs and
/// Unicode's line separators become spaces.
pub fn clean(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    String::from_utf8_lossy(bytes)
        .chars()
        .filter_map(|c| match c {
            '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            c if c.is_control() => None,
            c => Some(c),
        })
        .collect()
}

/// Whether `* NAME TEXT` would look like an announcement, so that `/me TEXT` is refused.
pub fn is_announcement(text: &str) -> bool {
    let new_name = text.strip_prefix("is now ").map(str::trim);
    matches!(text, "joined" | "left" | "left (too slow)")
        || new_name.is_some_and(|name| !name.contains(char::is_whitespace))
}

/// Whether a person may have this name.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.chars().count())
        && !name.starts_with(['*', '/'])
        && !name.contains(|c| c == ':' || is_invisible(c))
        && !is_reserved(name)
}

/// Whether a name is reserved for the server's answers.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&fold(name).as_str())
}

/// The form in which names are compared.
pub fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The normalized name of a room that was typed as `#tea` or `Tea`.
pub fn room_name(typed: &str) -> Option<String> {
    let name = fold(typed.strip_prefix('#').unwrap_or(typed));
    // A room is a segment of a URL, where `/` separates and `.` and `..` are removed. Reserved words are fine, as no
    // answer begins with a room's name.
    let allowed = is_name(&name) || is_reserved(&name);
    (allowed && !name.contains('/') && !name.starts_with('.')).then_some(name)
}

/// Whether a character is a space, a control or format character or a blank letter, with which two names could look
/// the same, or empty.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFD}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_talk() {
        for (line, command) in [
            ("hello there ", ChatCommand::Say("hello there")),
            (" /usr/bin is a folder", ChatCommand::Say(" /usr/bin is a folder")),
            ("/join tea", ChatCommand::Join("tea")),
            ("/JOIN   tea  ", ChatCommand::Join("tea")),
            ("/join", ChatCommand::Join("")),
            ("/name Ann Smith", ChatCommand::Name("Ann Smith")),
            ("/me waves a bit", ChatCommand::Act("waves a bit")),
            ("/who", ChatCommand::Who),
            ("/help me", ChatCommand::Help),
            ("/quit", ChatCommand::Quit),
            ("/nick Ann", ChatCommand::Unknown("/nick")),
            ("/", ChatCommand::Unknown("/")),
            ("  ", ChatCommand::Nothing),
        ] {
            assert_eq!(ChatCommand::parse(line), command, "{line:?}");
        }
    }

    #[test]
    fn lines_are_cleaned() {
        for (bytes, text) in [
            (&b"caf\xC3\xA9\r\n"[..], "café"),
            (b"one\n", "one"),
            (b"no end", "no end"),
            (b"caf\xE9!\n", "caf\u{FFFD}!"),
            (b"\x1B[31mred\x07\x00\n", "[31mred"),
            (b"a\tb\n", "a b"),
            ("a\u{2028}b\u{85}c\n".as_bytes(), "a bc"),
            (b"\r\n", ""),
        ] {
            assert_eq!(clean(bytes), text, "{bytes:?}");
        }
    }

    #[test]
    fn names_are_visible_and_not_mistakable() {
        for good in ["A", "Ann", "Zoë", "李雷", "guest-7", "a*b/c", "🐈", &"x".repeat(24)] {
            assert!(is_name(good), "{good:?}");
        }
        for bad in [
            "",
            "*",
            "*Ann",
            "/Ann",
            "Ann Smith",
            "Ann:",
            "you",
            "Unknown",
            "a\u{200B}",
            "\u{202E}nnA",
            "\u{3164}",
            "a\u{A0}b",
            "a\u{7}",
            &"x".repeat(25),
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_name_makes_an_action_look_like_an_answer() {
        let answers = [
            WELCOME.into(),
            BAD_NAME.into(),
            BAD_ROOM.into(),
            ROOM_FULL.into(),
            ME_WHAT.into(),
            NOT_AN_ANNOUNCEMENT.into(),
            LINE_TOO_LONG.into(),
            LINE_WITHOUT_END.into(),
            BYE.into(),
            you_are("Ann", "tea"),
            name_taken("Ann"),
            here(&["Ann"]),
            last_lines(3),
            unknown_command("/nick"),
        ];
        for answer in answers.into_iter().chain(HELP.map(String::from)) {
            let first = answer.strip_prefix("* ").unwrap().split(' ').next();
            assert!(!is_name(first.unwrap()), "{answer}");
        }
    }

    #[test]
    fn actions_that_announce_are_known() {
        for text in ["joined", "left", "left (too slow)", "is now Bob"] {
            assert!(is_announcement(text), "{text}");
        }
        for text in ["left the building", "is now very tired", "joined the army", "waves"] {
            assert!(!is_announcement(text), "{text}");
        }
    }

    #[test]
    fn rooms_have_one_spelling() {
        assert_eq!(room_name("Tea").as_deref(), Some("tea"));
        assert_eq!(room_name("#tea").as_deref(), Some("tea"));
        assert_eq!(room_name("last").as_deref(), Some("last"));
        for bad in ["", "#", "tea time", "..", "tea/green"] {
            assert_eq!(room_name(bad), None, "{bad:?}");
        }
    }
}
