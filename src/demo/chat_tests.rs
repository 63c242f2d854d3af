//! Tests of the demo's chat over real sockets, with well- and misbehaving clients.

use crate::task::JoinHandle;

use super::*;

/// How long a test waits for a line before it fails.
const DEADLINE: Duration = Duration::from_secs(60);

struct TestServer {
    addr: SocketAddr,
    running: JoinHandle<()>,
}

impl TestServer {
    fn start() -> Self {
        let server = ChatServer::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = server.local_addr();
        let running = task::spawn(server.run());
        Self { addr, running }
    }

    async fn client(&self) -> TestClient {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let input = BufReader::new(stream.clone());
        TestClient { stream, input }
    }

    /// A client of that name in the room `tea`, which has read all lines so far.
    async fn join(&self, name: &str) -> TestClient {
        let mut client = self.client().await;
        client.send(&format!("/join tea\n/name {name}\n")).await;
        client.until(|line| line.ends_with(&format!(" is now {name}"))).await;
        client
    }
}

struct TestClient {
    stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl TestClient {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next line; `None` when the server has hung up.
    async fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        let reading = timeout(DEADLINE, self.input.read_line(&mut line));
        match reading.await.expect("no line and no end") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.strip_suffix('\n').expect("half a line").into()),
        }
    }

    async fn expect(&mut self, line: &str) {
        assert_eq!(self.next().await.as_deref(), Some(line));
    }

    async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.next().await.expect("the server hung up");
            if wanted(&line) {
                return line;
            }
        }
    }

    async fn expect_end(&mut self) {
        assert_eq!(self.next().await, None);
    }
}

#[test]
fn two_people_talk() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.client().await;
        ann.expect(line::WELCOME).await;
        ann.send("/join tea\n").await;
        ann.expect("* you are guest-1 in tea").await;
        ann.expect("* here: guest-1").await;
        ann.expect("* guest-1 joined").await;
        let mut bob = server.join("Bob").await;
        ann.expect("* guest-2 joined").await;
        ann.expect("* guest-2 is now Bob").await;
        ann.send("hello\r\n").await;
        bob.expect("guest-1: hello").await;
        ann.expect("guest-1: hello").await;
        bob.send("/me waves\n").await;
        ann.expect("* Bob waves").await;
        bob.send("/quit\n").await;
        bob.expect("* Bob waves").await;
        bob.expect("* bye").await;
        bob.expect_end().await;
        ann.expect("* Bob left").await;
    });
}

#[test]
fn lines_cut_anywhere_are_whole_again() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.join("Ann").await;
        for byte in "Grüße\r\n".bytes() {
            ann.send([byte]).await;
        }
        ann.expect("Ann: Grüße").await;
        ann.send("one\ntwo\r\n\nthree\n").await;
        for said in ["one", "two", "three"] {
            ann.expect(&format!("Ann: {said}")).await;
        }
    });
}

#[test]
fn what_is_not_text_is_made_text() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.join("Ann").await;
        ann.send(b"caf\xE9 \x1B[2J\x00!\n").await;
        ann.expect("Ann: caf\u{FFFD} [2J!").await;
    });
}

#[test]
fn a_pipe_that_ends_is_heard_to_its_last_byte_and_answered() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.join("Ann").await;
        let mut pipe = server.client().await;
        pipe.send("/join tea\n/name Pipe\nno end of line").await;
        pipe.stream.shutdown(Shutdown::Write).unwrap();
        pipe.until(|line| line == "Pipe: no end of line").await;
        pipe.expect_end().await;
        ann.until(|line| line == "Pipe: no end of line").await;
        ann.expect("* Pipe left").await;
    });
}

#[test]
fn long_lines_are_refused_and_endless_ones_end_the_connection() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.join("Ann").await;
        let mut bob = server.join("Bob").await;
        ann.until(|line| line == "* guest-2 is now Bob").await;
        bob.send("x".repeat(2_001) + "\nstill here\n").await;
        bob.expect(line::LINE_TOO_LONG).await;
        bob.expect("Bob: still here").await;
        ann.expect("Bob: still here").await;
        bob.send("x".repeat(65_536)).await;
        bob.expect(line::LINE_WITHOUT_END).await;
        bob.expect_end().await;
        ann.expect("* Bob left").await;
    });
}

#[test]
fn a_reset_is_announced_like_any_leave() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.join("Ann").await;
        let mut bob = server.join("Bob").await;
        ann.until(|line| line == "* guest-2 is now Bob").await;
        ann.send("unread\n").await;
        ann.expect("Ann: unread").await;
        // Closed with unread input: the kernel sends a reset. The peek makes sure that it is there.
        bob.stream.peek(&mut [0]).await.unwrap();
        bob.send("last words\n").await;
        drop(bob);
        let line = ann.next().await;
        if line.as_deref() == Some("Bob: last words") {
            ann.expect("* Bob left").await;
        } else {
            assert_eq!(line.as_deref(), Some("* Bob left"));
        }
        ann.send("still there?\n").await;
        ann.expect("Ann: still there?").await;
    });
}

#[test]
fn one_who_does_not_read_is_dropped_and_holds_nobody() {
    task::block_on(async {
        let server = TestServer::start();
        let _deaf = server.join("Deaf").await;
        let mut talkers = Vec::new();
        for n in 0..8 {
            talkers.push(server.join(&format!("T{n}")).await);
        }
        // Everybody says a long line and hears the last one's, until the buffers on the way to the deaf one are full.
        let text = "\u{1F408}".repeat(2_000);
        let mut dropped = false;
        while !dropped {
            for talker in &mut talkers {
                talker.send(format!("{text}\n")).await;
            }
            let hear = talkers.iter_mut().map(|talker| async {
                let mut waiting: Vec<_> = (0..8).map(|n| format!("T{n}: {text}")).collect();
                let mut dropped = false;
                while !waiting.is_empty() {
                    let line = talker.next().await.expect("a reader was dropped");
                    waiting.retain(|said| *said != line);
                    dropped |= line == "* Deaf left (too slow)";
                }
                dropped
            });
            dropped = futures::future::join_all(hear).await[0];
        }
        talkers[0].send("/who\n").await;
        talkers[0].expect("* here: T0, T1, T2, T3, T4, T5, T6, T7").await;
    });
}

#[test]
fn many_who_come_at_once_are_all_let_in() {
    task::block_on(async {
        const CLIENTS: usize = 300;
        let server = TestServer::start();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(server.client().await);
        }
        let sends = clients.iter_mut().map(|client| client.send("/join tea\n"));
        futures::future::join_all(sends).await;
        let joins = clients.iter_mut().map(|client| async {
            let here = client.until(|line| line.starts_with("* here: ")).await;
            let before = here.split(", ").count();
            for _ in before..=CLIENTS {
                client.until(|line| line.ends_with(" joined")).await;
            }
        });
        futures::future::join_all(joins).await;
        clients[0].send("/who\n").await;
        let here = clients[0].until(|line| line.starts_with("* here: ")).await;
        assert_eq!(here.split(", ").count(), CLIENTS);
    });
}

#[test]
fn a_server_that_is_dropped_lets_everybody_go() {
    task::block_on(async {
        let server = TestServer::start();
        let mut ann = server.join("Ann").await;
        server.running.cancel().await;
        ann.expect_end().await;
        let again = ChatServer::bind(server.addr);
        assert_eq!(again.unwrap().local_addr(), server.addr);
    });
}

#[test]
fn a_burst_is_free_and_then_lines_are_paced() {
    let mut rate = RateLimit::default();
    let start = Instant::now();
    for _ in 0..RateLimit::BURST {
        assert_eq!(rate.pause_after(1, start), Duration::ZERO);
    }
    assert_eq!(rate.pause_after(1, start), RateLimit::PER_LINE);
    assert_eq!(rate.pause_after(0, start), RateLimit::PER_LINE * 2, "silent lines count, too");
    let later = start + Duration::from_secs(10);
    assert_eq!(rate.pause_after(24, later), Duration::ZERO, "what is paid off is forgotten");
}
