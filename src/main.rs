//! The program: parse, start logging, run, and map the outcome to an exit status.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use async_signal::{Signal, Signals};
use futures::StreamExt;
use wsrelay::backend::program;
use wsrelay::demo::Demo;
use wsrelay::error::StartError;
use wsrelay::http::Config;
use wsrelay::limits;
use wsrelay::log::{self, Log, LogConfig};
use wsrelay::options::{self, Args, CheckArgs, Command, Options, Typed};
use wsrelay::server::Server;
use wsrelay::task;
use wsrelay::threads::RELOADS;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "wsrelay: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start() -> Result<(), StartError> {
    let typed: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(|arg| arg.into_string()).collect();
    let typed = typed.map_err(|arg| StartError::Usage(format!("{arg:?} is not valid UTF-8")))?;
    // First, as what it allows is the default of --max-sessions.
    limits::raise();
    match options::parse(&typed).map_err(StartError::Usage)? {
        Typed::Print(text) => {
            // Whoever closed our stdout does not want to read it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        Typed::Run(args) => {
            if let Some(Command::Check(check)) = &args.command {
                return self::check(&args, check, &typed);
            }
            run(*args, typed)
        }
    }
}

/// `wsrelay check FILE`.
fn check(args: &Args, check: &CheckArgs, typed: &[String]) -> Result<(), StartError> {
    if typed.first().is_none_or(|word| word != "check") || !args.program.is_empty() {
        return Err(StartError::Usage(format!(
            "check is about what stands in a file alone: type wsrelay check {}",
            check.file
        )));
    }
    let with_file = Args { config: Some(check.file.clone()), command: None, ..args.clone() };
    let options = Options::load(with_file, &[])?;
    say(&options.to_toml()?);
    let _log = log::start(options.log_config()?);
    Server::check(options.config()?)
}

fn run(args: Args, typed: Vec<String>) -> Result<(), StartError> {
    let options = Options::load(args.clone(), &typed)?;
    let log_config = options.log_config()?;
    let log = log::start(log_config);
    match &options.args.command {
        None => {
            let server = Server::bind(options.config()?)?;
            let greeting = server.greeting();
            let reload = server.reloader();
            // What was typed holds as it did, and the file as it stands then.
            serve(server, greeting, &log, move || match options.file() {
                Some(file) => reload.reload(file, || load(args.clone(), &typed, log_config)),
                None => reload.reload_files(),
            })
        }
        Some(Command::Check(_)) => unreachable!("it does not run"),
        // Those that are typed are served beside it; a file's, with settings of their own, would not be.
        Some(Command::Demo(_)) if options.routes().next().is_some() => Err(Demo::is_whole()),
        Some(Command::Demo(demo)) => {
            let demo = Demo::bind(&options.args, demo)?;
            let greeting = demo.greeting() + "\n";
            let server = demo.start();
            let reload = server.reloader();
            serve(server, greeting, &log, move || reload.reload_files())
        }
    }
}

/// The configuration as the file has it now.
fn load(args: Args, typed: &[String], log: LogConfig) -> Result<Config, StartError> {
    let options = Options::load(args, typed)?;
    if options.log_config()? != log {
        tracing::warn!("log-level and log-format can't change while wsrelay runs: restart it");
    }
    options.config()
}

/// Says the greeting, and runs until a signal says stop.
///
/// `reload` is what SIGHUP asks for.
fn serve(
    server: Server,
    greeting: String,
    log: &Log,
    reload: impl Fn() + Send + Sync + 'static,
) -> Result<(), StartError> {
    let watched = [Signal::Term, Signal::Int, Signal::Hup];
    let mut signals = Signals::new(watched)
        .map_err(|e| StartError::Environment(format!("can't watch for signals: {e}")))?;
    program::reap_orphans()
        .map_err(|e| StartError::Environment(format!("can't watch for exits: {e}")))?;
    // Only now: whoever waits for it may signal at once.
    say(&greeting);
    let (reload, log_to_end) = (Arc::new(reload), log.clone());
    task::block_on(async move {
        // Room for one who asks while another is served: who asks then is served with him, and a disk
        // that does not answer holds up one thread, not all of those that others need.
        let (again, asked) = async_channel::bounded::<()>(1);
        task::spawn(async move {
            while asked.recv().await.is_ok() {
                let reload = reload.clone();
                // A bug in one must not be the end of all that come after it.
                let _ = RELOADS.run(move || catch_unwind(AssertUnwindSafe(&*reload))).await;
            }
        });
        let (stop, stopped) = async_channel::bounded::<()>(1);
        task::spawn(async move {
            let mut stop = Some(stop);
            while let Some(signal) = signals.next().await {
                match signal {
                    // A slow disk must not keep us from hearing the next signal.
                    Ok(Signal::Hup) => drop(again.try_send(())),
                    // The first asks us to stop, which closing the channel says; the second means it.
                    Ok(_) if stop.take().is_some() => {}
                    Ok(_) => {
                        program::kill_all();
                        tracing::info!("stopping at once");
                        log_to_end.end();
                        std::process::exit(0)
                    }
                    Err(error) => tracing::warn!(%error, "can't read a signal"),
                }
            }
        });
        server
            .run(async move {
                let _ = stopped.recv().await;
            })
            .await;
    });
    // Those that --shutdown-timeout was too short for.
    program::kill_all();
    // A second signal may be about to exit.
    log.end();
    Ok(())
}

/// Prints lines on stdout, for whoever waits for them. Nobody may be there to read them.
fn say(lines: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}
