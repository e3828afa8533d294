use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};

/// The modes of a directory and of a file that names patients: for their owner alone.
const PRIVATE_FOLDER_MODE: u32 = 0o700;
const PRIVATE_FILE_MODE: u32 = 0o600;

/// The data directory of `medseg serve`, locked by one process, and the places in it.
///
/// Nobody but its owner reads anything there: whatever the process makes from now on, here and elsewhere, is its own.
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
        service::keep_private();
        let mut private = DirBuilder::new();
        private.recursive(true).mode(PRIVATE_FOLDER_MODE).create(folder).map_err(unusable)?;
        let folder = folder.canonicalize().map_err(unusable)?;
        make_private(&folder).map_err(unusable)?;
        let lock = File::create(folder.join("lock")).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ErrorKind::Conflict
                .error(format!("another medseg runs on {}: stop it first", folder.display())),
            TryLockError::Error(error) => unusable(error),
        })?;
        Ok(Home { folder, _lock: lock })
    }

    /// Opens a directory that `medseg serve` has made, for this process alone. A mistyped name must not make one.
    pub fn existing(folder: &Path) -> Result<Home> {
        let database = folder.join("auth.db");
        match database.try_exists() {
            Ok(true) => Home::open(folder),
            _ => Err(ErrorKind::NotFound.error(format!(
                "{} is no data directory of `medseg serve`: name it with --data",
                folder.display()
            ))),
        }
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

    /// Apart from the scans' objects: what belongs to no scan is deleted there.
    pub fn model_url(&self) -> String {
        format!("file://{}/models", self.folder.display())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Takes other users' permissions from files of earlier versions, or of a restored backup.
///
/// The objects beneath are looked through only where the directory itself was open: there may be very many.
fn make_private(folder: &Path) -> io::Result<()> {
    let was_open = make_one_private(folder, &fs::metadata(folder)?)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() && was_open {
            make_all_private(&entry.path())?;
        }
        make_one_private(&entry.path(), &about)?;
    }
    Ok(())
}

fn make_all_private(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            make_all_private(&entry.path())?;
        }
        make_one_private(&entry.path(), &about)?;
    }
    Ok(())
}

/// Whether it was open; links are left alone: what they lead to is somebody else's.
fn make_one_private(path: &Path, about: &Metadata) -> io::Result<bool> {
    let wanted = if about.is_dir() { PRIVATE_FOLDER_MODE } else { PRIVATE_FILE_MODE };
    let open = !about.is_symlink() && about.permissions().mode() & 0o777 & !wanted != 0;
    if open {
        fs::set_permissions(path, Permissions::from_mode(wanted))?;
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_an_earlier_version_left_open_is_closed() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("data");
        let (database, object) = (folder.join("storage.db"), folder.join("objects/tenant/scan"));
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        for file in [&database, &object] {
            fs::write(file, "a patient").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
        for folder in [&folder, &folder.join("objects"), &folder.join("objects/tenant")] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        let home = Home::open(&folder).unwrap();
        let folders = [folder.clone(), folder.join("objects"), folder.join("objects/tenant")];
        assert_eq!(folders.map(|folder| mode(&folder)), [0o700; 3]);
        assert_eq!([database, object, folder.join("lock")].map(|file| mode(&file)), [0o600; 3]);

        // And whatever comes to lie there.
        let later = home.path("queue.db");
        fs::write(&later, "").unwrap();
        assert_eq!(mode(&later), 0o600);
    }
}
