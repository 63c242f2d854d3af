//! `--rate`: how much of what the client sent may, and must, have left for the backend by each moment.

use super::causes::may_pause;
use super::upward::Upward;
use crate::spec::rate::passed;
use crate::story::{Setup, Side};
use crate::trace::{Moment, Trace};

/// What the rate lets through, by moment.
pub struct Pace {
    /// Bytes that have surely left, if the backend takes them.
    least: Vec<usize>,
    /// Bytes that may have left at most.
    most: Vec<usize>,
    /// The first moment in which both differ.
    unsure: usize,
}

impl Pace {
    /// `None` without a rate. The session may end first in moment `first`; `due` is what is kept of it in any case, in
    /// bytes of the client's stream.
    pub fn new(
        setup: &Setup,
        trace: &Trace,
        up: &Upward,
        first: usize,
        due: usize,
    ) -> Option<Self> {
        let rate = setup.rate?;
        let came = |moment: &Moment| up.until(moment.client.read).lines;
        let all = trace.moments.iter().map(|moment| (moment.at, came(moment)));
        let all: Vec<_> = all.collect();
        // While the relay may have paused, it may not have looked at all that it has read.
        let mut known = 0;
        let surely = trace.moments.iter().enumerate().map(|(number, moment)| {
            if !may_pause(setup, up, moment) {
                known = came(moment);
            }
            if number >= first {
                known = known.max(up.until(due.min(moment.client.read)).lines);
            }
            (moment.at, known)
        });
        let surely: Vec<_> = surely.collect();
        let end = setup.rules.ends.written();
        let ends: Vec<usize> = (0..up.bytes.len()).filter(|at| up.bytes[*at] == end).collect();
        let bytes = |lines: u64| (lines as usize).checked_sub(1).map_or(0, |last| ends[last] + 1);
        let all_bytes = |came: &[(u64, u64)]| passed(rate, came).into_iter().map(bytes).collect();
        let mut pace = Pace { least: all_bytes(&surely), most: all_bytes(&all), unsure: 0 };
        // Nothing waits any more once the relay stops or the backend has gone.
        let has_fin = trace.moments.iter().position(|moment| moment.backend_has_fin);
        let reset = trace.reset_of(Side::Backend).map(|(reset, _)| reset);
        if let Some(lifted) = [trace.stop, has_fin, reset].into_iter().flatten().min() {
            pace.most[lifted.min(all.len())..].fill(up.bytes.len());
        }
        let mut both = pace.least.iter().zip(&pace.most);
        pace.unsure = both.position(|(least, most)| least != most).unwrap_or(usize::MAX);
        Some(pace)
    }

    /// Bytes that must have left by then.
    pub fn least(&self, moment: usize) -> usize {
        self.least[moment]
    }

    /// Bytes that may have left by then.
    pub fn most(&self, moment: usize) -> usize {
        self.most[moment]
    }

    /// Whether it is known how much had left by then.
    pub fn is_sure(&self, moment: usize) -> bool {
        moment < self.unsure
    }
}
