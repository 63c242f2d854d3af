//! Hold: the hold on a program that answers a request, and what is said when it has ended.

use std::future::poll_fn;
use std::time::Instant;

use hyper::StatusCode;

use crate::backend::program::Keeping;
use crate::http::subject::{Answer, Subject};
use crate::net::scratch;
use crate::net::stream::ByteStream;
use crate::registry::Stay;
use crate::task;

/// What a request's end is told with, and what keeps a stop waiting for it.
pub struct Bill {
    pub subject: Subject,
    pub path: String,
    pub program: Box<str>,
    pub began: Instant,
    pub stay: Stay,
}

/// The hold on a program, and what is to be said of it. Dropping it ends the program, in a task of its
/// own: nobody who has got his answer waits for that.
pub struct Hold {
    running: Option<Box<(Keeping, Bill)>>,
    /// Its output that nobody wants, but that it should be able to write.
    pub discarded: Option<ByteStream>,
    /// What has become of the answer.
    pub fate: Fate,
    /// What went wrong by the program's fault.
    pub trouble: Option<String>,
    /// What the program has taken.
    pub bytes_up: u64,
    /// What it has said.
    pub bytes_down: u64,
}

/// What has become of an answer.
#[derive(Clone, Copy)]
pub enum Fate {
    /// It has no head yet.
    Waiting,
    /// It is none; the refusal says so.
    Refused,
    /// It has this status, and is on its way.
    Begun(StatusCode),
    /// All of it has been handed over.
    Complete(StatusCode),
}

impl Hold {
    /// On a program that runs.
    pub fn new(keeping: Keeping, bill: Bill) -> Self {
        Hold {
            running: Some(Box::new((keeping, bill))),
            discarded: None,
            fate: Fate::Waiting,
            trouble: None,
            bytes_up: 0,
            bytes_down: 0,
        }
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        self.running.as_ref().map_or("", |running| &running.1.program)
    }

    /// All of the answer has been handed over.
    pub fn complete(&mut self) {
        if let Fate::Begun(status) = self.fate {
            self.fate = Fate::Complete(status);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        let (keeping, bill) = *running;
        let (fate, trouble) = (self.fate, self.trouble.take());
        let (bytes_up, bytes_down) = (self.bytes_up, self.bytes_down);
        let discarded = self.discarded.take();
        task::spawn(async move {
            let discard = async {
                if let Some(mut io) = discarded {
                    let _ = io.shutdown_write().await;
                    poll_fn(|cx| scratch::poll_discard(cx, &mut io)).await;
                }
            };
            let lasted = bill.began.elapsed();
            let exit = keeping.exit();
            keeping.end(discard).await;
            let end = exit.await;
            // The stay ends when all is said.
            let Bill { subject, path, program, stay: _stay, .. } = bill;
            let (status, cut) = match fate {
                Fate::Refused => return,
                Fate::Waiting => (None, true),
                Fate::Begun(status) => (Some(status.as_u16()), trouble.is_none()),
                Fate::Complete(status) => (Some(status.as_u16()), false),
            };
            subject.answered(&Answer {
                path: &path,
                program: &program,
                status,
                lasted,
                bytes_up,
                bytes_down,
                end,
                trouble: trouble.as_deref(),
                cut: cut.then_some("the client took no more"),
            });
        });
    }
}
