//! The guard of a program that answers a request: dropping it ends the program and logs the request.

use std::time::Instant;

use hyper::StatusCode;

use crate::backend::program::ProcessHandle;
use crate::http::subject::{RequestEnd, Subject};
use crate::net::scratch;
use crate::net::stream::ByteStream;
use crate::registry::StopGuard;
use crate::task;

/// What the log line of a request needs, and the guard that keeps a stop waiting for it.
pub struct RequestRecord {
    pub subject: Subject,
    pub path: String,
    pub program: Box<str>,
    pub began: Instant,
    pub stop_guard: StopGuard,
}

/// The guard of a running program, and what will be logged of its request. Dropping it ends the program
/// in a task of its own, so that a client that has its response does not wait for that.
pub struct ProgramGuard {
    running: Option<Box<(ProcessHandle, RequestRecord)>>,
    /// Output that is not sent to the client: it is read and dropped, so that the program can write it.
    pub unsent: Option<ByteStream>,
    /// How far the response is.
    pub state: ResponseState,
    /// What the program did wrong.
    pub error: Option<String>,
    /// Bytes of the request's body that the program has read.
    pub bytes_up: u64,
    /// Bytes that the program has written.
    pub bytes_down: u64,
}

/// How far a response is.
#[derive(Clone, Copy)]
pub enum ResponseState {
    /// Its head has not come yet.
    AwaitingHead,
    /// The program gave no valid response; the client gets a refusal, which is logged elsewhere.
    Refused,
    /// It has this status, and its body is being sent.
    Started(StatusCode),
    /// All of it has been given to hyper.
    Complete(StatusCode),
}

impl ProgramGuard {
    /// The guard of a program that runs.
    pub fn new(process: ProcessHandle, record: RequestRecord) -> Self {
        ProgramGuard {
            running: Some(Box::new((process, record))),
            unsent: None,
            state: ResponseState::AwaitingHead,
            error: None,
            bytes_up: 0,
            bytes_down: 0,
        }
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        self.running.as_ref().map_or("", |running| &running.1.program)
    }

    /// Notes that all of the response has been given to hyper.
    pub fn complete(&mut self) {
        if let ResponseState::Started(status) = self.state {
            self.state = ResponseState::Complete(status);
        }
    }
}

impl Drop for ProgramGuard {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let (process, record) = *running;
        let (state, error) = (self.state, self.error.take());
        let (bytes_up, bytes_down) = (self.bytes_up, self.bytes_down);
        let unsent = self.unsent.take();
        task::spawn(async move {
            let discard = async {
                if let Some(mut io) = unsent {
                    let _ = io.shutdown_write().await;
                    scratch::discard(&mut io).await;
                }
            };
            let lasted = record.began.elapsed();
            let exit = process.exit();
            process.end(discard).await;
            let end = exit.await;
            // A stop waits until the line is logged.
            let RequestRecord { subject, path, program, stop_guard: _stop_guard, .. } = record;
            let (status, is_cut) = match state {
                ResponseState::Refused => return,
                ResponseState::AwaitingHead => (None, true),
                ResponseState::Started(status) => (Some(status.as_u16()), error.is_none()),
                ResponseState::Complete(status) => (Some(status.as_u16()), false),
            };
            subject.request_ended(&RequestEnd {
                path: &path,
                program: &program,
                status,
                lasted,
                bytes_up,
                bytes_down,
                end,
                error: error.as_deref(),
                cut: is_cut.then_some("the client took no more"),
            });
        });
    }
}
