//! `wsrelay demo`: a chat server, a page, and the relay between them, in one process.

pub mod chat;
mod line;
mod page;
mod room;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::task;

use self::chat::ChatServer;
use crate::error::StartError;
use crate::net::address::{ListenAddr, LocalAddr};
use crate::options::{self, Args};
use crate::server::{Server, ServerConfig};

/// The default port of the demo, that of the README's examples.
const PORT: u16 = 8082;

/// The demo, bound but not started.
#[derive(Debug)]
pub struct Demo {
    chat: ChatServer,
    server: Server,
}

impl Demo {
    /// Binds the chat server to a free port of this machine, and the relay in front of it to `listen`, or to
    /// loopback addresses if that is empty.
    ///
    /// # Errors
    /// [`StartError`]: options that don't go together, or a port that is taken.
    pub fn bind(args: &Args, listen: Vec<ListenAddr>) -> Result<Self, StartError> {
        if args.has_target() || args.static_dir.is_some() {
            return Err(Demo::conflict());
        }
        if args.port.is_some() || !args.listen.is_empty() {
            return Err(StartError::usage(
                "options of the demo come after it: type wsrelay demo --port 8082",
            ));
        }
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let chat = ChatServer::bind(any)
            .map_err(|e| StartError::cannot_listen(&"a port for the chat server", "--port", &e))?;
        let relay = Args {
            to: Some(chat.local_addr().to_string()),
            listen: vec![any.to_string()],
            // In a chat, a client that is too slow must not delay the others.
            slow_client: args.slow_client.clone().or_else(|| Some("drop".into())),
            ..args.clone()
        };
        let mut config = options::config(&relay)?;
        config.http.pages.builtin.insert(0, page::PAGE);
        let server = match listen.is_empty() {
            true => bind_loopback(&config)?,
            false => Server::bind(ServerConfig { listen, ..config })?,
        };
        Ok(Demo { chat, server })
    }

    /// The error for an option that the demo sets itself.
    pub fn conflict() -> StartError {
        StartError::usage(
            "the demo brings its own backend and page: type wsrelay demo, or leave out demo",
        )
    }

    /// The lines to print at the start.
    pub fn greeting(&self) -> String {
        let mut lines: Vec<String> = self.server.greeting().lines().map(str::to_owned).collect();
        let scheme = if self.server.is_secure() { "https" } else { "http" };
        let web = self.server.local_addrs().iter().find_map(LocalAddr::connectable);
        if let Some(addr) = web {
            lines.push(format!("open {scheme}://{addr}/ in two browser windows, and talk"));
        }
        let everywhere = |at: &LocalAddr| match at {
            LocalAddr::Tcp(addr) => addr.ip().is_unspecified().then(|| addr.port()),
            LocalAddr::Unix(_) => None,
        };
        if let Some(port) = self.server.local_addrs().iter().find_map(everywhere) {
            lines.push(format!(
                "from a phone: {scheme}://ADDRESS:{port}/ with an address of this machine, which hostname -I tells"
            ));
        }
        let chat = self.chat.local_addr();
        lines.push(format!(
            "the chat behind it is an ordinary TCP line server: nc {} {} joins it too",
            chat.ip(),
            chat.port()
        ));
        lines.push("Ctrl-C ends it".into());
        lines.join("\n")
    }

    /// Starts the chat server, and returns the relay to run.
    pub fn start(self) -> Server {
        task::spawn(self.chat.run());
        self.server
    }
}

/// Binds loopback addresses only, as other machines need not reach a demo; another port if the default one
/// is taken.
fn bind_loopback(config: &ServerConfig) -> Result<Server, StartError> {
    let at = |addrs: &[SocketAddr]| {
        let listen = addrs.iter().copied().map(ListenAddr::Exact).collect();
        Server::bind(ServerConfig { listen, ..config.clone() })
    };
    let (v4, v6) = ((Ipv4Addr::LOCALHOST, PORT).into(), (Ipv6Addr::LOCALHOST, PORT).into());
    // Browsers may resolve localhost to either address. A machine may have no IPv6.
    at(&[v4, v6]).or_else(|_| at(&[v4])).or_else(|_| at(&[(Ipv4Addr::LOCALHOST, 0).into()]))
}
