//! A relay with a configuration file that a test can rewrite.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{Relay, handshake, start};

/// A relay whose file, `wsrelay.toml`, is in its working directory.
pub struct Configured {
    pub dir: TempDir,
    pub relay: Relay,
}

impl Configured {
    /// Starts a relay with this file on a free port of 127.0.0.1, with these options.
    pub fn start(text: &str, typed: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir, text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
        command.args(["--config", "wsrelay.toml"]).args(typed).current_dir(dir.path());
        let relay = start(command);
        Configured { dir, relay }
    }

    /// Rewrites the file, and waits for the log line with the result.
    pub fn reload(&mut self, text: &str, words: &[&str]) -> String {
        write(&self.dir, text);
        self.relay.seen.clear();
        self.relay.signal("HUP");
        self.relay.wait_log(words)
    }

    /// The response to a handshake, whose connection is then closed.
    pub fn status(&self, path: &str) -> u16 {
        self.relay.http(&handshake(path, "")).status
    }
}

/// Writes the file.
pub fn write(dir: &TempDir, text: &str) {
    let text = format!("listen = \"127.0.0.1:0\"\n{text}");
    fs::write(dir.path().join("wsrelay.toml"), text).unwrap();
}
