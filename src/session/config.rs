//! SessionConfig: the settings of a route's sessions.

use std::net::IpAddr;
use std::time::Duration;

use super::greeting::GreetingConfig;
use super::keepalive::Limits;
use super::sink::{Sink, Sinks};
use crate::clock;
use crate::framing::{Framing, Stage, Telnet, TelnetRules};
use crate::rate::Rate;

/// The settings of a route's sessions.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The framing of lines and messages.
    pub framing: Framing,
    /// Longest line, in bytes, in both directions.
    pub max_line: usize,
    /// The treatment of a client that does not keep up.
    pub slow_client: SlowClient,
    /// How many lines a session may send towards the backend; `None`: any number.
    pub rate: Option<Rate>,
    /// Pings and timeouts.
    pub limits: Limits,
    /// How long either side may take to close.
    pub close_timeout: Duration,
    /// The lines that tell the backend of its client; `None` without any.
    pub greeting: Option<Box<GreetingConfig>>,
    /// The telnet that the backend speaks; `None` if it speaks none.
    pub telnet: Option<TelnetRules>,
    /// Whether payloads are logged.
    pub trace: bool,
}

/// The treatment of a client that does not take what the backend sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowClient {
    /// The backend is not read from until the client has taken what waits.
    Wait,
    /// The backend is read from, and the client dropped when more than `queue` bytes wait.
    Drop {
        /// Bytes.
        queue: usize,
    },
}

impl SessionConfig {
    /// The protocol between the backend of a client at this address and the framing, from now on.
    pub fn stage(&self, client: Option<IpAddr>) -> Option<Box<dyn Stage>> {
        let telnet = self.telnet.map(|rules| Telnet::new(rules, client, clock::now()));
        telnet.map(|telnet| Box::new(telnet) as _)
    }

    /// The places where a session's messages are shown besides.
    pub fn sinks(&self) -> Sinks {
        Sinks::from(if self.trace { vec![Sink::Log] } else { Vec::new() })
    }
}
