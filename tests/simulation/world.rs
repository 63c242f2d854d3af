//! World: runs a story. The real session between a simulated client and backend, on a clock that the story turns.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use encoding_rs::Encoding;
use http::Request;
use wsrelay::backend::{BackendIo, ClientFacts, Template};
use wsrelay::clock::ManualClock;
use wsrelay::framing::{Charset, Eol, Framing, LineRules, Newlines, RawRules};
use wsrelay::net::duplex::Duplex;
use wsrelay::net::stream::ByteStream;
use wsrelay::rate::Rate;
use wsrelay::registry::{Order, Registration, Registry};
use wsrelay::session::keepalive::Limits;
use wsrelay::session::{
    CloseReason, Greeting, GreetingConfig, Session, SessionConfig, SlowClient, Terms,
};

use crate::client::Client;
use crate::peer::{Flow, Peer};
use crate::spec;
use crate::stage::Escapes;
use crate::story::{Act, Ms, Setup, Side, Story, TICK};
use crate::trace::{Failure, Moment, Trace};

/// Polls of a session at one moment without anything that moves: its deadline fires and nothing is due, or it gives
/// others their turn.
const IDLE_POLLS: usize = 8;

/// Bytes that a peer reads at once.
const READ: usize = 64 * 1024;

/// The flag that a session's waker sets.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct World<'a> {
    story: &'a Story,
    clock: &'a mut ManualClock,
    /// When the session began.
    start: Duration,
    client: Client,
    backend: Peer,
    session: Option<Pin<Box<dyn Future<Output = CloseReason>>>>,
    woken: Arc<Flag>,
    waker: Waker,
    registration: Registration,
    buf: Vec<u8>,
    trace: Trace,
    /// How many deadlines were waited for once the session was over.
    left: usize,
}

/// Runs a story to its end, on the clock of this thread.
///
/// The outcome is what can be seen while it runs: a session that spins, misses a wake-up, or does not end.
pub fn run(story: &Story, clock: &mut ManualClock) -> (Result<(), Failure>, Trace) {
    // Each session begins with a tick of the clock.
    let tick = Duration::from_millis(TICK);
    let past = clock.elapsed().as_nanos() % tick.as_nanos();
    assert_eq!(past, 0, "the clock moves by whole ticks");
    let mut world = World::new(story, clock);
    let lived = world.live();
    world.trace.sent = world.client.sent;
    (lived, world.trace)
}

fn charset(encoding: &'static Encoding) -> Charset {
    Charset::for_label(encoding.name()).expect("a charset of lines")
}

fn rules(rules: &spec::Rules) -> LineRules {
    LineRules {
        eol: match rules.ends {
            spec::Ends::Newline if rules.crlf => Eol::CrLf,
            spec::Ends::Newline => Eol::Lf,
            spec::Ends::NewlineOrCr => Eol::Cr,
            spec::Ends::Nul => Eol::Nul,
        },
        keep_eol: rules.keep_eol,
        newlines: match rules.newlines {
            spec::Newlines::Split => Newlines::Split,
            spec::Newlines::Space => Newlines::Space,
            spec::Newlines::Reject => Newlines::Reject,
        },
        charset: charset(rules.charset),
        fallback: rules.fallback.map(charset),
        max_line: rules.max_line,
    }
}

fn config(setup: &Setup) -> SessionConfig {
    let limit = |ms: Option<Ms>| ms.map(Duration::from_millis);
    let max_line = setup.rules.max_line;
    let framing = match setup.rules.raw {
        true => Framing::Raw(RawRules { max_message: max_line, charset: None }),
        false if setup.rules.binary_lines => Framing::BinaryLines(rules(&setup.rules)),
        false => Framing::Lines(rules(&setup.rules)),
    };
    SessionConfig {
        framing,
        max_line,
        rate: setup
            .rate
            .map(|rate| Rate::parse(&format!("{}/s:{}", rate.count, rate.burst)).expect("a rate")),
        slow_client: setup.queue.map_or(SlowClient::Wait, |queue| SlowClient::Drop { queue }),
        limits: Limits {
            ping_interval: limit(setup.ping_interval),
            ping_timeout: limit(setup.ping_timeout),
            write_timeout: limit(setup.write_timeout),
            idle_timeout: limit(setup.idle_timeout),
            flush_after: limit(setup.flush_after),
        },
        close_timeout: Duration::from_millis(setup.close_timeout),
        greeting: None,
        telnet: None,
        trace: false,
    }
}

/// The lines for the backend.
fn greeting(setup: &Setup) -> Greeting {
    let lines = |is_said: bool, text: &str| -> Vec<Template> {
        is_said.then(|| Template::parse(text).expect("a template")).into_iter().collect()
    };
    let config = GreetingConfig {
        hello: lines(setup.hello, spec::greeting::HELLO),
        goodbye: lines(setup.goodbye, spec::greeting::GOODBYE),
        refusal: None,
        rules: rules(&setup.rules),
    };
    config.of(&ClientFacts::of(&Request::new(())))
}

impl<'a> World<'a> {
    fn new(story: &'a Story, clock: &'a mut ManualClock) -> Self {
        let setup = &story.setup;
        let (client, theirs) = Duplex::pair(setup.client_room);
        let (backend, server) = Duplex::pair(setup.backend_room);
        let mut client_peer = Client::new(Peer::new(theirs), setup);
        if let Some(first) = story.steps.first() {
            client_peer.act(&first.act);
        }
        client_peer.peer.blocks = setup.client_blocks;
        let mut backend_peer = Peer::new(server);
        backend_peer.blocks = setup.backend_blocks;
        let early = setup.early.min(client_peer.peer.outbox.len());
        let early = client_peer.peer.skip(early);
        let registration = Registry::new().register(None);
        let session = Session::new(Terms {
            client: ByteStream::duplex(client),
            early: Bytes::from(early),
            backend: BackendIo::server(ByteStream::duplex(backend)),
            config: Arc::new(config(setup)),
            stage: setup.stage.then(|| Box::new(Escapes::default()) as _),
            greeting: greeting(setup),
            card: registration.card.clone(),
        });
        let woken = Arc::new(Flag::default());
        woken.0.store(true, Ordering::Relaxed);
        World {
            story,
            start: clock.elapsed(),
            clock,
            client: client_peer,
            backend: backend_peer,
            session: Some(Box::pin(session.run())),
            waker: Waker::from(woken.clone()),
            woken,
            registration,
            buf: vec![0; READ],
            trace: Trace::default(),
            left: 0,
        }
    }

    fn now(&self) -> Ms {
        (self.clock.elapsed() - self.start).as_millis() as Ms
    }

    /// The story, and what comes after it.
    fn live(&mut self) -> Result<(), Failure> {
        for (number, step) in self.story.steps.iter().enumerate() {
            self.trace.step = number;
            // The first step was taken before the session began, if it is the client's.
            if number > 0 || !Client::is_client(&step.act) {
                self.act(&step.act, step.chunk)?;
            }
            if step.settles {
                self.settle(step.chunk)?;
            }
        }
        self.trace.step = self.story.steps.len();
        self.settle(usize::MAX)?;
        let setup = &self.story.setup;
        let limits =
            [setup.ping_interval, setup.ping_timeout, setup.write_timeout, setup.idle_timeout];
        let longest = limits.into_iter().flatten().max().unwrap_or(0);
        // Every limit has its chance, and then the relay stops.
        let time = 2 * longest + 2 * setup.flush_after.unwrap_or(0) + setup.close_timeout;
        self.pass(time + TICK, usize::MAX)?;
        if !self.trace.is_over() {
            self.act(&Act::Stop, usize::MAX)?;
            self.settle(usize::MAX)?;
        }
        self.pass(3 * (setup.close_timeout + longest) + 4 * TICK, usize::MAX)?;
        if self.session.is_some() {
            return Err(Failure::new("never ends", format!("it lives at {} ms", self.now())));
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<(), Failure> {
        // What the session put into the sockets is still read.
        for side in [Side::Client, Side::Backend] {
            self.peer(side).reads = true;
            self.peer(side).blocks = false;
        }
        while self.read(usize::MAX)? {}
        self.moment();
        if self.left > 0 || self.clock.waiting() > 0 {
            return Err(Failure::new("left behind", "a deadline is still waited for".into()));
        }
        let cards = Arc::strong_count(&self.registration.card);
        // The registration's and the registry's.
        if cards != 2 {
            return Err(Failure::new("left behind", format!("{cards} hold its card")));
        }
        Ok(())
    }

    fn act(&mut self, act: &Act, chunk: usize) -> Result<(), Failure> {
        match act {
            act if Client::is_client(act) => self.client.act(act),
            Act::Write(bytes) if !self.backend.wants_fin => {
                self.backend.outbox.write_all(bytes).expect("it takes all");
                self.trace.backend_sent.extend_from_slice(bytes);
            }
            Act::Fin(side) => self.peer(*side).wants_fin = true,
            Act::Reset { side, keeps } if !self.peer(*side).has_reset => {
                let side = *side;
                self.trace.resets.push((self.trace.moments.len(), side, *keeps));
                let lost = self.peer(side).reset(*keeps);
                if side == Side::Backend {
                    self.trace.backend_lost = lost;
                }
            }
            Act::Stall(side) => self.peer(*side).reads = false,
            Act::Resume(side) => self.peer(*side).reads = true,
            Act::Take(side, n) => {
                self.take(*side, *n)?;
            }
            Act::Hold(side) => self.peer(*side).is_held = true,
            Act::Release(side) => self.peer(*side).is_held = false,
            Act::Pass(ms) => {
                self.settle(chunk)?;
                self.pass(*ms, chunk)?;
            }
            Act::Jump(ms) => {
                self.settle(chunk)?;
                self.trace.jumps = true;
                self.clock.advance(Duration::from_millis(*ms));
                self.settle(chunk)?;
            }
            Act::Stop => {
                self.trace.stop.get_or_insert(self.trace.moments.len());
                self.registration.card.mailbox.send(Order::Stop);
            }
            _ => {}
        }
        Ok(())
    }

    fn peer(&mut self, side: Side) -> &mut Peer {
        match side {
            Side::Client => &mut self.client.peer,
            Side::Backend => &mut self.backend,
        }
    }

    /// Lets time pass from deadline to deadline.
    fn pass(&mut self, ms: Ms, chunk: usize) -> Result<(), Failure> {
        let end = self.clock.elapsed() + Duration::from_millis(ms);
        loop {
            let next = self.clock.next().filter(|next| *next <= end);
            let to = next.unwrap_or(end).max(self.clock.elapsed());
            let by = to - self.clock.elapsed();
            self.clock.advance(by);
            self.settle(chunk)?;
            if next.is_none() {
                return Ok(());
            }
            if by.is_zero() {
                return Err(Failure::new(
                    "spins",
                    "a deadline that has passed is waited for".into(),
                ));
            }
        }
    }

    /// Runs until nothing moves any more.
    fn settle(&mut self, chunk: usize) -> Result<(), Failure> {
        let mut idle = 0;
        loop {
            let mut moved = self.client.peer.deliver(chunk);
            moved |= self.backend.deliver(chunk);
            if self.wants_poll() {
                let done = self.poll();
                moved |= done;
                idle += usize::from(!done);
            }
            moved |= self.read(usize::MAX)?;
            if !moved && !self.wants_poll() {
                break;
            }
            // After some frames that it had read before, it gives others their turn.
            if idle > IDLE_POLLS + self.client.sent.len() / 4 {
                return Err(Failure::new("spins", format!("{idle} polls for nothing")));
            }
        }
        self.check_wake_up()?;
        self.moment();
        Ok(())
    }

    fn wants_poll(&self) -> bool {
        self.session.is_some() && self.woken.0.load(Ordering::Relaxed)
    }

    /// What can be seen from outside: bytes, and ends of streams.
    fn seen(&self) -> [(Flow, bool); 2] {
        [&self.client.peer, &self.backend].map(|peer| (peer.flow, peer.is_ended()))
    }

    /// Polls the session. Returns whether anything moved.
    fn poll(&mut self) -> bool {
        let before = self.seen();
        let Some(session) = &mut self.session else { return false };
        let mut cx = Context::from_waker(&self.waker);
        self.woken.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(reason) = session.as_mut().poll(&mut cx) {
            self.session = None;
            self.left = self.clock.waiting();
            self.client.peer.note();
            self.backend.note();
            self.trace.over = Some((self.trace.moments.len(), reason));
            self.trace.counts = self.registration.card.traffic.counts();
            return true;
        }
        self.client.peer.note();
        self.backend.note();
        self.seen() != before
    }

    /// A session that would do something if it were polled should have been woken.
    fn check_wake_up(&mut self) -> Result<(), Failure> {
        if self.session.is_some() && (self.poll() || self.wants_poll()) {
            let what = "polled again without a wake-up, the session goes on".into();
            return Err(Failure::new("lost wake-up", what));
        }
        Ok(())
    }

    /// Lets the peers read that want to. Returns whether anything moved.
    fn read(&mut self, most: usize) -> Result<bool, Failure> {
        let mut moved = false;
        for side in [Side::Client, Side::Backend] {
            if self.peer(side).can_read() {
                moved |= self.take(side, most)?;
            }
        }
        Ok(moved)
    }

    /// A peer reads up to `most` bytes, and answers. Returns whether anything moved.
    fn take(&mut self, side: Side, most: usize) -> Result<bool, Failure> {
        let mut buf = std::mem::take(&mut self.buf);
        let room = most.min(buf.len());
        let peer = self.peer(side);
        let had_ended = peer.end.is_some();
        let n = peer.take(&mut buf[..room]);
        let ended = !had_ended && peer.end.is_some();
        let moment = self.trace.moments.len();
        let taken = match side {
            Side::Client => self.client.received(&buf[..n], ended, moment, &mut self.trace),
            Side::Backend => {
                self.trace.backend_received.extend_from_slice(&buf[..n]);
                if ended {
                    self.trace.backend_end = self.backend.end;
                    self.backend.wants_fin |= self.story.setup.answers_fin;
                }
                Ok(())
            }
        };
        self.buf = buf;
        taken.map(|()| n > 0 || ended)
    }

    fn moment(&mut self) {
        self.client.peer.note();
        self.backend.note();
        let setup = &self.story.setup;
        let is_full = |peer: &Peer, room: usize| peer.flow.put - peer.flow.taken >= room;
        let moment = Moment {
            backend_bytes: self.backend.flow.read,
            client_is_full: is_full(&self.client.peer, setup.client_room),
            backend_is_full: is_full(&self.backend, setup.backend_room),
            at: self.now(),
            step: self.trace.step,
            client: self.client.peer.flow,
            backend: self.backend.flow,
            client_reads: self.client.peer.can_read(),
            backend_reads: self.backend.can_read(),
            client_stalls: !self.client.peer.reads,
            backend_stalls: !self.backend.reads,
            client_has_fin: self.client.peer.has_fin,
            backend_has_fin: self.backend.has_fin,
            backend_is_ended: !self.backend.has_reset && self.backend.is_ended(),
            client_is_ended: !self.client.peer.has_reset && self.client.peer.is_ended(),
            is_closed: self.client.is_closed,
            is_over: self.session.is_none(),
            is_held: self.client.peer.is_held || self.backend.is_held,
        };
        self.trace.moments.push(moment);
    }
}
