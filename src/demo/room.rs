//! The rooms of the demo chat: their members, the effect of a line, and who gets it. No sockets and no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::line::{self, ChatCommand, LOBBY, Leave};

/// The most members of a room.
pub const MAX_MEMBERS: usize = 1_000;

/// How many of a room's last lines a client gets that joins.
pub const LAST_LINES: usize = 20;

/// The number of a connection. The server uses each once.
pub type ClientId = u64;

/// A line (without its end) and the clients that get it.
#[derive(Debug)]
pub struct Delivery {
    pub to: Vec<ClientId>,
    pub line: Arc<str>,
}

/// All clients, and the rooms they are in.
///
/// The lines to send collect in order; take them with [`Chat::next_delivery`] after each call.
#[derive(Debug, Default)]
pub struct Chat {
    clients: HashMap<ClientId, ChatClient>,
    /// By folded name. A room exists while it has members.
    rooms: HashMap<String, Room>,
    last_id: ClientId,
    last_guest: u64,
    outbox: VecDeque<Delivery>,
}

#[derive(Debug, Default)]
struct ChatClient {
    /// Empty until the client enters its first room.
    name: String,
    room: Option<String>,
}

#[derive(Debug, Default)]
struct Room {
    /// By folded name, so that each name is there once and lists are sorted.
    members: BTreeMap<String, ClientId>,
    /// The last lines, the oldest first.
    last: VecDeque<Arc<str>>,
}

impl Chat {
    /// Adds a client, which is in no room yet.
    pub fn connect(&mut self) -> ClientId {
        self.last_id += 1;
        self.clients.insert(self.last_id, ChatClient::default());
        self.tell(self.last_id, line::WELCOME);
        self.last_id
    }

    /// Handles a line from a client, cleaned by [`line::clean`]; `Break` if the client quits, or is not in the chat.
    pub fn line(&mut self, id: ClientId, text: &str) -> ControlFlow<()> {
        let Some(client) = self.clients.get(&id) else {
            return ControlFlow::Break(());
        };
        if text.chars().nth(line::MAX_LINE_CHARS).is_some() {
            self.tell(id, line::LINE_TOO_LONG);
            return ControlFlow::Continue(());
        }
        let roomless = client.room.is_none();
        match ChatCommand::parse(text) {
            ChatCommand::Quit => {
                self.tell(id, line::BYE);
                return ControlFlow::Break(());
            }
            ChatCommand::Join(room) => match line::room_name(room) {
                Some(room) => self.enter(id, room),
                None => self.tell(id, line::BAD_ROOM),
            },
            // The name is set before the client enters, so that the others see one line, not a guest that is renamed.
            ChatCommand::Name(name) if roomless && line::is_name(name) => {
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

    /// Removes a client. The others see that once, however often this is called.
    pub fn leave(&mut self, id: ClientId, why: Leave) {
        self.leave_room(id, why);
        self.clients.remove(&id);
    }

    /// Sends a line to one client.
    pub fn tell(&mut self, id: ClientId, line: impl Into<Arc<str>>) {
        let line = line.into();
        self.outbox.push_back(Delivery { to: vec![id], line });
    }

    /// The next line to send, the oldest first.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        self.outbox.pop_front()
    }

    fn in_room(&mut self, id: ClientId, command: ChatCommand) {
        let client = self.client(id);
        let name = client.name.clone();
        // Without a room here, the lobby was full, and the client has been told.
        let Some(room) = client.room.clone() else {
            return;
        };
        match command {
            ChatCommand::Say(text) => self.say(&room, format!("{name}: {text}")),
            ChatCommand::Act("") => self.tell(id, line::ME_WHAT),
            ChatCommand::Act(text) if line::is_announcement(text) => {
                self.tell(id, line::NOT_AN_ANNOUNCEMENT);
            }
            ChatCommand::Act(text) => self.say(&room, format!("* {name} {text}")),
            ChatCommand::Name(new) => self.rename(id, &room, new),
            ChatCommand::Who => self.tell_who(id, &room),
            ChatCommand::Help => {
                for line in line::HELP {
                    self.tell(id, line);
                }
            }
            ChatCommand::Unknown(word) => self.tell(id, line::unknown_command(word)),
            ChatCommand::Nothing | ChatCommand::Join(_) | ChatCommand::Quit => {}
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

    /// Keeps the client's name if it is free in that room, else gives it the name of a guest.
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

    /// The member of that name in that room.
    fn holder(&self, room: &str, name: &str) -> Option<ClientId> {
        self.rooms.get(room)?.members.get(&line::fold(name)).copied()
    }

    fn client(&mut self, id: ClientId) -> &mut ChatClient {
        let client = self.clients.get_mut(&id);
        client.expect("line() has checked that the client is connected")
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
