//! The count of sessions, and the permit that each of them holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The count of sessions. The caller knows their limit: sessions are counted even without one.
#[derive(Debug, Default)]
pub struct Permits(AtomicUsize);

/// The permit of one session, given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Permits>);

impl Permits {
    /// Gives a permit for one more session, unless `most` are given.
    pub fn admit(self: &Arc<Self>, most: usize) -> Option<Permit> {
        let one_more = |n| (n < most).then_some(n + 1);
        let admitted = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        admitted.ok().map(|_| Permit(self.clone()))
    }

    /// The number of permits that are given now.
    pub fn given(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_given_back() {
        let permits = Arc::new(Permits::default());
        let permit = permits.admit(1);
        assert!(permit.is_some());
        assert!(permits.admit(1).is_none());
        drop(permit);
        assert!(permits.admit(1).is_some());
        assert_eq!(permits.given(), 0);
    }

    #[test]
    fn a_lower_limit_takes_none_away() {
        let permits = Arc::new(Permits::default());
        let held = [permits.admit(2), permits.admit(2)];
        assert!(held.iter().all(Option::is_some));
        assert!(permits.admit(1).is_none());
        assert_eq!(permits.given(), 2);
        drop(held);
        let held = permits.admit(1);
        assert!(held.is_some() && permits.admit(1).is_none());
    }
}
