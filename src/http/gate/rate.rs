//! Rate: limits the rate of requests of each address.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::net::address_prefix::AddressPrefix;
use crate::rate::Rate;
use crate::sync::lock;

/// The largest number of addresses in the table: about 2 MiB.
const MOST_REMEMBERED: usize = 64 * 1024;

/// The number of addresses at which expired ones are first swept out.
const FIRST_SWEEP: usize = 1024;

/// The time between two sweeps of a full table, as each looks at every entry.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// Limits the rate of requests of each address prefix. The rate is the caller's and may change: requests that were
/// counted under one rate count under the next.
///
/// It is the generic cell rate algorithm: each request moves its prefix's moment forward by the
/// interval, and is refused if that moment is then further away than a burst. One moment a
/// prefix is all there is to remember, and it can be forgotten once it has passed.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<RateTable>);

#[derive(Debug)]
struct RateTable {
    /// The rate that the moments belong to; `None`: there are none yet.
    rate: Option<Rate>,
    moments: HashMap<AddressPrefix, Instant>,
    /// The size at which expired moments are swept out.
    sweep_at: usize,
    swept: Option<Instant>,
}

impl RateLimiter {
    /// Checks whether a prefix may send a request now, without counting one.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, rate: Rate, prefix: AddressPrefix, now: Instant) -> Result<(), Duration> {
        let mut table = lock(&self.0);
        table.convert_to(rate, now);
        let known = table.moments.get(&prefix).copied();
        rate.next(known, now).map(drop)
    }

    /// Counts a request of a prefix, if it may send one now.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn ask(&self, rate: Rate, prefix: AddressPrefix, now: Instant) -> Result<(), Duration> {
        let mut table = lock(&self.0);
        table.convert_to(rate, now);
        let known = table.moments.get(&prefix).copied();
        let moment = rate.next(known, now)?;
        if known.is_some() || table.has_room(now) {
            table.moments.insert(prefix, moment);
        }
        Ok(())
    }

    /// Takes over the counts of `other`; of a prefix that both know, the larger one.
    pub fn adopt(&self, other: &RateLimiter, now: Instant) {
        let (rate, moments) = {
            let other = lock(&other.0);
            let Some(rate) = other.rate else { return };
            (rate, other.moments.clone())
        };
        let mut table = lock(&self.0);
        let ours = *table.rate.get_or_insert(rate);
        for (prefix, moment) in moments {
            let moment = rate.convert(moment, ours, now);
            let known = table.moments.get(&prefix).copied();
            if known.is_some() || table.has_room(now) {
                table.moments.insert(prefix, known.map_or(moment, |known| known.max(moment)));
            }
        }
    }
}

impl Default for RateTable {
    fn default() -> Self {
        RateTable { rate: None, moments: HashMap::new(), sweep_at: FIRST_SWEEP, swept: None }
    }
}

impl RateTable {
    /// Converts the moments to this rate, if they were of another, after a reload.
    fn convert_to(&mut self, rate: Rate, now: Instant) {
        match self.rate.replace(rate) {
            Some(old) if old != rate => {
                for moment in self.moments.values_mut() {
                    *moment = old.convert(*moment, rate, now);
                }
            }
            _ => {}
        }
    }

    /// Whether another prefix can be added. If not, its requests are let through: this limit is for fairness, and other
    /// limits are for attacks from more than 65,536 addresses.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.moments.len() < self.sweep_at {
            return true;
        }
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= BETWEEN_SWEEPS)
            || self.sweep_at < MOST_REMEMBERED
        {
            self.moments.retain(|_, moment| *moment > now);
            self.sweep_at = (self.moments.len() * 2).clamp(FIRST_SWEEP, MOST_REMEMBERED);
            self.moments.shrink_to(self.sweep_at);
            self.swept = Some(now);
        }
        self.moments.len() < self.sweep_at
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn prefix(text: &str) -> AddressPrefix {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn numbered(n: u32) -> AddressPrefix {
        IpAddr::from(n.to_be_bytes()).into()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (limiter, rate) = (RateLimiter::default(), Rate::parse("2/s").unwrap());
        let (one, other) = (prefix("192.0.2.1"), prefix("192.0.2.2"));
        let (start, ms) = (Instant::now(), Duration::from_millis);
        for _ in 0..5 {
            assert_eq!(limiter.ask(rate, one, start), Ok(()));
        }
        assert_eq!(limiter.ask(rate, one, start), Err(ms(500)));
        assert_eq!(limiter.ask(rate, other, start), Ok(()), "each prefix is limited by itself");
        // Those refused do not count: who waits as told gets in.
        assert_eq!(limiter.ask(rate, one, start + ms(499)), Err(ms(1)));
        assert_eq!(limiter.ask(rate, one, start + ms(500)), Ok(()));
        assert_eq!(limiter.ask(rate, one, start + ms(500)), Err(ms(500)));
        assert_eq!(limiter.ask(rate, one, start + ms(1000)), Ok(()));
        // In the long run it is the rate, whatever the beat.
        let passed =
            (0..1000).filter(|n| limiter.ask(rate, one, start + ms(1000 + n * 10)).is_ok());
        assert_eq!(passed.count(), 19);
        // A long silence buys one burst, not more.
        let later = start + Duration::from_secs(1000);
        assert_eq!((0..20).filter(|_| limiter.ask(rate, one, later).is_ok()).count(), 5);
        // A clock that is read early by another thread does no harm.
        assert!(limiter.ask(rate, one, start).is_err());
    }

    #[test]
    fn those_who_stay_away_are_forgotten() {
        let (limiter, rate) = (RateLimiter::default(), Rate::parse("1/s").unwrap());
        let start = Instant::now();
        for n in 0..200_000 {
            // A thousand in a second, each at its limit for a second: few at a time.
            let now = start + Duration::from_millis(u64::from(n));
            assert_eq!(limiter.ask(rate, numbered(n), now), Ok(()));
        }
        let table = lock(&limiter.0);
        assert!(table.moments.len() <= 4 * FIRST_SWEEP, "{}", table.moments.len());
        assert!(table.moments.capacity() <= 8 * FIRST_SWEEP, "{}", table.moments.capacity());
    }

    #[test]
    fn a_full_table_stays_bounded_and_holds_nobody_up() {
        let (limiter, rate) = (RateLimiter::default(), Rate::parse("1/m").unwrap());
        let start = Instant::now();
        for n in 0..MOST_REMEMBERED as u32 * 2 {
            assert_eq!(limiter.ask(rate, numbered(n), start), Ok(()));
        }
        assert_eq!(lock(&limiter.0).moments.len(), MOST_REMEMBERED);
        // Those known before are still held to their rate.
        let refused = (0..10).filter(|_| limiter.ask(rate, numbered(0), start).is_err()).count();
        assert_eq!(refused, 6);
        // Once the others have gone there is room again.
        let later = start + Duration::from_secs(3600);
        let late = numbered(u32::MAX);
        assert_eq!(limiter.ask(rate, late, later), Ok(()));
        assert_eq!(lock(&limiter.0).moments.len(), 1);
    }

    /// A limit that changes knows who has used it up: requests count, not the time that they cost.
    #[test]
    fn another_rate_knows_who_has_asked() {
        let rate = |text: &str| Rate::parse(text).unwrap();
        let one = prefix("192.0.2.1");
        for (before, asked, seconds, after, more) in [
            // As it was.
            ("1/m", 5, 0, "1/m", 0),
            ("1/m", 3, 0, "1/m", 2),
            // Up: so many more may come at once.
            ("1/m", 5, 0, "10/m", 5),
            ("1/s", 5, 0, "100/s", 95),
            // Down: what was used up is used up, and no more than all of it.
            ("10/m", 6, 0, "1/m", 0),
            ("10/m", 3, 0, "1/m", 2),
            ("100/s", 100, 0, "1/m", 0),
            // What has come back by then has come back.
            ("10/m", 6, 36, "1/m", 5),
            ("10/m", 6, 12, "1/m", 1),
            ("1/m", 5, 120, "10/m", 7),
        ] {
            let (limiter, start) = (RateLimiter::default(), Instant::now());
            for _ in 0..asked {
                assert_eq!(limiter.ask(rate(before), one, start), Ok(()));
            }
            let now = start + Duration::from_secs(seconds);
            let may = (0..200).filter(|_| limiter.ask(rate(after), one, now).is_ok()).count();
            assert_eq!(may, more, "{asked} of {before}, after {seconds} s {after}");
        }
        // At most a burst is used up: who was over it waits for one request, not for 20.
        let (limiter, start) = (RateLimiter::default(), Instant::now());
        (0..100).for_each(|_| limiter.ask(rate("100/s"), one, start).unwrap());
        assert_eq!(limiter.check(rate("1/m"), one, start), Err(Duration::from_secs(60)));
    }

    #[test]
    fn what_another_has_counted_is_counted() {
        let rate = |text: &str| Rate::parse(text).unwrap();
        let (one, two, now) = (prefix("192.0.2.1"), prefix("192.0.2.2"), Instant::now());
        let asked = |prefix, rate, times| {
            let limiter = RateLimiter::default();
            (0..times).for_each(|_| limiter.ask(rate, prefix, now).unwrap());
            limiter
        };
        for (ours, theirs, more) in
            [((one, 1), (one, 3), 2), ((one, 4), (one, 3), 1), ((two, 4), (one, 3), 2)]
        {
            let (ours, theirs) =
                (asked(ours.0, rate("1/m"), ours.1), asked(theirs.0, rate("10/m"), theirs.1));
            ours.adopt(&theirs, now);
            let may = (0..9).filter(|_| ours.ask(rate("1/m"), one, now).is_ok()).count();
            assert_eq!(may, more);
        }
        // One that has never counted, and one that has nothing to give.
        let (new, theirs) = (RateLimiter::default(), asked(one, rate("1/m"), 5));
        theirs.adopt(&new, now);
        new.adopt(&theirs, now);
        for limiter in [new, theirs] {
            assert!(limiter.ask(rate("1/m"), one, now).is_err());
            assert!(limiter.ask(rate("1/m"), two, now).is_ok());
        }
    }
}
