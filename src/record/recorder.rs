//! Recorder: writes the recordings of one directory, on a thread of its own.
//!
//! ```text
//!  session ─▶ Recorded ─┐   notes: no more bytes wait
//!  session ─▶ Recorded ─┴─▶ than fit, else a session ──▶ thread ─▶ files
//!                           is not recorded any further
//! ```
//!
//! A session never waits for a disk. What goes wrong (a full disk, a directory that is gone) ends recordings, and each
//! has only whole entries then.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::iter;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};

use super::directory::Directory;
use super::entry::{By, Speaker};
use super::head::Head;
use super::writer::Writer;
use crate::error::StartError;
use crate::sync::lock;
use crate::text::reason;

/// Bytes that may wait for the thread, of all sessions of a directory together: some seconds of a slow disk.
const MOST_WAITING: usize = 16 << 20;

/// Bytes that one note costs besides what was said.
const NOTE: usize = 128;

/// Bytes of one recording that are written together at most.
const BUFFER: usize = 64 * 1024;

/// Further notes that are taken before files are written, so that what was said is soon there.
const TURN: usize = 1024;

/// The time after which a directory that could not be written to is tried again, for sessions that begin then.
const RETRY: Duration = Duration::from_secs(1);

/// The time between two warnings of the same kind.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Records sessions into one directory. When the last clone is gone, and the last session, its thread ends.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    notes: Sender<Note>,
    shared: Arc<Shared>,
}

/// What sessions and the thread have in common.
#[derive(Debug)]
struct Shared {
    /// Bytes that wait for the thread.
    waiting: AtomicUsize,
    /// `--record-max`, in bytes.
    max: AtomicU64,
    /// When it was last said that the thread can't keep up.
    slow_said: Mutex<Option<Instant>>,
}

/// One session that is recorded.
#[derive(Debug)]
pub struct Recorded {
    id: u64,
    handle: Arc<Handle>,
    /// Set once the session is not recorded any further.
    has_stopped: Arc<AtomicBool>,
}

/// What a session tells the thread.
#[derive(Debug)]
enum Note {
    Begin(u64, Box<Head>, Arc<AtomicBool>),
    Say(u64, u64, Speaker, Vec<u8>),
    /// The session has ended, and by whom; or it is not recorded any further.
    End(u64, Option<(u64, By)>),
    /// To say when all that came before is written.
    Flush(Sender<()>),
}

/// The threads that were started, to be waited for at the end of the process.
static THREADS: Mutex<Vec<(Weak<Handle>, JoinHandle<()>)>> = Mutex::new(Vec::new());

impl Recorder {
    /// Starts to record into this directory. How many bytes it may have is [set](Self::set_max) before a session begins.
    ///
    /// # Errors
    /// If it can't be written to.
    pub fn open(dir: &Path) -> Result<Self, StartError> {
        let wrong = |why: String| {
            StartError::Environment(format!("can't record into {}: {why}", dir.display()))
        };
        let files = Directory::open(dir.to_owned()).map_err(|error| wrong(reason(&error)))?;
        access(dir, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| wrong(reason(&error.into())))?;
        let (notes, received) = channel();
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            max: AtomicU64::new(u64::MAX),
            slow_said: Mutex::default(),
        });
        let mut writing = Writing::new(dir.to_owned(), files, shared.clone());
        let thread = thread::Builder::new().name("record".into());
        let thread = thread.spawn(move || writing.run(&received));
        let thread = thread.map_err(|error| wrong(format!("no thread: {}", reason(&error))))?;
        let handle = Arc::new(Handle { notes, shared });
        let mut threads = lock(&THREADS);
        threads.retain(|(_, thread)| !thread.is_finished());
        threads.push((Arc::downgrade(&handle), thread));
        Ok(Recorder(handle))
    }

    /// Sets how many bytes the recordings may take.
    pub fn set_max(&self, max: u64) {
        self.0.shared.max.store(max, Ordering::Relaxed);
    }

    /// Begins the recording of a session.
    pub fn begin(&self, id: u64, head: Head) -> Recorded {
        let has_stopped = Arc::new(AtomicBool::new(false));
        let handle = self.0.clone();
        let begun = handle.notes.send(Note::Begin(id, Box::new(head), has_stopped.clone()));
        has_stopped.fetch_or(begun.is_err(), Ordering::Relaxed);
        Recorded { id, handle, has_stopped }
    }
}

/// Waits until everything is written that was said so far, for `limit` at most.
pub fn flush_all(limit: Duration) {
    let end = Instant::now() + limit;
    for (handle, thread) in std::mem::take(&mut *lock(&THREADS)) {
        if let Some(handle) = handle.upgrade() {
            let (done, is_done) = channel();
            if handle.notes.send(Note::Flush(done)).is_ok() {
                let _ = is_done.recv_timeout(end.saturating_duration_since(Instant::now()));
            }
            continue;
        }
        // Nobody can tell it anything any more: it writes what waits, and ends.
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Recorded {
    /// Whether what is said is still recorded.
    pub fn is_wanted(&self) -> bool {
        !self.has_stopped.load(Ordering::Relaxed)
    }

    /// Records what one side has said. If the thread can't keep up, this session is not recorded any further.
    pub fn say(&self, at: u64, speaker: Speaker, bytes: &[u8]) {
        let (shared, notes) = (&self.handle.shared, &self.handle.notes);
        let cost = bytes.len() + NOTE;
        if shared.waiting.fetch_add(cost, Ordering::Relaxed) + cost > MOST_WAITING {
            shared.waiting.fetch_sub(cost, Ordering::Relaxed);
            self.has_stopped.store(true, Ordering::Relaxed);
            let _ = notes.send(Note::End(self.id, None));
            shared.warn_slow(self.id);
        } else if notes.send(Note::Say(self.id, at, speaker, bytes.to_vec())).is_err() {
            self.has_stopped.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the recording.
    pub fn end(&self, at: u64, by: By) {
        if self.is_wanted() {
            let _ = self.handle.notes.send(Note::End(self.id, Some((at, by))));
        }
    }
}

impl Shared {
    /// Says that a session is not recorded any further; not of each one, as all may come to this at once.
    fn warn_slow(&self, id: u64) {
        let mut said = lock(&self.slow_said);
        if is_over(*said, BETWEEN_WARNINGS) {
            *said = Some(Instant::now());
            tracing::warn!(id, "the disk is too slow for --record: the session goes on without it");
        }
    }
}

/// The thread's view.
#[derive(Debug)]
struct Writing {
    dir: PathBuf,
    files: Directory,
    shared: Arc<Shared>,
    sessions: HashMap<u64, Recording>,
    /// Sessions that have something to be written.
    unwritten: Vec<u64>,
    /// Those who wait until all is written.
    flushed: Vec<Sender<()>>,
    failure: WriteFailure,
}

/// A recording that is written.
#[derive(Debug)]
struct Recording {
    file: File,
    name: String,
    /// Bytes of the file.
    size: u64,
    writer: Writer,
    buf: Vec<u8>,
    /// The time of the last entry.
    last: u64,
    has_stopped: Arc<AtomicBool>,
}

/// What went wrong, and whether it was said.
#[derive(Debug, Default)]
struct WriteFailure {
    failed: Option<Instant>,
    said: Option<Instant>,
    /// Whether the present failure was said.
    is_said: bool,
}

impl Writing {
    fn new(dir: PathBuf, files: Directory, shared: Arc<Shared>) -> Self {
        Writing {
            dir,
            files,
            shared,
            sessions: HashMap::new(),
            unwritten: Vec::new(),
            flushed: Vec::new(),
            failure: WriteFailure::default(),
        }
    }

    /// Takes notes until there is nobody to write any.
    fn run(&mut self, notes: &Receiver<Note>) {
        while let Ok(first) = notes.recv() {
            for note in iter::once(first).chain(notes.try_iter().take(TURN)) {
                self.take(note);
            }
            for id in std::mem::take(&mut self.unwritten) {
                self.write(id);
            }
            // Who does not wait any more need not know.
            self.flushed.drain(..).for_each(|done| done.send(()).unwrap_or_default());
        }
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Begin(id, head, has_stopped) => self.begin(id, &head, has_stopped),
            Note::Say(id, at, speaker, bytes) => {
                self.shared.waiting.fetch_sub(bytes.len() + NOTE, Ordering::Relaxed);
                self.append(
                    id,
                    |one| one.writer.say(at.max(one.last), speaker, &bytes, &mut one.buf),
                    at,
                );
            }
            Note::End(id, end) => {
                let last = |one: &mut Recording| match end {
                    Some((at, by)) => one.writer.end(at.max(one.last), by, &mut one.buf),
                    None => one.writer.pause(&mut one.buf),
                };
                self.append(id, last, 0);
                self.write(id);
                if let Some(one) = self.sessions.remove(&id) {
                    self.files.end(one.name, one.size);
                }
            }
            // It is answered where all is written.
            Note::Flush(done) => self.flushed.push(done),
        }
    }

    /// Begins a file, with the head as its first line: then it can be written to.
    fn begin(&mut self, id: u64, head: &Head, has_stopped: Arc<AtomicBool>) {
        if !is_over(self.failure.failed, RETRY) {
            has_stopped.store(true, Ordering::Relaxed);
            return;
        }
        let (file, name) = match self.files.create(head.since, id, head.kind.extension()) {
            Ok(made) => made,
            Err(error) => {
                has_stopped.store(true, Ordering::Relaxed);
                self.failure.failed = Some(Instant::now());
                self.failure.say(&self.dir, &reason(&error));
                return;
            }
        };
        let (writer, buf) = (Writer::new(head), (head.line() + "\n").into_bytes());
        self.sessions
            .insert(id, Recording { file, name, size: 0, writer, buf, last: 0, has_stopped });
        self.write(id);
        if self.sessions.contains_key(&id) {
            self.failure.end(&self.dir);
        }
    }

    /// Appends entries to what is to be written of a session, if it is still recorded.
    fn append(&mut self, id: u64, entries: impl FnOnce(&mut Recording), at: u64) {
        let Some(one) = self.sessions.get_mut(&id) else { return };
        let was_empty = one.buf.is_empty();
        entries(one);
        one.last = one.last.max(at);
        if one.buf.len() >= BUFFER {
            self.write(id);
        } else if was_empty && !one.buf.is_empty() {
            self.unwritten.push(id);
        }
    }

    /// Writes what is to be written of a session. If that fails its recording ends here, with whole entries.
    fn write(&mut self, id: u64) {
        let Some(one) = self.sessions.get_mut(&id).filter(|one| !one.buf.is_empty()) else {
            return;
        };
        let buf = std::mem::take(&mut one.buf);
        let max = self.shared.max.load(Ordering::Relaxed);
        let is_removed = one.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        // What is wrong with the disk is so for all sessions.
        let mut error = None;
        let written = match self.files.make_room(buf.len() as u64, max) {
            _ if is_removed => Err("the file was removed".into()),
            Ok(()) => one.file.write_all(&buf).map_err(|e| reason(error.insert(e))),
            Err(why) => Err(why),
        };
        let Err(why) = written else {
            one.size += buf.len() as u64;
            self.files.add(buf.len() as u64);
            return;
        };
        one.has_stopped.store(true, Ordering::Relaxed);
        let one = self.sessions.remove(&id).expect("it was there");
        // What was written of these entries is no use.
        let _ = one.file.set_len(one.size);
        match one.size {
            _ if is_removed => self.files.forget(one.size),
            0 => self.files.remove_empty(&one.name),
            size => self.files.end(one.name, size),
        }
        if error.is_some() {
            self.failure.failed = Some(Instant::now());
        }
        self.failure.say(&self.dir, &why);
    }
}

impl WriteFailure {
    /// Something went wrong. What goes wrong for one session mostly does for all, and is said once.
    fn say(&mut self, dir: &Path, why: &str) {
        let now = Instant::now();
        if is_over(self.said, BETWEEN_WARNINGS) {
            (self.said, self.is_said) = (Some(now), true);
            let dir = dir.display();
            tracing::warn!(%dir, why, "recording stopped: sessions go on without it");
        }
    }

    /// A recording has begun.
    fn end(&mut self, dir: &Path) {
        if self.failed.take().is_some() && std::mem::take(&mut self.is_said) {
            tracing::info!(dir = %dir.display(), "recording again: sessions that begin now");
        }
    }
}

/// Whether this was so long ago, or never.
fn is_over(since: Option<Instant>, time: Duration) -> bool {
    since.is_none_or(|since| since.elapsed() >= time)
}
