//! ServerConnector: connects to a server, by TCP, TLS or a Unix socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Target;
use super::tcp::TcpConnector;
use super::unix::UnixConnector;
use crate::net::stream::ByteStream;
use crate::net::tls::{Authorities, TlsConnector};

/// Connects to a server, by its kind of address.
#[derive(Debug, PartialEq)]
pub enum ServerConnector {
    /// TCP, with TLS or without.
    Tcp(TcpConnector),
    /// A Unix socket.
    Unix(UnixConnector),
}

impl ServerConnector {
    /// Prepares connections. `authorities` are asked for if the server speaks TLS. No name is looked up yet.
    ///
    /// # Errors
    /// If the authorities can't be used; that it is no server.
    pub fn new(
        target: &Target,
        authorities: impl FnOnce() -> Result<Arc<Authorities>, String>,
    ) -> Result<Self, String> {
        match target {
            Target::Tcp { host, port } => {
                Ok(ServerConnector::Tcp(TcpConnector::new(host, *port, None)))
            }
            Target::Tls { host, port, .. } => {
                let tls = TlsConnector::new(host, authorities()?)?;
                Ok(ServerConnector::Tcp(TcpConnector::new(host, *port, Some(tls))))
            }
            Target::Unix(path) => Ok(ServerConnector::Unix(UnixConnector::new(path))),
            Target::Program(_) | Target::Programs(_) | Target::File { .. } => {
                Err(format!("{target} is no server"))
            }
        }
    }

    /// Connects within `limit`, and sends `preface` before anything else, TLS included.
    ///
    /// # Errors
    /// As of `connect(2)`, or of the TLS handshake; `TimedOut` after the limit.
    pub async fn open(&self, limit: Duration, preface: &[u8]) -> io::Result<ByteStream> {
        match self {
            ServerConnector::Tcp(server) => server.open(limit, preface).await,
            // Boxed, as connections to TCP servers should not have to hold room for it.
            ServerConnector::Unix(server) => Box::pin(server.open(limit, preface)).await,
        }
    }
}
