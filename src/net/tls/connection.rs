//! Connection: the TLS protocol of one stream, either role, without its I/O. Bytes go in, and bytes come out.
//!
//! rustls has two interfaces. The usual one holds a buffer of 4 KiB for received bytes as long as the connection lives;
//! this is over the other one, `rustls::unbuffered`, which is given the buffers that it works in.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

/// The most bytes that a record carries (RFC 8446, section 5.1).
pub const RECORD: usize = 16 * 1024;

/// A buffer of this size holds any record as it is sent, and what may have to go out before it.
pub const SEALED: usize = RECORD + 1024;

/// The state of a connection, without any buffer.
pub enum Connection {
    /// With a client.
    Server(UnbufferedServerConnection),
    /// With a server.
    Client(UnbufferedClientConnection),
}

/// What is to be done once all received bytes are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More is to be received: the handshake, a message of it or a record is incomplete, or nothing is left.
    Receive,
    /// The peer has sent its close_notify. It sends nothing more.
    Ended,
}

/// What rustls did in one step.
enum Step {
    /// Something: there may be more to do.
    Done,
    /// All that it can do with what was received.
    Next(Next),
}

impl Connection {
    /// The end of a server.
    ///
    /// # Errors
    /// If the configuration can't be used.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(Connection::Server)
    }

    /// The end of a client of the server with this name.
    ///
    /// # Errors
    /// If the configuration can't be used.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name).map(Connection::Client)
    }

    /// Processes what was received: gives decrypted bytes to `take`, record by record, and appends what is to be sent
    /// to `out`. Returns how many bytes are done with. Those behind them must come first in the next call, as this one
    /// has left them.
    ///
    /// # Errors
    /// What is wrong with what was received. Its alert is in `out`, and nothing may be received any more.
    pub fn receive(
        &mut self,
        received: &mut [u8],
        mut take: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> (usize, Result<Next, Error>) {
        let mut used = 0;
        loop {
            let (discard, step) = self.step(&mut received[used..], &mut take, out);
            used += discard;
            match step {
                Ok(Step::Done) => {}
                Ok(Step::Next(next)) => return (used, Ok(next)),
                Err(error) => {
                    self.take_alert(&mut received[used..], out);
                    return (used, Err(error));
                }
            }
        }
    }

    /// Appends the alert that follows an error to `out`.
    pub fn take_alert(&mut self, received: &mut [u8], out: &mut Vec<u8>) {
        // rustls gives what is to be sent before it looks at what was received.
        while self.wants_write() {
            let _ = self.step(received, &mut |_| (), out);
        }
    }

    fn step(
        &mut self,
        received: &mut [u8],
        take: &mut impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Connection::Server(tls) => handle(tls.process_tls_records(received), take, out),
            Connection::Client(tls) => handle(tls.process_tls_records(received), take, out),
        }
    }

    /// Encrypts at most [`RECORD`] bytes into `sealed`, which has room for [`SEALED`]; `received` is what
    /// [`receive`](Connection::receive) has left. Returns the length of what is to be sent.
    ///
    /// # Errors
    /// If nothing can be sent any more but its [alert](Connection::take_alert).
    pub fn encrypt(
        &mut self,
        received: &mut [u8],
        bytes: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, Error> {
        match self {
            Connection::Server(tls) => {
                write(tls.process_tls_records(received), |mut out| out.encrypt(bytes, sealed))
            }
            Connection::Client(tls) => {
                write(tls.process_tls_records(received), |mut out| out.encrypt(bytes, sealed))
            }
        }
    }

    /// Makes a close_notify, as [`encrypt`](Connection::encrypt) makes a record.
    ///
    /// # Errors
    /// If nothing can be sent any more.
    pub fn close(&mut self, received: &mut [u8], sealed: &mut [u8]) -> Result<usize, Error> {
        match self {
            Connection::Server(tls) => {
                write(tls.process_tls_records(received), |mut out| out.queue_close_notify(sealed))
            }
            Connection::Client(tls) => {
                write(tls.process_tls_records(received), |mut out| out.queue_close_notify(sealed))
            }
        }
    }
}

impl Deref for Connection {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Connection::Server(tls) => tls,
            Connection::Client(tls) => tls,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Connection::Server(_) => "Server",
            Connection::Client(_) => "Client",
        })
    }
}

fn handle<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    take: &mut impl FnMut(&[u8]),
    out: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut records)) => loop {
            match records.next_record() {
                None => break Ok(Step::Done),
                Some(Err(error)) => break Err(error),
                Some(Ok(record)) => {
                    discard += record.discard;
                    take(record.payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(data)) => {
            encode(data, out);
            Ok(Step::Done)
        }
        // It is in `out`, behind which all else is sent.
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            sent.done();
            Ok(Step::Done)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
            Ok(Step::Next(Next::Receive))
        }
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Next(Next::Ended)),
        Ok(state) => Err(unexpected(&state)),
        Err(error) => Err(error),
    };
    (discard, step)
}

fn encode<Side>(mut data: EncodeTlsData<'_, Side>, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        match data.encode(&mut out[start..]) {
            Ok(len) => return out.truncate(start + len),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                out.resize(start + required_size, 0);
            }
            Err(EncodeError::AlreadyEncoded) => return out.truncate(start),
        }
    }
}

fn write<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    write: impl FnOnce(WriteTraffic<'_, Side>) -> Result<usize, EncryptError>,
) -> Result<usize, Error> {
    match status.state? {
        ConnectionState::WriteTraffic(out) => {
            write(out).map_err(|error| Error::General(error.to_string()))
        }
        state => Err(unexpected(&state)),
    }
}

fn unexpected<Side>(state: &ConnectionState<'_, '_, Side>) -> Error {
    Error::General(format!("TLS is in the state {state:?}"))
}

#[cfg(test)]
#[path = "connection_tests.rs"]
pub mod tests;
