//! Configured: a relay with a configuration file that can be written anew.

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
    /// Starts it with this text, a free port of 127.0.0.1 in front, and these options besides.
    pub fn start(text: &str, typed: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir, text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_wsrelay"));
        command.args(["--config", "wsrelay.toml"]).args(typed).current_dir(dir.path());
        let relay = start(command);
        Configured { dir, relay }
    }

    /// Writes the file anew, and waits for the line that says what came of it.
    pub fn reload(&mut self, text: &str, words: &[&str]) -> String {
        write(&self.dir, text);
        self.relay.seen.clear();
        self.relay.signal("HUP");
        self.relay.wait_log(words)
    }

    /// The answer to a handshake, whose connection is closed then.
    pub fn status(&self, path: &str) -> u16 {
        self.relay.http(&handshake(path, "")).status
    }
}

/// Writes the file.
pub fn write(dir: &TempDir, text: &str) {
    let text = format!("listen = \"127.0.0.1:0\"\n{text}");
    fs::write(dir.path().join("wsrelay.toml"), text).unwrap();
}
