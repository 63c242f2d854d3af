//! `wsrelay demo`: the built-in chat.

use argh::{ArgsInfo, FromArgs};

use super::{Command, Invocation, Job, serve};
use crate::demo::Demo;
use crate::error::StartError;
use crate::log;
use crate::options::{Args, Options, listen_addrs, parse_command};

pub const COMMAND: Command = Command { name: "demo", info: DemoArgs::get_args_info, plan };

/// Run the built-in chat: a line server, a page, and the relay between them. It prints the address to
/// open in a browser.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "demo")]
struct DemoArgs {
    /// port to listen on, on all interfaces, so that phones can join too. Default: 8082, or a free port if
    /// that is taken, for this machine only.
    #[argh(option, arg_name = "n")]
    port: Option<String>,

    /// address to listen on.
    #[argh(option, arg_name = "addr")]
    listen: Vec<String>,
}

fn plan(Invocation { args, typed, words }: Invocation) -> Result<Job, StartError> {
    let demo = parse_command("demo", &words).map_err(StartError::usage)?;
    Ok(Box::new(move || run(args, &typed, &demo)))
}

fn run(args: Args, typed: &[String], demo: &DemoArgs) -> Result<(), StartError> {
    let options = Options::load(args, typed)?;
    let log = log::start(options.log_config()?);
    // Routes that are typed are served beside it; a file's, with settings of their own, would not be.
    if options.routes().next().is_some() {
        return Err(Demo::conflict());
    }
    let listen = listen_addrs(demo.port.as_deref(), &demo.listen)?;
    let demo = Demo::bind(&options.args, listen)?;
    let greeting = demo.greeting() + "\n";
    let server = demo.start();
    let reload = server.reloader();
    serve::until_stopped(server, greeting, &log, move || reload.reload_files())
}
