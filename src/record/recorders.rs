//! Recorders: those of a configuration, one for each directory. They go on over a reload.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::recorder::Recorder;
use crate::error::StartError;
use crate::open_files::OpenFiles;
use crate::text::reason;

/// The recorders of a configuration, by directory.
#[derive(Debug, Default)]
pub struct Recorders(OpenFiles<PathBuf, Recorder>);

impl Recorders {
    /// None yet; those of `old` are used again for the same directories.
    pub fn after(old: Option<&Recorders>) -> Self {
        Recorders(OpenFiles::after(old.map(|old| &old.0)))
    }

    /// The recorder of a directory, however its path is written.
    ///
    /// # Errors
    /// If the directory is not there, or can't be written to.
    pub fn get(&mut self, dir: &Path) -> Result<Arc<Recorder>, StartError> {
        let path = fs::canonicalize(dir).map_err(|error| {
            let (dir, why) = (dir.display(), reason(&error));
            StartError::Environment(format!(
                "can't record into {dir}: {why}: make it, or drop --record"
            ))
        })?;
        self.0.get(&path, |path| Recorder::open(&path))
    }

    /// Drops what only the previous configuration has, and sets how many bytes each directory may have.
    pub fn settle(&mut self, max: u64) {
        self.0.settle();
        self.0.iter().for_each(|recorder| recorder.set_max(max));
    }
}
