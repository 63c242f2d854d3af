//! Stories by number: a seed decides everything.

mod framings;
mod payload;
mod scenes;

use encoding_rs::Encoding;
use fastrand::Rng;

use crate::spec::rate::Rate;
use crate::spec::{Broken, Newlines, Rules};
use crate::story::{Act, Ms, Setup, Side, Step, Story, TICK};

/// Charsets of backends: one, two and more bytes a character, and one with states.
const CHARSETS: [&Encoding; 8] = [
    encoding_rs::UTF_8,
    encoding_rs::WINDOWS_1252,
    encoding_rs::ISO_8859_2,
    encoding_rs::KOI8_R,
    encoding_rs::SHIFT_JIS,
    encoding_rs::GBK,
    encoding_rs::GB18030,
    encoding_rs::ISO_2022_JP,
];

/// What a story is mostly about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// A bit of everything.
    Mixed,
    /// Small lines both ways.
    Chat,
    /// More than the buffers hold, and peers that don't read.
    Flood,
    /// Silence, pings and limits of time.
    Time,
    /// Frames of all kinds.
    Protocol,
    /// Ends of all kinds, at once.
    Ends,
    /// More than a session reads before it gives others their turn.
    Torrent,
}

/// One in so many stories is a torrent: it takes as long as a hundred others.
const TORRENTS: u32 = 100;

const THEMES: [Theme; 6] =
    [Theme::Mixed, Theme::Chat, Theme::Flood, Theme::Time, Theme::Protocol, Theme::Ends];

/// The story of this seed.
pub fn story(seed: u64) -> Story {
    let mut rng = Rng::with_seed(seed);
    let is_torrent = rng.u32(..TORRENTS) == 0;
    let theme = if is_torrent { Theme::Torrent } else { pick(&mut rng, &THEMES) };
    let setup = setup(&mut rng, theme);
    let (budget, most) = match theme {
        Theme::Torrent => (3_000_000, 4),
        Theme::Flood => (400_000, 16),
        _ => (6_000, 26),
    };
    let mut teller = Teller { rng, theme, setup, budget };
    let count = teller.rng.usize(1..most);
    let mut steps: Vec<Step> = (0..count).map(|_| teller.step()).collect();
    if let Some(queue) = teller.setup.queue.filter(|_| teller.one_in(2)) {
        steps.splice(..0, teller.brim(queue));
    }
    if matches!(theme, Theme::Chat | Theme::Time) && teller.one_in(4) {
        // First, as few stories go on behind some lines.
        let mut prompts = Vec::new();
        (0..teller.rng.usize(1..4)).for_each(|_| teller.prompt(&mut prompts));
        steps.splice(..0, prompts);
    }
    match theme {
        Theme::Torrent => teller.torrent(&mut steps),
        Theme::Chat if teller.one_in(20) => teller.burst(&mut steps),
        Theme::Flood if teller.one_in(3) => teller.trickle(&mut steps),
        Theme::Flood if teller.one_in(4) => teller.leave(&mut steps),
        Theme::Flood if teller.one_in(3) => teller.answered(&mut steps),
        Theme::Ends => {
            if teller.one_in(4) {
                teller.prompt(&mut steps);
                steps.push(teller.told(Act::Fin(Side::Backend)));
            }
            for _ in 0..teller.rng.usize(1..4) {
                let act = teller.end();
                steps.push(teller.told(act));
            }
        }
        _ => {}
    }
    // Drawn last, so that all else in a story is the same without them.
    // What a client leaves behind comes before a goodbye, and it leaves much in a flood.
    let is_large = matches!(theme, Theme::Flood | Theme::Torrent);
    teller.setup.hello = teller.one_in(4);
    teller.setup.goodbye = is_large != teller.one_in(4);
    teller.reframe(&mut steps);
    Story { setup: teller.setup, steps }
}

fn setup(rng: &mut Rng, theme: Theme) -> Setup {
    let one_in = |rng: &mut Rng, n: u32| rng.u32(..n) == 0;
    let is_torrent = theme == Theme::Torrent;
    let is_flood = theme == Theme::Flood || is_torrent;
    let max_line = pick(rng, &[8, 16, 100, 126, 1000, 4096]);
    let max_line = if is_flood { pick(rng, &[1000, 65_535, 70_000]) } else { max_line };
    let mut rules = Rules {
        raw: one_in(rng, 8),
        crlf: one_in(rng, 3),
        newlines: pick(rng, &[Newlines::Split, Newlines::Split, Newlines::Space, Newlines::Reject]),
        charset: if one_in(rng, 2) { encoding_rs::UTF_8 } else { pick(rng, &CHARSETS) },
        max_line,
        ..Rules::default()
    };
    if rules.newlines == Newlines::Space && rules.charset == encoding_rs::ISO_2022_JP {
        // Whether its state lasts over a newline that became a space is open: the text is the same.
        rules.charset = encoding_rs::SHIFT_JIS;
    }
    let rooms: &[usize] = match theme {
        Theme::Torrent => &[4096, 1 << 20, 3 << 20],
        Theme::Flood => &[4096, 16_384, 65_536],
        _ => &[1, 2, 7, 64, 300, 4096, 65_536],
    };
    let is_timed = theme == Theme::Time;
    let mut limit = |often: bool, values: &[Ms]| {
        let is_on = if often || is_timed { !one_in(rng, 3) } else { one_in(rng, 4) };
        is_on.then(|| pick(rng, values))
    };
    let ping_interval = limit(false, &[20, 100, 1000]);
    let ping_timeout = limit(true, &[5, 20, 50, 1000]);
    let write_timeout = limit(true, &[10, 30, 200, 2000]);
    let idle_timeout = limit(false, &[10, 50, 500]);
    let flush_after = limit(false, &[5, 10, 50]);
    // With escape sequences on both sides of a flush, what is an error depends on the carriage returns between them.
    let flush_after = flush_after.filter(|_| rules.charset != encoding_rs::ISO_2022_JP);
    let rate = (!rules.raw && one_in(rng, 6))
        .then(|| Rate { count: pick(rng, &[1, 10, 50, 200]), burst: pick(rng, &[1, 2, 5, 50]) });
    Setup {
        stage: one_in(rng, 8),
        hello: false,
        goodbye: false,
        rate,
        rules,
        flush_after: flush_after.filter(|_| !is_torrent),
        queue: one_in(rng, 4).then(|| {
            pick(rng, if is_flood { &[1000, 65_536, 200_000] } else { &[0, 4, 10, 60, 400] })
        }),
        ping_interval,
        ping_timeout: ping_interval.and(ping_timeout),
        write_timeout,
        idle_timeout,
        close_timeout: pick(rng, &[5, 50, 1000]),
        client_room: pick(rng, rooms),
        backend_room: pick(rng, rooms),
        early: if one_in(rng, 3) { rng.usize(1..40) } else { 0 },
        answers_pings: !one_in(rng, 4),
        answers_close: !one_in(rng, 6),
        answers_fin: !one_in(rng, 6),
        client_blocks: one_in(rng, 8),
        backend_blocks: one_in(rng, 8),
        masks: rng.u64(..),
    }
}

fn pick<T: Clone>(rng: &mut Rng, values: &[T]) -> T {
    values[rng.usize(..values.len())].clone()
}

struct Teller {
    rng: Rng,
    theme: Theme,
    setup: Setup,
    /// Bytes that may still be sent.
    budget: usize,
}

impl Teller {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn step(&mut self) -> Step {
        let act = self.act();
        self.told(act)
    }

    fn told(&mut self, act: Act) -> Step {
        let at_once = if self.theme == Theme::Ends { 2 } else { 5 };
        let settles = !self.one_in(at_once);
        let chunk = match self.theme {
            Theme::Flood => pick(&mut self.rng, &[1000, 4096, 65_536, usize::MAX]),
            Theme::Torrent => usize::MAX,
            _ => pick(&mut self.rng, &[1, 2, 3, 5, 17, 200, usize::MAX, usize::MAX]),
        };
        Step { act, settles, chunk }
    }

    fn side(&mut self) -> Side {
        if self.rng.bool() { Side::Client } else { Side::Backend }
    }

    fn act(&mut self) -> Act {
        // Out of a hundred: messages, lines, control frames, peers that read or don't, time, ends.
        let [say, write, control, reading, time] = match self.theme {
            Theme::Mixed => [25, 25, 10, 20, 15],
            Theme::Chat => [40, 45, 5, 3, 5],
            Theme::Flood => [30, 35, 5, 22, 7],
            Theme::Time => [12, 18, 10, 15, 42],
            Theme::Protocol => [50, 5, 35, 3, 3],
            Theme::Ends => [25, 30, 5, 20, 10],
            Theme::Torrent => [35, 40, 10, 10, 0],
        };
        let mut at = self.rng.u32(..100);
        let mut is = |share: u32| {
            let is = at < share;
            at = at.saturating_sub(share);
            is
        };
        if is(say) {
            self.say()
        } else if is(write) {
            Act::Write(self.lines())
        } else if is(control) {
            self.control()
        } else if is(reading) {
            self.reading()
        } else if is(time) {
            self.time()
        } else {
            self.end()
        }
    }

    fn say(&mut self) -> Act {
        let message = self.message();
        let len = message.payload().len();
        let mut cuts: Vec<usize> = Vec::new();
        if self.one_in(if self.theme == Theme::Protocol { 2 } else { 6 }) {
            cuts = (0..self.rng.usize(1..4)).map(|_| self.rng.usize(..=len)).collect();
            cuts.sort_unstable();
        }
        Act::Say { message, cuts, ping: self.one_in(4) }
    }

    fn control(&mut self) -> Act {
        let len = pick(&mut self.rng, &[0, 1, 4, 125]);
        let payload: Vec<u8> = (0..len).map(|_| self.byte()).collect();
        let is_large = matches!(self.theme, Theme::Flood | Theme::Torrent);
        if is_large && self.one_in(2) {
            let len = self.rng.usize(..300_000);
            let count = self.spend(len) / (payload.len() + 2);
            return Act::Pings(count.min(2000), payload);
        }
        match self.rng.u32(..10) {
            0..5 => Act::Ping(payload),
            5..7 => Act::Pong(payload),
            7 if self.theme != Theme::Protocol => Act::Ping(payload),
            _ => Act::Break(pick(&mut self.rng, Broken::ALL)),
        }
    }

    fn reading(&mut self) -> Act {
        let side = self.side();
        let room = match side {
            Side::Client => self.setup.client_room,
            Side::Backend => self.setup.backend_room,
        };
        match self.rng.u32(..10) {
            0..4 => Act::Stall(side),
            4..6 => Act::Take(side, self.rng.usize(1..=room)),
            6..8 => Act::Resume(side),
            8 => Act::Hold(side),
            _ => Act::Release(side),
        }
    }

    fn time(&mut self) -> Act {
        let limits = [
            self.setup.ping_interval,
            self.setup.ping_timeout,
            self.setup.write_timeout,
            self.setup.idle_timeout,
            self.setup.flush_after,
            Some(TICK),
            Some(100 * TICK),
        ];
        let near = limits[self.rng.usize(..limits.len())].unwrap_or(20);
        let ms = match self.rng.u32(..4) {
            0 => near.saturating_sub(TICK).max(TICK),
            1 => near + TICK,
            2 => 2 * near,
            _ => near,
        };
        if self.one_in(8) { Act::Jump(ms) } else { Act::Pass(ms) }
    }

    fn end(&mut self) -> Act {
        let codes = [None, Some(1000), Some(1001), Some(1014), Some(3000), Some(4999)];
        match self.rng.u32(..12) {
            0..3 => {
                let code = pick(&mut self.rng, &codes);
                let reason = if code.is_some() && self.one_in(2) { "bye" } else { "" };
                Act::Close(code, reason.into())
            }
            3 => Act::Break(pick(&mut self.rng, Broken::ALL)),
            4..6 => Act::Fin(Side::Client),
            6..8 => Act::Fin(Side::Backend),
            8 | 9 => Act::Reset { side: self.side(), keeps: self.rng.bool() },
            10 => Act::Stop,
            _ => {
                let line = vec![b'x'; self.setup.rules.max_line + self.rng.usize(..2)];
                Act::Write([line.as_slice(), b"\n"].concat())
            }
        }
    }
}
