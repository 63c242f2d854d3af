//! Serve: relaying, which is what wsrelay does where no command is named.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use argh::ArgsInfo;
use async_signal::{Signal, Signals};
use futures::StreamExt;

use super::{Command, Invocation, Job, say};
use crate::backend::program;
use crate::error::StartError;
use crate::log::{self, Log, LogConfig};
use crate::options::{Args, Options};
use crate::record;
use crate::server::{Server, ServerConfig};
use crate::task;
use crate::threads::RELOADS;

/// How long the disk may take for what was recorded last. It is there at once as a rule.
const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// The same for a stop at once.
const WRITTEN_AT_ONCE: Duration = Duration::from_millis(200);

/// It has no name: it is what holds where none is typed.
pub const COMMAND: Command = Command { name: "", info: Args::get_args_info, plan };

fn plan(Invocation { args, typed, .. }: Invocation) -> Result<Job, StartError> {
    Ok(Box::new(|| run(args, typed)))
}

/// Relays until a signal says stop.
fn run(args: Args, typed: Vec<String>) -> Result<(), StartError> {
    let options = Options::load(args.clone(), &typed)?;
    let log_config = options.log_config()?;
    let log = log::start(log_config);
    let server = Server::bind(options.config()?)?;
    let greeting = server.greeting();
    let reload = server.reloader();
    // What was typed holds as it did, and the file as it stands then.
    until_stopped(server, greeting, &log, move || match options.file() {
        Some(file) => reload.reload(file, || load(args.clone(), &typed, log_config)),
        None => reload.reload_files(),
    })
}

/// The configuration as the file has it now.
fn load(args: Args, typed: &[String], log: LogConfig) -> Result<ServerConfig, StartError> {
    let options = Options::load(args, typed)?;
    if options.log_config()? != log {
        tracing::warn!("log-level and log-format can't change while wsrelay runs: restart it");
    }
    options.config()
}

/// Says the greeting, and runs until a signal says stop.
///
/// `reload` is what SIGHUP asks for.
pub fn until_stopped(
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
                        record::flush_all(WRITTEN_AT_ONCE);
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
    record::flush_all(WRITTEN_WITHIN);
    // A second signal may be about to exit.
    log.end();
    Ok(())
}
