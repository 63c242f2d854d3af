//! The program: parse, start logging, run, and map the outcome to an exit status.

use std::io::Write;
use std::process::ExitCode;

use async_signal::{Signal, Signals};
use futures::StreamExt;
use wsrelay::backend::program;
use wsrelay::cli::{self, Args, CheckArgs, Command, Typed};
use wsrelay::config::{self, Config, Options};
use wsrelay::demo::Demo;
use wsrelay::error::StartError;
use wsrelay::log;
use wsrelay::server::Server;

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
    match cli::parse(&typed).map_err(StartError::Usage)? {
        Typed::Print(text) => {
            // Whoever closed our stdout does not want to read it.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        Typed::Run(args) => {
            if let Some(Command::Check(check)) = &args.command {
                return self::check(&args, check);
            }
            let options = Options::load(*args, &typed)?;
            run(&options.args).map_err(|error| options.blame(error))
        }
    }
}

/// `wsrelay check FILE`.
fn check(args: &Args, check: &CheckArgs) -> Result<(), StartError> {
    let with_file = Args { config: Some(check.file.clone()), command: None, ..args.clone() };
    let options = Options::load(with_file, &[])?;
    let config = config::log_config(&options.args)
        .and_then(|log| Ok(Config::from_args(&options.args)?.to_toml(&options.args, &log)))
        .map_err(|error| options.blame(error))?;
    say(&config);
    Ok(())
}

fn run(args: &Args) -> Result<(), StartError> {
    let _guard = log::start(config::log_config(args)?);
    raise_file_limit();
    match &args.command {
        None => {
            let server = Server::bind(Config::from_args(args)?)?;
            let addrs = server.local_addrs();
            serve(server, addrs.iter().map(|addr| format!("listening on {addr}\n")).collect())
        }
        Some(Command::Check(_)) => unreachable!("it does not run"),
        Some(Command::Demo(demo)) => {
            let demo = Demo::bind(args, demo)?;
            let greeting = demo.greeting() + "\n";
            serve(demo.start(), greeting)
        }
    }
}

/// Says the greeting, and runs until a signal says stop.
fn serve(server: Server, greeting: String) -> Result<(), StartError> {
    let watched = [Signal::Term, Signal::Int, Signal::Hup];
    let mut signals = Signals::new(watched)
        .map_err(|e| StartError::Environment(format!("can't watch for signals: {e}")))?;
    // Only now: whoever waits for it may signal at once.
    say(&greeting);
    let reload = server.reloader();
    async_std::task::block_on(async move {
        let (stop, stopped) = async_channel::bounded::<()>(1);
        async_std::task::spawn(async move {
            let mut stop = Some(stop);
            while let Some(signal) = signals.next().await {
                match signal {
                    // On its way: a slow disk must not keep us from hearing the next signal.
                    Ok(Signal::Hup) => blocking::unblock(reload.clone()).detach(),
                    // The first asks us to stop, which closing the channel says; the second means it.
                    Ok(_) if stop.take().is_some() => {}
                    Ok(_) => {
                        program::kill_all();
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
    Ok(())
}

/// Prints lines on stdout, for whoever waits for them. Nobody may be there to read them.
fn say(lines: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
}

/// Every session takes two descriptors or more; the soft limit is often 1,024, and ours to raise.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "can't raise the limit of open files");
    }
}
