//! Shortens a story that fails, as long as it fails in the same way.

use crate::spec::{Ends, Message};
use crate::story::{Act, Setup, Story};
use crate::trace::Failure;

/// Stories that are tried, at most.
const TRIES: usize = 4000;

/// The shortest story found for which `fails` gives the same kind of failure.
pub fn shrink(
    story: &Story,
    kind: &str,
    mut fails: impl FnMut(&Story) -> Option<Failure>,
) -> Story {
    let mut best = story.clone();
    let mut tries = 0;
    loop {
        let better = shorter(&best).into_iter().find(|story| {
            tries += 1;
            tries < TRIES && fails(story).is_some_and(|failure| failure.kind == kind)
        });
        match better {
            Some(story) => best = story,
            None => return best,
        }
    }
}

/// Stories that are simpler in one way, the simplest first.
fn shorter(story: &Story) -> Vec<Story> {
    let mut all = Vec::new();
    let count = story.steps.len();
    let mut part = count / 2;
    while part > 0 {
        for from in (0..count).step_by(part).rev() {
            let mut steps = story.steps.clone();
            steps.drain(from..(from + part).min(count));
            all.push(Story { steps, ..story.clone() });
        }
        part /= 2;
    }
    for setup in simpler(&story.setup) {
        all.push(Story { setup, ..story.clone() });
    }
    for number in 0..count {
        let step = &story.steps[number];
        let mut others = Vec::new();
        if step.chunk != usize::MAX {
            others.push(crate::story::Step { chunk: usize::MAX, ..step.clone() });
        }
        if !step.settles {
            others.push(crate::story::Step { settles: true, ..step.clone() });
        }
        for act in smaller(&step.act) {
            others.push(crate::story::Step { act, ..step.clone() });
        }
        for step in others {
            let mut shorter = story.clone();
            shorter.steps[number] = step;
            all.push(shorter);
        }
    }
    all
}

/// Settings of which one is the default.
fn simpler(setup: &Setup) -> Vec<Setup> {
    let mut all = Vec::new();
    let mut without = |is_set: bool, change: &dyn Fn(&mut Setup)| {
        if is_set {
            let mut setup = setup.clone();
            change(&mut setup);
            all.push(setup);
        }
    };
    without(setup.stage, &|setup| setup.stage = false);
    without(setup.hello, &|setup| setup.hello = false);
    without(setup.goodbye, &|setup| setup.goodbye = false);
    without(setup.rate.is_some(), &|setup| setup.rate = None);
    without(setup.flush_after.is_some(), &|setup| setup.flush_after = None);
    without(setup.queue.is_some(), &|setup| setup.queue = None);
    without(setup.ping_interval.is_some(), &|setup| {
        (setup.ping_interval, setup.ping_timeout) = (None, None);
    });
    without(setup.ping_timeout.is_some(), &|setup| setup.ping_timeout = None);
    without(setup.write_timeout.is_some(), &|setup| setup.write_timeout = None);
    without(setup.idle_timeout.is_some(), &|setup| setup.idle_timeout = None);
    without(setup.early > 0, &|setup| setup.early = 0);
    without(setup.rules.raw, &|setup| setup.rules.raw = false);
    without(setup.rules.ends != Ends::Newline, &|setup| setup.rules.ends = Ends::Newline);
    without(setup.rules.keep_eol, &|setup| setup.rules.keep_eol = false);
    without(setup.rules.binary_lines, &|setup| setup.rules.binary_lines = false);
    without(setup.rules.fallback.is_some(), &|setup| setup.rules.fallback = None);
    without(setup.rules.crlf, &|setup| setup.rules.crlf = false);
    without(setup.rules.newlines != crate::spec::Newlines::Split, &|setup| {
        setup.rules.newlines = crate::spec::Newlines::Split;
    });
    without(setup.rules.charset != encoding_rs::UTF_8, &|setup| {
        setup.rules.charset = encoding_rs::UTF_8;
    });
    without(setup.client_room < 65_536, &|setup| setup.client_room = 65_536);
    without(setup.backend_room < 65_536, &|setup| setup.backend_room = 65_536);
    without(!setup.answers_pings, &|setup| setup.answers_pings = true);
    without(!setup.answers_close, &|setup| setup.answers_close = true);
    without(setup.client_blocks, &|setup| setup.client_blocks = false);
    without(setup.backend_blocks, &|setup| setup.backend_blocks = false);
    without(!setup.answers_fin, &|setup| setup.answers_fin = true);
    all
}

/// The same with less.
fn smaller(act: &Act) -> Vec<Act> {
    match act {
        Act::Say { message, cuts, ping } => {
            let (cuts, ping) = (cuts.clone(), *ping);
            let mut all = Vec::new();
            if ping {
                all.push(Act::Say { message: message.clone(), cuts: cuts.clone(), ping: false });
            }
            for number in 0..cuts.len() {
                let mut fewer = cuts.clone();
                fewer.remove(number);
                all.push(Act::Say { message: message.clone(), cuts: fewer, ping });
            }
            let messages: Vec<Message> = match message {
                Message::Text(text) => {
                    let chars: Vec<char> = text.chars().collect();
                    parts(&chars)
                        .into_iter()
                        .map(|part| Message::Text(part.iter().collect()))
                        .collect()
                }
                Message::Binary(bytes) => parts(bytes).into_iter().map(Message::Binary).collect(),
            };
            all.extend(messages.into_iter().map(|message| Act::Say {
                message,
                cuts: cuts.clone(),
                ping,
            }));
            all
        }
        Act::Write(bytes) => parts(bytes).into_iter().map(Act::Write).collect(),
        Act::Ping(payload) => parts(payload).into_iter().map(Act::Ping).collect(),
        Act::Pings(count, payload) => {
            let fewer = [*count / 2, count.saturating_sub(1)].into_iter();
            let fewer = fewer.filter(|fewer| fewer < count);
            fewer.map(|fewer| Act::Pings(fewer, payload.clone())).collect()
        }
        Act::Pong(payload) => parts(payload).into_iter().map(Act::Pong).collect(),
        Act::Close(code, reason) if !reason.is_empty() => vec![Act::Close(*code, String::new())],
        _ => Vec::new(),
    }
}

/// A sequence without one of its parts: halves first, single ones of a short one last.
fn parts<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    let mut shorter = Vec::new();
    let mut part = all.len().div_ceil(2);
    while part > 0 && all.len() / part <= 64 {
        for from in (0..all.len()).step_by(part) {
            let to = (from + part).min(all.len());
            shorter.push([&all[..from], &all[to..]].concat());
        }
        part /= 2;
    }
    shorter
}
