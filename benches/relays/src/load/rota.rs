//! Whose turn it is, where only some of the sessions speak at a time.

use crate::wire::Masks;
use std::collections::VecDeque;

/// The sessions that rest, the longest at rest first.
#[derive(Default)]
pub struct Rota(VecDeque<usize>);

impl Rota {
    /// All sessions at rest, in an order that has nothing to do with where a relay keeps them: one that walks through
    /// its memory in a straight line would have the processor fetch each session's before it is needed.
    pub fn new(sessions: usize) -> Self {
        let mut resting: Vec<usize> = (0..sessions).collect();
        let mut random = Masks::default();
        for end in (1..sessions).rev() {
            resting.swap(end, u32::from_ne_bytes(random.next()) as usize % (end + 1));
        }
        Rota(resting.into())
    }

    /// Takes the session that has rested longest.
    pub fn next(&mut self) -> Option<usize> {
        self.0.pop_front()
    }

    /// This one has spoken.
    pub fn rest(&mut self, session: usize) {
        self.0.push_back(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sessions_are_there_and_out_of_order() {
        let mut rota = Rota::new(100);
        let order: Vec<usize> = std::iter::from_fn(|| rota.next()).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
        let neighbours = order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(neighbours < 10, "{neighbours} of 99 are neighbours");
    }
}
