//! Address counts: the number of sessions, or of connections, of each address prefix.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use crate::net::address_prefix::AddressPrefix;
use crate::sync::lock;

/// The capacity above which the table shrinks when it is nearly empty.
const SHRINK_ABOVE: usize = 1024;

/// A group that is counted by itself, such as the sessions of one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(u32);

/// Counts by address prefix and group. The limit is the caller's: they count whether there is one or not, in 29 bytes
/// for each prefix and group that has any.
#[derive(Debug, Default)]
pub struct AddressCounts {
    open: Mutex<HashMap<(AddressPrefix, Group), u32>>,
}

/// One of those that are counted, until it is dropped.
#[derive(Debug)]
pub struct AddressPermit {
    counts: Arc<AddressCounts>,
    of: (AddressPrefix, Group),
}

impl Group {
    /// The first group, for what belongs to no route.
    pub const WHOLE: Group = Group(0);

    /// The group after this.
    pub fn next(self) -> Self {
        Group(self.0 + 1)
    }
}

impl AddressCounts {
    /// Counts one more of a prefix in a group, unless the groups of `limit` together have as many as it allows.
    pub fn admit(
        self: &Arc<Self>,
        prefix: AddressPrefix,
        group: Group,
        limit: Option<(NonZeroU32, &[Group])>,
    ) -> Option<AddressPermit> {
        let of = (prefix, group);
        let mut open = lock(&self.open);
        if let Some((most, groups)) = limit {
            let counts = groups.iter().filter_map(|group| open.get(&(prefix, *group)));
            if counts.sum::<u32>() >= most.get() {
                return None;
            }
        }
        *open.entry(of).or_default() += 1;
        Some(AddressPermit { counts: self.clone(), of })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut open = lock(&self.counts.open);
        if let Entry::Occupied(mut count) = open.entry(self.of) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        // The memory of a peak is given back.
        if open.capacity() > SHRINK_ABOVE && open.len() < open.capacity() / 8 {
            let enough = open.len() * 2;
            open.shrink_to(enough);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const A: Group = Group(1);
    const B: Group = Group(2);

    fn prefix(text: &str) -> AddressPrefix {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn limit(most: u32, groups: &[Group]) -> Option<(NonZeroU32, &[Group])> {
        Some((NonZeroU32::new(most).unwrap(), groups))
    }

    #[test]
    fn permits_are_given_back() {
        let counts = Arc::new(AddressCounts::default());
        let (one, other) = (prefix("192.0.2.1"), prefix("192.0.2.2"));
        let two = limit(2, &[A]);
        let first = counts.admit(one, A, two).unwrap();
        let second = counts.admit(one, A, two).unwrap();
        assert!(counts.admit(one, A, two).is_none());
        assert!(counts.admit(other, A, two).is_some(), "each prefix is counted by itself");
        drop(first);
        let third = counts.admit(one, A, two).unwrap();
        assert!(counts.admit(one, A, two).is_none());
        drop((second, third));
        assert!(lock(&counts.open).is_empty(), "a prefix without any is forgotten");
    }

    #[test]
    fn groups_are_counted_together_or_apart() {
        let counts = Arc::new(AddressCounts::default());
        let one = prefix("192.0.2.1");
        let held = [A, A, B].map(|group| counts.admit(one, group, None).unwrap());
        for (most, groups, admits) in [
            (3, &[A, B][..], false),
            (4, &[A, B], true),
            (2, &[A], false),
            (3, &[A], true),
            (1, &[B], false),
            (2, &[B], true),
            (1, &[Group::WHOLE], true),
        ] {
            let permit = counts.admit(one, A, limit(most, groups));
            assert_eq!(permit.is_some(), admits, "{most} of {groups:?}");
        }
        drop(held);
        assert!(lock(&counts.open).is_empty());
    }

    #[test]
    fn memory_is_given_back() {
        let counts = Arc::new(AddressCounts::default());
        let numbered = |n: u32| AddressPrefix::from(IpAddr::from(n.to_be_bytes()));
        let many: Vec<_> =
            (0..50_000).map(|n| counts.admit(numbered(n), A, None).unwrap()).collect();
        assert!(lock(&counts.open).capacity() >= 50_000);
        drop(many);
        assert!(lock(&counts.open).capacity() <= 2 * SHRINK_ABOVE);
    }
}
