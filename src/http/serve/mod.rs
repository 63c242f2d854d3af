//! What requests that are no WebSocket handshakes get: responses of CGI programs, files, built-in pages.

pub mod cgi;
mod files;
pub mod page;
pub mod public_dir;
pub mod site;
