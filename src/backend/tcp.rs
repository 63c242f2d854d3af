//! Tcp: connects to a TCP server, with TLS where the target asks for it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::io::AsyncWriteExt;

use crate::net::connect;
use crate::net::stream::ByteStream;
use crate::net::tls;

/// Connects to a TCP server.
#[derive(Debug, PartialEq)]
pub struct TcpConnector {
    address: TcpAddress,
    /// TLS on top of it, if the target asks for it.
    tls: Option<tls::TlsConnector>,
}

/// The server's address, or the name to look up.
#[derive(Debug, PartialEq)]
enum TcpAddress {
    Addr(SocketAddr),
    Name(String, u16),
}

impl TcpConnector {
    /// Connects to a name or an IP address without brackets.
    pub fn new(host: &str, port: u16, tls: Option<tls::TlsConnector>) -> Self {
        let address = match host.parse() {
            Ok(ip) => TcpAddress::Addr(SocketAddr::new(ip, port)),
            Err(_) => TcpAddress::Name(host.to_owned(), port),
        };
        TcpConnector { address, tls }
    }

    /// Connects within `limit`, from the start of name resolution to the open connection, TLS included. `preface` is
    /// sent first, before TLS.
    ///
    /// # Errors
    /// As of `connect(2)`, or of the TLS handshake; `TimedOut` after the limit.
    pub async fn open(&self, limit: Duration, preface: &[u8]) -> io::Result<ByteStream> {
        let deadline = Instant::now() + limit;
        let mut io = match &self.address {
            TcpAddress::Addr(addr) => connect::to_any(&[*addr], deadline).await?,
            TcpAddress::Name(host, port) => connect::to_name(host, *port, deadline).await?,
        };
        if !preface.is_empty() {
            connect::within(deadline, io.write_all(preface)).await?;
        }
        match &self.tls {
            // Boxed, as only some need the room.
            Some(tls) => Box::pin(connect::within(deadline, tls.connect(io))).await,
            None => Ok(ByteStream::plain(io)),
        }
    }
}
