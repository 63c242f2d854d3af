//! `wsrelay replay FILE`: a backend that says again what one said in a recording.

use std::path::Path;
use std::pin::pin;

use argh::{ArgsInfo, FromArgs};
use async_signal::{Signal, Signals};
use futures::StreamExt;
use futures::future::{Either, select};

use super::{Command, Invocation, Job, say};
use crate::backend::replay::{Checked, Replay};
use crate::error::StartError;
use crate::log;
use crate::net::listener::Listener;
use crate::net::readiness;
use crate::net::stream::ByteStream;
use crate::options::{Options, listen_addrs, parse_command};
use crate::task;
use crate::text::reason;

pub const COMMAND: Command = Command { name: "replay", info: ReplayArgs::get_args_info, plan };

/// Serve a recording of --record: say to each TCP client what the backend said, at the same pace. Put a relay
/// in front of it with --to.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "replay")]
struct ReplayArgs {
    /// the recording.
    #[argh(positional, arg_name = "file")]
    file: String,

    /// port to listen on, on all interfaces. 0 picks a free port.
    #[argh(option, arg_name = "n")]
    port: Option<String>,

    /// address to listen on, such as 127.0.0.1:7777, in place of --port.
    #[argh(option, arg_name = "addr")]
    listen: Vec<String>,

    /// how much faster than it was recorded: 2, 0.5, 1000. Default: 1.
    #[argh(option, arg_name = "times")]
    speed: Option<String>,

    /// serve one client, and compare its lines with those that were recorded: exit with 0 if they are the same and
    /// the client has left, else say the first difference and exit with 1.
    #[argh(switch)]
    check: bool,
}

fn plan(Invocation { args, typed, words }: Invocation) -> Result<Job, StartError> {
    let replay: ReplayArgs = parse_command("replay", &words).map_err(StartError::usage)?;
    let speed = speed(replay.speed.as_deref())?;
    Ok(Box::new(move || run(Options::load(args, &typed)?, &replay, speed)))
}

fn speed(typed: Option<&str>) -> Result<f64, StartError> {
    let speed = typed.unwrap_or("1");
    match speed.parse::<f64>() {
        Ok(times) if times.is_normal() && times > 0.0 => Ok(times),
        _ => Err(StartError::usage(format!(
            "--speed {speed}: not a number above 0; type --speed 2 or 0.5"
        ))),
    }
}

fn run(options: Options, args: &ReplayArgs, speed: f64) -> Result<(), StartError> {
    let _log = log::start(options.log_config()?);
    let mut listen = listen_addrs(args.port.as_deref(), &args.listen)?.into_iter();
    let (Some(addr), None) = (listen.next(), listen.next()) else {
        return Err(StartError::usage(
            "say where to listen, once: add --port 7777 (or --listen 127.0.0.1:7777)",
        ));
    };
    let replay = Replay::open(Path::new(&args.file), speed).map_err(StartError::Environment)?;
    if replay.is_cut() {
        tracing::warn!(
            file = args.file,
            "the end of the recording is missing: what is there is said"
        );
    }
    readiness::start()
        .map_err(|e| StartError::Environment(format!("can't watch sockets: {}", reason(&e))))?;
    let listener = Listener::bind(&addr)
        .map_err(|error| StartError::cannot_listen(&addr, "--port", &error))?;
    let mut signals = Signals::new([Signal::Term, Signal::Int])
        .map_err(|e| StartError::Environment(format!("can't watch for signals: {e}")))?;
    say(&format!("listening on {}\n", listener.local_addr().url("tcp")));
    let check = args.check;
    task::block_on(async move {
        let serve = pin!(async {
            if check {
                serve_one(listener, &replay).await
            } else {
                serve_all(listener, &replay).await
            }
        });
        match select(serve, signals.next()).await {
            Either::Left((served, _)) => served,
            Either::Right(_) if check => {
                Err(StartError::Environment("stopped before the client left".into()))
            }
            Either::Right(_) => Ok(()),
        }
    })
}

/// Serves clients for ever.
async fn serve_all(mut listener: Listener, replay: &Replay) -> Result<(), StartError> {
    loop {
        let (client, peer) = listener.accept().await;
        let replay = replay.clone();
        task::spawn(async move {
            tracing::info!(client = %peer, "replay begins");
            match replay.play(ByteStream::plain(client)).await {
                Ok(()) => tracing::info!(client = %peer, "client left"),
                Err(why) => tracing::warn!(client = %peer, why, "replay ended"),
            }
        });
    }
}

/// Serves one client, and says whether it said what was recorded.
async fn serve_one(mut listener: Listener, replay: &Replay) -> Result<(), StartError> {
    let (client, _) = listener.accept().await;
    drop(listener);
    match replay.check(ByteStream::plain(client)).await.map_err(StartError::Environment)? {
        Checked::Same(what) => {
            say(&format!("the same: {what}\n"));
            Ok(())
        }
        Checked::Different(how) => Err(StartError::Environment(how)),
    }
}
