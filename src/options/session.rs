//! Session: the options that hold after the 101, checked.

use super::about::About;
use super::args::Args;
use super::values::{bounded, choice, duration, or_default, size, usage};
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
    let max_line = size("max-line", &args.max_line)?;
    Ok(SessionConfig {
        framing: framing(args, max_line)?,
        max_line,
        slow_client: slow_client(args)?,
        limits: limits(args)?,
        close_timeout: bounded("close-timeout", &args.close_timeout)?,
        trace: args.trace,
    })
}

fn framing(args: &Args, max_line: usize) -> Result<Framing, StartError> {
    About::Lines.check(args)?;
    if args.binary {
        return Ok(Framing::Raw { max_message: max_line });
    }
    let label = or_default("charset", &args.charset);
    let charset = Charset::for_label(label)
        .or_else(|error| usage(["charset"], format!("--charset {label}: {error}")))?;
    Ok(Framing::Lines(LineRules {
        eol: choice("eol", &args.eol, &[("lf", Eol::Lf), ("crlf", Eol::CrLf)])?,
        newlines: choice(
            "newlines",
            &args.newlines,
            &[("split", Newlines::Split), ("space", Newlines::Space), ("reject", Newlines::Reject)],
        )?,
        charset,
        max_line,
    }))
}

fn slow_client(args: &Args) -> Result<SlowClient, StartError> {
    let queue = size("queue", &args.queue)?.max(MIN_QUEUE);
    let modes = [("wait", SlowClient::Wait), ("drop", SlowClient::Drop { queue })];
    let mode = choice("slow-client", &args.slow_client, &modes)?;
    About::Queue.check(args)?;
    Ok(mode)
}

fn limits(args: &Args) -> Result<Limits, StartError> {
    Ok(Limits {
        ping_interval: duration("ping-interval", &args.ping_interval)?,
        ping_timeout: duration("ping-timeout", &args.ping_timeout)?,
        write_timeout: duration("write-timeout", &args.write_timeout)?,
        idle_timeout: duration("idle-timeout", &args.idle_timeout)?,
        flush_after: duration("flush-after", &args.flush_after)?,
    })
}
