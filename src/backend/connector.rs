//! Connector: opens connections to a target. Each kind of target has a file of its own; they are told apart here.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::program::{Held, Launcher, Programs};
use super::tcp::TcpConnector;
use super::unix::UnixConnector;
use super::{BackendIo, ClientInfo, OpenError, Target};
use crate::error::StartError;
use crate::net::tls;
use crate::open_files::OpenFiles;

/// Whose certificates are believed, by the file of `--backend-ca`; `None`: the system's authorities.
pub type BackendAuthorities = OpenFiles<Option<PathBuf>, tls::Authorities>;

/// Opens connections to a target, and keeps what all of them need. Two are equal if they would open the same
/// connections: to the same target, found at the same place, believing the same authorities.
#[derive(Debug, PartialEq)]
pub struct Connector {
    target: Target,
    kind: Kind,
}

/// What opens them, by kind of target.
#[derive(Debug, PartialEq)]
enum Kind {
    Tcp(TcpConnector),
    Unix(UnixConnector),
    Program(Launcher),
    Programs(Programs),
}

impl Connector {
    /// Connects to nothing yet and looks up no name; but a program is looked for.
    ///
    /// # Errors
    /// [`StartError::Environment`], if there is no such program, or nothing to check a certificate against.
    pub fn new(target: &Target, authorities: &mut BackendAuthorities) -> Result<Self, StartError> {
        let kind = match target {
            Target::Tcp { host, port } => Ok(Kind::Tcp(TcpConnector::new(host, *port, None))),
            Target::Tls { host, port, ca } => authorities
                .get(ca, |ca| tls::Authorities::open("--backend-ca", ca))
                .and_then(|authorities| tls::Connector::new(host, authorities))
                .map(|tls| Kind::Tcp(TcpConnector::new(host, *port, Some(tls)))),
            Target::Unix(path) => Ok(Kind::Unix(UnixConnector::new(path))),
            Target::Program(program) => Launcher::new(program).map(Kind::Program),
            Target::Programs(dir) => Programs::new(dir).map(Kind::Programs),
        };
        let kind = kind.map_err(StartError::Environment)?;
        Ok(Connector { target: target.clone(), kind })
    }

    /// Opens a connection for this client within `limit`, or starts its program, which keeps `held` until it
    /// is gone.
    ///
    /// # Errors
    /// [`OpenError`], whose text is fit for the client: it names the backend as the operator did.
    pub async fn open(
        &self,
        client: &ClientInfo<'_>,
        limit: Duration,
        held: Held,
    ) -> Result<BackendIo, OpenError> {
        let explain = |error: io::Error| OpenError::of_server(&error, &self.target, limit);
        match &self.kind {
            Kind::Tcp(server) => server.open(limit).await.map(BackendIo::server).map_err(explain),
            Kind::Unix(server) => server.open(limit).await.map(BackendIo::server).map_err(explain),
            Kind::Program(program) => program.open(client, limit, held).await,
            Kind::Programs(programs) => programs.open(client, limit, held).await,
        }
    }
}
