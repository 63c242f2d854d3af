//! Replies: how many of the bytes that wait for a client answer what it has sent. Pure.

/// Bytes of replies among those that wait, at most. A client can cause any number of them.
///
/// Lines and replies wait in one buffer, and where each begins is not kept. They are counted by rounds instead: a round
/// is all that waits when it begins, and once it has left, the replies in it are forgotten. So none is counted for longer
/// than it takes all that waits to leave, once what waited before has left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replies {
    /// Bytes of replies in this round.
    present: u32,
    /// Bytes of replies behind it.
    later: u32,
    /// Bytes of this round that have not left.
    round: u32,
}

impl Replies {
    /// Counts a reply of so many bytes, with which `waiting` bytes wait.
    pub fn add(&mut self, bytes: usize, waiting: usize) {
        let bytes = clamped(bytes);
        if self.round == 0 {
            *self = Replies { present: bytes, later: 0, round: clamped(waiting) };
        } else {
            self.later = self.later.saturating_add(bytes);
        }
    }

    /// Notes that so many bytes have left, and that `waiting` are left.
    pub fn leave(&mut self, bytes: usize, waiting: usize) {
        if self.round == 0 {
            return;
        }
        self.round = self.round.saturating_sub(clamped(bytes));
        if waiting == 0 {
            *self = Replies::default();
        } else if self.round == 0 {
            let round = if self.later > 0 { clamped(waiting) } else { 0 };
            *self = Replies { present: self.later, later: 0, round };
        }
    }

    /// Bytes of replies that wait, at most.
    pub fn waiting(&self) -> usize {
        self.present.saturating_add(self.later) as usize
    }
}

/// Far more than a session may hold is as good as any.
fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// What happens to what waits.
    #[derive(Clone, Copy)]
    enum Event {
        Line(usize),
        Reply(usize),
        Leave(usize),
    }
    use Event::{Leave, Line, Reply};

    #[test]
    fn replies_that_have_left_are_forgotten_although_lines_wait() {
        let rows: &[(&[Event], usize)] = &[
            (&[Reply(10)], 10),
            (&[Reply(10), Leave(10)], 0),
            (&[Reply(10), Leave(9)], 10),
            (&[Reply(10), Line(100), Leave(10)], 0),
            (&[Line(100), Reply(10), Leave(109)], 10),
            (&[Line(100), Reply(10), Line(1), Leave(110)], 0),
            // Those behind the round are counted until the next one has left.
            (&[Reply(10), Line(100), Reply(5), Leave(10)], 5),
            (&[Reply(10), Line(100), Reply(5), Leave(115)], 0),
            (&[Reply(10), Line(100), Reply(5), Line(50), Leave(115)], 5),
            (&[Reply(10), Line(100), Reply(5), Line(50), Leave(10), Leave(155)], 0),
            (&[Line(7), Leave(7), Reply(3)], 3),
        ];
        for (number, (events, expected)) in rows.iter().enumerate() {
            let (mut replies, mut waiting) = (Replies::default(), 0);
            events.iter().for_each(|event| happen(&mut replies, &mut waiting, *event));
            assert_eq!(replies.waiting(), *expected, "row {number}");
        }
    }

    fn happen(replies: &mut Replies, waiting: &mut usize, event: Event) {
        match event {
            Line(bytes) => *waiting += bytes,
            Reply(bytes) => {
                *waiting += bytes;
                replies.add(bytes, *waiting);
            }
            Leave(bytes) => {
                *waiting -= bytes;
                replies.leave(bytes, *waiting);
            }
        }
    }

    /// Against a queue that knows what each byte is.
    #[test]
    fn no_reply_that_waits_is_forgotten_and_none_is_counted_for_two_rounds() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let mut replies = Replies::default();
            let mut queue: VecDeque<bool> = VecDeque::new();
            // All bytes that were ever queued, and replies among the first so many.
            let (mut queued, mut left) = (Vec::new(), 0);
            let mut lengths = Vec::new();
            for _ in 0..60 {
                let mut waiting = queue.len();
                let event = match rng.u32(..3) {
                    0 => Line(rng.usize(1..20)),
                    1 => Reply(rng.usize(1..10)),
                    _ => Leave(rng.usize(..=waiting)),
                };
                happen(&mut replies, &mut waiting, event);
                match event {
                    Line(bytes) => queue.extend(std::iter::repeat_n(false, bytes)),
                    Reply(bytes) => queue.extend(std::iter::repeat_n(true, bytes)),
                    Leave(bytes) => {
                        queued.extend(queue.drain(..bytes));
                        left += bytes;
                    }
                }
                assert_eq!(waiting, queue.len());
                lengths.push((left, left + queue.len()));
                let exact = queue.iter().filter(|is_reply| **is_reply).count();
                // Those that wait, and those that were queued since all that waited when all that had waited left.
                let two_rounds =
                    lengths.iter().rev().find(|(_, end)| *end <= left).and_then(|(middle, _)| {
                        lengths.iter().rev().find(|(_, end)| end <= middle)
                    });
                let since = two_rounds.map_or(0, |(_, end)| *end);
                let most = exact + queued[since..].iter().filter(|is_reply| **is_reply).count();
                assert!(
                    (exact..=most).contains(&replies.waiting()),
                    "{replies:?}: {exact}, {most}"
                );
            }
        }
    }
}
