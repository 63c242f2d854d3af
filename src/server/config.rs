//! ServerConfig: what a server is made of, checked and opened nowhere yet.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::http::HttpConfig;
use crate::net::address::ListenAddr;
use crate::net::tls::TlsConfig;

/// A server's configuration.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The addresses to listen on; not empty.
    pub listen: Vec<ListenAddr>,
    /// TLS at these addresses; `None`: without.
    pub tls: Option<TlsConfig>,
    /// The port whose plain HTTP requests are redirected to TLS; `None` without TLS.
    pub redirect_port: Option<u16>,
    /// Whether each TCP connection begins with a PROXY header, which only trusted proxies may send.
    pub accept_proxy: bool,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// How long sessions may take to end once the server stops.
    pub shutdown_timeout: Duration,
    /// What is served to connections.
    pub http: HttpConfig,
}

/// How many connections may be open at a time, sessions included.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At all addresses together.
    pub max: usize,
    /// From one client address; those of trusted proxies are not limited.
    pub max_per_ip: Option<NonZeroU32>,
}
