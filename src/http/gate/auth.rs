//! Auth: checks the credentials of a request, a password or a token.

mod htpasswd;
mod identity;
pub mod offered;
mod tokens;
mod verified;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::Instant;

use async_lock::{Mutex as AsyncMutex, Semaphore};
use data_encoding::BASE64;
use hyper::header::{self, HeaderMap};
use hyper::{Request, StatusCode};

use self::htpasswd::Users;
use self::identity::authorization;
use self::tokens::Tokens;
use self::verified::Verified;
use crate::error::StartError;
use crate::file;
use crate::http::gate::rate::RateLimiter;
use crate::http::refusal::Refusal;
use crate::net::address_prefix::AddressPrefix;
use crate::open_files::OpenFiles;
use crate::rate::Rate;
use crate::sync::lock;
use crate::threads::PASSWORDS;

pub use self::identity::{Identity, User};

/// The longest password, in bytes, as in crypt(3). The time of hashing grows with the length, or with its square.
const LONGEST_PASSWORD: usize = 512;

/// The largest number of passwords that wait to be checked. With bcrypt's quarter of a second each, the last one waits
/// as long as people do.
const LONGEST_QUEUE: usize = 32;

/// The places of a request that may have credentials.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query.
    pub query: Option<&'a str>,
    /// The tokens among its subprotocols, which are in no header any more.
    pub offered: &'a [Vec<u8>],
}

/// The files that credentials are checked against.
#[derive(Clone, Debug)]
pub struct Auth {
    passwords: Option<Arc<Passwords>>,
    tokens: Option<Arc<CredentialFile<Tokens>>>,
}

/// The opened files of passwords and tokens of a configuration. A reload keeps those that it names again, and the
/// memory of right passwords.
#[derive(Debug, Default)]
pub struct AuthFiles {
    passwords: OpenFiles<PathBuf, Passwords>,
    tokens: OpenFiles<PathBuf, CredentialFile<Tokens>>,
}

/// A file of passwords.
#[derive(Debug)]
struct Passwords {
    users: CredentialFile<Users>,
    queue: Queue,
    /// The passwords that were right lately.
    verified: Verified,
}

/// The limit of wrong credentials of a prefix.
#[derive(Clone, Copy, Debug)]
pub struct Guesses<'a> {
    /// Counts them.
    pub limiter: &'a RateLimiter,
    /// The rate that is allowed.
    pub rate: Rate,
    /// The prefix that sent them.
    pub prefix: AddressPrefix,
}

/// A file of credentials that is read again at a reload.
#[derive(Debug)]
struct CredentialFile<T> {
    option: &'static str,
    path: PathBuf,
    parse: fn(&str) -> Result<T, String>,
    current: Mutex<Arc<T>>,
}

/// The queue of passwords. Hashing is slow on purpose, so it has threads of its own, fewer than there are cores.
#[derive(Debug)]
struct Queue {
    length: Arc<AtomicUsize>,
    slots: Arc<Semaphore>,
    /// Locked while a password is checked that counts if it is wrong.
    turn: AsyncMutex<()>,
}

/// An entry in the queue until it is dropped, also when the client has left.
struct Waiting(Arc<AtomicUsize>);

impl<'a> Credentials<'a> {
    /// Those of a request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Credentials {
            headers: request.headers(),
            query: request.uri().query(),
            offered: offered::tokens(request),
        }
    }

    fn tokens(self) -> Vec<Vec<u8>> {
        tokens::presented(self.headers, self.query, self.offered)
    }
}

impl Guesses<'_> {
    /// Checks whether the prefix may send wrong credentials once more.
    ///
    /// # Errors
    /// 429, if it has sent too many.
    pub fn check(&self) -> Result<(), Refusal> {
        let waits = self.limiter.check(self.rate, self.prefix, Instant::now());
        waits.map_err(|wait| Refusal::too_often(self.prefix, wait))
    }

    fn count(&self) {
        let _ = self.limiter.ask(self.rate, self.prefix, Instant::now());
    }
}

impl<T> CredentialFile<T> {
    fn open(
        option: &'static str,
        path: PathBuf,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Self, StartError> {
        let first = CredentialFile::read(option, &path, parse).map_err(StartError::Environment)?;
        Ok(CredentialFile { option, path, parse, current: Mutex::new(Arc::new(first)) })
    }

    fn read(option: &str, path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<T, String> {
        let shown = path.display();
        let text =
            file::read_text(path).map_err(|why| format!("can't read {option} {shown}: {why}"))?;
        parse(&text).map_err(|why| format!("{option} {shown}: {why}"))
    }

    fn current(&self) -> Arc<T> {
        lock(&self.current).clone()
    }

    fn reload(&self) {
        match CredentialFile::read(self.option, &self.path, self.parse) {
            Ok(new) => {
                *lock(&self.current) = Arc::new(new);
                tracing::info!(file = %self.path.display(), "reloaded");
            }
            Err(why) => tracing::warn!(why, "not reloaded: the old one is kept"),
        }
    }
}

impl Queue {
    fn new() -> Self {
        let slots = available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        let slots = Arc::new(Semaphore::new(slots));
        Queue { length: Arc::default(), slots, turn: AsyncMutex::new(()) }
    }

    fn enter(&self) -> Result<Waiting, Refusal> {
        let waiting = Waiting(self.length.clone());
        match self.length.fetch_add(1, Ordering::AcqRel) {
            n if n < LONGEST_QUEUE => Ok(waiting),
            _ => Err(Refusal::busy("too many passwords are being checked, try again later")),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Passwords {
    fn open(path: PathBuf) -> Result<Self, StartError> {
        let users = CredentialFile::open("--auth-file", path, Users::parse)?;
        Ok(Passwords { users, queue: Queue::new(), verified: Verified::new() })
    }

    /// Whether this is the user's password. An unknown name takes as long as a known one, so that names can't be found
    /// out by the time.
    async fn verify(
        &self,
        name: &str,
        password: Vec<u8>,
        guesses: Option<Guesses<'_>>,
    ) -> Result<bool, Refusal> {
        if password.len() > LONGEST_PASSWORD {
            guesses.iter().for_each(Guesses::count);
            return Ok(false);
        }
        let (hash, exists) = self.users.current().hash(name);
        let tag = self.verified.tag(name, &password, &hash);
        let is_known = || exists && self.verified.contains(&tag, Instant::now());
        if is_known() {
            return Ok(true);
        }
        let waiting = self.queue.enter()?;
        // One after the other: guesses that are checked at the same time would all be allowed.
        let _turn = match guesses {
            Some(_) => Some(self.queue.turn.lock().await),
            None => None,
        };
        let slot = self.queue.slots.acquire_arc().await;
        // Requests of one page come together: the same password may have been checked meanwhile.
        if is_known() {
            return Ok(true);
        }
        guesses.as_ref().map_or(Ok(()), Guesses::check)?;
        let right = PASSWORDS.run(move || {
            // Kept by the closure, which goes on when the client leaves.
            let _held = (waiting, slot);
            hash.verify(&password)
        });
        let right = right.await & exists;
        match right {
            true => self.verified.insert(tag, Instant::now()),
            false => guesses.iter().for_each(Guesses::count),
        }
        Ok(right)
    }
}

impl AuthFiles {
    /// An empty set; files that `old` has open are not read again.
    pub fn after(old: Option<&AuthFiles>) -> Self {
        AuthFiles {
            passwords: OpenFiles::after(old.map(|old| &old.passwords)),
            tokens: OpenFiles::after(old.map(|old| &old.tokens)),
        }
    }

    /// Opens these files, if any are named.
    ///
    /// # Errors
    /// [`StartError::Environment`]: what can't be read, or which line is wrong.
    pub fn open(
        &mut self,
        auth_file: Option<&PathBuf>,
        token_file: Option<&PathBuf>,
    ) -> Result<Option<Auth>, StartError> {
        let AuthFiles { passwords, tokens } = self;
        let passwords = auth_file.map(|path| passwords.get(path, Passwords::open)).transpose()?;
        let open = |path| CredentialFile::open("--token-file", path, Tokens::parse);
        let tokens = token_file.map(|path| tokens.get(path, open)).transpose()?;
        let any = passwords.is_some() || tokens.is_some();
        Ok(any.then_some(Auth { passwords, tokens }))
    }

    /// Closes the files that only the configuration before this one has.
    pub fn settle(&mut self) {
        self.passwords.settle();
        self.tokens.settle();
    }

    /// Reads the files again; false if there are none. One that can't be used is logged and changes nothing.
    pub fn reload(&self) -> bool {
        let passwords = self.passwords.iter().map(|passwords| passwords.users.reload());
        let tokens = self.tokens.iter().map(CredentialFile::reload);
        passwords.chain(tokens).count() > 0
    }
}

impl Auth {
    /// Whether a request has credentials, right or wrong.
    pub fn is_tried(&self, credentials: Credentials<'_>) -> bool {
        let token = || !credentials.tokens().is_empty();
        self.tokens.is_some() && token()
            || self.passwords.is_some() && basic(credentials.headers).is_some()
    }

    /// The identity that a request proves; wrong credentials count as one of `guesses`.
    ///
    /// # Errors
    /// 401, 429 after too many guesses, or 503 while too many passwords are being checked.
    pub async fn check(
        &self,
        credentials: Credentials<'_>,
        guesses: Option<Guesses<'_>>,
    ) -> Result<Identity, Refusal> {
        let mut presented = false;
        if let Some(tokens) = &self.tokens {
            let tokens = tokens.current();
            for token in credentials.tokens() {
                presented = true;
                if let Some(user) = tokens.owner(&token) {
                    return Ok(Identity { user, scheme: Some("Bearer") });
                }
            }
        }
        if let Some(passwords) = &self.passwords
            && let Some((name, password)) = basic(credentials.headers)
        {
            presented = true;
            if passwords.verify(&name, password, guesses).await? {
                return Ok(Identity { user: Some(name.into()), scheme: Some("Basic") });
            }
        } else if presented {
            guesses.iter().for_each(Guesses::count);
        }
        Err(self.unauthorized(presented))
    }

    fn unauthorized(&self, presented: bool) -> Refusal {
        const TOKEN: &str = "as Authorization: Bearer, as a subprotocol bearer.TOKEN, as a cookie token, or as ?token=";
        let why = match (presented, &self.passwords, &self.tokens) {
            (false, Some(_), None) => "a user name and password are needed here".to_owned(),
            (false, None, _) => format!("a token is needed here: send it {TOKEN}"),
            (false, Some(_), Some(_)) => {
                format!("a user name and password are needed here, or a token: send it {TOKEN}")
            }
            (true, Some(_), None) => "the user name or the password is wrong".to_owned(),
            (true, None, _) => format!("the token is wrong: send one that is known here, {TOKEN}"),
            (true, Some(_), Some(_)) => {
                "the user name, the password or the token is wrong".to_owned()
            }
        };
        let mut refusal = Refusal::new(StatusCode::UNAUTHORIZED, why);
        if self.passwords.is_some() {
            let challenge = "Basic realm=\"wsrelay\", charset=\"UTF-8\"";
            refusal = refusal.with(header::WWW_AUTHENTICATE, challenge);
        }
        if self.tokens.is_some() {
            refusal = refusal.with(header::WWW_AUTHENTICATE, "Bearer realm=\"wsrelay\"");
        }
        refusal
    }
}

/// The user name and password of HTTP Basic (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let pair = BASE64.decode(authorization(headers, "Basic")?.as_bytes()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&pair[..colon]).ok()?;
    Some((name.to_owned(), pair[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests;
