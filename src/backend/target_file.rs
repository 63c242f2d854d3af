//! TargetFile: connects to the server that a token of the request names, by a file that may change at any time.
//!
//! ```text
//!  request ─▶ lines: tokens ─┐
//!                            ├─▶ server ─▶ connection
//!  file ─▶ files ─▶ by token ┘
//! ```

mod files;
mod lines;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_lock::Mutex as AsyncMutex;
use sha2::{Digest, Sha256};

use self::files::{Files, Look};
use super::server_connector::ServerConnector;
use super::{ClientFacts, OpenError, Target};
use crate::clock::timeout;
use crate::net::stream::ByteStream;
use crate::net::tls::Authorities;
use crate::random;
use crate::sync::lock;
use crate::threads::DIRECTORIES;

/// What names a target file: its path, and the file of the authorities that its TLS servers trust.
pub type TargetFileName = (PathBuf, Option<PathBuf>);

/// A target file, or a directory of such files.
#[derive(Debug)]
pub struct TargetFile {
    reader: Arc<Reader>,
    /// What was read last. Locked while it is looked for changes, so that those who ask at the same time share a look.
    last: AsyncMutex<Last>,
}

/// The last look.
#[derive(Clone, Debug)]
struct Last {
    /// When it began: what was written before that has been read.
    began: Instant,
    files: Files,
    servers: Arc<Servers>,
    /// Why what the files say can't be used, if it can't.
    problem: Option<String>,
}

/// What reads the file.
#[derive(Debug)]
struct Reader {
    path: PathBuf,
    ca: Option<PathBuf>,
    /// Opened with the first TLS server.
    authorities: Mutex<Option<Arc<Authorities>>>,
    /// Tokens are secrets: they are kept as hashes under this key, so that the time of a look-up reveals nothing.
    key: [u8; 32],
}

/// The servers by the hashes of their tokens.
#[derive(Default)]
struct Servers(HashMap<[u8; 32], Arc<Server>>);

/// A server.
#[derive(Debug)]
struct Server {
    target: Target,
    /// The target, as the operator named it.
    name: Arc<str>,
    connector: ServerConnector,
}

impl TargetFile {
    /// Reads the file.
    ///
    /// # Errors
    /// Why it can't be used.
    pub fn open(name: TargetFileName) -> Result<Self, String> {
        let (path, ca) = name;
        let shown = path.display().to_string();
        let reader = Reader { path, ca, authorities: Mutex::default(), key: random::bytes() };
        let mut last = Last::new();
        match reader.look(&mut last) {
            Some(why) => Err(format!("--target-file {shown}: {why}")),
            None => Ok(TargetFile { reader: Arc::new(reader), last: AsyncMutex::new(last) }),
        }
    }

    /// Connects to the server that the client's token names within `limit`, and sends it `preface`. Returns the
    /// connection and the name of the server.
    ///
    /// # Errors
    /// [`OpenError::NoTarget`] without a token that is known; as of the server otherwise.
    pub async fn connect(
        &self,
        client: &ClientFacts<'_>,
        limit: Duration,
        preface: &[u8],
    ) -> Result<(ByteStream, Arc<str>), OpenError> {
        let tokens = lines::tokens(client.uri, client.script);
        if tokens.is_empty() {
            return Err(OpenError::NoTarget(
                "a token is needed here: send it as ?token= or as the path",
            ));
        }
        let began = Instant::now();
        // As long as the disk takes, but not for ever.
        let servers = timeout(limit, self.current()).await;
        let servers = servers.map_err(|_| OpenError::TimedOut(limit))?;
        let server = tokens.iter().find_map(|token| servers.0.get(&self.reader.hash(token)));
        let unknown = OpenError::NoTarget("the token is unknown here");
        let server = server.cloned().ok_or(unknown)?;
        let left = limit.saturating_sub(began.elapsed());
        match server.connector.open(left, preface).await {
            Ok(io) => Ok((io, server.name.clone())),
            Err(error) => Err(OpenError::of_server(&error, &server.name, limit)),
        }
    }

    /// The servers as the file names them now. Whoever asks while others look waits for the next look, which all of
    /// them share.
    async fn current(&self) -> Arc<Servers> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if last.began < asked {
            let reader = self.reader.clone();
            let mut next = Last { began: Instant::now(), ..last.clone() };
            let look = DIRECTORIES.run(move || {
                reader.look_and_log(&mut next);
                next
            });
            *last = look.await;
        }
        last.servers.clone()
    }

    /// Looks for changes, and reads the authorities again; it logs how that went.
    pub fn reload(&self) {
        let mut last = self.last.lock_blocking();
        last.began = Instant::now();
        self.reader.look_and_log(&mut last);
        drop(last);
        let authorities = lock(&self.reader.authorities).clone();
        authorities.iter().for_each(|authorities| authorities.reload());
    }
}

impl Last {
    /// Before the first look.
    fn new() -> Self {
        let (files, servers) = (Files::default(), Arc::default());
        Last { began: Instant::now(), files, servers, problem: None }
    }
}

/// Two are the same if one of them is the other: each has been read at a time of its own.
impl PartialEq for TargetFile {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Reader {
    fn hash(&self, token: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix(self.key).chain_update(token).finalize().into()
    }

    /// Takes what has changed into `last`, and logs it. What is wrong changes nothing.
    fn look_and_log(&self, last: &mut Last) {
        let before = last.servers.clone();
        if let Some(why) = self.look(last) {
            let file = self.path.display().to_string();
            tracing::warn!(file, why, "--target-file: what was read before is kept");
        } else if !Arc::ptr_eq(&before, &last.servers) {
            tracing::info!(file = %self.path.display(), targets = last.servers.0.len(), "reloaded");
        }
    }

    /// Takes what has changed into `last`. Returns what went wrong, if it did not last time.
    fn look(&self, last: &mut Last) -> Option<String> {
        let Look { files, is_new, mut problems } = last.files.look(&self.path);
        if is_new {
            match self.servers(&files, &last.servers) {
                Ok(servers) => last.servers = Arc::new(servers),
                // They are new next time, too.
                Err(why) => {
                    let said = last.problem.replace(why.clone());
                    return (said.as_ref() != Some(&why)).then_some(why);
                }
            }
            last.problem = None;
        }
        last.files = files;
        (!problems.is_empty()).then(|| {
            problems.dedup();
            problems.join("; ")
        })
    }

    /// The servers of these files; those of `old` are kept, with their TLS sessions.
    fn servers(&self, files: &Files, old: &Servers) -> Result<Servers, String> {
        let mut by_target: HashMap<&Target, Arc<Server>> =
            old.0.values().map(|server| (&server.target, server.clone())).collect();
        let mut servers = HashMap::new();
        for (token, target) in files.targets() {
            let server = match by_target.get(target) {
                Some(server) => server.clone(),
                None => {
                    let server = Arc::new(Server {
                        target: target.clone(),
                        name: target.to_string().into(),
                        connector: ServerConnector::new(target, || self.authorities())?,
                    });
                    by_target.insert(target, server.clone());
                    server
                }
            };
            servers.insert(self.hash(token.as_bytes()), server);
        }
        Ok(Servers(servers))
    }

    fn authorities(&self) -> Result<Arc<Authorities>, String> {
        let mut authorities = lock(&self.authorities);
        if let Some(open) = &*authorities {
            return Ok(open.clone());
        }
        let open = Arc::new(Authorities::open("--backend-ca", self.ca.clone())?);
        *authorities = Some(open.clone());
        Ok(open)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({})", self.0.len())
    }
}
