//! The relays that are measured: how each is started, what its clients speak, and where it comes from.

use crate::wire::Wire;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub struct Peer {
    pub name: &'static str,
    pub wire: Wire,
    /// Whether its clients speak TLS.
    pub tls: bool,
    /// Program and arguments; `{port}`, `{backend}`, `{config}`, and with TLS `{certificate}` and `{key}` are filled in.
    /// Nothing: no relay at all.
    pub command: &'static [&'static str],
    /// Another program that it runs.
    pub helper: Option<&'static str>,
    /// Contents of `{config}`, filled in likewise.
    pub config: &'static str,
    /// The most sessions that it is asked to hold.
    pub most_sessions: usize,
    /// Seconds of silence after which it pings a client.
    pub pings_every: Option<f64>,
    pub install: &'static str,
    /// Commands that say its version; `{program}` and `{dir}`, where that lies, are filled in.
    pub versions: &'static [&'static [&'static str]],
}

/// All others without TLS are compared with this one.
pub const REFERENCE: &str = "haproxy";

/// All others with TLS are compared with this one.
pub const REFERENCE_TLS: &str = "haproxy-tls";

/// The name of the one that a peer is compared with.
pub fn reference(peer: &str) -> &'static str {
    let is_tls = PEERS.iter().any(|one| one.name == peer && one.tls);
    if is_tls { REFERENCE_TLS } else { REFERENCE }
}

const NO_LIMIT: usize = usize::MAX;

const HAPROXY: &str = "\
global
    nbthread 1
    maxconn 9800
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen relay
    bind 127.0.0.1:{port}
    server backend 127.0.0.1:{backend}
";

const HAPROXY_TLS: &str = "\
global
    nbthread 1
    maxconn 9800
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen relay
    bind 127.0.0.1:{port} ssl crt {certificate}
    server backend 127.0.0.1:{backend}
";

const NGINX_TLS: &str = "\
daemon off;
master_process off;
pid {config}.pid;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events { worker_connections 19900; }
stream {
    server {
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        proxy_pass 127.0.0.1:{backend};
        proxy_timeout 1h;
        tcp_nodelay on;
    }
}
";

const HAPROXY_PEER: Peer = Peer {
    name: REFERENCE,
    wire: Wire::Tcp,
    tls: false,
    command: &["haproxy", "-db", "-f", "{config}"],
    helper: None,
    config: HAPROXY,
    most_sessions: 9_700,
    pings_every: None,
    install: "Debian package haproxy",
    versions: &[&["{program}", "-v"]],
};

const WSRELAY_PEER: Peer = Peer {
    name: "wsrelay",
    wire: Wire::Lines,
    tls: false,
    command: &[
        "wsrelay",
        "--listen",
        "127.0.0.1:{port}",
        "--to",
        "127.0.0.1:{backend}",
        "--log-level",
        "error",
    ],
    helper: None,
    config: "",
    most_sessions: NO_LIMIT,
    pings_every: Some(30.0),
    install: "cargo build --release",
    versions: &[&["{program}", "--version"]],
};

pub const PEERS: &[Peer] = &[
    Peer {
        name: "direct",
        wire: Wire::Tcp,
        tls: false,
        command: &[],
        helper: None,
        config: "",
        most_sessions: NO_LIMIT,
        pings_every: None,
        install: "",
        versions: &[],
    },
    HAPROXY_PEER,
    WSRELAY_PEER,
    Peer { name: REFERENCE_TLS, tls: true, config: HAPROXY_TLS, ..HAPROXY_PEER },
    Peer {
        name: "nginx-tls",
        wire: Wire::Tcp,
        tls: true,
        command: &["nginx", "-c", "{config}", "-e", "stderr"],
        helper: None,
        config: NGINX_TLS,
        most_sessions: 9_700,
        pings_every: None,
        install: "Debian packages nginx and libnginx-mod-stream",
        versions: &[&["{program}", "-v"]],
    },
    Peer {
        name: "wsrelay-tls",
        tls: true,
        command: &[
            "wsrelay",
            "--listen",
            "127.0.0.1:{port}",
            "--to",
            "127.0.0.1:{backend}",
            "--tls-cert",
            "{certificate}",
            "--tls-key",
            "{key}",
            "--log-level",
            "error",
        ],
        ..WSRELAY_PEER
    },
    // A process and four descriptors for each session.
    Peer {
        name: "websocketd+nc",
        wire: Wire::Lines,
        tls: false,
        command: &[
            "websocketd",
            "--address=127.0.0.1",
            "--port={port}",
            "--loglevel=fatal",
            "nc",
            "127.0.0.1",
            "{backend}",
        ],
        helper: Some("nc"),
        config: "",
        most_sessions: 1_000,
        pings_every: None,
        install: "Debian packages websocketd and netcat-openbsd",
        versions: &[&["{program}", "--version"], &["dpkg-query", "-W", "netcat-openbsd"]],
    },
    // Its option to take the end of line off a message damages lines when two arrive in one read: so bytes it is.
    Peer {
        name: "websocat",
        wire: Wire::Bytes,
        tls: false,
        command: &[
            "websocat",
            "-t",
            "-E",
            "-B",
            "131072",
            "ws-l:127.0.0.1:{port}",
            "tcp:127.0.0.1:{backend}",
        ],
        helper: None,
        config: "",
        most_sessions: NO_LIMIT,
        pings_every: None,
        install: "cargo install --locked websocat@1.14.1",
        versions: &[&["{program}", "--version"]],
    },
    Peer {
        name: "wstcp",
        wire: Wire::Bytes,
        tls: false,
        command: &[
            "wstcp",
            "--log-level",
            "error",
            "--bind-addr",
            "127.0.0.1:{port}",
            "127.0.0.1:{backend}",
        ],
        helper: None,
        config: "",
        most_sessions: NO_LIMIT,
        pings_every: None,
        install: "cargo install --locked wstcp@0.2.1",
        versions: &[&["{program}", "--version"]],
    },
    // Its select() knows no descriptor above 1023, and it keeps two for each session.
    Peer {
        name: "websockify",
        wire: Wire::Bytes,
        tls: false,
        command: &["websockify", "127.0.0.1:{port}", "127.0.0.1:{backend}"],
        helper: None,
        config: "",
        most_sessions: 400,
        pings_every: None,
        install: "pip install websockify==0.13.0",
        versions: &[&[
            "{dir}/python",
            "-c",
            "from importlib.metadata import version as v; print('websockify', v('websockify'))",
        ]],
    },
];

/// Replaces each `{name}` in `text`.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Where programs are looked for.
pub struct Places {
    pub wsrelay: PathBuf,
    /// What `scripts/bench` installed.
    pub peers: PathBuf,
}

impl Places {
    /// The program of `peer`, or why it can't be run.
    pub fn find(&self, peer: &Peer) -> Result<Option<PathBuf>, String> {
        let Some(&program) = peer.command.first() else { return Ok(None) };
        let found = if program == "wsrelay" {
            Some(self.wsrelay.clone()).filter(|path| path.is_file())
        } else {
            self.look_for(program)
        };
        if found.is_some() && peer.helper.is_none_or(|helper| self.look_for(helper).is_some()) {
            return Ok(found);
        }
        let failed = std::fs::read_to_string(self.peers.join(format!("{}.failed", peer.name)));
        let why = failed.unwrap_or_else(|_| "not tried".into());
        Err(format!("not installed ({}): {}", peer.install, why.trim()))
    }

    fn look_for(&self, program: &str) -> Option<PathBuf> {
        let own = ["bin", "venv/bin"].map(|dir| self.peers.join(dir));
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Daemons lie in sbin, which not everybody's PATH has.
        let everywhere =
            own.into_iter().chain(std::env::split_paths(&path)).chain(["/usr/sbin".into()]);
        everywhere.map(|dir| dir.join(program)).find(|path| path.is_file())
    }
}

/// What `peer` says its version is, and what `scripts/bench` noted when it installed it.
pub fn version(peer: &Peer, program: &Path, places: &Places) -> String {
    let note = std::fs::read_to_string(places.peers.join(format!("{}.note", peer.name)))
        .ok()
        .filter(|_| program.starts_with(&places.peers));
    let (program, dir) =
        (program.to_string_lossy(), program.parent().unwrap_or(Path::new("")).to_string_lossy());
    let said = peer.versions.iter().map(|command| {
        let words: Vec<String> = command
            .iter()
            .map(|word| fill(word, &[("program", &program), ("dir", &dir)]))
            .collect();
        first_line(&words).unwrap_or_else(|| "unknown".into())
    });
    said.chain(note.map(|note| note.trim().to_owned())).collect::<Vec<_>>().join("; ")
}

/// The first line that a command prints.
pub fn first_line(words: &[String]) -> Option<String> {
    let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&text).lines().next()?.trim().replace('\t', " ");
    Some(line.split(" - https").next().unwrap_or(&line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_noted_at_installing_is_said() {
        let places = Places {
            wsrelay: "/nowhere/wsrelay".into(),
            peers: std::env::temp_dir().join(format!("relays-peers-{}", std::process::id())),
        };
        let peer = |name: &str| PEERS.iter().find(|peer| peer.name == name).unwrap();
        fs::create_dir_all(places.peers.join("bin")).unwrap();
        let program = places.peers.join("bin/wstcp");
        fs::write(&program, "").unwrap();
        fs::write(places.peers.join("wstcp.note"), "built without its lock file\n").unwrap();
        fs::write(places.peers.join("wsrelay.failed"), "no network\n").unwrap();

        assert_eq!(places.find(peer("direct")), Ok(None));
        assert_eq!(places.find(peer("wstcp")), Ok(Some(program.clone())));
        let said = version(peer("wstcp"), &program, &places);
        assert!(said.ends_with("; built without its lock file"), "{said}");
        let elsewhere = version(peer("wstcp"), Path::new("/nowhere/wstcp"), &places);
        assert!(!elsewhere.contains("lock file"), "{elsewhere}");
        let missing = places.find(peer("wsrelay")).unwrap_err();
        assert!(missing.ends_with("no network"), "{missing}");
        fs::remove_dir_all(&places.peers).unwrap();
    }
}
