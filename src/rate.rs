//! Rate: a number of events in a period, and how many may come at once. Pure: it is given the time.

use std::time::{Duration, Instant};

/// The burst where none is given, however low the rate: a few tabs that reconnect, a few lines that are pasted.
const LEAST_BURST: u32 = 5;

/// A number of events in a period, by the generic cell rate algorithm. All there is to remember of its past is one
/// moment: each event moves it forward by the interval, and has to wait if it is then further away than a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time between two events at this rate.
    interval: Duration,
    /// The number of events that may come at once.
    burst: u32,
}

impl Rate {
    /// Reads `5/s` or `100/m`: as many as the number, and at least five, may come at once. `5/s:20` says how many.
    ///
    /// # Errors
    /// If it is no such rate.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (count, unit) = text.split_once('/').ok_or("a rate needs a unit")?;
        let (unit, burst) = match unit.split_once(':') {
            Some((unit, burst)) => (unit, Some(burst)),
            None => (unit, None),
        };
        let seconds = match unit {
            "s" => 1,
            "m" | "min" => 60,
            _ => return Err("not a rate by the second or minute"),
        };
        let number = |text: &str| {
            let number = text.parse::<u32>().ok().filter(|n| (1..=1_000_000).contains(n));
            number.ok_or("not a number from 1 to 1000000")
        };
        let count = number(count)?;
        let burst = burst.map(number).transpose()?.unwrap_or_else(|| count.max(LEAST_BURST));
        Ok(Rate { interval: Duration::from_secs(seconds) / count, burst })
    }

    /// The time in which a whole burst comes back.
    pub fn burst_time(self) -> Duration {
        self.interval * self.burst
    }

    /// The next moment, if an event may come now whose past has the moment `known`.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn next(self, known: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let moment = known.unwrap_or(now).max(now) + self.interval;
        match (moment - now).saturating_sub(self.burst_time()) {
            Duration::ZERO => Ok(moment),
            wait => Err(wait),
        }
    }

    /// The moment that stands for as many events under another rate, at most a burst.
    pub fn convert(self, moment: Instant, other: Rate, now: Instant) -> Instant {
        let ahead = moment.saturating_duration_since(now);
        let events = ahead.div_duration_f64(self.interval).min(other.burst.into());
        now + other.interval.mul_f64(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let rate = |millis, burst| Ok(Rate { interval: Duration::from_millis(millis), burst });
        for (text, want) in [
            ("1/s", rate(1000, 5)),
            ("10/s", rate(100, 10)),
            ("30/m", rate(2000, 30)),
            ("1/min", rate(60_000, 5)),
            ("5", Err("a rate needs a unit")),
            ("5/h", Err("not a rate by the second or minute")),
            ("/s", Err("not a number from 1 to 1000000")),
            ("0/s", Err("not a number from 1 to 1000000")),
            ("-1/s", Err("not a number from 1 to 1000000")),
            ("1.5/s", Err("not a number from 1 to 1000000")),
            ("4294967296/s", Err("not a number from 1 to 1000000")),
            ("10/s:20", rate(100, 20)),
            ("100/s:1", rate(10, 1)),
            ("1/m:1", rate(60_000, 1)),
            ("10/s:0", Err("not a number from 1 to 1000000")),
            ("10/s:", Err("not a number from 1 to 1000000")),
            ("10/s:5:5", Err("not a number from 1 to 1000000")),
            ("10:20", Err("a rate needs a unit")),
            ("10:20/s", Err("not a number from 1 to 1000000")),
        ] {
            assert_eq!(Rate::parse(text), want, "{text}");
        }
    }

    /// In every window there are at most a burst and what the rate lets through; and there are as many.
    #[test]
    fn no_window_has_more() {
        let (rate, ms) = (Rate::parse("10/s:20").unwrap(), Duration::from_millis);
        let start = Instant::now();
        let (mut moment, mut passed) = (None, Vec::new());
        for now in (0..10_000).step_by(5) {
            // Two seconds of silence in between.
            if !(4000..6000).contains(&now) {
                while let Ok(next) = rate.next(moment, start + ms(now)) {
                    moment = Some(next);
                    passed.push(now);
                }
            }
        }
        let until = |ms: u64| passed.partition_point(|at| *at < ms);
        assert_eq!([1, 4000, 6000, 6001, 10_000].map(until), [20, 59, 59, 79, 118]);
        for (first, from) in passed.iter().enumerate() {
            for (last, to) in passed.iter().enumerate().skip(first) {
                assert!((last - first) as u64 <= 19 + (to - from).div_ceil(100), "{from} to {to}");
            }
        }
    }
}
