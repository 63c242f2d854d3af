//! Files of targets: one, or those of a directory, read again when they have changed.
//!
//! Whoever writes a token into a file may give it away at once, so that each look-up asks whether there is a new one. A
//! file that is wrong keeps what was read of it before.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::Target;
use super::lines;
use crate::file::read_text;
use crate::text::reason;

/// A file that changed so lately may change again with the same time: file systems count it in steps of up to 10 ms.
const UNSETTLED: Duration = Duration::from_millis(100);

/// What was read, by the path of the file.
#[derive(Clone, Debug, Default)]
pub struct Files {
    by_path: BTreeMap<PathBuf, File>,
    /// Why the directory could not be read last.
    problem: Option<String>,
}

/// One file.
#[derive(Clone, Debug)]
struct File {
    version: Option<Version>,
    targets: Arc<[(String, Target)]>,
    /// Why that is of an earlier version.
    problem: Option<String>,
}

/// What tells one version of a file from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a look came to.
#[derive(Debug)]
pub struct Look {
    /// What there is now.
    pub files: Files,
    /// Whether any of it is new.
    pub is_new: bool,
    /// What went wrong, if it was not said before: of a file in a directory, with its name.
    pub problems: Vec<String>,
}

impl Files {
    /// Looks at the file or directory at `path`, and reads what has changed since. It may take as long as the disk.
    pub fn look(&self, path: &Path) -> Look {
        let mut look = Look { files: Files::default(), is_new: false, problems: Vec::new() };
        let old = |path: &Path| self.by_path.get(path);
        let listed = list(path).and_then(|listed| match listed {
            Some(paths) => {
                // One that has vanished meanwhile is none.
                for path in paths {
                    if let Some(file) = File::look(&path, old(&path)) {
                        look.add(&path, file, old(&path));
                    }
                }
                Ok(())
            }
            None => {
                let file = File::look(path, old(path)).ok_or("no such file or directory")?;
                look.add(path, file, old(path));
                Ok(())
            }
        });
        match listed {
            Ok(()) => {
                look.is_new |= self.by_path.keys().any(|one| !look.files.by_path.contains_key(one));
            }
            Err(why) => {
                if self.problem.as_ref() != Some(&why) {
                    look.problems.push(why.clone());
                }
                look.files = Files { problem: Some(why), ..self.clone() };
            }
        }
        look
    }

    /// All tokens and their targets. Of a token that is there twice the last one counts.
    pub fn targets(&self) -> impl Iterator<Item = &(String, Target)> {
        self.by_path.values().flat_map(|file| file.targets.iter())
    }
}

impl Look {
    fn add(&mut self, path: &Path, file: File, old: Option<&File>) {
        self.is_new |= old.is_none_or(|old| !Arc::ptr_eq(&old.targets, &file.targets));
        if let Some(why) = &file.problem
            && old.is_none_or(|old| old.problem.as_ref() != Some(why))
        {
            let name = path.file_name().unwrap_or_default().display();
            self.problems.push(format!("{name}: {why}"));
        }
        self.files.by_path.insert(path.to_owned(), file);
    }
}

impl File {
    /// The file now; `None` if there is none.
    fn look(path: &Path, old: Option<&File>) -> Option<Self> {
        let version = Version::of(path).ok()?;
        if let Some(old) = old
            && old.version == version
            && version.is_some()
        {
            return Some(old.clone());
        }
        let read = read_text(path);
        let parsed = read.as_ref().map_err(String::clone).and_then(|text| {
            let targets = lines::parse(text)?;
            Ok(targets.into_iter().map(|(token, to)| (token.to_owned(), to)).collect::<Vec<_>>())
        });
        let (targets, problem) = match parsed {
            Ok(targets) => match old.filter(|old| *old.targets == *targets) {
                Some(same) => (same.targets.clone(), None),
                None => (targets.into(), None),
            },
            Err(why) => (File::targets_of(old), Some(why)),
        };
        Some(File { version, targets, problem })
    }

    fn targets_of(old: Option<&File>) -> Arc<[(String, Target)]> {
        old.map_or_else(|| Arc::from([]), |old| old.targets.clone())
    }
}

impl Version {
    /// `None`: it has to be read again next time.
    fn of(path: &Path) -> std::io::Result<Option<Self>> {
        let found = fs::metadata(path)?;
        Ok(Version::is_settled(&found).then(|| Version {
            file: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }))
    }

    /// Whether a later change will have another time.
    fn is_settled(found: &Metadata) -> bool {
        let since = |at: SystemTime| SystemTime::now().duration_since(at).unwrap_or_default();
        let changed = Duration::new(found.ctime().max(0) as u64, found.ctime_nsec() as u32);
        let changed = SystemTime::UNIX_EPOCH + changed;
        found.modified().is_ok_and(|modified| since(modified.max(changed)) > UNSETTLED)
    }
}

/// The files of a directory in the order of their names; hidden ones, which editors leave there, are none. `None`: it is
/// a file.
fn list(path: &Path) -> Result<Option<Vec<PathBuf>>, String> {
    let found = fs::metadata(path).map_err(|e| reason(&e))?;
    if found.is_file() {
        return Ok(None);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| reason(&e))? {
        let entry = entry.map_err(|e| reason(&e))?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // Links are followed: where a volume is mounted, they are what changes.
        if !is_hidden && fs::metadata(entry.path()).is_ok_and(|found| found.is_file()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(Some(paths))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
