//! The rooms of the demo chat: who is where, what a line does, who hears of it. No sockets and no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::line::{self, Command, LOBBY, Leave};

/// A room takes no more people than this.
pub const MAX_MEMBERS: usize = 1_000;

/// So many of a room's last lines are shown to somebody who joins.
pub const LAST_LINES: usize = 20;

/// One connection, for as long as the server runs.
pub type ClientId = u64;

/// A line (without its end) and those who get it.
#[derive(Debug)]
pub struct Delivery {
    pub to: Vec<ClientId>,
    pub line: Arc<str>,
}

/// Everybody who is connected, and the rooms they are in.
///
/// What is to be sent collects in order; take it with [`Chat::next_delivery`] after each call.
#[derive(Debug, Default)]
pub struct Chat {
    clients: HashMap<ClientId, Client>,
    /// By folded name; a room is here exactly as long as it has members.
    rooms: HashMap<String, Room>,
    last_id: ClientId,
    last_guest: u64,
    outbox: VecDeque<Delivery>,
}

#[derive(Debug, Default)]
struct Client {
    /// Empty until the first room is entered.
    name: String,
    room: Option<String>,
}

#[derive(Debug, Default)]
struct Room {
    /// By folded name, so that a name is there once and lists are sorted.
    members: BTreeMap<String, ClientId>,
    /// What was said, the oldest first.
    last: VecDeque<Arc<str>>,
}

impl Chat {
    /// A client has come; it is in no room yet.
    pub fn connect(&mut self) -> ClientId {
        self.last_id += 1;
        self.clients.insert(self.last_id, Client::default());
        self.tell(self.last_id, line::WELCOME);
        self.last_id
    }

    /// A client has sent a line, cleaned by [`line::clean`]; `Break` when it asked to end, or is not known (any more).
    pub fn line(&mut self, id: ClientId, text: &str) -> ControlFlow<()> {
        let Some(client) = self.clients.get(&id) else {
            return ControlFlow::Break(());
        };
        if text.chars().nth(line::MAX_LINE_CHARS).is_some() {
            self.tell(id, line::LINE_TOO_LONG);
            return ControlFlow::Continue(());
        }
        let roomless = client.room.is_none();
        match Command::parse(text) {
            Command::Quit => {
                self.tell(id, line::BYE);
                return ControlFlow::Break(());
            }
            Command::Join(room) => match line::room_name(room) {
                Some(room) => self.enter(id, room),
                None => self.tell(id, line::BAD_ROOM),
            },
            // Known before the room is entered, so that the others are told of one newcomer, not of a renamed guest.
            Command::Name(name) if roomless && line::is_name(name) => {
                self.client(id).name = name.into();
                self.enter(id, LOBBY.into());
            }
            command => {
                if roomless {
                    self.enter(id, LOBBY.into());
                }
                self.in_room(id, command);
            }
        }
        ControlFlow::Continue(())
    }

    /// A client is gone, or has to go. The others are told of it once, however often this is called.
    pub fn leave(&mut self, id: ClientId, why: Leave) {
        self.leave_room(id, why);
        self.clients.remove(&id);
    }

    /// Answers a client alone.
    pub fn tell(&mut self, id: ClientId, line: impl Into<Arc<str>>) {
        let line = line.into();
        self.outbox.push_back(Delivery { to: vec![id], line });
    }

    /// The next line to send, in the order in which things happened.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        self.outbox.pop_front()
    }

    fn in_room(&mut self, id: ClientId, command: Command) {
        let client = self.client(id);
        let name = client.name.clone();
        // Still roomless: the lobby was full, and that has been said.
        let Some(room) = client.room.clone() else {
            return;
        };
        match command {
            Command::Say(text) => self.say(&room, format!("{name}: {text}")),
            Command::Act("") => self.tell(id, line::ME_WHAT),
            Command::Act(text) if line::is_announcement(text) => {
                self.tell(id, line::NOT_AN_ANNOUNCEMENT);
            }
            Command::Act(text) => self.say(&room, format!("* {name} {text}")),
            Command::Name(new) => self.rename(id, &room, new),
            Command::Who => self.tell_who(id, &room),
            Command::Help => {
                for line in line::HELP {
                    self.tell(id, line);
                }
            }
            Command::Unknown(word) => self.tell(id, line::unknown_command(word)),
            Command::Nothing | Command::Join(_) | Command::Quit => {}
        }
    }

    fn enter(&mut self, id: ClientId, name: String) {
        if self.client(id).room.as_ref() == Some(&name) {
            self.tell_where(id, &name);
            return;
        }
        let members = self.rooms.get(&name).map_or(0, |room| room.members.len());
        if members >= MAX_MEMBERS {
            self.tell(id, line::ROOM_FULL);
            return;
        }
        self.leave_room(id, Leave::Gone);
        self.choose_name(id, &name);
        let client = self.client(id);
        client.room = Some(name.clone());
        let (folded, joined) = (line::fold(&client.name), line::joined(&client.name));
        let room = self.rooms.entry(name.clone()).or_default();
        room.members.insert(folded, id);
        let last = room.last.clone();
        self.tell_where(id, &name);
        if !last.is_empty() {
            self.tell(id, line::last_lines(last.len()));
        }
        for line in last {
            self.tell(id, line);
        }
        self.announce(&name, joined);
    }

    fn leave_room(&mut self, id: ClientId, why: Leave) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(name) = client.room.take() else {
            return;
        };
        let (folded, left) = (line::fold(&client.name), line::left(&client.name, why));
        if let Some(room) = self.rooms.get_mut(&name) {
            room.members.remove(&folded);
            if room.members.is_empty() {
                self.rooms.remove(&name);
            } else {
                self.announce(&name, left);
            }
        }
    }

    /// Keeps the client's name where it is free in that room, else makes it a guest.
    fn choose_name(&mut self, id: ClientId, room: &str) {
        let name = self.client(id).name.clone();
        if !name.is_empty() {
            if self.holder(room, &name).is_none() {
                return;
            }
            self.tell(id, line::name_taken(&name));
        }
        let guest = loop {
            self.last_guest += 1;
            let guest = format!("guest-{}", self.last_guest);
            if self.holder(room, &guest).is_none() {
                break guest;
            }
        };
        self.client(id).name = guest;
    }

    fn rename(&mut self, id: ClientId, room: &str, new: &str) {
        let old = self.client(id).name.clone();
        if line::is_reserved(new) {
            self.tell(id, line::name_taken(new));
        } else if !line::is_name(new) {
            self.tell(id, line::BAD_NAME);
        } else if old == new {
            self.tell(id, line::you_are(new, room));
        } else if self.holder(room, new).is_some_and(|holder| holder != id) {
            self.tell(id, line::name_taken(new));
        } else {
            if let Some(room) = self.rooms.get_mut(room) {
                room.members.remove(&line::fold(&old));
                room.members.insert(line::fold(new), id);
            }
            self.client(id).name = new.into();
            self.announce(room, line::renamed(&old, new));
        }
    }

    fn tell_where(&mut self, id: ClientId, room: &str) {
        let name = &self.client(id).name;
        let you_are = line::you_are(name, room);
        self.tell(id, you_are);
        self.tell_who(id, room);
    }

    fn tell_who(&mut self, id: ClientId, room: &str) {
        let members = self.rooms.get(room).into_iter().flat_map(|room| room.members.values());
        let names: Vec<&str> = members
            .filter_map(|member| self.clients.get(member))
            .map(|client| client.name.as_str())
            .collect();
        let here = line::here(&names);
        self.tell(id, here);
    }

    fn say(&mut self, room: &str, line: String) {
        let line: Arc<str> = line.into();
        if let Some(room) = self.rooms.get_mut(room) {
            if room.last.len() == LAST_LINES {
                room.last.pop_front();
            }
            room.last.push_back(line.clone());
        }
        self.announce(room, line);
    }

    fn announce(&mut self, room: &str, line: impl Into<Arc<str>>) {
        if let Some(room) = self.rooms.get(room) {
            let to = room.members.values().copied().collect();
            let line = line.into();
            self.outbox.push_back(Delivery { to, line });
        }
    }

    /// Who is called so in that room.
    fn holder(&self, room: &str, name: &str) -> Option<ClientId> {
        self.rooms.get(room)?.members.get(&line::fold(name)).copied()
    }

    fn client(&mut self, id: ClientId) -> &mut Client {
        let client = self.clients.get_mut(&id);
        client.expect("line() has checked that the client is connected")
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
