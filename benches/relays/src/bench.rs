//! The driver: starts a fresh backend, relay and load for each run, round after round.

mod verdict;

use crate::{
    load::{Order, Outcome, Traffic},
    net,
    peers::{Peer, Places, fill},
    procs,
    tls::Certificate,
    workloads::Workload,
};
use rustix::process::{Pid, Signal, WaitOptions};
use serde::Serialize;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Below the ports that Linux gives to outgoing connections, which might take one that a relay is about to bind.
const FIRST_PORT: u16 = 20_001;
const LAST_PORT: u16 = 32_000;

/// Longest wait for a program to listen.
const START: Duration = Duration::from_secs(10);

/// Between two looks at something that can't be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What came of one run.
#[derive(Serialize)]
pub struct Run {
    pub round: usize,
    pub workload: &'static str,
    pub peer: &'static str,
    /// Seconds that it took in all.
    pub seconds: f64,
    pub outcome: Option<Outcome>,
    /// Why it counts for nothing.
    pub failed: Option<String>,
}

pub struct Bench {
    pub places: Places,
    pub scratch: PathBuf,
    certificate: Certificate,
    pub quick: bool,
    /// The CPUs of the relay and of the load, where there are two.
    pub cpus: Option<[usize; 2]>,
    next_port: u16,
}

/// More sessions than this may take seconds to open.
const MANY: usize = 1_000;

/// A process group that ends with this value.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(group) = Pid::from_raw(self.0.id() as i32) else { return };
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
        // Its orphans are ours: hundreds that are still dying would disturb the next run.
        while rustix::process::waitpgid(group, WaitOptions::empty()).is_ok() {}
    }
}

impl Bench {
    pub fn new(
        places: Places,
        scratch: PathBuf,
        certificate: Certificate,
        quick: bool,
        cpus: Option<[usize; 2]>,
    ) -> Self {
        Bench { places, scratch, certificate, quick, cpus, next_port: FIRST_PORT }
    }

    /// One run.
    pub fn run(&mut self, round: usize, workload: &'static Workload, peer: &'static Peer) -> Run {
        let begin = Instant::now();
        let done = self.measure(workload, peer);
        let seconds = begin.elapsed().as_secs_f64();
        let failed = match &done {
            Ok(outcome) => verdict::failure(outcome, workload.traffic, peer.pings_every),
            Err(why) => Some(why.clone()),
        };
        Run { round, workload: workload.name, peer: peer.name, seconds, outcome: done.ok(), failed }
    }

    fn measure(&mut self, workload: &Workload, peer: &Peer) -> Result<Outcome, String> {
        let program = self.places.find(peer)?;
        let (backend, backend_port) = self.start_backend(workload)?;
        let relay = program
            .map(|program| self.start_relay(peer, &program.to_string_lossy(), backend_port))
            .transpose()?;
        let idle = matches!(workload.traffic, Traffic::Idle | Traffic::Rest);
        let order = Order {
            traffic: workload.traffic,
            wire: peer.wire,
            tls: peer.tls.then(|| self.certificate.clone()),
            port: relay.as_ref().map_or(backend_port, |(_, port)| *port),
            sessions: workload.sessions.min(peer.most_sessions),
            total: workload.total(self.quick).min(net::most_connections()),
            senders: workload.senders,
            window: workload.window,
            line: workload.line,
            warmup: 0.2,
            secs: workload.secs(self.quick),
            patience: match idle || workload.sessions > MANY {
                true => 30.0,
                false if self.quick => 3.0,
                false => 5.0,
            },
            relay: relay.as_ref().map(|(group, _)| group.0.id()),
            backend: backend.0.id(),
        };
        self.load(&order)
    }

    fn start_backend(&self, workload: &Workload) -> Result<(Group, u16), String> {
        let mode = serde_json::to_string(&workload.backend).expect("a name");
        let mode = mode.trim_matches('"').to_owned();
        let words = [own_program(), "backend".into(), mode, workload.line.to_string()];
        let mut backend = self.start(&words, 1, "backend", Stdio::piped())?;
        let mut line = String::new();
        let stdout = backend.0.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("backend: {error}"))?;
        let port = line.trim().parse().map_err(|_| "the backend did not start")?;
        Ok((backend, port))
    }

    /// Has an order carried out.
    fn load(&self, order: &Order) -> Result<Outcome, String> {
        let limit = order.warmup + 2.0 * order.secs + 5.0 * order.patience + 5.0;
        let limit = Duration::from_secs_f64(limit);
        let words =
            [own_program(), "load".into(), serde_json::to_string(order).expect("plain data")];
        let mut load = self.start(&words, 1, "load", Stdio::piped())?;
        let begin = Instant::now();
        while load.0.try_wait().map_err(|error| error.to_string())?.is_none() {
            if begin.elapsed() > limit {
                return Err(format!("not done in {} s", limit.as_secs()));
            }
            sleep(LOOK_AGAIN);
        }
        let mut said = String::new();
        let mut stdout = load.0.stdout.take().expect("a pipe");
        stdout.read_to_string(&mut said).map_err(|error| error.to_string())?;
        serde_json::from_str(&said).map_err(|_| format!("the load failed: {}", self.log("load")))
    }

    fn start_relay(
        &mut self,
        peer: &Peer,
        program: &str,
        backend_port: u16,
    ) -> Result<(Group, u16), String> {
        let port = self.free_port()?;
        let config = self.scratch.join("config");
        let (port_text, backend_text) = (port.to_string(), backend_port.to_string());
        let config_text = config.to_string_lossy().into_owned();
        let [certificate, key] = [&self.certificate.both, &self.certificate.key]
            .map(|path| path.to_string_lossy().into_owned());
        let values = [
            ("port", &*port_text),
            ("backend", &backend_text),
            ("config", &config_text),
            ("certificate", &certificate),
            ("key", &key),
        ];
        fs::write(&config, fill(peer.config, &values))
            .map_err(|error| format!("{config_text}: {error}"))?;
        let mut words = vec![program.to_owned()];
        words.extend(peer.command[1..].iter().map(|word| fill(word, &values)));
        let log = File::create(self.log_path(peer.name)).map_err(|error| error.to_string())?;
        let mut group = self.start(&words, 0, peer.name, log.into())?;
        let begin = Instant::now();
        while !procs::is_listening(port) {
            let ended = group.0.try_wait().map_err(|error| error.to_string())?.is_some();
            if ended || begin.elapsed() > START {
                return Err(format!("did not start: {}", self.log(peer.name)));
            }
            sleep(LOOK_AGAIN);
        }
        Ok((group, port))
    }

    /// Starts a program on the relay's (0) or the load's (1) CPU, to die when this process does.
    fn start(
        &self,
        words: &[String],
        cpu: usize,
        name: &str,
        stdout: Stdio,
    ) -> Result<Group, String> {
        let log = File::options().create(true).append(true).open(self.log_path(name));
        let log = log.map_err(|error| format!("{}: {error}", self.scratch.display()))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(cpus) = self.cpus {
            command.args(["taskset", "-c", &cpus[cpu].to_string()]);
        }
        command.args(words).stdin(Stdio::null()).stdout(stdout).stderr(log).process_group(0);
        command.spawn().map(Group).map_err(|error| format!("{}: {error}", words[0]))
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.scratch.join(format!("{name}.log"))
    }

    /// The last line that a program wrote.
    fn log(&self, name: &str) -> String {
        let text = fs::read(self.log_path(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it said nothing")
            .trim()
            .to_owned()
    }

    fn free_port(&mut self) -> Result<u16, String> {
        for _ in FIRST_PORT..LAST_PORT {
            let port = self.next_port;
            self.next_port = if port + 1 < LAST_PORT { port + 1 } else { FIRST_PORT };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(port);
            }
        }
        Err(format!("no free port from {FIRST_PORT} to {LAST_PORT}"))
    }
}

fn own_program() -> String {
    std::env::current_exe()
        .map_or_else(|_| "/proc/self/exe".into(), |path| path.to_string_lossy().into_owned())
}
