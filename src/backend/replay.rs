//! Replay: a backend that says again what one said in a recording.

use std::fs::File;
use std::future::poll_fn;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use futures::future::{Either, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock::{self, Deadline};
use crate::net::stream::ByteStream;
use crate::record::{BadRecording, By, Reader, Speaker, What};
use crate::text::reason;

mod compare;

use self::compare::{Compare, Count, Said};

/// A recording that is said again to each client.
#[derive(Clone, Debug)]
pub struct Replay {
    file: PathBuf,
    /// How much faster than it was recorded.
    speed: f64,
    /// Whether the end of the recording is missing.
    is_cut: bool,
}

/// How a client's side went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The client said what was recorded, and left: so many lines, or bytes.
    Same(String),
    /// It did not; the first difference.
    Different(String),
}

/// How many lines or bytes of a client have been found right, for the one who waits for them.
#[derive(Debug, Default)]
struct Heard {
    count: AtomicU64,
    waker: AtomicWaker,
}

impl Heard {
    fn set(&self, count: u64) {
        self.count.store(count, Ordering::Release);
        self.waker.wake();
    }

    async fn reach(&self, count: u64) {
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.count.load(Ordering::Acquire) >= count {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl Replay {
    /// Reads all of a recording once, to know that it can be said.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn open(file: &Path, speed: f64) -> Result<Self, String> {
        let mut replay = Replay { file: file.to_owned(), speed, is_cut: false };
        let mut entries = replay.entries()?;
        while entries.next_entry().map_err(|bad| replay.wrong(&bad))?.is_some() {}
        replay.is_cut = entries.is_cut();
        Ok(replay)
    }

    /// Whether the end of the recording is missing.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Says the backend's side to a client at the times at which it was recorded, whatever the client says. Returns when
    /// the client has left.
    ///
    /// # Errors
    /// If the file can't be read any more, or the connection fails.
    pub async fn play(&self, client: ByteStream) -> Result<(), String> {
        self.relay(client, None, &mut |_| Ok(0)).await.map(drop)
    }

    /// Says the backend's side to a client, and compares what the client says with what was recorded. What the backend
    /// said behind a line of the client's is said when that line has come, as it may be the answer.
    ///
    /// # Errors
    /// As of [`play`](Self::play).
    pub async fn check(&self, client: ByteStream) -> Result<Checked, String> {
        let mut expected = self.entries()?;
        let mut compare = Compare::new(expected.is_of_lines());
        let mut next = || loop {
            match expected.next_entry() {
                Ok(Some(entry)) => match entry.what {
                    What::Said(Speaker::Client, bytes) => return Some(bytes),
                    What::Said(Speaker::Backend, _) | What::Ended(_) => {}
                },
                // It was read before.
                Ok(None) | Err(_) => return None,
            }
        };
        let heard = Heard::default();
        let heard =
            self.relay(client, Some(&heard), &mut |bytes| compare.hear(bytes, &mut next)).await?;
        Ok(match heard.and_then(|()| compare.end(&mut next)) {
            Ok(Said { count, unit }) => Checked::Same(format!("{count} {unit}")),
            Err(difference) => Checked::Different(difference),
        })
    }

    /// Says the backend's side, and gives what the client says to `hear`, until the client has left or `hear` has
    /// heard enough.
    async fn relay(
        &self,
        client: ByteStream,
        awaited: Option<&Heard>,
        hear: &mut impl FnMut(&[u8]) -> Result<u64, String>,
    ) -> Result<Result<(), String>, String> {
        let (mut from, mut to) = client.split();
        let heard = pin!(async {
            let mut buf = vec![0; 16 * 1024];
            loop {
                match from.read(&mut buf).await {
                    Ok(0) => return Ok(Ok(())),
                    Ok(n) => match hear(&buf[..n]) {
                        Ok(count) => awaited.iter().for_each(|heard| heard.set(count)),
                        Err(difference) => return Ok(Err(difference)),
                    },
                    Err(error) => return Err(reason(&error)),
                }
            }
        });
        let said = pin!(async {
            let is_over = self.say(&mut to, awaited).await?;
            if is_over {
                // Our end, which the client answers with its own.
                let _ = to.close().await;
            }
            Ok::<_, String>(())
        });
        match select(heard, said).await {
            // The client has left, or said something else.
            Either::Left((heard, _)) => heard,
            Either::Right((Ok(()), heard)) => heard.await,
            Either::Right((Err(why), _)) => Err(why),
        }
    }

    /// Says all at its time. Returns whether the backend ended it: else the client did, and is waited for.
    async fn say(
        &self,
        to: &mut (impl AsyncWriteExt + Unpin),
        awaited: Option<&Heard>,
    ) -> Result<bool, String> {
        let mut start = clock::now();
        let mut entries = self.entries()?;
        let mut due = Count::new(entries.is_of_lines());
        while let Some(entry) = entries.next_entry().map_err(|bad| self.wrong(&bad))? {
            match entry.what {
                What::Said(Speaker::Backend, bytes) => {
                    self.wait(start, entry.at).await;
                    let sent = to.write_all(&bytes).await;
                    // A client that has left is noticed where it is read from.
                    if sent.is_err() || to.flush().await.is_err() {
                        return Ok(false);
                    }
                }
                What::Said(Speaker::Client, bytes) => {
                    let Some(heard) = awaited else { continue };
                    heard.reach(due.add(&bytes)).await;
                    // A client that takes longer than the one before is given the time of that one from here on.
                    let late = self
                        .after(start, entry.at)
                        .map(|at| clock::now().saturating_duration_since(at));
                    start += late.unwrap_or_default();
                }
                What::Ended(By::Backend) => {
                    self.wait(start, entry.at).await;
                    return Ok(true);
                }
                What::Ended(By::Client | By::Relay) => return Ok(false),
            }
        }
        // Nobody knows who ended it: what is there has been said.
        Ok(true)
    }

    /// Waits for the time of what was said so many milliseconds after the start.
    async fn wait(&self, start: Instant, at: u64) {
        match self.after(start, at) {
            Some(at) => Deadline::at(at).await,
            // What is centuries away is never said.
            None => Deadline::never().await,
        }
    }

    fn after(&self, start: Instant, at: u64) -> Option<Instant> {
        let after = Duration::try_from_secs_f64(at as f64 / 1000.0 / self.speed).ok()?;
        start.checked_add(after)
    }

    fn entries(&self) -> Result<Reader<BufReader<File>>, String> {
        let file = File::open(&self.file).map_err(|error| reason(&error));
        let file = file.map_err(|why| format!("can't read {}: {why}", self.file.display()))?;
        Reader::new(BufReader::new(file)).map_err(|bad| self.wrong(&bad))
    }

    fn wrong(&self, bad: &BadRecording) -> String {
        format!("{}, {bad}", self.file.display())
    }
}
