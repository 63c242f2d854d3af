//! Htpasswd: users and their hashed passwords, in the format of Apache's htpasswd. Pure.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;
use std::str::FromStr;

use bcrypt::HashParts;
use data_encoding::BASE64;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use crate::file::entries;

/// The allowed costs of bcrypt. htpasswd can't make larger ones, which take ten seconds each.
const BCRYPT_COSTS: RangeInclusive<u32> = 4..=17;

/// The allowed rounds of SHA-crypt, for the same reason; the least is that of its specification.
const SHA_ROUNDS: RangeInclusive<u32> = 1000..=10_000_000;

/// The users of a file.
pub struct Users {
    by_name: HashMap<String, usize>,
    /// The hash of each user; not empty.
    hashes: Vec<Hash>,
    secret: RandomState,
}

/// A hashed password.
#[derive(Clone, PartialEq, Eq)]
pub enum Hash {
    /// `$2y$`, and `$2a$`, `$2b$` which are the same.
    Bcrypt(String),
    /// `$5$` (SHA-256) and `$6$` (SHA-512).
    ShaCrypt(String),
    /// `{SHA}`.
    Sha1([u8; 20]),
}

impl Users {
    /// Reads lines of `name:hash`; what follows a second colon is a comment, as is a line that
    /// begins with `#`.
    ///
    /// # Errors
    /// Which line is wrong, and what to do about it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut by_name, mut hashes) = (HashMap::new(), Vec::new());
        for (n, line) in entries(text) {
            let (name, rest) =
                line.split_once(':').ok_or_else(|| format!("line {n} is not name:hash"))?;
            let name = name.trim_end();
            if name.is_empty() || name.contains(char::is_control) {
                return Err(format!("line {n}: {name:?} can't be a user's name"));
            }
            let hash = rest.split(':').next().unwrap_or(rest).trim();
            let hash = Hash::parse(hash).map_err(|why| {
                format!("line {n}: the password of {name:?} {why}: renew it with htpasswd -B")
            })?;
            if by_name.insert(name.to_owned(), hashes.len()).is_some() {
                return Err(format!("line {n}: {name:?} is there twice"));
            }
            hashes.push(hash);
        }
        if hashes.is_empty() {
            return Err("there are no users in it: add one with htpasswd -B".into());
        }
        Ok(Users { by_name, hashes, secret: RandomState::new() })
    }

    /// The hash of a user's password, and true. For an unknown name, the hash of another user and false: always the same
    /// one for the same name, so that checking it takes as long as for a user.
    pub fn hash(&self, name: &str) -> (Hash, bool) {
        let known = self.by_name.get(name).copied();
        let decoy = self.secret.hash_one(name) % self.hashes.len() as u64;
        (self.hashes[known.unwrap_or(decoy as usize)].clone(), known.is_some())
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.hashes.len())
    }
}

impl Hash {
    /// Reads a hash. The error is the rest of a sentence about the password.
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(base64) = text.strip_prefix("{SHA}") {
            let hash = BASE64.decode(base64.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
            return hash.map(Hash::Sha1).ok_or_else(|| "is no complete {SHA}".into());
        }
        let kind = text.strip_prefix('$').and_then(|text| text.split_once('$'));
        match kind.map(|(kind, _)| kind) {
            Some("2y" | "2a" | "2b") => {
                let parts = HashParts::from_str(text).map_err(|_| "is no complete bcrypt hash")?;
                match parts.get_cost() {
                    cost if BCRYPT_COSTS.contains(&cost) => Ok(Hash::Bcrypt(text.to_owned())),
                    cost => {
                        Err(format!("has a bcrypt cost of {cost}, not {}", shown(&BCRYPT_COSTS)))
                    }
                }
            }
            Some("5") => sha_crypt(text, 43),
            Some("6") => sha_crypt(text, 86),
            Some("apr1" | "1") => Err("is hashed with MD5, which is too weak".into()),
            _ => Err("is in no form that is known here (bcrypt, $6$, $5$ or {SHA})".into()),
        }
    }

    /// Bytes that identify it.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Hash::Bcrypt(text) | Hash::ShaCrypt(text) => text.as_bytes(),
            Hash::Sha1(bytes) => bytes,
        }
    }

    /// Whether it is the hash of this password. Slow on purpose.
    pub fn verify(&self, password: &[u8]) -> bool {
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::ShaCrypt(hash) => {
                ShaCrypt::default().verify_password(password, hash.as_str()).is_ok()
            }
            Hash::Sha1(hash) => Sha1::digest(password).as_slice().ct_eq(hash).into(),
        }
    }
}

/// Checks `$6$salt$hash` and `$6$rounds=5000$salt$hash`, as the crate does so only later.
fn sha_crypt(text: &str, length: usize) -> Result<Hash, String> {
    let incomplete = "is no complete SHA-crypt hash";
    let mut fields = text.split('$').skip(2).peekable();
    if let Some(rounds) = fields.next_if(|field| field.starts_with("rounds=")) {
        let rounds = &rounds["rounds=".len()..];
        if !rounds.parse().is_ok_and(|rounds| SHA_ROUNDS.contains(&rounds)) {
            return Err(format!("has {rounds} rounds, not {}", shown(&SHA_ROUNDS)));
        }
    }
    let usual = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./".contains(&b));
    match (fields.next(), fields.next(), fields.next()) {
        (Some(salt), Some(hash), None)
            if (1..=16).contains(&salt.len())
                && hash.len() == length
                && usual(salt)
                && usual(hash) =>
        {
            Ok(Hash::ShaCrypt(text.to_owned()))
        }
        _ => Err(incomplete.into()),
    }
}

fn shown(range: &RangeInclusive<u32>) -> String {
    format!("one from {} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    // All of "correct horse"; made by crypt(3), and {SHA} by openssl.
    const BCRYPT: &str = "$2b$04$qKl51kldwDeT5CsCF.X40e0TdJsPdZ9oQ.aOgemw5AmkdHdTdFHa.";
    const SHA256: &str = "$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/";
    const SHA256_ROUNDS: &str =
        "$5$rounds=1000$saltsalt$R6e4P8ccT9iMqkYg7Z8YtpId/lfsIfnuPkp8WXposU8";
    const SHA512: &str = "$6$saltsalt$hRM5XZ86KXEw9UOmjigeVqFgULtFB2sgpC9lXQDfMib3Zgw7mEiUvBJI2EplzfAqxL5Vvwp2scFtv/uamSo5z0";
    const SHA1: &str = "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=";

    #[test]
    fn spaces_belong_to_nobody() {
        let users = Users::parse(&format!(" anna : {BCRYPT} : a comment\nbob:{SHA1}\t")).unwrap();
        assert!(users.hash("anna").1 && users.hash("bob").1);
    }

    #[test]
    fn every_kind_of_hash() {
        let as_2 = |letter: &str| BCRYPT.replace("$2b$", &format!("$2{letter}$"));
        for hash in [BCRYPT, &as_2("y"), &as_2("a"), SHA256, SHA256_ROUNDS, SHA512, SHA1] {
            let users = Users::parse(&format!("anna:{hash}")).unwrap();
            let (hash, exists) = users.hash("anna");
            assert!(exists && hash.verify(b"correct horse"));
            for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
                assert!(!hash.verify(wrong.as_bytes()), "{wrong:?}");
            }
        }
    }

    #[test]
    fn files() {
        let text = format!(
            "# our people\r\nanna:{SHA256}\r\n\n  bob:{SHA1}:likes walks\n#carl:x\nü:{BCRYPT}\n"
        );
        let users = Users::parse(&text).unwrap();
        let name_and_hash = |name| users.hash(name).1;
        assert!(["anna", "bob", "ü"].into_iter().all(name_and_hash));
        assert!(!["carl", "#carl", "Anna", "", "likes walks"].into_iter().any(name_and_hash));
        assert_eq!(format!("{users:?}"), "Users(3)", "hashes are secrets too");
    }

    #[test]
    fn a_name_that_nobody_has_costs_what_somebodys_does() {
        let text = format!("anna:{SHA256}\nbob:{SHA1}\ncarl:{BCRYPT}");
        let users = Users::parse(&text).unwrap();
        let mut seen = Vec::new();
        for n in 0..200 {
            let name = format!("nobody-{n}");
            let (hash, exists) = users.hash(&name);
            assert!(!exists);
            assert!(users.hash(&name).0 == hash, "the second time as the first");
            if !seen.contains(&hash) {
                seen.push(hash);
            }
        }
        assert_eq!(seen.len(), 3, "as many kinds as users have");
    }

    #[test]
    fn files_that_are_wrong() {
        for (line, want) in [
            ("", "no users in it: add one with htpasswd -B"),
            ("# nobody", "no users"),
            ("anna", "line 1 is not name:hash"),
            (":$2y$", "can't be a user's name"),
            ("a\tb:x", "can't be a user's name"),
            ("\n\nanna:$apr1$salt$hash", "line 3: the password of \"anna\" is hashed with MD5"),
            ("anna:$apr1$salt$hash", "renew it with htpasswd -B"),
            ("anna:$1$salt$hash", "MD5"),
            ("anna:correct horse", "no form that is known"),
            ("anna:rqXexS6ZhobKA", "no form that is known"),
            ("anna:{PLAIN}correct horse", "no form that is known"),
            ("anna:$2x$04$qKl51kldwDeT5CsCF.X40e0TdJsPdZ9oQ.aOgemw5AmkdHdTdFHa.", "no form"),
            ("anna:", "no form that is known"),
            ("anna:$", "no form that is known"),
            ("anna:$2y$04$short", "no complete bcrypt"),
            ("anna:{SHA}c2hvcnQ=", "no complete {SHA}"),
            ("anna:{SHA}***", "no complete {SHA}"),
            ("anna:$6$saltsalt$short", "no complete SHA-crypt"),
            ("anna:$6$$short", "no complete SHA-crypt"),
            ("anna:$6$saltsalt", "no complete SHA-crypt"),
        ] {
            let why = Users::parse(line).unwrap_err();
            assert!(why.contains(want), "{line:?}: {why}");
            assert!(!why.contains("correct horse"), "{why}");
        }
        for (hash, want) in [
            (BCRYPT.replace("$04$", "$18$"), "cost of 18, not one from 4 to 17"),
            (BCRYPT.replace("$04$", "$03$"), "cost of 3"),
            (SHA256_ROUNDS.replace("1000", "999"), "999 rounds, not one from 1000 to 10000000"),
            (SHA256_ROUNDS.replace("1000", "999999999"), "999999999 rounds"),
            (SHA256_ROUNDS.replace("1000", "x"), "x rounds"),
            (SHA256.replace("$5$", "$6$"), "no complete SHA-crypt"),
            (format!("{SHA256}$x"), "no complete SHA-crypt"),
            (SHA256.replace("saltsalt", "salt{alt"), "no complete SHA-crypt"),
        ] {
            let why = Users::parse(&format!("anna:{hash}")).unwrap_err();
            assert!(why.contains(want), "{hash:?}: {why}");
        }
        let why = Users::parse(&format!("anna:{SHA1}\nanna:{SHA1}")).unwrap_err();
        assert!(why.contains("line 2: \"anna\" is there twice"), "{why}");
    }
}
