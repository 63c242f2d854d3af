//! Rate: how often an address may ask.
//!
//! The table knows only addresses that have asked lately.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::net::address_prefix::AddressPrefix;
use crate::sync::lock;

/// Requests that an address may make at once, however low the rate: a few tabs that reconnect.
const LEAST_BURST: u32 = 5;

/// Addresses whose last requests are remembered, at most: about 2 MiB.
const MOST_REMEMBERED: usize = 64 * 1024;

/// Addresses from which on those are looked for that can be forgotten.
const FIRST_SWEEP: usize = 1024;

/// How long after a sweep of a full table the next one may be: it looks at every entry.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time that one request uses up.
    interval: Duration,
    /// Requests that may come at once.
    burst: u32,
}

impl Rate {
    /// Reads `5/s` or `100/m`.
    ///
    /// # Errors
    /// If it is no such rate.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (count, unit) = text.split_once('/').ok_or("a rate needs a unit")?;
        let seconds = match unit {
            "s" => 1,
            "m" | "min" => 60,
            _ => return Err("not a rate by the second or minute"),
        };
        let count = count.parse::<u32>().ok().filter(|count| (1..=1_000_000).contains(count));
        let count = count.ok_or("not a number from 1 to 1000000")?;
        Ok(Rate { interval: Duration::from_secs(seconds) / count, burst: count.max(LEAST_BURST) })
    }
}

/// Limits how often each address prefix asks.
///
/// It is the generic cell rate algorithm: each request moves its prefix's moment forward by the
/// interval, and is refused if that moment is then further away than a burst. One moment a
/// prefix is all there is to remember, and it can be forgotten once it has passed.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    asked: Mutex<Asked>,
}

#[derive(Debug)]
struct Asked {
    moments: HashMap<AddressPrefix, Instant>,
    /// The size at which those who can be forgotten are looked for.
    sweep_at: usize,
    swept: Option<Instant>,
}

impl RateLimiter {
    /// This rate for each.
    pub fn new(rate: Rate) -> Self {
        let asked = Asked { moments: HashMap::new(), sweep_at: FIRST_SWEEP, swept: None };
        RateLimiter { rate, asked: Mutex::new(asked) }
    }

    /// Whether a prefix could ask now. It does not count as having asked.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, prefix: AddressPrefix, now: Instant) -> Result<(), Duration> {
        let known = lock(&self.asked).moments.get(&prefix).copied();
        self.next(known, now).map(drop)
    }

    /// The prefix's moment if it asks now.
    fn next(&self, known: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let moment = known.unwrap_or(now).max(now) + self.rate.interval;
        match (moment - now).saturating_sub(self.rate.interval * self.rate.burst) {
            Duration::ZERO => Ok(moment),
            wait => Err(wait),
        }
    }

    /// Whether a prefix may ask now.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn ask(&self, prefix: AddressPrefix, now: Instant) -> Result<(), Duration> {
        let mut asked = lock(&self.asked);
        let known = asked.moments.get(&prefix).copied();
        let moment = self.next(known, now)?;
        if known.is_some() || asked.has_room(now) {
            asked.moments.insert(prefix, moment);
        }
        Ok(())
    }
}

impl Asked {
    /// Whether another prefix can be remembered. If not it may ask all the same: this is about
    /// fairness, and 65,536 at their limit at once are an attack that other limits are for.
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
        ] {
            assert_eq!(Rate::parse(text), want, "{text}");
        }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let limiter = RateLimiter::new(Rate::parse("2/s").unwrap());
        let (one, other) = (prefix("192.0.2.1"), prefix("192.0.2.2"));
        let (start, ms) = (Instant::now(), Duration::from_millis);
        for _ in 0..5 {
            assert_eq!(limiter.ask(one, start), Ok(()));
        }
        assert_eq!(limiter.ask(one, start), Err(ms(500)));
        assert_eq!(limiter.ask(other, start), Ok(()), "each prefix is limited by itself");
        // Those refused do not count: who waits as told gets in.
        assert_eq!(limiter.ask(one, start + ms(499)), Err(ms(1)));
        assert_eq!(limiter.ask(one, start + ms(500)), Ok(()));
        assert_eq!(limiter.ask(one, start + ms(500)), Err(ms(500)));
        assert_eq!(limiter.ask(one, start + ms(1000)), Ok(()));
        // In the long run it is the rate, whatever the beat.
        let passed = (0..1000).filter(|n| limiter.ask(one, start + ms(1000 + n * 10)).is_ok());
        assert_eq!(passed.count(), 19);
        // A long silence buys one burst, not more.
        let later = start + Duration::from_secs(1000);
        assert_eq!((0..20).filter(|_| limiter.ask(one, later).is_ok()).count(), 5);
        // A clock that is read early by another thread does no harm.
        assert!(limiter.ask(one, start).is_err());
    }

    #[test]
    fn those_who_stay_away_are_forgotten() {
        let limiter = RateLimiter::new(Rate::parse("1/s").unwrap());
        let start = Instant::now();
        for n in 0..200_000 {
            // A thousand in a second, each at its limit for a second: few at a time.
            let now = start + Duration::from_millis(u64::from(n));
            assert_eq!(limiter.ask(numbered(n), now), Ok(()));
        }
        let asked = lock(&limiter.asked);
        assert!(asked.moments.len() <= 4 * FIRST_SWEEP, "{}", asked.moments.len());
        assert!(asked.moments.capacity() <= 8 * FIRST_SWEEP, "{}", asked.moments.capacity());
    }

    #[test]
    fn a_full_table_stays_bounded_and_holds_nobody_up() {
        let limiter = RateLimiter::new(Rate::parse("1/m").unwrap());
        let start = Instant::now();
        for n in 0..MOST_REMEMBERED as u32 * 2 {
            assert_eq!(limiter.ask(numbered(n), start), Ok(()));
        }
        assert_eq!(lock(&limiter.asked).moments.len(), MOST_REMEMBERED);
        // Those known before are still held to their rate.
        let refused = (0..10).filter(|_| limiter.ask(numbered(0), start).is_err()).count();
        assert_eq!(refused, 6);
        // Once the others have gone there is room again.
        let later = start + Duration::from_secs(3600);
        let late = numbered(u32::MAX);
        assert_eq!(limiter.ask(late, later), Ok(()));
        assert_eq!(lock(&limiter.asked).moments.len(), 1);
    }
}
