//! The card of a connection: its facts and counters for other tasks, and its mailbox.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::mailbox::Mailbox;

/// The public facts of a connection. Its own task writes them, other tasks read them at any time; no relayed
/// line takes a lock for it.
#[derive(Debug)]
pub struct Card {
    /// Number of the connection in this process, from 1: the `id` of its log lines.
    pub id: u64,
    /// Who connected; `None` for a process on this machine, through a Unix socket.
    pub client: Option<SocketAddr>,
    /// The orders for its task.
    pub mailbox: Mailbox,
    /// The counters of its session.
    pub traffic: Traffic,
    session: OnceLock<Box<SessionCard>>,
}

/// The facts of a connection that has become a session.
#[derive(Debug)]
pub struct SessionCard {
    /// The time of the handshake.
    pub since: Instant,
    /// The client that a trusted proxy named.
    pub forwarded_for: Option<IpAddr>,
    /// The name that was proved by a password, token or certificate.
    pub user: Option<Arc<str>>,
    /// The path of its route.
    pub route: Arc<str>,
    /// The path of the request, as it is logged.
    pub path: Box<str>,
    /// The backend, as the operator named it, or the program of a directory of programs.
    pub backend: Arc<str>,
    /// The subprotocol that was chosen.
    pub subprotocol: Option<Box<str>>,
}

/// The direction of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to backend.
    Up,
    /// Backend to client.
    Down,
}

/// The lines (in raw mode messages) and bytes of a session so far, on the backend's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines written for the backend.
    pub lines_up: u64,
    /// Bytes written for the backend, ends of lines included.
    pub bytes_up: u64,
    /// Messages made of the backend's lines.
    pub lines_down: u64,
    /// Bytes read from the backend.
    pub bytes_down: u64,
    /// Characters or bytes that could not be converted, going up.
    pub replaced_up: u64,
    /// The same, going down.
    pub replaced_down: u64,
    /// Pieces of telnet that were dropped, as they were beyond a limit.
    pub dropped: u64,
}

/// A session's counters. Only its own task writes them, so that adding takes no atomic read-modify-write.
#[derive(Debug, Default)]
pub struct Traffic {
    lines: [AtomicU64; 2],
    bytes: [AtomicU64; 2],
    // Rare, and small, as every connection has them: they stop at the largest number.
    replaced: [AtomicU32; 2],
    dropped: AtomicU32,
}

impl Card {
    pub(super) fn new(id: u64, client: Option<SocketAddr>) -> Self {
        Card {
            id,
            client,
            mailbox: Mailbox::default(),
            traffic: Traffic::default(),
            session: OnceLock::new(),
        }
    }

    /// Sets the facts of the session, once.
    pub fn open(&self, session: SessionCard) -> &SessionCard {
        self.session.get_or_init(|| Box::new(session))
    }

    /// The facts of its session, if it has become one.
    pub fn session(&self) -> Option<&SessionCard> {
        self.session.get().map(|session| &**session)
    }
}

impl Traffic {
    /// Counts a batch. Only the session's own task may call it.
    #[inline]
    pub fn add(&self, direction: Direction, lines: u64, bytes: u64) {
        let add = |counter: &AtomicU64, n| {
            counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        };
        add(&self.lines[direction as usize], lines);
        add(&self.bytes[direction as usize], bytes);
    }

    /// Sets the total of failed conversions, and returns the previous one.
    pub fn set_replaced(&self, direction: Direction, total: u64) -> u64 {
        set(&self.replaced[direction as usize], total)
    }

    /// Sets the total of what was dropped, and returns the previous one.
    pub fn set_dropped(&self, total: u64) -> u64 {
        set(&self.dropped, total)
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let [[lines_up, lines_down], [bytes_up, bytes_down]] = [&self.lines, &self.bytes]
            .map(|both| [0, 1].map(|i: usize| both[i].load(Ordering::Relaxed)));
        let [replaced_up, replaced_down] =
            [0, 1].map(|i: usize| self.replaced[i].load(Ordering::Relaxed).into());
        let dropped = self.dropped.load(Ordering::Relaxed).into();
        Counts { lines_up, bytes_up, lines_down, bytes_down, replaced_up, replaced_down, dropped }
    }
}

/// Sets a counter, and returns its previous value.
fn set(counter: &AtomicU32, total: u64) -> u64 {
    counter.swap(u32::try_from(total).unwrap_or(u32::MAX), Ordering::Relaxed).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every connection has one, idle ones included.
    #[test]
    fn a_card_is_small() {
        assert!(size_of::<Card>() <= 152, "{} bytes", size_of::<Card>());
        assert!(size_of::<SessionCard>() <= 120, "{} bytes", size_of::<SessionCard>());
    }

    #[test]
    fn each_direction_is_counted_by_itself() {
        let traffic = Traffic::default();
        traffic.add(Direction::Up, 1, 10);
        traffic.add(Direction::Down, 2, 20);
        traffic.add(Direction::Up, 3, 30);
        assert_eq!(traffic.set_replaced(Direction::Down, 5), 0);
        assert_eq!(traffic.set_replaced(Direction::Down, 6), 5);
        assert_eq!(traffic.set_dropped(2), 0);
        let want = Counts {
            lines_up: 4,
            bytes_up: 40,
            lines_down: 2,
            bytes_down: 20,
            replaced_up: 0,
            replaced_down: 6,
            dropped: 2,
        };
        assert_eq!(traffic.counts(), want);
    }
}
