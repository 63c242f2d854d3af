//! Session: the options that hold after the 101, checked.

use super::args::Args;
use super::values::{bounded, choice, duration, size, usage};
use crate::error::StartError;
use crate::framing::{Charset, Eol, Framing, LineRules, Newlines};
use crate::session::keepalive::Limits;
use crate::session::{SessionConfig, SlowClient};

/// Bytes: a smaller queue than this makes no sense.
const MIN_QUEUE: usize = 1024;

/// What holds for sessions, checked.
///
/// # Errors
/// [`StartError::Usage`].
pub fn session(args: &Args) -> Result<SessionConfig, StartError> {
    let max_line = size("--max-line", &args.max_line, 1 << 20)?;
    Ok(SessionConfig {
        framing: framing(args, max_line)?,
        max_line,
        slow_client: slow_client(args)?,
        limits: limits(args)?,
        close_timeout: bounded("--close-timeout", &args.close_timeout, 5)?,
        trace: args.trace,
    })
}

fn framing(args: &Args, max_line: usize) -> Result<Framing, StartError> {
    if args.binary {
        for (name, given) in [
            ("--eol", args.eol.is_some()),
            ("--newlines", args.newlines.is_some()),
            ("--charset", args.charset.is_some()),
            ("--flush-after", args.flush_after.is_some()),
        ] {
            if given {
                return usage(format!("{name} is about lines, and --binary knows none: drop one"));
            }
        }
        return Ok(Framing::Raw { max_message: max_line });
    }
    let charset = match &args.charset {
        None => Charset::default(),
        Some(label) => Charset::for_label(label)
            .or_else(|error| usage(format!("--charset {label}: {error}")))?,
    };
    Ok(Framing::Lines(LineRules {
        eol: choice("--eol", &args.eol, Eol::Lf, &[("lf", Eol::Lf), ("crlf", Eol::CrLf)])?,
        newlines: choice(
            "--newlines",
            &args.newlines,
            Newlines::Split,
            &[("split", Newlines::Split), ("space", Newlines::Space), ("reject", Newlines::Reject)],
        )?,
        charset,
        max_line,
    }))
}

fn slow_client(args: &Args) -> Result<SlowClient, StartError> {
    let queue = size("--queue", &args.queue, 1 << 20)?.max(MIN_QUEUE);
    let modes = [("wait", SlowClient::Wait), ("drop", SlowClient::Drop { queue })];
    let mode = choice("--slow-client", &args.slow_client, SlowClient::Wait, &modes)?;
    if args.queue.is_some() && mode == SlowClient::Wait {
        return usage("--queue is the queue of --slow-client drop: add that, or drop --queue");
    }
    Ok(mode)
}

fn limits(args: &Args) -> Result<Limits, StartError> {
    let limits = Limits {
        ping_interval: duration("--ping-interval", &args.ping_interval, 30)?,
        ping_timeout: duration("--ping-timeout", &args.ping_timeout, 15)?,
        write_timeout: duration("--write-timeout", &args.write_timeout, 30)?,
        idle_timeout: duration("--idle-timeout", &args.idle_timeout, 0)?,
        flush_after: duration("--flush-after", &args.flush_after, 0)?,
    };
    Ok(limits)
}
