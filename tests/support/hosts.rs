//! A process for which every look-up of a name hangs.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mount namespace in which `/etc/hosts` is a pipe without a writer. `getaddrinfo(3)` opens it first and
/// waits without end, as for a name server that does not answer.
pub struct HangingHosts(TempDir);

/// Mounts our files over the system's in a namespace of its own, and becomes the command.
const SCRIPT: &str = r#"mount --bind "$0/hosts" /etc/hosts &&
    mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@""#;

impl HangingHosts {
    /// Checks that such a process can be started here, as the tests would be meaningless otherwise.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // No name server is ever asked.
        std::fs::write(dir.path().join("nsswitch.conf"), "hosts: files\n").unwrap();
        let made = Command::new("mkfifo").arg(dir.path().join("hosts")).status().unwrap();
        assert!(made.success());
        let hosts = HangingHosts(dir);
        let mut tried = hosts.command("test");
        tried.args(["-p", "/etc/hosts"]).stderr(Stdio::piped());
        let tried = tried.output().expect("unshare of util-linux is installed");
        assert!(
            tried.status.success(),
            "this test needs mounts of its own (unshare --map-root-user --mount), which this system refuses: {}",
            String::from_utf8_lossy(&tried.stderr)
        );
        hosts
    }

    /// A command in that namespace.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT]);
        command.arg(self.0.path()).arg(program.as_ref());
        command
    }
}
