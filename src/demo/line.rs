//! What the lines of the demo chat say: commands on their way in, answers and announcements on their way out.
//!
//! Everything the server says begins with `* `. What people say begins with `NAME: `, and no name can be `*`.
//! `/me` makes `* NAME does something`, so no name is a word that one of the server's answers begins with,
//! and `/me` can't take the form of an announcement.

/// A line of more characters than this is not passed on.
pub const MAX_LINE_CHARS: usize = 2_000;

/// Names of people and of rooms have at most this many characters.
pub const MAX_NAME_CHARS: usize = 24;

/// The room of those who start to talk without having chosen one.
pub const LOBBY: &str = "lobby";

/// First words of answers that look like names; the other answers begin with a word that ends in a colon.
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

/// Announces that the next `count` lines were said earlier.
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

/// Why somebody is no longer in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Went to another room, quit, or hung up.
    Gone,
    /// Did not read what the others said.
    TooSlow,
}

/// What a client asks for with one line.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
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

impl<'a> Command<'a> {
    /// Reads a line that has been through [`clean`].
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

/// The text of a line as it came from a socket: valid UTF-8 (U+FFFD for what was not), without control characters;
/// what would break or shift the line on a terminal becomes a space.
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

/// What `/me TEXT` may not say, because `* NAME TEXT` would be an announcement.
pub fn is_announcement(text: &str) -> bool {
    let new_name = text.strip_prefix("is now ").map(str::trim);
    matches!(text, "joined" | "left" | "left (too slow)")
        || new_name.is_some_and(|name| !name.contains(char::is_whitespace))
}

/// Whether somebody may be called so.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.chars().count())
        && !name.starts_with(['*', '/'])
        && !name.contains(|c| c == ':' || is_invisible(c))
        && !is_reserved(name)
}

/// Whether a name is kept for the server's own answers.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&fold(name).as_str())
}

/// The form in which names are compared.
pub fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The name of a room as it was typed, `#tea` or `Tea`, in its one spelling.
pub fn room_name(typed: &str) -> Option<String> {
    let name = fold(typed.strip_prefix('#').unwrap_or(typed));
    // Rooms are part of addresses, where `/` divides and `.` and `..` vanish. No answer begins with a room's name.
    let allowed = is_name(&name) || is_reserved(&name);
    (allowed && !name.contains('/') && !name.starts_with('.')).then_some(name)
}

/// Spaces, control and format characters and blank letters: with them two names could look alike, or like none.
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
            ("hello there ", Command::Say("hello there")),
            (" /usr/bin is a folder", Command::Say(" /usr/bin is a folder")),
            ("/join tea", Command::Join("tea")),
            ("/JOIN   tea  ", Command::Join("tea")),
            ("/join", Command::Join("")),
            ("/name Ann Smith", Command::Name("Ann Smith")),
            ("/me waves a bit", Command::Act("waves a bit")),
            ("/who", Command::Who),
            ("/help me", Command::Help),
            ("/quit", Command::Quit),
            ("/nick Ann", Command::Unknown("/nick")),
            ("/", Command::Unknown("/")),
            ("  ", Command::Nothing),
        ] {
            assert_eq!(Command::parse(line), command, "{line:?}");
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
