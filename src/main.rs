//! The program: what its words ask for, and an exit status.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match wsrelay::commands::run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "wsrelay: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
