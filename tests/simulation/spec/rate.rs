//! The rate of lines towards the backend: so many at once, then so many a second.

/// A rate of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Lines a second: a divisor of 1000.
    pub count: u64,
    /// Lines at once.
    pub burst: u64,
}

/// How many of the lines that have come may have left by then: `came` has a time in milliseconds, in order, and how many
/// lines had come by then.
pub fn passed(rate: Rate, came: &[(u64, u64)]) -> Vec<u64> {
    let (cost, most) = (1000 / rate.count, rate.burst * 1000 / rate.count);
    let (mut credit, mut passed, mut before) = (most, 0, 0);
    let left = came.iter().map(|&(at, lines)| {
        credit = most.min(credit + at - before);
        before = at;
        let more = (credit / cost).min(lines - passed);
        credit -= more * cost;
        passed += more;
        passed
    });
    left.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let rate = Rate { count: 10, burst: 3 };
        for (came, left) in [
            (&[(0, 2), (0, 2)][..], &[2, 2][..]),
            (&[(0, 5), (99, 5), (100, 5), (200, 5), (900, 5)], &[3, 3, 4, 5, 5]),
            // Silence buys one burst.
            (&[(0, 5), (10_000, 5), (10_000, 20), (10_100, 20)], &[3, 5, 6, 7]),
            // Half of one is kept.
            (&[(0, 9), (150, 9), (200, 9), (250, 9), (300, 9)], &[3, 4, 5, 5, 6]),
        ] {
            assert_eq!(passed(rate, came), left, "{came:?}");
        }
    }
}
