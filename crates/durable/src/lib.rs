//! Files that are whole or not there at all: whatever happens while one is written, nobody reads half of it, and what was
//! there before stays. And folders of which nothing stays, however their owner ends.

#![deny(missing_docs)]

mod scratch;

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

pub use scratch::{Scratch, sweep};

/// What the process's umask makes of it.
const ANYBODYS: u32 = 0o666;
const OWNERS: u32 = 0o600;

/// A file that is being written, beside the place where it is to lie. Dropped, nothing is left of it.
pub struct Draft(NamedTempFile);

/// A draft that survives a crash, and has no name yet that anybody looks for.
pub struct Flushed(NamedTempFile);

impl Draft {
    /// An empty one for `path`: in the same folder, so that taking the place is one step. Whoever may read what a process
    /// like this one makes may read it.
    pub fn beside(path: &Path) -> io::Result<Draft> {
        draft(path, ANYBODYS)
    }

    /// The same, readable by its owner only, from the first byte on.
    pub fn private(path: &Path) -> io::Result<Draft> {
        draft(path, OWNERS)
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes it out to the disk. One that fails is not tried again: the pages that could not be written may be marked
    /// clean.
    pub fn finish(self) -> io::Result<Flushed> {
        self.0.as_file().sync_all()?;
        Ok(Flushed(self.0))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl From<NamedTempFile> for Draft {
    /// One that somebody else has begun, on the file system where it is to lie.
    fn from(file: NamedTempFile) -> Draft {
        Draft(file)
    }
}

impl Flushed {
    /// Puts it at `path`, in place of what is there.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        self.0.persist(path).map(drop).map_err(|error| error.error)
    }

    /// Puts it at `path`; `AlreadyExists` when anything is there, however short a time.
    pub fn create(self, path: &Path) -> io::Result<()> {
        self.0.persist_noclobber(path).map(drop).map_err(|error| error.error)
    }
}

/// Puts `bytes` at `path`, in place of what is there. When that fails, what was there stays.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::beside(path)?;
    draft.write_all(bytes)?;
    draft.finish()?.replace(path)
}

/// The same, readable by its owner only and surviving a crash under its name.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::private(path)?;
    draft.write_all(bytes)?;
    draft.finish()?.replace(path)?;
    flush_folder(folder_of(path))
}

/// Makes the names in `folder` survive a crash, as flushing the files alone does not.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(named(folder))?.sync_all()
}

/// The folder that `path` lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().map_or(path, named)
}

/// A folder as it can be opened: that of a bare file name is the working directory.
fn named(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Hidden, and named after what it is to be: whoever finds one that a crash has left knows whose it is.
fn draft(path: &Path, mode: u32) -> io::Result<Draft> {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".part").permissions(Permissions::from_mode(mode));
    builder.tempfile_in(folder_of(path)).map(Draft)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_replaced_is_whole_before_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.md");
        replace(&path, b"first").unwrap();
        let mut draft = Draft::beside(&path).unwrap();
        draft.write_all(b"sec").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        draft.write_all(b"ond").unwrap();
        draft.finish().unwrap().replace(&path).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"second".to_vec(), 1));
    }

    #[test]
    fn of_a_draft_that_is_given_up_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, "old").unwrap();
        let mut draft = Draft::beside(&path).unwrap();
        draft.write_all(b"half of the n").unwrap();
        let beside = draft.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(beside.starts_with(".weights.") && beside.ends_with(".part"), "{beside}");
        drop(draft);
        assert_eq!(
            (names(folder.path()), fs::read(&path).unwrap()),
            (vec!["weights".to_owned()], b"old".to_vec())
        );
    }

    #[test]
    fn what_is_created_takes_nobodys_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let put = |bytes: &[u8]| {
            let mut draft = Draft::private(&path)?;
            draft.write_all(bytes)?;
            draft.finish()?.create(&path)
        };
        put(b"first").unwrap();
        assert_eq!(put(b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(
            (names(folder.path()), fs::read(&path).unwrap()),
            (vec!["key.pem".to_owned()], b"first".to_vec())
        );
    }

    #[test]
    fn a_private_file_is_its_owners_alone_and_any_other_is_as_the_process_makes_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("as made"), "").unwrap();
        replace(&at("replaced"), b"").unwrap();
        let draft = Draft::private(&at("private")).unwrap();
        assert_eq!(mode(draft.path()), 0o600);
        draft.finish().unwrap().create(&at("private")).unwrap();
        assert_eq!(mode(&at("private")), 0o600);
        fs::write(at("noted"), "before").unwrap();
        replace_private(&at("noted"), b"now").unwrap();
        assert_eq!((mode(&at("noted")), fs::read(at("noted")).unwrap()), (0o600, b"now".to_vec()));
        assert_eq!(mode(&at("replaced")), mode(&at("as made")));
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(folder_of(Path::new("card.md")), Path::new("."));
        assert_eq!(folder_of(Path::new("model/card.md")), Path::new("model"));
        assert_eq!(folder_of(Path::new("/card.md")), Path::new("/"));
        flush_folder(folder_of(Path::new("card.md"))).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere/card.md");
        assert_eq!(replace(&path, b"").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(names(folder.path()).is_empty());
    }
    /// Names that are given to `Path` as bytes: no text.
    fn nameless(folder: &Path) -> std::path::PathBuf {
        use std::os::unix::ffi::OsStringExt;
        folder.join(OsString::from_vec(b"caf\xe9.bin".to_vec()))
    }

    #[test]
    fn whoever_reads_while_it_is_replaced_reads_the_one_or_the_other_whole() {
        const LENGTH: usize = 300_000;
        let folder = tempfile::tempdir().unwrap();
        let path = nameless(folder.path());
        replace(&path, &[0; LENGTH]).unwrap();
        std::thread::scope(|scope| {
            let versions = 1..20;
            let write = |byte| replace(&path, &vec![byte; LENGTH]).unwrap();
            let writer = scope.spawn(move || versions.for_each(write));
            while !writer.is_finished() {
                let bytes = fs::read(&path).unwrap();
                assert_eq!(bytes.len(), LENGTH);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "of two versions");
            }
        });
        assert!(fs::read(&path).unwrap() == [19; LENGTH]);
    }

    #[test]
    fn of_many_who_create_one_file_one_does_and_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = nameless(folder.path());
        let create = |byte: u8| {
            let mut draft = Draft::beside(&path)?;
            draft.write_all(&[byte; 5000])?;
            draft.finish()?.create(&path)
        };
        let created: Vec<u8> = std::thread::scope(|scope| {
            let tries: Vec<_> =
                (0..8).map(|byte| (byte, scope.spawn(move || create(byte)))).collect();
            let made = |(byte, attempt): (u8, std::thread::ScopedJoinHandle<io::Result<()>>)| {
                match attempt.join().unwrap() {
                    Ok(()) => Some(byte),
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
                        None
                    }
                }
            };
            tries.into_iter().filter_map(made).collect()
        });
        let [byte] = created[..] else { panic!("{created:?} have made one file") };
        assert_eq!(fs::read(&path).unwrap(), [byte; 5000]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_itself_and_what_it_leads_to_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (elsewhere, link) = (folder.path().join("elsewhere"), folder.path().join("link"));
        fs::write(&elsewhere, "theirs").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        replace(&link, b"ours").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(
            (fs::read(&link).unwrap(), fs::read(&elsewhere).unwrap()),
            (b"ours".to_vec(), b"theirs".to_vec())
        );
        // A link that leads nowhere is there all the same.
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
        let created = Draft::private(&dangling).unwrap().finish().unwrap().create(&dangling);
        assert_eq!(created.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(fs::symlink_metadata(folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn what_cannot_take_its_place_leaves_what_is_there_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "kept").unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(
            (names(folder.path()), names(&path)),
            (vec!["taken".to_owned()], vec!["inside".to_owned()])
        );
    }

    #[test]
    fn a_file_that_somebody_else_has_begun_takes_its_place_as_one_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        let mut begun = Builder::new().tempfile_in(folder.path()).unwrap();
        begun.write_all(b"first ").unwrap();
        let mut draft = Draft::from(begun);
        draft.write_all(b"second").unwrap();
        draft.finish().unwrap().create(&path).unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), names(folder.path())),
            (b"first second".to_vec(), vec!["object".to_owned()])
        );
    }
}
