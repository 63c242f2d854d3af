//! Permits: how many sessions there are, and the right to be one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many sessions there are. How many there may be is for who admits them to say: they are counted
/// in any case.
#[derive(Debug, Default)]
pub struct Permits(AtomicUsize);

/// The right to be a session, given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Permits>);

impl Permits {
    /// A permit for one more session, unless `most` hold one.
    pub fn admit(self: &Arc<Self>, most: usize) -> Option<Permit> {
        let one_more = |n| (n < most).then_some(n + 1);
        let admitted = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        admitted.ok().map(|_| Permit(self.clone()))
    }

    /// How many hold one now.
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
