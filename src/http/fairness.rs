//! Fairness: how many sessions an address may have, and how often it may ask for one.
//!
//! The tables know only addresses that are over or near their share: whoever has no session, or
//! has not asked for a while, is in neither.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Requests that an address may make at once, however low the rate: a few tabs that reconnect.
const LEAST_BURST: u32 = 5;

/// Addresses whose last requests are remembered, at most: about 2 MiB.
const MOST_REMEMBERED: usize = 64 * 1024;

/// Addresses from which on those are looked for that can be forgotten.
const FIRST_SWEEP: usize = 1024;

/// How long after a sweep of a full table the next one may be: it looks at every entry.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// Whose share it is: an IPv4 address, or the first half of an IPv6 address, as any subscriber has
/// 2^64 of those at least (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Household(IpAddr);

impl From<IpAddr> for Household {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => {
                Household(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into())
            }
            v4 => Household(v4),
        }
    }
}

impl std::fmt::Display for Household {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// Counts the sessions of each household.
#[derive(Debug)]
pub struct Shares {
    taken: Mutex<HashMap<Household, u32>>,
    most: NonZeroU32,
}

/// One session's place in its household's share, given back when dropped.
#[derive(Debug)]
pub struct Place {
    shares: Arc<Shares>,
    of: Household,
}

impl Shares {
    /// So many sessions each.
    pub fn new(most: NonZeroU32) -> Arc<Self> {
        Arc::new(Shares { taken: Mutex::default(), most })
    }

    /// How many sessions each may have.
    pub fn most(&self) -> NonZeroU32 {
        self.most
    }

    /// A place for one more session, unless the household has all of its own.
    pub fn take(self: &Arc<Self>, of: Household) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(of).or_default();
        if *count >= self.most.get() {
            return None;
        }
        *count += 1;
        Some(Place { shares: self.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.shares.taken);
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
        // What a crowd once needed is not kept for ever.
        if taken.capacity() > FIRST_SWEEP && taken.len() < taken.capacity() / 8 {
            let enough = taken.len() * 2;
            taken.shrink_to(enough);
        }
    }
}

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

/// Limits how often each household asks.
///
/// It is the generic cell rate algorithm: each request moves its household's moment forward by the
/// interval, and is refused if that moment is then further away than a burst. One moment a
/// household is all there is to remember, and it can be forgotten once it has passed.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    asked: Mutex<Asked>,
}

#[derive(Debug)]
struct Asked {
    moments: HashMap<Household, Instant>,
    /// The size at which those who can be forgotten are looked for.
    sweep_at: usize,
    swept: Option<Instant>,
}

impl Pace {
    /// This rate for each.
    pub fn new(rate: Rate) -> Self {
        let asked = Asked { moments: HashMap::new(), sweep_at: FIRST_SWEEP, swept: None };
        Pace { rate, asked: Mutex::new(asked) }
    }

    /// Whether a household could ask now. It does not count as having asked.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, household: Household, now: Instant) -> Result<(), Duration> {
        let known = lock(&self.asked).moments.get(&household).copied();
        self.next(known, now).map(drop)
    }

    /// The household's moment if it asks now.
    fn next(&self, known: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let moment = known.unwrap_or(now).max(now) + self.rate.interval;
        match (moment - now).saturating_sub(self.rate.interval * self.rate.burst) {
            Duration::ZERO => Ok(moment),
            wait => Err(wait),
        }
    }

    /// Whether a household may ask now.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn ask(&self, household: Household, now: Instant) -> Result<(), Duration> {
        let mut asked = lock(&self.asked);
        let known = asked.moments.get(&household).copied();
        let moment = self.next(known, now)?;
        if known.is_some() || asked.has_room(now) {
            asked.moments.insert(household, moment);
        }
        Ok(())
    }
}

impl Asked {
    /// Whether another household can be remembered. If not it may ask all the same: this is about
    /// fair shares, and 65,536 at their limit at once are an attack that other limits are for.
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
    use super::*;

    fn household(text: &str) -> Household {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn numbered(n: u32) -> Household {
        IpAddr::from(n.to_be_bytes()).into()
    }

    #[test]
    fn who_shares() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(household(one) == household(other), same, "{one} {other}");
        }
        assert_eq!(household("2001:db8::7").to_string(), "2001:db8::/64");
        assert_eq!(household("::ffff:192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn places_are_given_back() {
        let shares = Shares::new(NonZeroU32::new(2).unwrap());
        let (one, other) = (household("192.0.2.1"), household("192.0.2.2"));
        let first = shares.take(one).unwrap();
        let second = shares.take(one).unwrap();
        assert!(shares.take(one).is_none());
        assert!(shares.take(other).is_some(), "everyone has a share of his own");
        drop(first);
        let third = shares.take(one).unwrap();
        assert!(shares.take(one).is_none());
        drop((second, third));
        assert!(lock(&shares.taken).is_empty(), "whoever has none is forgotten");
    }

    #[test]
    fn a_crowd_leaves_no_empty_hall() {
        let shares = Shares::new(NonZeroU32::MIN);
        let crowd: Vec<_> = (0..50_000).map(|n| shares.take(numbered(n)).unwrap()).collect();
        assert!(lock(&shares.taken).capacity() >= 50_000);
        drop(crowd);
        assert!(lock(&shares.taken).capacity() <= 2 * FIRST_SWEEP);
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
        let pace = Pace::new(Rate::parse("2/s").unwrap());
        let (one, other) = (household("192.0.2.1"), household("192.0.2.2"));
        let (start, ms) = (Instant::now(), Duration::from_millis);
        for _ in 0..5 {
            assert_eq!(pace.ask(one, start), Ok(()));
        }
        assert_eq!(pace.ask(one, start), Err(ms(500)));
        assert_eq!(pace.ask(other, start), Ok(()), "everyone has a pace of his own");
        // Those refused do not count: who waits as told gets in.
        assert_eq!(pace.ask(one, start + ms(499)), Err(ms(1)));
        assert_eq!(pace.ask(one, start + ms(500)), Ok(()));
        assert_eq!(pace.ask(one, start + ms(500)), Err(ms(500)));
        assert_eq!(pace.ask(one, start + ms(1000)), Ok(()));
        // In the long run it is the rate, whatever the beat.
        let passed = (0..1000).filter(|n| pace.ask(one, start + ms(1000 + n * 10)).is_ok());
        assert_eq!(passed.count(), 19);
        // A long silence buys one burst, not more.
        let later = start + Duration::from_secs(1000);
        assert_eq!((0..20).filter(|_| pace.ask(one, later).is_ok()).count(), 5);
        // A clock that is read early by another thread does no harm.
        assert!(pace.ask(one, start).is_err());
    }

    #[test]
    fn those_who_stay_away_are_forgotten() {
        let pace = Pace::new(Rate::parse("1/s").unwrap());
        let start = Instant::now();
        for n in 0..200_000 {
            // A thousand in a second, each at its limit for a second: few at a time.
            let now = start + Duration::from_millis(u64::from(n));
            assert_eq!(pace.ask(numbered(n), now), Ok(()));
        }
        let asked = lock(&pace.asked);
        assert!(asked.moments.len() <= 4 * FIRST_SWEEP, "{}", asked.moments.len());
        assert!(asked.moments.capacity() <= 8 * FIRST_SWEEP, "{}", asked.moments.capacity());
    }

    #[test]
    fn a_full_table_stays_bounded_and_holds_nobody_up() {
        let pace = Pace::new(Rate::parse("1/m").unwrap());
        let start = Instant::now();
        for n in 0..MOST_REMEMBERED as u32 * 2 {
            assert_eq!(pace.ask(numbered(n), start), Ok(()));
        }
        assert_eq!(lock(&pace.asked).moments.len(), MOST_REMEMBERED);
        // Those known before are still held to their pace.
        let refused = (0..10).filter(|_| pace.ask(numbered(0), start).is_err()).count();
        assert_eq!(refused, 6);
        // Once the others have gone there is room again.
        let later = start + Duration::from_secs(3600);
        let late = numbered(u32::MAX);
        assert_eq!(pace.ask(late, later), Ok(()));
        assert_eq!(lock(&pace.asked).moments.len(), 1);
    }
}
