//! The log: one line per event, to stderr.

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use crate::sync::lock;

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is logged.
    pub level: LevelFilter,
    /// The format of lines.
    pub format: LogFormat,
}

/// The format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The handle of the running log. Waiting lines are written when it is [ended](Self::end), or its last clone dropped.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<Option<WorkerGuard>>>);

impl Log {
    /// Writes the waiting lines, and ends the log; a concurrent call waits for that. It takes 1.1 s at most, if
    /// the reader of stderr does not read.
    pub fn end(&self) {
        let mut guard = lock(&self.0);
        // If stderr is not read, the library prints that to stdout, and panics if that is not read either.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(guard.take())));
    }
}

/// The most lines that wait for the reader of stderr; further ones are dropped.
const WAITING_LINES: usize = 16 * 1024;

/// Starts logging to stderr, on a thread of its own: a reader that does not read (a stuck pipe)
/// must not stop the relay. A second call changes nothing.
pub fn start(config: LogConfig) -> Log {
    let (stderr, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_writer(stderr)
        // It would report errors by eprintln!, which panics if stderr is a pipe whose reader has gone: that
        // must not end sessions.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let _ = match config.format {
        LogFormat::Text => lines.set_global(),
        LogFormat::Json => lines.json().flatten_event(true).set_global(),
    };
    Log(Arc::new(Mutex::new(Some(guard))))
}

/// The last call of both formats, whose builders have different types.
trait TryInit {
    fn set_global(self) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

impl<N, E, W> TryInit for tracing_subscriber::fmt::SubscriberBuilder<N, E, LevelFilter, W>
where
    Self: Into<tracing::Dispatch>,
{
    fn set_global(self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(tracing::dispatcher::set_global_default(self.into())?)
    }
}
