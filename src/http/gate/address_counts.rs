//! Address counts: how many sessions each address has.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use crate::net::address_prefix::AddressPrefix;
use crate::sync::lock;

/// A table that has grown beyond this gives memory back when it is nearly empty.
const SHRINK_ABOVE: usize = 1024;

/// The sessions of each address prefix.
#[derive(Debug)]
pub struct AddressCounts {
    open: Mutex<HashMap<AddressPrefix, u32>>,
    most: NonZeroU32,
}

/// The right to be one of the sessions of an address prefix, given back when dropped.
#[derive(Debug)]
pub struct AddressPermit {
    counts: Arc<AddressCounts>,
    of: AddressPrefix,
}

impl AddressCounts {
    /// So many sessions each.
    pub fn new(most: NonZeroU32) -> Arc<Self> {
        Arc::new(AddressCounts { open: Mutex::default(), most })
    }

    /// How many sessions each may have.
    pub fn most(&self) -> NonZeroU32 {
        self.most
    }

    /// A permit for one more session, unless the prefix has as many as it may.
    pub fn admit(self: &Arc<Self>, of: AddressPrefix) -> Option<AddressPermit> {
        let mut open = lock(&self.open);
        let count = open.entry(of).or_default();
        if *count >= self.most.get() {
            return None;
        }
        *count += 1;
        Some(AddressPermit { counts: self.clone(), of })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut open = lock(&self.counts.open);
        if let Some(count) = open.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.of);
            }
        }
        // The memory of a peak is not kept for ever.
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

    fn prefix(text: &str) -> AddressPrefix {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn numbered(n: u32) -> AddressPrefix {
        IpAddr::from(n.to_be_bytes()).into()
    }

    #[test]
    fn permits_are_given_back() {
        let counts = AddressCounts::new(NonZeroU32::new(2).unwrap());
        let (one, other) = (prefix("192.0.2.1"), prefix("192.0.2.2"));
        let first = counts.admit(one).unwrap();
        let second = counts.admit(one).unwrap();
        assert!(counts.admit(one).is_none());
        assert!(counts.admit(other).is_some(), "each prefix is counted by itself");
        drop(first);
        let third = counts.admit(one).unwrap();
        assert!(counts.admit(one).is_none());
        drop((second, third));
        assert!(lock(&counts.open).is_empty(), "a prefix without sessions is forgotten");
    }

    #[test]
    fn memory_is_given_back() {
        let counts = AddressCounts::new(NonZeroU32::MIN);
        let many: Vec<_> = (0..50_000).map(|n| counts.admit(numbered(n)).unwrap()).collect();
        assert!(lock(&counts.open).capacity() >= 50_000);
        drop(many);
        assert!(lock(&counts.open).capacity() <= 2 * SHRINK_ABOVE);
    }
}
