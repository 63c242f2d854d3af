//! `wsrelay check FILE`: what is wrong with a file, or all that holds with it.

use argh::{ArgsInfo, FromArgs};

use super::{Command, Invocation, Job, say};
use crate::error::StartError;
use crate::log;
use crate::options::{Args, Options, parse_command};
use crate::server::Server;

pub const COMMAND: Command = Command { name: "check", info: CheckArgs::get_args_info, plan };

/// Check a configuration file. If it is right, print all options that hold with it, defaults included, as
/// such a file.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "check")]
struct CheckArgs {
    /// the file.
    #[argh(positional, arg_name = "file")]
    file: String,
}

fn plan(Invocation { typed, words, .. }: Invocation) -> Result<Job, StartError> {
    let CheckArgs { file } = parse_command("check", &words).map_err(StartError::usage)?;
    if !typed.is_empty() {
        return Err(StartError::usage(format!(
            "check is about what stands in a file alone: type wsrelay check {file}"
        )));
    }
    Ok(Box::new(|| run(file)))
}

fn run(file: String) -> Result<(), StartError> {
    let options = Options::load(Args { config: Some(file), ..Args::default() }, &[])?;
    say(&options.to_toml()?);
    let _log = log::start(options.log_config()?);
    Server::check(options.config()?)
}
