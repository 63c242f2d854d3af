//! Directory: the files of recordings, and the room that they may take.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::head::utc;

/// Names that are tried for one recording: others may record into the same directory.
const TRIES: u64 = 100;

/// The files of one directory. Names begin with a time, so that their order is that of their sessions.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Bytes of all recordings there.
    total: u64,
    /// Those that are not written to any more, by name, and the bytes of each.
    ended: BTreeMap<String, u64>,
}

impl Directory {
    /// Looks at what is there. Only files with names of recordings are ever counted or removed.
    ///
    /// # Errors
    /// As of reading the directory.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let ours = |entry: io::Result<DirEntry>| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok().filter(|name| is_recording(name))?;
            // Not of what a symbolic link leads to.
            let metadata = entry.metadata().ok().filter(|metadata| metadata.is_file())?;
            Some((name, metadata.len()))
        };
        let ended: BTreeMap<_, _> = fs::read_dir(&path)?.filter_map(ours).collect();
        Ok(Directory { path, total: ended.values().sum(), ended })
    }

    /// Makes a file that nobody else can read, for the session of this number. It is locked as long as it is open, so
    /// that another wsrelay does not remove it.
    ///
    /// # Errors
    /// As of open(2).
    pub fn create(&self, since: SystemTime, id: u64, end: &str) -> io::Result<(File, String)> {
        for later in 0..TRIES {
            let time = utc(since + Duration::from_millis(later)).replace(':', "-");
            let name = format!("{time}-{id}.{end}");
            let mut options = OpenOptions::new();
            let made = options.write(true).create_new(true).mode(0o600).open(self.path.join(&name));
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    let file = made?;
                    // Where files can't be locked, two must not share a directory.
                    let _ = file.try_lock();
                    return Ok((file, name));
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Makes room for so many bytes more: the oldest recordings that have ended go first.
    ///
    /// # Errors
    /// Why there is none.
    pub fn make_room(&mut self, bytes: u64, max: u64) -> Result<(), String> {
        while self.total + bytes > max {
            let Some((name, size)) = self.ended.pop_first() else {
                return Err("--record-max is reached by the recordings of open sessions".into());
            };
            let path = self.path.join(&name);
            let is_open = File::open(&path)
                .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
            // Another wsrelay's counts no more: it takes care of it.
            self.total -= size;
            if is_open {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.total += size;
                    return Err(format!("can't remove {name}: {}", crate::text::reason(&error)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts bytes that were written to a recording.
    pub fn add(&mut self, bytes: u64) {
        self.total += bytes;
    }

    /// Takes a recording of so many bytes that is not written to any more.
    pub fn end(&mut self, name: String, bytes: u64) {
        self.ended.insert(name, bytes);
    }

    /// Forgets a recording of so many bytes that somebody has removed.
    pub fn forget(&mut self, bytes: u64) {
        self.total -= bytes;
    }

    /// Removes a recording of which nothing could be written.
    pub fn remove_empty(&self, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
    }
}

/// Whether this is the name of a recording: `2026-11-28T18-03-39.042Z-7.jsonl`.
fn is_recording(name: &str) -> bool {
    const TIME: &[u8] = b"0000-00-00T00-00-00.000Z-";
    let Some((stem, "jsonl" | "cast")) = name.rsplit_once('.') else { return false };
    let Some((time, id)) = stem.split_at_checked(TIME.len()) else { return false };
    let fits = |(is, form): (u8, &u8)| match form {
        b'0' => is.is_ascii_digit(),
        form => is == *form,
    };
    time.bytes().zip(TIME).all(fits) && !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn names_of_recordings() {
        for (name, want) in [
            ("2026-11-28T18-03-39.042Z-7.jsonl", true),
            ("2026-11-28T18-03-39.042Z-123456.cast", true),
            ("2026-11-28T18-03-39.042Z-.jsonl", false),
            ("2026-11-28T18-03-39.042Z-7.txt", false),
            ("2026-11-28T18-03-39.042Z-7", false),
            ("2026-11-28T18:03:39.042Z-7.jsonl", false),
            ("x2026-11-28T18-03-39.042Z-7.jsonl", false),
            ("2026-11-28T18-03-39.042Z-7x.jsonl", false),
            ("é026-11-28T18-03-39.042Z-7.jsonl", false),
            (".jsonl", false),
            ("jsonl", false),
            ("", false),
        ] {
            assert_eq!(is_recording(name), want, "{name}");
        }
    }

    #[test]
    fn the_oldest_go_first_and_nothing_else_goes() {
        let tmp = tempfile::tempdir().unwrap();
        let name = |n: u32| format!("2026-11-28T18-03-{n:02}.000Z-{n}.jsonl");
        let at = |name: &str| tmp.path().join(name);
        for n in 1..=4 {
            fs::write(at(&name(n)), [b'x'; 100]).unwrap();
        }
        fs::write(at("notes.jsonl"), [b'x'; 1000]).unwrap();
        fs::create_dir(at(&name(5))).unwrap();
        symlink(at("notes.jsonl"), at(&name(0))).unwrap();
        let mut dir = Directory::open(tmp.path().to_owned()).unwrap();
        assert_eq!((dir.total, dir.ended.len()), (400, 4));
        // Another wsrelay still writes the first, and somebody has removed the second.
        let open = File::open(at(&name(1))).unwrap();
        open.try_lock().unwrap();
        fs::remove_file(at(&name(2))).unwrap();
        dir.make_room(100, 500).unwrap();
        assert_eq!(dir.total, 400);
        dir.make_room(150, 400).unwrap();
        assert_eq!((dir.total, at(&name(3)).exists()), (200, true));
        dir.make_room(201, 400).unwrap();
        assert_eq!((dir.total, at(&name(3)).exists(), at(&name(4)).exists()), (100, false, true));
        dir.make_room(100, 100).unwrap();
        assert!(at(&name(1)).exists() && at("notes.jsonl").exists() && at(&name(0)).is_symlink());
        let why = dir.make_room(101, 100).unwrap_err();
        assert_eq!(why, "--record-max is reached by the recordings of open sessions");
    }

    #[test]
    fn each_session_has_a_file_of_its_own() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Directory::open(tmp.path().to_owned()).unwrap();
        let (file, first) = dir.create(UNIX_EPOCH, 7, "jsonl").unwrap();
        assert_eq!(first, "1970-01-01T00-00-00.000Z-7.jsonl");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (_, second) = dir.create(UNIX_EPOCH, 7, "jsonl").unwrap();
        assert_eq!(second, "1970-01-01T00-00-00.001Z-7.jsonl");
        assert!(is_recording(&first) && is_recording(&second));
        assert!(File::open(tmp.path().join(&first)).unwrap().try_lock().is_err(), "it is locked");
        dir.remove_empty(&first);
        assert!(!tmp.path().join(&first).exists());
    }
}
