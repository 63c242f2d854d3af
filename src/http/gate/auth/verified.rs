//! Credentials that were right a moment ago, so that a page that reloads with all its sockets does
//! not cost a password check each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::sync::lock;

/// How long right credentials are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many are remembered.
const MOST: usize = 1024;

/// Name and password as one hash, under a key of this process: nothing that is kept here helps
/// anyone who reads it.
pub type Tag = [u8; 32];

/// A small, short memory of right credentials. It belongs to one version of the list of users, and
/// goes with it.
pub struct Verified {
    key: [u8; 32],
    /// By tag: until when.
    until: Mutex<HashMap<Tag, Instant>>,
}

impl Verified {
    pub fn new() -> Self {
        Verified { key: super::secret(), until: Mutex::default() }
    }

    /// The tag of a name and a password.
    pub fn tag(&self, name: &str, password: &[u8]) -> Tag {
        let hash =
            Sha256::new_with_prefix(self.key).chain_update((name.len() as u64).to_be_bytes());
        hash.chain_update(name).chain_update(password).finalize().into()
    }

    /// Whether these credentials were right a moment ago.
    pub fn contains(&self, tag: &Tag, now: Instant) -> bool {
        lock(&self.until).get(tag).is_some_and(|until| now < *until)
    }

    /// Remembers that they are right.
    pub fn insert(&self, tag: Tag, now: Instant) {
        let mut until = lock(&self.until);
        if until.len() >= MOST {
            until.retain(|_, until| now < *until);
        }
        // With so many at once those who come later are checked each time.
        if until.len() < MOST {
            until.insert(tag, now + REMEMBERED);
        }
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_credentials_apart() {
        let verified = Verified::new();
        let tag = verified.tag("anna", b"secret");
        assert_eq!(tag, verified.tag("anna", b"secret"));
        for (name, password) in [("anna", "Secret"), ("annas", "ecret"), ("", "annasecret")] {
            assert_ne!(tag, verified.tag(name, password.as_bytes()), "{name} {password}");
        }
        assert_ne!(tag, Verified::new().tag("anna", b"secret"), "another process, another key");
    }

    #[test]
    fn for_a_moment_only() {
        let (verified, now) = (Verified::new(), Instant::now());
        let tag = verified.tag("anna", b"secret");
        assert!(!verified.contains(&tag, now));
        verified.insert(tag, now);
        let almost = now + REMEMBERED - Duration::from_millis(1);
        assert!(verified.contains(&tag, now) && verified.contains(&tag, almost));
        assert!(!verified.contains(&tag, now + REMEMBERED));
        assert!(!verified.contains(&verified.tag("anna", b"other"), now));
    }

    #[test]
    fn so_many_only() {
        let (verified, now) = (Verified::new(), Instant::now());
        let tag = |n: usize| verified.tag(&n.to_string(), b"");
        for n in 0..2 * MOST {
            verified.insert(tag(n), now);
        }
        assert_eq!(lock(&verified.until).len(), MOST);
        assert!(verified.contains(&tag(0), now) && !verified.contains(&tag(MOST), now));
        verified.insert(tag(MOST), now + REMEMBERED);
        assert_eq!(lock(&verified.until).len(), 1);
        assert!(verified.contains(&tag(MOST), now + REMEMBERED));
    }
}
