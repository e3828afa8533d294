use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

/// Hidden, and like nothing that anybody else calls a folder: by its name a sweep knows what it may delete.
const PREFIX: &str = ".medseg-";
const SUFFIX: &str = ".part";
/// Letters and digits between the two.
const LETTERS: usize = 6;
/// How often another folder is made in place of one that a sweep took for a dead owner's.
const TRIES: usize = 16;

/// A folder for what is worked on. Dropped, nothing is left of it; what an owner leaves that is killed goes with the next
/// [`sweep`], which knows it by a lock that the kernel gives up with its owner.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    /// Last, so that nobody takes it for a dead owner's while it is deleted. None where folders cannot be locked.
    _lock: Option<File>,
}

impl Scratch {
    /// An empty one where temporary files belong (`TMPDIR`, made where it is missing), once what dead owners have left
    /// there is deleted.
    pub fn temporary() -> io::Result<Scratch> {
        let place = std::env::temp_dir();
        fs::create_dir_all(&place)?;
        sweep(&place);
        Scratch::new_in(&place)
    }

    /// An empty one in that folder.
    pub fn new_in(place: &Path) -> io::Result<Scratch> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(LETTERS);
        for _ in 0..TRIES {
            let folder = builder.tempdir_in(place)?;
            match lock(folder.path()) {
                Ok(Some(lock)) => return Ok(Scratch { folder, _lock: Some(lock) }),
                // A sweep has come between the making and the lock.
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // Some network file systems lock no folders, for a sweep as little as here: it leaves what it finds.
                Err(_) => return Ok(Scratch { folder, _lock: None }),
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Lets the folder be, as one that has been given another name is no longer where it was made.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// Deletes what dead owners have left in that folder. What lives is left, and so is what cannot be deleted: it is no reason
/// not to begin.
pub fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && entry.file_name().to_str().is_some_and(is_scratch) {
            let path = entry.path();
            // Held meanwhile: whoever makes one of that name then sees that it is not theirs.
            if let Ok(Some(_lock)) = lock(&path) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

fn is_scratch(name: &str) -> bool {
    let letters = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    letters.is_some_and(|letters| {
        letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// The lock of the folder at `path`; None where another has it, or where the folder was deleted before it was locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = File::open(path)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let (locked, there) = (folder.metadata()?, fs::symlink_metadata(path)?);
    let same = (locked.dev(), locked.ino()) == (there.dev(), there.ino());
    Ok(same.then_some(folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What a killed owner leaves: nobody has it locked.
    fn left_by_the_dead(place: &Path) -> PathBuf {
        let folder = place.join(".medseg-a1B2c3.part");
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("below/volume"), "of a patient").unwrap();
        folder
    }

    fn is_there(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    #[test]
    fn what_a_dead_owner_left_goes_and_what_a_living_one_works_on_stays() {
        let place = tempfile::tempdir().unwrap();
        let dead = left_by_the_dead(place.path());
        let living = Scratch::new_in(place.path()).unwrap();
        fs::write(living.path().join("volume"), "of a patient").unwrap();
        sweep(place.path());
        assert!(!is_there(&dead));
        assert!(is_there(&living.path().join("volume")));
        let path = living.path().to_owned();
        drop(living);
        assert!(!is_there(&path));
    }

    #[test]
    fn nothing_of_another_name_is_swept_and_no_link_is_followed() {
        let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = elsewhere.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        let names = [".medseg-longer-than.part", ".medseg-a1B2c3", "medseg-a1B2c3.part"];
        for name in names {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        symlink(&theirs, place.path().join(".medseg-linked.part")).unwrap();
        fs::write(place.path().join(".medseg-afile0.part"), "a file").unwrap();
        sweep(place.path());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), names.len() + 2);
        assert!(is_there(&theirs));
    }

    #[test]
    fn one_that_has_another_name_is_kept_with_what_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::new_in(place.path()).unwrap();
        fs::write(scratch.path().join("result"), "1").unwrap();
        fs::rename(scratch.path(), place.path().join("scan")).unwrap();
        scratch.keep();
        sweep(place.path());
        assert_eq!(fs::read_to_string(place.path().join("scan/result")).unwrap(), "1");
    }

    #[test]
    fn however_many_sweep_while_folders_are_made_each_owner_keeps_its_own() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let owner = || {
                for _ in 0..50 {
                    let scratch = Scratch::new_in(place.path()).unwrap();
                    fs::write(scratch.path().join("volume"), "1").unwrap();
                    sweep(place.path());
                    assert!(is_there(&scratch.path().join("volume")));
                }
            };
            for _ in 0..4 {
                scope.spawn(owner);
            }
        });
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_to_work_in_and_nothing_to_sweep() {
        let place = tempfile::tempdir().unwrap();
        let nowhere = place.path().join("nowhere");
        sweep(&nowhere);
        assert_eq!(Scratch::new_in(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
