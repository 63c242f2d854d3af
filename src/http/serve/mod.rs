//! Serve: what is shown to requests that are no WebSocket handshakes: programs, files, pages.

pub mod cgi;
pub mod exposed;
mod files;
pub mod page;
pub mod site;
