use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};

/// The directory that one process keeps everything in, and what lies where in it.
pub struct Home {
    folder: PathBuf,
    /// Held for as long as the process lives: two processes on one directory would undo each other's work.
    _lock: File,
}

impl Home {
    /// Opens the directory, made if it is missing, for this process alone.
    pub fn open(folder: &Path) -> Result<Home> {
        let unusable = |error| {
            let what = format!("the data directory {} cannot be used", folder.display());
            ErrorKind::Invalid.error(what).because(error)
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        let folder = folder.canonicalize().map_err(unusable)?;
        let lock = File::create(folder.join("lock")).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ErrorKind::Conflict
                .error(format!("another medseg runs on {}: stop it first", folder.display())),
            TryLockError::Error(error) => unusable(error),
        })?;
        Ok(Home { folder, _lock: lock })
    }

    /// A database of its own for each service, as in the mesh.
    pub fn database_url(&self, service: &str) -> String {
        format!("sqlite://{}/{service}.db?mode=rwc", self.folder.display())
    }

    pub fn queue_url(&self) -> String {
        format!("sqlite://{}/queue.db", self.folder.display())
    }

    pub fn blob_url(&self) -> String {
        format!("file://{}/objects", self.folder.display())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
