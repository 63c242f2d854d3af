//! What the backend's lines must make, and when each message is due.

use crate::spec::{self, Down, Rules, ServerFrame};
use crate::story::{Ms, Setup, Side, shown};
use crate::trace::{Failure, Trace};

/// A tail that `--flush-after` sends: how much of the backend's stream had been read, and in which moment.
pub type Flush = (usize, usize);

/// The downward stream.
pub struct Downward {
    pub is_raw: bool,
    /// Whether messages are binary.
    is_binary: bool,
    /// The messages, in line mode.
    pub messages: Vec<Vec<u8>>,
    /// The moment in which each has to leave.
    pub due: Vec<usize>,
    /// Bytes of frames of the first so many messages.
    framed: Vec<usize>,
    /// Where in the backend's stream a line is too long.
    pub too_long: Option<usize>,
    pub replaced: u64,
    /// All that the backend has sent and that arrived, in raw mode.
    pub bytes: Vec<u8>,
}

/// The tails that have waited for as long as `--flush-after` says, as if the session went on for ever.
pub fn flushes(setup: &Setup, trace: &Trace) -> Vec<Flush> {
    let mut flushes: Vec<Flush> = Vec::new();
    let (Some(limit), false) = (setup.flush_after, setup.rules.raw) else { return flushes };
    for (number, pair) in trace.moments.windows(2).enumerate() {
        let [before, now] = pair else { unreachable!("windows of two") };
        if now.at == before.at {
            continue;
        }
        let read = before.backend.read;
        let offsets: Vec<usize> = flushes.iter().map(|(offset, _)| *offset).collect();
        let down = spec::down(&setup.rules, &trace.backend_sent[..read], &offsets, false);
        let Some(since) = down.tail_since else { continue };
        let began = trace.moments.iter().find(|moment| moment.backend.read >= since);
        let began: Ms = began.map_or(0, |moment| moment.at);
        if now.at - began >= limit {
            flushes.push((read, number + 1));
        }
    }
    flushes
}

/// Bytes of a frame of the relay's.
pub fn framed(payload: usize) -> usize {
    match payload {
        0..126 => payload + 2,
        126..65536 => payload + 4,
        _ => payload + 10,
    }
}

impl Downward {
    /// The stream with these tails flushed; `ended`: the tail at its end is a message too.
    pub fn new(rules: &Rules, trace: &Trace, flushes: &[Flush], ended: bool) -> Self {
        let arrived = trace.moments.last().map_or(0, |moment| moment.backend.delivered);
        let bytes = &trace.backend_sent[..arrived];
        if rules.raw {
            return Downward {
                is_raw: true,
                is_binary: true,
                messages: Vec::new(),
                due: Vec::new(),
                framed: Vec::new(),
                too_long: None,
                replaced: 0,
                bytes: bytes.to_vec(),
            };
        }
        let offsets: Vec<usize> = flushes.iter().map(|(offset, _)| *offset).collect();
        let Down { messages, complete_at, too_long, replaced, .. } =
            spec::down(rules, bytes, &offsets, ended);
        let due = complete_at.iter().map(|at| {
            let flushed = flushes.iter().find(|(offset, _)| offset == at);
            let read = || trace.moments.partition_point(|moment| moment.backend.read < *at);
            flushed.map_or_else(read, |(_, moment)| *moment)
        });
        let is_binary = rules.binary_lines;
        let payload = |message: String| match is_binary {
            true => message.chars().map(|c| u8::try_from(c).expect("each is a byte")).collect(),
            false => message.into_bytes(),
        };
        let messages: Vec<Vec<u8>> = messages.into_iter().map(payload).collect();
        let mut total = 0;
        let framed = messages.iter().map(|message| {
            total += framed(message.len());
            total
        });
        let (due, framed) = (due.collect(), framed.collect());
        let bytes = Vec::new();
        Downward { is_raw: false, is_binary, due, framed, messages, too_long, replaced, bytes }
    }

    /// The stream that fits what the client has received. Whether a tail was flushed in the moment in which the
    /// session ended can't be known otherwise.
    pub fn matching(
        setup: &Setup,
        trace: &Trace,
        flushes: &[Flush],
        (first, seen): (usize, usize),
    ) -> Result<Self, Failure> {
        // Whatever the reason: a client's Close that is found after the backend's end names it, and the tail has left by
        // then.
        let ended = trace.moments[seen].backend_has_fin || trace.reset_of(Side::Backend).is_some();
        let surely = flushes.partition_point(|(_, moment)| *moment < first);
        let perhaps = flushes.partition_point(|(_, moment)| *moment <= seen);
        let mut wrong = None;
        for count in (surely..=perhaps).rev() {
            let mut down = Downward::new(&setup.rules, trace, &flushes[..count], false);
            if ended {
                let lines = down.messages.len();
                down = Downward::new(&setup.rules, trace, &flushes[..count], true);
                // The tail is a message once the stream has ended, and not before.
                down.due[lines..].iter_mut().for_each(|due| *due = first.max(*due));
            }
            match down.check_received(trace) {
                Ok(()) => return Ok(down),
                Err(failure) => wrong = wrong.or(Some(failure)),
            }
        }
        Err(wrong.expect("one was tried"))
    }

    /// Messages that are due by then.
    pub fn due_until(&self, moment: usize) -> usize {
        self.due.partition_point(|due| *due <= moment)
    }

    /// Bytes of frames of the messages that are due by then.
    pub fn framed_until(&self, moment: usize) -> usize {
        self.due_until(moment).checked_sub(1).map_or(0, |last| self.framed[last])
    }

    /// What the client has received is a beginning of this, in order and unchanged.
    fn check_received(&self, trace: &Trace) -> Result<(), Failure> {
        let (mut number, mut at) = (0, 0);
        for got in &trace.got {
            let message = match &got.frame {
                ServerFrame::Text(text) if !self.is_binary => Some(text.as_bytes()),
                ServerFrame::Binary(bytes) if self.is_binary && !self.is_raw => Some(&bytes[..]),
                _ => None,
            };
            if let Some(message) = message {
                let expected = self.messages.get(number);
                if expected.map(Vec::as_slice) != Some(message) {
                    let expected = expected.map(|expected| shown(expected));
                    let got = shown(message);
                    let what = format!("message {number} is {got} in place of {expected:?}");
                    return Err(Failure::new("wrong message", what));
                }
                if self.due[number] > got.moment {
                    let what = format!(
                        "message {number} came in moment {}, and is due in {}",
                        got.moment, self.due[number]
                    );
                    return Err(Failure::new("too early", what));
                }
                number += 1;
                continue;
            }
            match &got.frame {
                ServerFrame::Binary(bytes) if self.is_raw => {
                    let expected = self.bytes.get(at..at + bytes.len());
                    if expected != Some(bytes.as_slice())
                        || bytes.is_empty()
                        || bytes.len() > super::BUFFER
                    {
                        let what = format!("{} bytes that are not those at {at}", bytes.len());
                        return Err(Failure::new("wrong message", what));
                    }
                    at += bytes.len();
                }
                ServerFrame::Text(_) | ServerFrame::Binary(_) => {
                    return Err(Failure::new("wrong message", "of the other kind".into()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the client has received, by moment.
pub struct Received {
    /// For each frame its moment, and the messages (in raw mode bytes), Pongs and Pings up to and with it.
    frames: Vec<(usize, Counted)>,
}

/// Messages (in raw mode bytes), Pongs and Pings.
#[derive(Clone, Copy, Default)]
pub struct Counted {
    pub messages: usize,
    pub pongs: usize,
    pub pings: usize,
}

impl Received {
    pub fn new(trace: &Trace, is_raw: bool) -> Self {
        let mut all = Counted::default();
        let frames = trace.got.iter().map(|got| {
            match &got.frame {
                ServerFrame::Binary(bytes) if is_raw => all.messages += bytes.len(),
                ServerFrame::Text(_) | ServerFrame::Binary(_) => all.messages += 1,
                ServerFrame::Pong(_) => all.pongs += 1,
                ServerFrame::Ping(_) => all.pings += 1,
                ServerFrame::Close(_) => {}
            }
            (got.moment, all)
        });
        Received { frames: frames.collect() }
    }

    /// What it had received by the end of that moment.
    pub fn until(&self, moment: usize) -> Counted {
        let count = self.frames.partition_point(|(of, _)| *of <= moment);
        count.checked_sub(1).map_or_else(Counted::default, |last| self.frames[last].1)
    }
}
