//! A process with names of its own, or for which every look-up of a name hangs.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mount namespace in which `/etc/hosts` is another file, or a pipe without a writer. `getaddrinfo(3)` opens it first
/// and waits without end, as for a name server that does not answer.
pub struct OwnHosts(TempDir);

/// Mounts our files over the system's in a namespace of its own, and becomes the command.
const SCRIPT: &str = r#"mount --bind "$0/hosts" /etc/hosts &&
    mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@""#;

impl OwnHosts {
    /// Names whose look-up hangs. Checks that such a process can be started here, as the tests would be meaningless otherwise.
    pub fn that_hang() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("mkfifo").arg(dir.path().join("hosts")).status().unwrap();
        assert!(made.success());
        OwnHosts::of(dir, "-p")
    }

    /// The names of this text. Checks the same.
    pub fn with(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hosts"), text).unwrap();
        OwnHosts::of(dir, "-f")
    }

    fn of(dir: TempDir, is_there: &str) -> Self {
        // No name server is ever asked.
        std::fs::write(dir.path().join("nsswitch.conf"), "hosts: files\n").unwrap();
        let hosts = OwnHosts(dir);
        let mut tried = hosts.command("test");
        tried.args([is_there, "/etc/hosts"]).stderr(Stdio::piped());
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
