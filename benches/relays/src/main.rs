//! Measures wsrelay beside the programs that do the same job, on the same work, and checks every line.
//!
//! One program in three roles, each a process with one thread: the driver starts, for every run, a backend, a relay and
//! the load on it. Relay on one CPU, backend and load on another:
//!
//! ```text
//! load (the clients) ── WebSocket or TCP ──▶ relay ── TCP ──▶ backend (a line server)
//! ```

mod backend;
mod bench;
mod line;
mod load;
mod net;
mod peers;
mod picture;
mod procs;
mod report;
mod scale;
mod stats;
mod summary;
mod tls;
mod wire;
mod workloads;

use argh::FromArgs;
use bench::Bench;
use peers::{PEERS, Peer, Places};
use report::Report;
use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Instant};
use workloads::{WORKLOADS, Workload};

/// Measures wsrelay beside the programs that do the same job. Start it by scripts/bench, which builds and installs.
#[derive(FromArgs)]
struct Args {
    /// the wsrelay to measure
    #[argh(option, default = "\"wsrelay\".into()")]
    wsrelay: PathBuf,
    /// where scripts/bench installed the others
    #[argh(option, default = "\"target/bench/peers\".into()")]
    peers: PathBuf,
    /// directory of results.json, results.md and results.svg (default target/bench)
    #[argh(option, default = "\"target/bench\".into()")]
    out: PathBuf,
    /// only these relays, comma-separated
    #[argh(option)]
    only: Option<String>,
    /// only these workloads, comma-separated
    #[argh(option)]
    workloads: Option<String>,
    /// one short round with what is installed, in under two minutes
    #[argh(switch)]
    quick: bool,
    /// rounds (default 5, quick 1); the tables show medians
    #[argh(option)]
    rounds: Option<usize>,
    /// what a line, a byte and a session cost as sessions, line sizes and hearers grow (wsrelay and haproxy, 3 rounds)
    #[argh(switch)]
    scale: bool,
    /// print the names of relays and workloads
    #[argh(switch)]
    list: bool,
    #[argh(subcommand)]
    role: Option<Role>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Role {
    Backend(BackendArgs),
    Load(LoadArgs),
}

/// the line server behind the relays; the driver starts it
#[derive(FromArgs)]
#[argh(subcommand, name = "backend")]
struct BackendArgs {
    /// echo, chat, sink or source
    #[argh(positional)]
    mode: String,
    /// bytes of a line
    #[argh(positional)]
    line: usize,
}

/// the clients; the driver starts them
#[derive(FromArgs)]
#[argh(subcommand, name = "load")]
struct LoadArgs {
    /// what to do, as JSON
    #[argh(positional)]
    order: String,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    let done = match &args.role {
        Some(Role::Backend(role)) => serve(role),
        Some(Role::Load(role)) => load(role),
        None if args.list => {
            list(&args);
            Ok(())
        }
        None => drive(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(role: &BackendArgs) -> Result<(), Box<dyn Error>> {
    let mode = serde_json::from_value(role.mode.as_str().into())?;
    Ok(backend::serve(mode, role.line)?)
}

fn load(role: &LoadArgs) -> Result<(), Box<dyn Error>> {
    let outcome = load::run(serde_json::from_str(&role.order)?)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn list(args: &Args) {
    println!("Relays:");
    PEERS.iter().for_each(|peer| println!("  {:<14} {}", peer.name, peer.install));
    println!("Workloads:");
    workloads(args)
        .iter()
        .for_each(|workload| println!("  {:<14} {}", workload.name, workload.what));
}

/// Those of `all` whose name is in the comma-separated `wanted`, or all of them.
fn choose<T>(
    all: &'static [T],
    name: fn(&T) -> &'static str,
    wanted: Option<&str>,
) -> Result<Vec<&'static T>, String> {
    let Some(wanted) = wanted else { return Ok(all.iter().collect()) };
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    match wanted.iter().find(|wanted| !all.iter().any(|one| name(one) == **wanted)) {
        Some(unknown) => Err(format!("nothing is called {unknown}: --list says what there is")),
        None => Ok(all.iter().filter(|one| wanted.contains(&name(one))).collect()),
    }
}

/// All workloads of what is to be measured.
fn workloads(args: &Args) -> &'static [Workload] {
    if args.scale { scale::workloads() } else { WORKLOADS }
}

fn drive(args: &Args) -> Result<(), Box<dyn Error>> {
    let only = args.only.as_deref().or(args.scale.then_some(scale::PEERS));
    let peers = choose(PEERS, |peer: &Peer| peer.name, only)?;
    let workloads =
        choose(workloads(args), |workload: &Workload| workload.name, args.workloads.as_deref())?;
    let usual = if args.scale { scale::ROUNDS } else { 5 };
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { usual }).max(1);
    let scratch = args.out.join("log");
    fs::create_dir_all(&scratch)?;
    let scratch = scratch.canonicalize()?;
    // Two at a time would disturb each other, and take each other's ports. Free again when this process ends.
    let lock = fs::File::create(std::env::temp_dir().join("relay-bench.lock"))?;
    if lock.try_lock().is_err() {
        return Err("another one is running on this machine: try again when it is done".into());
    }
    let files = net::set_file_limit()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let cpus = two_cpus()?;
    let places = Places { wsrelay: args.wsrelay.clone(), peers: args.peers.clone() };
    let certificate = tls::Certificate::make(&scratch)?;
    let mut bench = Bench::new(places, scratch, certificate, args.quick, cpus);

    let begin = Instant::now();
    let mut report = Report::new(&bench, &peers, &workloads, rounds, files);
    for round in 0..rounds {
        for &workload in workloads.iter().filter(|workload| round < workload.rounds) {
            for &peer in &peers {
                if !report.can_run(peer, workload) {
                    continue;
                }
                let run = bench.run(round, workload, peer);
                if let Some(why) = &run.failed {
                    eprintln!(
                        "{}, {}, round {}: failed: {why}",
                        workload.name,
                        peer.name,
                        round + 1
                    );
                }
                report.runs.push(run);
            }
            eprintln!(
                "round {} of {rounds}, {}: {:.0} s",
                round + 1,
                workload.name,
                begin.elapsed().as_secs_f64()
            );
        }
    }
    report.seconds = begin.elapsed().as_secs_f64();
    if args.scale {
        return scale::write(&report, &peers, &args.out);
    }
    fs::write(args.out.join("results.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    let text = report.markdown(&peers, &workloads);
    fs::write(args.out.join("results.md"), &text)?;
    let chart = summary::chart(&report, &peers, &workloads);
    picture::draw(&chart, &args.out.join("results.svg"))?;
    print!("{text}");
    Ok(())
}

/// The first two CPUs that this process may use.
fn two_cpus() -> Result<Option<[usize; 2]>, Box<dyn Error>> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let mut cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    Ok(cpus.next().zip(cpus.next()).map(|(relay, load)| [relay, load]))
}
