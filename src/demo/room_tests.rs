//! What people in the rooms of the demo chat see of each other.

use super::*;

/// A chat with the lines that each client has got so far.
#[derive(Default)]
struct Table {
    chat: Chat,
    got: HashMap<ClientId, Vec<String>>,
}

impl Table {
    /// Somebody who has sent these lines and has read everything up to now.
    fn sit(&mut self, lines: &[&str]) -> ClientId {
        let id = self.chat.connect();
        for line in lines {
            self.send(id, line);
        }
        self.read(id);
        id
    }

    fn send(&mut self, id: ClientId, line: &str) {
        assert!(self.chat.line(id, line).is_continue(), "{line} ended the connection");
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some(Delivery { to, line }) = self.chat.next_delivery() {
            for id in to {
                self.got.entry(id).or_default().push(line.to_string());
            }
        }
    }

    /// What has come since the last call.
    fn read(&mut self, id: ClientId) -> Vec<String> {
        self.deliver();
        self.got.remove(&id).unwrap_or_default()
    }
}

#[test]
fn a_newcomer_is_welcomed_and_is_in_no_room() {
    let mut table = Table::default();
    let ann = table.sit(&["/join lobby"]);
    let new = table.chat.connect();
    assert_eq!(table.read(new), [line::WELCOME]);
    table.send(ann, "hello");
    assert_eq!(table.read(new), [""; 0]);
}

#[test]
fn whoever_just_talks_is_in_the_lobby() {
    for first in ["hello", "/who", "", "/me waves", "/nick", "/help", "/name :"] {
        let mut table = Table::default();
        let id = table.chat.connect();
        table.send(id, first);
        let got = table.read(id);
        assert_eq!(
            got[1..4],
            ["* you are guest-1 in lobby", "* here: guest-1", "* guest-1 joined"],
            "after {first:?}"
        );
    }
}

#[test]
fn a_line_goes_to_everybody_in_the_room_and_to_nobody_else() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann"]);
    let bob = table.sit(&["/join tea", "/name Bob"]);
    let eve = table.sit(&["/join games", "/name Eve"]);
    table.read(ann);
    table.send(ann, "hi: there");
    table.send(bob, "/me waves");
    for id in [ann, bob] {
        assert_eq!(table.read(id), ["Ann: hi: there", "* Bob waves"]);
    }
    assert_eq!(table.read(eve), [""; 0]);
}

#[test]
fn joins_leaves_and_renames_are_announced() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann"]);
    let bob = table.chat.connect();
    table.send(bob, "/join tea");
    table.send(bob, "/name Bob");
    table.send(bob, "/join games");
    assert_eq!(table.read(ann), ["* guest-2 joined", "* guest-2 is now Bob", "* Bob left"]);
    assert_eq!(
        table.read(bob)[1..],
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
    let mut table = Table::default();
    let ann = table.sit(&["/join lobby"]);
    table.sit(&["/name Bob"]);
    assert_eq!(table.read(ann), ["* Bob joined"]);
    let other = table.chat.connect();
    table.send(other, "/name BOB");
    assert_eq!(table.read(other)[1..3], ["* name BOB is taken here", "* you are guest-2 in lobby"]);
}

#[test]
fn names_are_unique_in_a_room_whatever_their_case() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann"]);
    let bob = table.sit(&["/join tea", "/name Bob"]);
    table.read(ann);
    for (name, answer) in [
        ("ANN", "* name ANN is taken here"),
        ("You", "* name You is taken here"),
        ("a b", line::BAD_NAME),
        ("", line::BAD_NAME),
        ("Bob", "* you are Bob in tea"),
    ] {
        table.send(bob, &format!("/name {name}"));
        assert_eq!(table.read(bob), [answer]);
    }
    assert_eq!(table.read(ann), [""; 0], "refusals are nobody else's business");
    table.send(bob, "/name BOB");
    assert_eq!(table.read(ann), ["* Bob is now BOB"]);
    table.send(bob, "/name Rob");
    table.send(ann, "/name Bob");
    assert_eq!(table.read(bob)[2..], ["* Ann is now Bob"], "a name given up is free");
}

#[test]
fn a_name_taken_in_the_other_room_is_lost_on_going_there() {
    let mut table = Table::default();
    table.sit(&["/join tea", "/name Ann"]);
    let other = table.sit(&["/join games", "/name ann"]);
    table.send(other, "/join tea");
    assert_eq!(table.read(other)[..2], ["* name ann is taken here", "* you are guest-3 in tea"]);
}

#[test]
fn guests_never_get_a_name_in_use() {
    let mut table = Table::default();
    table.sit(&["/join tea", "/name guest-2"]);
    let guest = table.chat.connect();
    table.send(guest, "/join tea");
    assert_eq!(table.read(guest)[1], "* you are guest-3 in tea");
}

#[test]
fn who_lists_the_room() {
    let mut table = Table::default();
    let bob = table.sit(&["/join tea", "/name bob"]);
    table.sit(&["/join tea", "/name Carl"]);
    table.sit(&["/join tea", "/name Ann"]);
    table.sit(&["/join games"]);
    table.read(bob);
    table.send(bob, "/who");
    assert_eq!(table.read(bob), ["* here: Ann, bob, Carl"]);
}

#[test]
fn joining_where_one_is_tells_so_and_disturbs_nobody() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann"]);
    let bob = table.sit(&["/join tea"]);
    table.read(ann);
    table.send(ann, "/join #Tea");
    assert_eq!(table.read(ann), ["* you are Ann in tea", "* here: Ann, guest-2"]);
    assert_eq!(table.read(bob), [""; 0]);
}

#[test]
fn a_bad_room_changes_nothing() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea"]);
    for bad in ["/join", "/join tea time", "/join *"] {
        table.send(ann, bad);
        assert_eq!(table.read(ann), [line::BAD_ROOM], "{bad}");
    }
    table.send(ann, "still here");
    assert_eq!(table.read(ann), ["guest-1: still here"]);
}

#[test]
fn actions_cannot_pass_for_announcements() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann"]);
    for (line, answer) in [
        ("/me left", line::NOT_AN_ANNOUNCEMENT),
        ("/me  is now  Bob ", line::NOT_AN_ANNOUNCEMENT),
        ("/me", line::ME_WHAT),
    ] {
        table.send(ann, line);
        assert_eq!(table.read(ann), [answer], "{line}");
    }
}

#[test]
fn long_lines_are_refused() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann"]);
    let longest = "é".repeat(2_000);
    table.send(ann, &longest);
    assert_eq!(table.read(ann), [format!("Ann: {longest}")]);
    table.send(ann, &(longest + "é"));
    assert_eq!(table.read(ann), [line::LINE_TOO_LONG]);
}

#[test]
fn the_last_lines_are_shown_to_those_who_join() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "/name Ann", "/me sits down"]);
    let bob = table.chat.connect();
    table.send(bob, "/join tea");
    assert_eq!(table.read(bob)[3..], ["* last 1 line:", "* Ann sits down", "* guest-2 joined"]);
    for n in 1..=25 {
        table.send(ann, &format!("{n}"));
    }
    let eve = table.chat.connect();
    table.send(eve, "/join tea");
    let got = table.read(eve);
    assert_eq!(got[3], "* last 20 lines:");
    assert_eq!((got[4].as_str(), got[23].as_str()), ("Ann: 6", "Ann: 25"));
    assert_eq!(got[24..], ["* guest-3 joined"]);
}

#[test]
fn an_empty_room_is_forgotten() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea", "a secret"]);
    table.send(ann, "/join games");
    assert_eq!(table.chat.rooms.len(), 1);
    table.send(ann, "/join tea");
    assert!(!table.read(ann).iter().any(|line| line.contains("secret")));
    table.chat.leave(ann, Leave::Gone);
    assert!(table.chat.rooms.is_empty() && table.chat.clients.is_empty());
}

#[test]
fn a_full_room_takes_nobody_else() {
    let mut table = Table::default();
    let first = table.sit(&["/join tea"]);
    for _ in 1..MAX_MEMBERS {
        table.sit(&["/join tea"]);
    }
    let late = table.sit(&["/join games", "/name Late"]);
    table.send(late, "/join tea");
    assert_eq!(table.read(late), [line::ROOM_FULL]);
    table.send(late, "/who");
    assert_eq!(table.read(late), ["* here: Late"], "one stays where one was");
    table.chat.leave(first, Leave::Gone);
    table.send(late, "/join tea");
    assert_eq!(table.read(late)[0], "* you are Late in tea");
}

#[test]
fn a_full_lobby_leaves_the_newcomer_outside() {
    let mut table = Table::default();
    for _ in 0..MAX_MEMBERS {
        table.sit(&["/join lobby"]);
    }
    let late = table.sit(&[]);
    table.send(late, "hello");
    assert_eq!(table.read(late), [line::ROOM_FULL]);
    table.send(late, "/join tea");
    assert_eq!(table.read(late)[1], "* here: guest-1001");
}

#[test]
fn leaving_is_announced_once() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea"]);
    let bob = table.sit(&["/join tea", "/name Bob"]);
    let eve = table.sit(&["/join tea", "/name Eve"]);
    table.read(ann);
    table.chat.leave(bob, Leave::Gone);
    table.chat.leave(bob, Leave::Gone);
    table.chat.leave(eve, Leave::TooSlow);
    table.chat.leave(eve, Leave::Gone);
    assert_eq!(table.read(ann), ["* Bob left", "* Eve left (too slow)"]);
    assert!(table.chat.line(bob, "hello?").is_break());
    assert_eq!(table.read(ann), [""; 0]);
}

#[test]
fn quit_says_goodbye() {
    let mut table = Table::default();
    let ann = table.sit(&["/join tea"]);
    assert!(table.chat.line(ann, "/quit").is_break());
    assert_eq!(table.read(ann), [line::BYE]);
}
