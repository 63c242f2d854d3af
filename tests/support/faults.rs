//! Peers that misbehave, each named for what it does. Most take any socket, as clients and backends
//! misbehave alike.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use async_tungstenite::tungstenite::WebSocket;
use async_tungstenite::tungstenite::protocol::Role;
use socket2::{Domain, SockRef, Socket, Type};

use super::{Backend, Client, HttpResponse, Peer, Relay, handshake, timed};

/// Bytes in the socket buffers of a slow peer: the less the kernel buffers for it, the sooner the relay
/// is affected.
const SMALL: usize = 4096;

/// How long a write must block to count as not taken.
const STUCK: Duration = Duration::from_millis(300);

/// Writes one byte at a time, each in a segment of its own.
pub struct Slice<'a>(pub &'a TcpStream);

impl Slice<'_> {
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.0.write_all(&[*byte]).expect("the relay takes it");
        }
    }
}

/// Is connected, and neither reads nor writes.
pub struct Stall(TcpStream);

impl Stall {
    /// A WebSocket client that stalls right after the handshake.
    pub fn client(relay: &Relay) -> Self {
        Stall(slow_client(relay))
    }

    /// A listening backend whose connections have small receive buffers; one that is accepted and
    /// not read from is a stalled backend.
    pub fn backend() -> Backend {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(SMALL).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(128).unwrap();
        let listener = TcpListener::from(socket);
        let addr = listener.local_addr().unwrap();
        Backend { listener, addr }
    }

    /// The socket, for a peer that behaves from now on.
    pub fn wake(self) -> TcpStream {
        self.0
    }
}

/// Vanishes with a reset (RST) after it has read this many bytes.
pub struct Reset {
    pub after: usize,
}

impl Reset {
    /// Reads, resets the connection, and returns the bytes read.
    pub fn run(self, mut tcp: TcpStream) -> Vec<u8> {
        let mut heard = vec![0; self.after];
        tcp.read_exact(&mut heard).expect("enough to read");
        SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
        heard
    }
}

/// Has ended its output (FIN), and goes on reading.
pub struct HalfClose(JoinHandle<io::Result<Vec<u8>>>);

impl HalfClose {
    pub fn new(mut tcp: TcpStream) -> Self {
        tcp.shutdown(Shutdown::Write).unwrap();
        HalfClose(std::thread::spawn(move || {
            let mut heard = Vec::new();
            tcp.read_to_end(&mut heard)?;
            Ok(heard)
        }))
    }

    /// Everything that came after the FIN, up to the relay's own; a reset is a failure.
    pub fn heard(self) -> Vec<u8> {
        self.0.join().unwrap().expect("the relay's FIN, not a reset")
    }
}

/// Sends a line without its end, and waits for an answer.
pub struct NoNewline;

impl NoNewline {
    /// Sends `prompt` and returns the line that answers it.
    pub fn ask(peer: &mut Peer, prompt: &str) -> String {
        assert!(!prompt.ends_with('\n'));
        peer.write(prompt);
        peer.read_line()
    }
}

/// Writes the same bytes again and again, even if they are not read.
pub struct Flood<'a>(pub &'a [u8]);

impl Flood<'_> {
    /// Writes until nothing has been taken for a while, or at least `most` bytes were. Returns the number
    /// of bytes taken, and the rest of the last unit.
    pub fn run(&self, mut tcp: &TcpStream, most: usize) -> (usize, Vec<u8>) {
        let old = tcp.write_timeout().unwrap();
        tcp.set_write_timeout(Some(STUCK)).unwrap();
        let (mut taken, mut rest) = (0, &[][..]);
        while taken < most || !rest.is_empty() {
            if rest.is_empty() {
                rest = self.0;
            }
            match tcp.write(rest) {
                Ok(n) => {
                    taken += n;
                    rest = &rest[n..];
                }
                // Blocked, or disconnected.
                Err(_) => break,
            }
        }
        tcp.set_write_timeout(old).unwrap();
        (taken, rest.to_vec())
    }

    /// Writes until the other side ends it.
    pub fn forever(&self, mut tcp: &TcpStream) {
        while tcp.write_all(self.0).is_ok() {}
    }
}

/// A WebSocket client that reads this many bytes at a time, and only when told.
pub struct SlowReader {
    tcp: TcpStream,
    taken: Vec<u8>,
}

impl SlowReader {
    pub fn connect(relay: &Relay) -> Self {
        SlowReader { tcp: slow_client(relay), taken: Vec::new() }
    }

    /// Reads up to `n` bytes from the socket.
    pub fn sip(&mut self, n: usize) {
        let start = self.taken.len();
        self.taken.resize(start + n, 0);
        let n = self.tcp.read(&mut self.taken[start..]).expect("bytes, not a reset");
        assert!(n > 0, "there is nothing more to sip");
        self.taken.truncate(start + n);
    }

    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Reads like any other client from now on; the bytes that were read already come first.
    pub fn hurry(self) -> Client {
        let tcp = super::Steady(self.tcp);
        let ws = WebSocket::from_partially_read(tcp, self.taken, Role::Client, None);
        Client(ws)
    }
}

/// A backend that is down at first: its port refuses, until it listens.
#[allow(unused_imports)]
pub use super::Refusing as RefuseThenAccept;

/// A client's socket with a small receive buffer, right after the 101.
fn slow_client(relay: &Relay) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Before the connect, as the window is agreed on then.
    socket.set_recv_buffer_size(SMALL).unwrap();
    socket.connect(&relay.addr.into()).unwrap();
    let mut tcp = timed(socket.into());
    upgrade(&mut tcp, &[]);
    tcp
}

/// Does the handshake on a socket, with these bytes in the same segment.
pub fn upgrade(tcp: &mut TcpStream, early: &[u8]) {
    let mut request = handshake("/", "").into_bytes();
    request.extend_from_slice(early);
    tcp.write_all(&request).unwrap();
    assert_eq!(HttpResponse::read(tcp).status, 101);
}

/// A WebSocket client on a socket whose handshake is done.
pub fn client(tcp: TcpStream) -> Client {
    Client(WebSocket::from_raw_socket(super::Steady(tcp), Role::Client, None))
}

/// Resets a connection: the peer sees an error instead of an end.
pub fn reset(tcp: TcpStream) {
    Reset { after: 0 }.run(tcp);
}

/// Begins a telnet subnegotiation and never ends it.
pub struct EndsNoSubnegotiation<'a>(pub &'a TcpStream);

impl EndsNoSubnegotiation<'_> {
    /// Writes so many bytes of it.
    pub fn write(&mut self, length: usize) {
        self.0.write_all(b"\xff\xfa\xc9").expect("the relay takes it");
        self.0.write_all(&vec![b'x'; length]).expect("the relay takes it");
    }
}

/// A telnet server that answers every command with the matching one, answers as well.
pub struct AnswersEverything<'a>(pub &'a mut Peer);

impl AnswersEverything<'_> {
    /// Offers and asks for many options, answers all that comes, and stops when a line of `client`'s comes: then all
    /// that was said before has been answered. Returns the bytes of negotiation that came after the first answers.
    pub fn talk(&mut self, client: &mut Client) -> usize {
        const IAC: u8 = 255;
        let options = [0, 1, 3, 24, 25, 31, 39, 42, 70, 86, 201];
        let first: Vec<u8> =
            options.iter().flat_map(|option| [IAC, 251, *option, IAC, 253, *option]).collect();
        self.0.write(&first);
        let mut said = 0;
        for round in 0..20 {
            client.send(&format!("round {round}"));
            // Enter alone, as BINARY is agreed to.
            let line = format!("round {round}\r").into_bytes();
            let mut bytes = Vec::new();
            let mut answered = 0;
            while !bytes.ends_with(&line) {
                let mut byte = [0];
                self.0.0.read_exact(&mut byte).expect("a line within the deadline");
                bytes.push(byte[0]);
                if let [.., IAC, verb @ 251..=254, option] = bytes[answered..] {
                    answered = bytes.len();
                    // WILL by DO, WONT by DONT, and the other way.
                    let verb = match verb {
                        251 | 252 => verb + 2,
                        _ => verb - 2,
                    };
                    self.0.write([IAC, verb, option]);
                    said += if round == 0 { 0 } else { 3 };
                }
            }
        }
        said
    }
}

/// A telnet server that asks again and again for what is refused.
pub struct InsistsOnAll<'a>(pub &'a TcpStream);

impl InsistsOnAll<'_> {
    /// Asks so many times.
    pub fn write(&mut self, times: usize) {
        self.0.write_all(&b"\xff\xfd\x1f".repeat(times)).expect("the relay takes it");
    }
}

/// A telnet server whose stream ends in the middle of a command.
pub struct EndsInCommand(pub Peer);

impl EndsInCommand {
    /// Sends text, the beginning of a command, and its FIN.
    pub fn write(mut self, text: &str, command: &[u8]) {
        self.0.write(text);
        self.0.write(command);
    }
}
