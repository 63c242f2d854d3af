//! A WebSocket client on a blocking stream with a deadline.

use std::io::{Read, Write};
use std::net::TcpStream;

use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::{self, Message, WebSocket};

use super::Steady;

/// A WebSocket client on a blocking stream with a deadline.
pub struct Client<S = Steady>(pub WebSocket<S>);

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("the relay takes it");
    }

    /// The next text message; pings are answered on the way.
    pub fn recv(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// The next binary message.
    pub fn recv_binary(&mut self) -> Vec<u8> {
        match self.next() {
            Message::Binary(bytes) => bytes.to_vec(),
            other => panic!("expected binary, got {other:?}"),
        }
    }

    /// The next message that is no ping or pong.
    pub fn next(&mut self) -> Message {
        loop {
            match self.0.read() {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return message,
                Err(e) => panic!("expected a message, got {e}"),
            }
        }
    }

    /// Expects a Close with this code and reason next, answers it, and expects the relay's FIN.
    pub fn expect_close(&mut self, code: u16, reason: &str) {
        match self.next() {
            Message::Close(Some(CloseFrame { code: got, reason: why })) => {
                assert_eq!((u16::from(got), why.as_str()), (code, reason));
            }
            other => panic!("expected Close {code} {reason:?}, got {other:?}"),
        }
        self.expect_end();
    }

    /// Answers the relay's Close, if that is not done, and expects its FIN: an end, no reset.
    pub fn expect_end(&mut self) {
        loop {
            match self.0.read() {
                Err(tungstenite::Error::ConnectionClosed) => return,
                Ok(Message::Close(_)) => {}
                other => panic!("expected the end, got {other:?}"),
            }
        }
    }

    /// Closes, and waits for the relay to do so too.
    pub fn close(mut self) {
        let _ = self.0.close(None);
        self.expect_end();
    }
}

impl Client {
    /// The socket.
    pub fn tcp(&self) -> &TcpStream {
        self.0.get_ref()
    }
}
