//! BackendConnector: opens connections to a target. Each kind of target has a file of its own; this one chooses.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::program::{ProgramConnector, ProgramPermits, Programs};
use super::server_connector::ServerConnector;
use super::target_file::{TargetFile, TargetFileName};
use super::{BackendIo, ClientFacts, OpenError, Target};
use crate::error::StartError;
use crate::net::tls;
use crate::open_files::OpenFiles;
use crate::path;

/// The files that backends of a configuration use, opened.
#[derive(Debug, Default)]
pub struct BackendFiles {
    /// The trusted certificate authorities, by the file of `--backend-ca`; `None`: those of the system.
    authorities: OpenFiles<Option<PathBuf>, tls::Authorities>,
    /// The files of `--target-file`.
    targets: OpenFiles<TargetFileName, TargetFile>,
}

impl BackendFiles {
    /// None yet; those that are open in `old` will not be read again.
    pub fn after(old: &Self) -> Self {
        BackendFiles {
            authorities: OpenFiles::after(Some(&old.authorities)),
            targets: OpenFiles::after(Some(&old.targets)),
        }
    }

    /// Drops the files that only the configuration before this one has.
    pub fn settle(&mut self) {
        self.authorities.settle();
        self.targets.settle();
    }

    /// Reads the files again; false if there are none. One that can't be used changes nothing, and is logged.
    pub fn reload(&self) -> bool {
        let authorities = self.authorities.iter().map(tls::Authorities::reload);
        let targets = self.targets.iter().map(TargetFile::reload);
        authorities.chain(targets).count() > 0
    }
}

/// Opens connections to a target, and keeps what all of them need. Two are equal if they open the same connections: to
/// the same target, found at the same place, trusting the same authorities.
#[derive(Debug, PartialEq)]
pub struct BackendConnector {
    target: Target,
    kind: ConnectorKind,
}

/// The connector of each kind of target.
#[derive(Debug, PartialEq)]
enum ConnectorKind {
    Server(ServerConnector),
    File(Arc<TargetFile>),
    Program(ProgramConnector),
    Programs(Programs),
}

impl BackendConnector {
    /// Prepares connections: finds the program, opens the files. No name is looked up yet.
    ///
    /// # Errors
    /// [`StartError::Environment`], if there is no such program, or a file can't be used.
    pub fn new(target: &Target, files: &mut BackendFiles) -> Result<Self, StartError> {
        let BackendFiles { authorities, targets } = files;
        let kind = match target {
            Target::Tcp { .. } | Target::Unix(_) | Target::Tls { .. } => {
                let ca = target.ca();
                let open = |ca| tls::Authorities::open("--backend-ca", ca);
                ServerConnector::new(target, || authorities.get(&ca, open))
                    .map(ConnectorKind::Server)
            }
            Target::File { path, ca } => {
                targets.get(&(path.clone(), ca.clone()), TargetFile::open).map(ConnectorKind::File)
            }
            Target::Program(program) => ProgramConnector::new(program).map(ConnectorKind::Program),
            Target::Programs(dir) => Programs::new(dir).map(ConnectorKind::Programs),
        };
        let kind = kind.map_err(StartError::Environment)?;
        Ok(BackendConnector { target: target.clone(), kind })
    }

    /// Opens a connection for this client within `limit`, or starts its program. A program's `permits` are given back
    /// when it is gone. A server gets `preface` before anything else, TLS included; a program does not. Returns the
    /// connection, and the name of the server if the client has chosen it.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn open(
        &self,
        client: &ClientFacts<'_>,
        limit: Duration,
        permits: ProgramPermits,
        preface: &[u8],
    ) -> Result<(BackendIo, Option<Arc<str>>), OpenError> {
        // A program gets its path in variables, which a bad one does not fit into.
        if self.target.is_program() && !path::is_sound(client.uri.path()) {
            return Err(OpenError::BadPath);
        }
        // The rest is boxed, as connections to servers should not have to hold room for it.
        let opened = match &self.kind {
            ConnectorKind::Server(server) => {
                let opened = server.open(limit, preface).await.map(BackendIo::server);
                opened.map_err(|error| OpenError::of_server(&error, &self.target, limit))
            }
            ConnectorKind::File(file) => {
                let (io, name) = Box::pin(file.connect(client, limit, preface)).await?;
                return Ok((BackendIo::server(io), Some(name)));
            }
            ConnectorKind::Program(program) => Box::pin(program.open(client, limit, permits)).await,
            ConnectorKind::Programs(programs) => {
                Box::pin(programs.open(client, limit, permits)).await
            }
        };
        Ok((opened?, None))
    }
}
