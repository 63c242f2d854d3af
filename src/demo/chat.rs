//! The sockets of the demo's chat server, an ordinary TCP line server that knows nothing of WebSocket.

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

/// The most lines that wait for one client; one more disconnects it as too slow. Twice as many as a room has
/// members: when all of a room connect at once, each sends a line before the writers get their turn.
const QUEUE_LINES: usize = 2 * MAX_MEMBERS;

/// The longest line, in bytes. A client that sends a longer one is no chat client, and is disconnected.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The size, in bytes, up to which waiting lines are gathered into one write.
const WRITE_BYTES: usize = 16 * 1024;

/// How long a client that has ended may take for the lines that wait for it, and again to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes that are read and dropped after a client's end: a flood would starve the timeout.
const MAX_DISCARDED: u64 = 1024 * 1024;

/// The pause after a failed accept, mostly for want of file descriptors, which other clients may close meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The chat line server. Lines are UTF-8 text ended by LF or CRLF.
///
/// A client enters `lobby` with its first line, or the room of its `/join ROOM`; `/help` lists the commands. Lines of
/// the server begin with `* `, those of people with `NAME: `.
#[derive(Debug)]
pub struct ChatServer {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl ChatServer {
    /// Listens on `addr`; clients wait in the backlog until [`ChatServer::run`].
    ///
    /// # Errors
    /// Those of `bind` and `getsockname`.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(addr)?;
        let local_addr = listener.local_addr()?;
        let listener = listener.into();
        Ok(Self { listener, local_addr })
    }

    /// The address it listens on, with the port that the kernel chose if `addr` had port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves clients until the future is dropped, which disconnects them all.
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

/// The rooms and the clients, shared by the tasks of all clients.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<HubState>>);

#[derive(Default)]
struct HubState {
    chat: Chat,
    /// The same clients as in `chat`.
    clients: HashMap<ClientId, ClientHandle>,
}

/// The means to send to a client, and to disconnect it.
struct ClientHandle {
    /// At most [`QUEUE_LINES`] lines, which `deliver` checks: a bounded channel would allocate all of them at once.
    queue: Sender<Arc<str>>,
    connection: AbortHandle,
}

impl Hub {
    fn connect(&self, handle: ClientHandle) -> Member {
        let mut state = self.lock();
        let id = state.chat.connect();
        state.clients.insert(id, handle);
        state.deliver();
        drop(state);
        Member { id, hub: self.clone() }
    }

    /// Locks the state, for no longer than until the next await.
    fn lock(&self) -> MutexGuard<'_, HubState> {
        lock(&self.0)
    }
}

impl HubState {
    /// Puts the lines into the clients' queues, and disconnects the clients whose queue is full.
    fn deliver(&mut self) {
        while let Some(delivery) = self.chat.next_delivery() {
            for id in delivery.to {
                let Some(handle) = self.clients.get(&id) else {
                    continue;
                };
                // The lock is held, so that no other task adds a line between this check and the next line.
                if handle.queue.len() < QUEUE_LINES {
                    // The queue of a broken connection is closed; its own task removes it.
                    let _ = handle.queue.try_send(delivery.line.clone());
                } else {
                    handle.connection.abort();
                    self.clients.remove(&id);
                    self.chat.leave(id, Leave::TooSlow);
                }
            }
        }
    }
}

/// Disconnects all clients when dropped.
struct DisconnectAll(Hub);

impl Drop for DisconnectAll {
    fn drop(&mut self) {
        for handle in self.0.lock().clients.values() {
            handle.connection.abort();
        }
    }
}

/// A client that is in the chat; dropping it removes the client.
struct Member {
    id: ClientId,
    hub: Hub,
}

impl Member {
    /// Handles a line from the client. The number is that of the lines that the client itself got for it.
    fn line(&self, text: &str) -> (ControlFlow<()>, u32) {
        let mut state = self.hub.lock();
        let waiting = |state: &HubState| state.clients.get(&self.id).map_or(0, |c| c.queue.len());
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

/// Serves one client until its connection ends.
async fn serve(stream: TcpStream, hub: Hub) {
    // Sends each line at once. If the option can't be set, lines come a little later.
    let _ = stream.set_nodelay(true);
    let (queue, lines) = async_channel::unbounded();
    let (connection, registration) = AbortHandle::new_pair();
    let member = hub.connect(ClientHandle { queue, connection });
    // A client that is too slow is stuck in a write, which only dropping the future ends.
    let _ = Abortable::new(converse(&stream, member, lines), registration).await;
}

async fn converse(stream: &TcpStream, member: Member, lines: Receiver<Arc<str>>) {
    let writing = pin!(write_lines(stream, lines));
    let reading = pin!(read_lines(stream, &member));
    match select(reading, writing).await {
        Either::Left((_, writing)) => {
            member.leave();
            if timeout(CLOSE_TIMEOUT, writing).await.is_ok() {
                close(stream).await;
            }
        }
        // The connection broke while we wrote.
        Either::Right(_) => {}
    }
}

/// Reads lines until the client's input ends, or it sends `/quit` or a line that is too long.
async fn read_lines(stream: &TcpStream, member: &Member) -> io::Result<()> {
    let mut input = BufReader::with_capacity(4096, stream);
    let mut bytes = Vec::new();
    let mut rate = RateLimit::default();
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
        // The buffer of a long line is not kept while the client is idle.
        bytes.shrink_to(4096);
        // The writers that this line has woken run before the client's next line is read.
        task::yield_now().await;
        let pause = rate.pause_after(answers, Instant::now());
        if !pause.is_zero() {
            Deadline::after(pause).await;
        }
    }
}

/// Writes lines until the client has left and all of its lines are written.
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

/// Sends the FIN, and reads and drops what still comes: if input is left unread the kernel sends a reset, which
/// destroys lines that are still on their way.
async fn close(mut stream: &TcpStream) {
    if stream.shutdown(Shutdown::Write).is_ok() {
        let mut nowhere = futures::io::sink();
        let rest = futures::io::copy((&mut stream).take(MAX_DISCARDED), &mut nowhere);
        let _ = timeout(CLOSE_TIMEOUT, rest).await;
    }
}

/// The limit on how fast a client may send: [`RateLimit::BURST`] lines at once, then one each [`RateLimit::PER_LINE`]; the
/// rest waits in its socket. Without it, a client that pastes a book would fill the queues of all others.
#[derive(Default)]
struct RateLimit {
    /// When the lines sent so far no longer count.
    even_at: Option<Instant>,
}

impl RateLimit {
    const BURST: u32 = 64;
    const PER_LINE: Duration = Duration::from_millis(10);

    /// Counts a line that made the server send `answers` lines to its sender; gives the pause before the next one.
    fn pause_after(&mut self, answers: u32, now: Instant) -> Duration {
        let start = self.even_at.map_or(now, |even_at| even_at.max(now));
        let even_at = start + Self::PER_LINE * answers.max(1);
        self.even_at = Some(even_at);
        even_at.saturating_duration_since(now + Self::PER_LINE * Self::BURST)
    }
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
