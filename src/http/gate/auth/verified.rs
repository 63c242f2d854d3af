//! Verified: credentials that were right lately, so that a page that reloads with all its sockets does not cost a
//! password check for each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::htpasswd::Hash;
use crate::random;
use crate::sync::lock;

/// How long right credentials are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The largest number that is remembered.
const MOST: usize = 1024;

/// One hash of name, password and stored hash, under a key of this process, so that it is useless to anyone who reads
/// it.
pub type Tag = [u8; 32];

/// A small, short memory of right credentials. It outlives reloads of the list of users: a changed hash makes another
/// tag, so that the password is checked again.
pub struct Verified {
    key: [u8; 32],
    /// The time of expiry of each tag.
    until: Mutex<HashMap<Tag, Instant>>,
}

impl Verified {
    pub fn new() -> Self {
        Verified { key: random::bytes(), until: Mutex::default() }
    }

    /// The tag of a name, a password and the user's stored hash.
    pub fn tag(&self, name: &str, password: &[u8], hash: &Hash) -> Tag {
        let mut tag = Sha256::new_with_prefix(self.key);
        for part in [name.as_bytes(), hash.as_bytes()] {
            tag.update((part.len() as u64).to_be_bytes());
            tag.update(part);
        }
        tag.chain_update(password).finalize().into()
    }

    /// Whether these credentials were right lately.
    pub fn contains(&self, tag: &Tag, now: Instant) -> bool {
        lock(&self.until).get(tag).is_some_and(|until| now < *until)
    }

    /// Remembers that they are right.
    pub fn insert(&self, tag: Tag, now: Instant) {
        let mut until = lock(&self.until);
        if until.len() >= MOST {
            until.retain(|_, until| now < *until);
        }
        // When it is full, others are checked each time.
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

    const HASH: Hash = Hash::Sha1([0; 20]);

    #[test]
    fn tags_tell_credentials_apart() {
        let verified = Verified::new();
        let tag = |name: &str, password: &str, hash: &str| {
            verified.tag(name, password.as_bytes(), &Hash::Bcrypt(hash.into()))
        };
        let anna = tag("anna", "secret", "hash");
        assert_eq!(anna, tag("anna", "secret", "hash"));
        for (name, password, hash) in [
            ("anna", "Secret", "hash"),
            ("annas", "ecret", "hash"),
            ("", "annasecret", "hash"),
            ("anna", "secret", "another"),
            ("anna", "ssecret", "has"),
        ] {
            assert_ne!(anna, tag(name, password, hash), "{name} {password} {hash}");
        }
        let other = Verified::new().tag("anna", b"secret", &Hash::Bcrypt("hash".into()));
        assert_ne!(anna, other, "another process, another key");
    }

    #[test]
    fn for_a_moment_only() {
        let (verified, now) = (Verified::new(), Instant::now());
        let tag = verified.tag("anna", b"secret", &HASH);
        assert!(!verified.contains(&tag, now));
        verified.insert(tag, now);
        let almost = now + REMEMBERED - Duration::from_millis(1);
        assert!(verified.contains(&tag, now) && verified.contains(&tag, almost));
        assert!(!verified.contains(&tag, now + REMEMBERED));
        assert!(!verified.contains(&verified.tag("anna", b"other", &HASH), now));
    }

    #[test]
    fn so_many_only() {
        let (verified, now) = (Verified::new(), Instant::now());
        let tag = |n: usize| verified.tag(&n.to_string(), b"", &HASH);
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
