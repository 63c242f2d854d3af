//! Session: the options that hold after the 101, checked.

use super::about::About;
use super::args::Args;
use super::table::default_eol;
use super::values::{bounded, choice, duration, or_default, size, usage, wrong};
use crate::backend::Template;
use crate::clock;
use crate::error::StartError;
use crate::framing::{Charset, Eol, Framing, LineRules, Newlines, RawRules, TelnetRules};
use crate::rate::Rate;
use crate::session::keepalive::Limits;
use crate::session::{GreetingConfig, SessionConfig, SlowClient};

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
        greeting: greeting(args, max_line)?,
        max_line,
        slow_client: slow_client(args)?,
        rate: rate(args)?,
        limits: limits(args)?,
        close_timeout: bounded("close-timeout", &args.close_timeout)?,
        telnet: telnet(args)?,
        trace: args.trace,
    })
}

/// The backend's telnet, if it speaks it.
fn telnet(args: &Args) -> Result<Option<TelnetRules>, StartError> {
    let has_enter = args.eol.is_none() && !args.binary;
    let charset = charset(args)?;
    let rules = TelnetRules { charset, has_enter, is_terminal: false, is_mud: false };
    Ok(args.telnet.then_some(rules))
}

fn framing(args: &Args, max_line: usize) -> Result<Framing, StartError> {
    About::Lines.check(args)?;
    if args.binary {
        let charset = args.charset.as_ref().map(|_| charset(args)).transpose()?;
        return Ok(Framing::Raw(RawRules { max_message: max_line, charset }));
    }
    let rules = line_rules(args, max_line)?;
    Ok(if args.binary_lines { Framing::BinaryLines(rules) } else { Framing::Lines(rules) })
}

/// How lines and messages correspond where there are lines.
///
/// # Errors
/// [`StartError::Usage`].
pub fn line_rules(args: &Args, max_line: usize) -> Result<LineRules, StartError> {
    let eol = Some(args.eol.clone().unwrap_or_else(|| default_eol(args).to_owned()));
    Ok(LineRules {
        eol: choice(
            "eol",
            &eol,
            &[("lf", Eol::Lf), ("crlf", Eol::CrLf), ("cr", Eol::Cr), ("nul", Eol::Nul)],
        )?,
        keep_eol: args.keep_eol,
        newlines: choice(
            "newlines",
            &args.newlines,
            &[("split", Newlines::Split), ("space", Newlines::Space), ("reject", Newlines::Reject)],
        )?,
        charset: charset(args)?,
        fallback: charset_fallback(args)?,
        max_line,
    })
}

/// The lines that tell a backend of its client, if there are any.
fn greeting(args: &Args, max_line: usize) -> Result<Option<Box<GreetingConfig>>, StartError> {
    About::RefuseClose.check(args)?;
    let read = |key, lines: &[String]| -> Result<Vec<_>, StartError> {
        let read = |line: &String| {
            Template::parse(line)
                .or_else(|why| usage([key], format!("--{key} \"{}\": {why}", line.escape_debug())))
        };
        lines.iter().map(read).collect()
    };
    let config = GreetingConfig {
        hello: read("hello", &args.hello)?,
        goodbye: read("goodbye", &args.goodbye)?,
        refusal: read("refusal", args.refusal.as_slice())?.pop(),
        rules: line_rules(args, max_line)?,
    };
    let GreetingConfig { hello, goodbye, refusal, .. } = &config;
    let is_silent = hello.is_empty() && goodbye.is_empty() && refusal.is_none();
    Ok((!is_silent).then(|| Box::new(config)))
}

fn charset(args: &Args) -> Result<Charset, StartError> {
    labelled("charset", or_default("charset", &args.charset))
}

/// The charset of this label, which is the value of this option.
fn labelled(key: &'static str, label: &str) -> Result<Charset, StartError> {
    Charset::for_label(label).or_else(|error| usage([key], format!("--{key} {label}: {error}")))
}

/// The charset of lines that are not valid UTF-8, if there is one. Then the others are UTF-8, and so is what the backend
/// gets.
fn charset_fallback(args: &Args) -> Result<Option<Charset>, StartError> {
    let Some(label) = &args.charset_fallback else { return Ok(None) };
    let fallback = labelled("charset-fallback", label)?;
    if fallback.looks_like_utf8() {
        let text = format!(
            "--charset-fallback {label}: no line would be in it, as its bytes are valid UTF-8; type \
             --charset-fallback windows-1252, or drop it"
        );
        return usage(["charset-fallback"], text);
    }
    if charset(args)? != Charset::UTF_8 {
        return usage(
            ["charset-fallback", "charset"],
            "--charset-fallback is for a backend that speaks UTF-8 and another charset: drop --charset",
        );
    }
    Ok(Some(fallback))
}

fn slow_client(args: &Args) -> Result<SlowClient, StartError> {
    let queue = size("queue", &args.queue)?.max(MIN_QUEUE);
    let modes = [("wait", SlowClient::Wait), ("drop", SlowClient::Drop { queue })];
    let mode = choice("slow-client", &args.slow_client, &modes)?;
    About::Queue.check(args)?;
    Ok(mode)
}

fn rate(args: &Args) -> Result<Option<Rate>, StartError> {
    let Some(text) = &args.rate else { return Ok(None) };
    let rate = match Rate::parse(text) {
        // What leaves at one tick of the clock is a burst.
        Ok(rate) if rate.burst_time() < clock::TICK => Err("so few at once can't reach this rate"),
        parsed => parsed,
    };
    rate.map(Some).or_else(|why| wrong("rate", text, why, "10/s:20 or 100/m"))
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
