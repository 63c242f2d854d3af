//! Tests of the rooms of the demo chat.

use super::*;

/// A chat with the lines that each client has got so far.
#[derive(Default)]
struct ChatLog {
    rooms: Chat,
    got: HashMap<ClientId, Vec<String>>,
}

impl ChatLog {
    /// A client that has sent these lines and has read all lines so far.
    fn join(&mut self, lines: &[&str]) -> ClientId {
        let id = self.rooms.connect();
        for line in lines {
            self.send(id, line);
        }
        self.read(id);
        id
    }

    fn send(&mut self, id: ClientId, line: &str) {
        assert!(self.rooms.line(id, line).is_continue(), "{line} ended the connection");
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some(Delivery { to, line }) = self.rooms.next_delivery() {
            for id in to {
                self.got.entry(id).or_default().push(line.to_string());
            }
        }
    }

    /// The lines that have come since the last call.
    fn read(&mut self, id: ClientId) -> Vec<String> {
        self.deliver();
        self.got.remove(&id).unwrap_or_default()
    }
}

#[test]
fn a_newcomer_is_welcomed_and_is_in_no_room() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join lobby"]);
    let new = chat.rooms.connect();
    assert_eq!(chat.read(new), [line::WELCOME]);
    chat.send(ann, "hello");
    assert_eq!(chat.read(new), [""; 0]);
}

#[test]
fn whoever_just_talks_is_in_the_lobby() {
    for first in ["hello", "/who", "", "/me waves", "/nick", "/help", "/name :"] {
        let mut chat = ChatLog::default();
        let id = chat.rooms.connect();
        chat.send(id, first);
        let got = chat.read(id);
        assert_eq!(
            got[1..4],
            ["* you are guest-1 in lobby", "* here: guest-1", "* guest-1 joined"],
            "after {first:?}"
        );
    }
}

#[test]
fn a_line_goes_to_everybody_in_the_room_and_to_nobody_else() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann"]);
    let bob = chat.join(&["/join tea", "/name Bob"]);
    let eve = chat.join(&["/join games", "/name Eve"]);
    chat.read(ann);
    chat.send(ann, "hi: there");
    chat.send(bob, "/me waves");
    for id in [ann, bob] {
        assert_eq!(chat.read(id), ["Ann: hi: there", "* Bob waves"]);
    }
    assert_eq!(chat.read(eve), [""; 0]);
}

#[test]
fn joins_leaves_and_renames_are_announced() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann"]);
    let bob = chat.rooms.connect();
    chat.send(bob, "/join tea");
    chat.send(bob, "/name Bob");
    chat.send(bob, "/join games");
    assert_eq!(chat.read(ann), ["* guest-2 joined", "* guest-2 is now Bob", "* Bob left"]);
    assert_eq!(
        chat.read(bob)[1..],
        [
            "* you are guest-2 in tea",
            "* here: Ann, guest-2",
            "* guest-2 joined",
            "* guest-2 is now Bob",
            "* you are Bob in games",
            "* here: Bob",
            "* Bob joined",
        ]
    );
}

#[test]
fn a_name_given_first_is_the_name_one_enters_the_lobby_with() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join lobby"]);
    chat.join(&["/name Bob"]);
    assert_eq!(chat.read(ann), ["* Bob joined"]);
    let other = chat.rooms.connect();
    chat.send(other, "/name BOB");
    assert_eq!(chat.read(other)[1..3], ["* name BOB is taken here", "* you are guest-2 in lobby"]);
}

#[test]
fn names_are_unique_in_a_room_whatever_their_case() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann"]);
    let bob = chat.join(&["/join tea", "/name Bob"]);
    chat.read(ann);
    for (name, answer) in [
        ("ANN", "* name ANN is taken here"),
        ("You", "* name You is taken here"),
        ("a b", line::BAD_NAME),
        ("", line::BAD_NAME),
        ("Bob", "* you are Bob in tea"),
    ] {
        chat.send(bob, &format!("/name {name}"));
        assert_eq!(chat.read(bob), [answer]);
    }
    assert_eq!(chat.read(ann), [""; 0], "refusals are nobody else's business");
    chat.send(bob, "/name BOB");
    assert_eq!(chat.read(ann), ["* Bob is now BOB"]);
    chat.send(bob, "/name Rob");
    chat.send(ann, "/name Bob");
    assert_eq!(chat.read(bob)[2..], ["* Ann is now Bob"], "a name given up is free");
}

#[test]
fn a_name_taken_in_the_other_room_is_lost_on_going_there() {
    let mut chat = ChatLog::default();
    chat.join(&["/join tea", "/name Ann"]);
    let other = chat.join(&["/join games", "/name ann"]);
    chat.send(other, "/join tea");
    assert_eq!(chat.read(other)[..2], ["* name ann is taken here", "* you are guest-3 in tea"]);
}

#[test]
fn guests_never_get_a_name_in_use() {
    let mut chat = ChatLog::default();
    chat.join(&["/join tea", "/name guest-2"]);
    let guest = chat.rooms.connect();
    chat.send(guest, "/join tea");
    assert_eq!(chat.read(guest)[1], "* you are guest-3 in tea");
}

#[test]
fn who_lists_the_room() {
    let mut chat = ChatLog::default();
    let bob = chat.join(&["/join tea", "/name bob"]);
    chat.join(&["/join tea", "/name Carl"]);
    chat.join(&["/join tea", "/name Ann"]);
    chat.join(&["/join games"]);
    chat.read(bob);
    chat.send(bob, "/who");
    assert_eq!(chat.read(bob), ["* here: Ann, bob, Carl"]);
}

#[test]
fn joining_where_one_is_tells_so_and_disturbs_nobody() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann"]);
    let bob = chat.join(&["/join tea"]);
    chat.read(ann);
    chat.send(ann, "/join #Tea");
    assert_eq!(chat.read(ann), ["* you are Ann in tea", "* here: Ann, guest-2"]);
    assert_eq!(chat.read(bob), [""; 0]);
}

#[test]
fn a_bad_room_changes_nothing() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea"]);
    for bad in ["/join", "/join tea time", "/join *"] {
        chat.send(ann, bad);
        assert_eq!(chat.read(ann), [line::BAD_ROOM], "{bad}");
    }
    chat.send(ann, "still here");
    assert_eq!(chat.read(ann), ["guest-1: still here"]);
}

#[test]
fn actions_cannot_pass_for_announcements() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann"]);
    for (line, answer) in [
        ("/me left", line::NOT_AN_ANNOUNCEMENT),
        ("/me  is now  Bob ", line::NOT_AN_ANNOUNCEMENT),
        ("/me", line::ME_WHAT),
    ] {
        chat.send(ann, line);
        assert_eq!(chat.read(ann), [answer], "{line}");
    }
}

#[test]
fn long_lines_are_refused() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann"]);
    let longest = "é".repeat(2_000);
    chat.send(ann, &longest);
    assert_eq!(chat.read(ann), [format!("Ann: {longest}")]);
    chat.send(ann, &(longest + "é"));
    assert_eq!(chat.read(ann), [line::LINE_TOO_LONG]);
}

#[test]
fn the_last_lines_are_shown_to_those_who_join() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "/name Ann", "/me sits down"]);
    let bob = chat.rooms.connect();
    chat.send(bob, "/join tea");
    assert_eq!(chat.read(bob)[3..], ["* last 1 line:", "* Ann sits down", "* guest-2 joined"]);
    for n in 1..=25 {
        chat.send(ann, &format!("{n}"));
    }
    let eve = chat.rooms.connect();
    chat.send(eve, "/join tea");
    let got = chat.read(eve);
    assert_eq!(got[3], "* last 20 lines:");
    assert_eq!((got[4].as_str(), got[23].as_str()), ("Ann: 6", "Ann: 25"));
    assert_eq!(got[24..], ["* guest-3 joined"]);
}

#[test]
fn an_empty_room_is_forgotten() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea", "a secret"]);
    chat.send(ann, "/join games");
    assert_eq!(chat.rooms.rooms.len(), 1);
    chat.send(ann, "/join tea");
    assert!(!chat.read(ann).iter().any(|line| line.contains("secret")));
    chat.rooms.leave(ann, Leave::Gone);
    assert!(chat.rooms.rooms.is_empty() && chat.rooms.clients.is_empty());
}

#[test]
fn a_full_room_takes_nobody_else() {
    let mut chat = ChatLog::default();
    let first = chat.join(&["/join tea"]);
    for _ in 1..MAX_MEMBERS {
        chat.join(&["/join tea"]);
    }
    let late = chat.join(&["/join games", "/name Late"]);
    chat.send(late, "/join tea");
    assert_eq!(chat.read(late), [line::ROOM_FULL]);
    chat.send(late, "/who");
    assert_eq!(chat.read(late), ["* here: Late"], "one stays where one was");
    chat.rooms.leave(first, Leave::Gone);
    chat.send(late, "/join tea");
    assert_eq!(chat.read(late)[0], "* you are Late in tea");
}

#[test]
fn a_full_lobby_leaves_the_newcomer_outside() {
    let mut chat = ChatLog::default();
    for _ in 0..MAX_MEMBERS {
        chat.join(&["/join lobby"]);
    }
    let late = chat.join(&[]);
    chat.send(late, "hello");
    assert_eq!(chat.read(late), [line::ROOM_FULL]);
    chat.send(late, "/join tea");
    assert_eq!(chat.read(late)[1], "* here: guest-1001");
}

#[test]
fn leaving_is_announced_once() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea"]);
    let bob = chat.join(&["/join tea", "/name Bob"]);
    let eve = chat.join(&["/join tea", "/name Eve"]);
    chat.read(ann);
    chat.rooms.leave(bob, Leave::Gone);
    chat.rooms.leave(bob, Leave::Gone);
    chat.rooms.leave(eve, Leave::TooSlow);
    chat.rooms.leave(eve, Leave::Gone);
    assert_eq!(chat.read(ann), ["* Bob left", "* Eve left (too slow)"]);
    assert!(chat.rooms.line(bob, "hello?").is_break());
    assert_eq!(chat.read(ann), [""; 0]);
}

#[test]
fn quit_says_goodbye() {
    let mut chat = ChatLog::default();
    let ann = chat.join(&["/join tea"]);
    assert!(chat.rooms.line(ann, "/quit").is_break());
    assert_eq!(chat.read(ann), [line::BYE]);
}
