//! BackendConnector: opens connections to a target. Each kind of target has a file of its own; this one chooses.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::program::{ProgramConnector, ProgramPermits, Programs};
use super::tcp::TcpConnector;
use super::unix::UnixConnector;
use super::{BackendIo, ClientFacts, OpenError, Target};
use crate::error::StartError;
use crate::net::tls;
use crate::open_files::OpenFiles;
use crate::path;

/// The trusted certificate authorities, by the file of `--backend-ca`; `None`: those of the system.
pub type BackendAuthorities = OpenFiles<Option<PathBuf>, tls::Authorities>;

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
    Tcp(TcpConnector),
    Unix(UnixConnector),
    Program(ProgramConnector),
    Programs(Programs),
}

impl BackendConnector {
    /// Prepares connections: finds the program, opens the authorities. No name is looked up yet.
    ///
    /// # Errors
    /// [`StartError::Environment`], if there is no such program, or the authorities can't be used.
    pub fn new(target: &Target, authorities: &mut BackendAuthorities) -> Result<Self, StartError> {
        let kind = match target {
            Target::Tcp { host, port } => {
                Ok(ConnectorKind::Tcp(TcpConnector::new(host, *port, None)))
            }
            Target::Tls { host, port, ca } => authorities
                .get(ca, |ca| tls::Authorities::open("--backend-ca", ca))
                .and_then(|authorities| tls::TlsConnector::new(host, authorities))
                .map(|tls| ConnectorKind::Tcp(TcpConnector::new(host, *port, Some(tls)))),
            Target::Unix(path) => Ok(ConnectorKind::Unix(UnixConnector::new(path))),
            Target::Program(program) => ProgramConnector::new(program).map(ConnectorKind::Program),
            Target::Programs(dir) => Programs::new(dir).map(ConnectorKind::Programs),
        };
        let kind = kind.map_err(StartError::Environment)?;
        Ok(BackendConnector { target: target.clone(), kind })
    }

    /// Opens a connection for this client within `limit`, or starts its program. A program's `permits` are given back
    /// when it is gone. A server gets `preface` before anything else, TLS included; a program does not.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn open(
        &self,
        client: &ClientFacts<'_>,
        limit: Duration,
        permits: ProgramPermits,
        preface: &[u8],
    ) -> Result<BackendIo, OpenError> {
        // A program gets its path in variables, which a bad one does not fit into.
        if self.target.is_program() && !path::is_sound(client.uri.path()) {
            return Err(OpenError::BadPath);
        }
        let explain = |error: io::Error| OpenError::of_server(&error, &self.target, limit);
        match &self.kind {
            ConnectorKind::Tcp(server) => {
                server.open(limit, preface).await.map(BackendIo::server).map_err(explain)
            }
            // Boxed, as connections to TCP servers should not have to hold room for them.
            ConnectorKind::Unix(server) => {
                Box::pin(server.open(limit, preface)).await.map(BackendIo::server).map_err(explain)
            }
            ConnectorKind::Program(program) => Box::pin(program.open(client, limit, permits)).await,
            ConnectorKind::Programs(programs) => {
                Box::pin(programs.open(client, limit, permits)).await
            }
        }
    }
}
