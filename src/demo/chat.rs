//! The demo's chat server: sockets around the rooms. It is an ordinary TCP line server and never hears of WebSocket.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures::future::{AbortHandle, Abortable, Either, select};
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::line::{self, Leave};
use super::room::{Chat, ClientId, MAX_MEMBERS};
use crate::clock::{Deadline, timeout};
use crate::sync::lock;
use crate::task::{self, TcpListener, TcpStream};

/// A client for whom so many lines wait is too slow and has to go. Twice as many as a room has members: when a
/// whole room comes back at once, each says a line before the writers get their turn.
const QUEUE_LINES: usize = 2 * MAX_MEMBERS;

/// A client that sends so many bytes without an end of line is not a chat client.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The waiting lines are gathered into one write of about this size.
const WRITE_BYTES: usize = 16 * 1024;

/// A client that has ended gets what was said before for this long, and as long again to hang up.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Of a client that goes on sending after its end so many bytes are taken: a flood would never let the clock speak.
const LAST_BYTES: u64 = 1024 * 1024;

/// After a failed accept (no file descriptors left, mostly) the others get this long to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The chat line server. Lines are UTF-8 text ended by LF or CRLF.
///
/// A client in no room enters `lobby` with its first line, or the room it names with `/join ROOM`; `/help` lists
/// the commands. Everything the server says by itself begins with `* `, everything people say with `NAME: `.
#[derive(Debug)]
pub struct ChatServer {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl ChatServer {
    /// Listens on `addr`; clients wait in the backlog until [`ChatServer::run`].
    ///
    /// # Errors
    /// What `bind` and `getsockname` say.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(addr)?;
        let local_addr = listener.local_addr()?;
        let listener = listener.into();
        Ok(Self { listener, local_addr })
    }

    /// The address it listens on, with the port that was picked if `addr` had port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves clients for ever; dropping the future disconnects them all.
    pub async fn run(self) {
        let hub = Hub::default();
        let _guard = DisconnectAll(hub.clone());
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => drop(task::spawn(serve(stream, hub.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "the demo's chat could not accept a client");
                    Deadline::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The rooms and the ways to the clients, shared by all clients' tasks.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    chat: Chat,
    /// Exactly the clients that the chat knows.
    clients: HashMap<ClientId, Outlet>,
}

/// The way to one client.
struct Outlet {
    /// Kept to [`QUEUE_LINES`] by hand: a bounded channel would take the memory of a full one from the start.
    queue: Sender<Arc<str>>,
    connection: AbortHandle,
}

impl Hub {
    fn connect(&self, outlet: Outlet) -> Member {
        let mut state = self.lock();
        let id = state.chat.connect();
        state.clients.insert(id, outlet);
        state.deliver();
        drop(state);
        Member { id, hub: self.clone() }
    }

    /// Nothing awaits while this is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    /// Hands the lines out without waiting for anybody: who has no room left for one is disconnected.
    fn deliver(&mut self) {
        while let Some(delivery) = self.chat.next_delivery() {
            for id in delivery.to {
                let Some(outlet) = self.clients.get(&id) else {
                    continue;
                };
                // The lock is held, so nobody else adds to it between this and the next line.
                if outlet.queue.len() < QUEUE_LINES {
                    // A closed queue belongs to a connection that broke: its own task takes it out.
                    let _ = outlet.queue.try_send(delivery.line.clone());
                } else {
                    outlet.connection.abort();
                    self.clients.remove(&id);
                    self.chat.leave(id, Leave::TooSlow);
                }
            }
        }
    }
}

/// Disconnects everybody when the server's future is dropped.
struct DisconnectAll(Hub);

impl Drop for DisconnectAll {
    fn drop(&mut self) {
        for outlet in self.0.lock().clients.values() {
            outlet.connection.abort();
        }
    }
}

/// One client's place in the chat, given up when dropped, however its connection ends.
struct Member {
    id: ClientId,
    hub: Hub,
}

impl Member {
    /// Does what a line asks for; also tells how many lines that has brought the client itself.
    fn line(&self, text: &str) -> (ControlFlow<()>, u32) {
        let mut state = self.hub.lock();
        let waiting = |state: &State| state.clients.get(&self.id).map_or(0, |c| c.queue.len());
        let before = waiting(&state);
        let flow = state.chat.line(self.id, text);
        state.deliver();
        let answers = waiting(&state).saturating_sub(before);
        (flow, answers.try_into().unwrap_or(u32::MAX))
    }

    fn tell(&self, line: &'static str) {
        let mut state = self.hub.lock();
        state.chat.tell(self.id, line);
        state.deliver();
    }

    /// Closes the client's queue, so that its writer ends when it has written what is in there.
    fn leave(&self) {
        let mut state = self.hub.lock();
        state.chat.leave(self.id, Leave::Gone);
        state.clients.remove(&self.id);
        state.deliver();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One client, from its connection to its end.
async fn serve(stream: TcpStream, hub: Hub) {
    // A line is sent when it is said. Without the option it is sent a little later.
    let _ = stream.set_nodelay(true);
    let (queue, lines) = async_channel::unbounded();
    let (connection, registration) = AbortHandle::new_pair();
    let member = hub.connect(Outlet { queue, connection });
    // Aborted for being too slow, it is stuck in a write that only dropping can end.
    let _ = Abortable::new(converse(&stream, member, lines), registration).await;
}

async fn converse(stream: &TcpStream, member: Member, lines: Receiver<Arc<str>>) {
    let writing = pin!(write_lines(stream, lines));
    let reading = pin!(read_lines(stream, &member));
    match select(reading, writing).await {
        Either::Left((_, writing)) => {
            member.leave();
            if timeout(LAST_WORDS, writing).await.is_ok() {
                hang_up(stream).await;
            }
        }
        // It broke while we wrote.
        Either::Right(_) => {}
    }
}

/// Ends with the client's input, with `/quit`, or with a line without end.
async fn read_lines(stream: &TcpStream, member: &Member) -> io::Result<()> {
    let mut input = BufReader::with_capacity(4096, stream);
    let mut bytes = Vec::new();
    let mut pace = Pace::default();
    loop {
        bytes.clear();
        let mut line = (&mut input).take(MAX_LINE_BYTES);
        if line.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(());
        }
        if !bytes.ends_with(b"\n") && line.limit() == 0 {
            member.tell(line::LINE_WITHOUT_END);
            return Ok(());
        }
        let (flow, answers) = member.line(&line::clean(&bytes));
        if flow.is_break() {
            return Ok(());
        }
        // The buffer of one who has sent a long line isn't kept while he is silent.
        bytes.shrink_to(4096);
        // The writers whom this line has woken come first, and then one's own next line.
        task::yield_now().await;
        let pause = pace.spend(answers, Instant::now());
        if !pause.is_zero() {
            Deadline::after(pause).await;
        }
    }
}

/// Ends when the client has left and everything is written.
async fn write_lines(mut stream: &TcpStream, lines: Receiver<Arc<str>>) -> io::Result<()> {
    let mut bytes = Vec::new();
    while let Ok(line) = lines.recv().await {
        let mut next = Some(line);
        while let Some(line) = next {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
            next = if bytes.len() < WRITE_BYTES { lines.try_recv().ok() } else { None };
        }
        stream.write_all(&bytes).await?;
        bytes = Vec::new();
    }
    Ok(())
}

/// Sends the FIN and takes what still comes: with unread input the kernel would answer with a reset, which
/// destroys lines that are still on their way.
async fn hang_up(mut stream: &TcpStream) {
    if stream.shutdown(Shutdown::Write).is_ok() {
        let mut nowhere = futures::io::sink();
        let rest = futures::io::copy((&mut stream).take(LAST_BYTES), &mut nowhere);
        let _ = timeout(LAST_WORDS, rest).await;
    }
}

/// How fast a client may talk: [`Pace::BURST`] lines at once, then one each [`Pace::PER_LINE`]; the rest waits in its
/// socket. Without it somebody who pastes a book would make others look slow who only had no time to read.
#[derive(Default)]
struct Pace {
    /// When what was spent so far is paid off.
    paid_off: Option<Instant>,
}

impl Pace {
    const BURST: u32 = 64;
    const PER_LINE: Duration = Duration::from_millis(10);

    /// How long to wait after a line that made the server send `answers` lines to the one who sent it.
    fn spend(&mut self, answers: u32, now: Instant) -> Duration {
        let start = self.paid_off.map_or(now, |paid_off| paid_off.max(now));
        let paid_off = start + Self::PER_LINE * answers.max(1);
        self.paid_off = Some(paid_off);
        paid_off.saturating_duration_since(now + Self::PER_LINE * Self::BURST)
    }
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
