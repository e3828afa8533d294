use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;
use durable::Scratch;
use tokio::task::spawn_blocking;

/// Letters of a folder's name that are taken of an entry's.
const ENTRY_LETTERS_MAX: usize = 64;

/// The folder that results go to.
pub struct Results(PathBuf);

/// A folder that is being filled, hidden beside its place. Dropped, nothing is left of it.
pub struct Staged {
    folder: Scratch,
    out: PathBuf,
}

impl Results {
    /// Makes the folder where it is missing, and deletes what a process that was killed was about to put there.
    pub fn open(out: &Path) -> anyhow::Result<Results> {
        let unusable = || format!("the results' folder {} cannot be used", out.display());
        fs::create_dir_all(out).with_context(unusable)?;
        let out = out.canonicalize().with_context(unusable)?;
        durable::sweep(&out);
        Ok(Results(out))
    }

    /// Where they are, without links.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// An empty folder for the results of one input.
    pub fn stage(&self) -> anyhow::Result<Staged> {
        let folder = Scratch::new_in(&self.0);
        let folder = folder.with_context(|| format!("cannot write in {}", self.0.display()))?;
        Ok(Staged { folder, out: self.0.clone() })
    }
}

impl Staged {
    /// The folder of that name in it, which is made; with an empty name, itself.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).with_context(|| unwritable(&folder))?;
        Ok(folder)
    }

    /// Gives it the name `name`, or `name-2` and so on where that is taken: in one step, so that nobody finds half of it.
    pub async fn publish(self, name: &str) -> anyhow::Result<PathBuf> {
        let name = name.to_owned();
        spawn_blocking(move || {
            let place = self.renamed(&name).with_context(|| unwritable(&self.out))?;
            // It is no longer where it was made.
            self.folder.keep();
            Ok(place)
        })
        .await?
    }

    fn renamed(&self, name: &str) -> io::Result<PathBuf> {
        durable::flush_folder(self.folder.path())?;
        let numbered = (2_u64..).map(|number| format!("{name}-{number}"));
        for name in [name.to_owned()].into_iter().chain(numbered) {
            let place = self.out.join(name);
            match fs::rename(self.folder.path(), &place) {
                Ok(()) => {
                    durable::flush_folder(&self.out)?;
                    return Ok(place);
                }
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// Whether a folder cannot be renamed because something lies there: a folder that is not empty, or a file.
fn is_taken(error: &io::Error) -> bool {
    let taken = [ErrorKind::DirectoryNotEmpty, ErrorKind::AlreadyExists, ErrorKind::NotADirectory];
    taken.contains(&error.kind())
}

/// Writes a file whole, and for good.
pub async fn write(path: PathBuf, content: Vec<u8>) -> anyhow::Result<()> {
    spawn_blocking(move || durable::replace(&path, &content).with_context(|| unwritable(&path)))
        .await?
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// The folder of one of several scans that came together: unique, and still tells which one it is.
pub fn entry_name(index: usize, name: &str) -> String {
    let last = name.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let safe = |letter: char| {
        if letter.is_alphanumeric() || "-_.".contains(letter) { letter } else { '_' }
    };
    let letters: String = last.chars().take(ENTRY_LETTERS_MAX).map(safe).collect();
    format!("{:04}-{letters}", index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn published(results: &Results, name: &str, content: &str) -> PathBuf {
        let staged = results.stage().unwrap();
        write(staged.folder("").unwrap().join("result.json"), content.into()).await.unwrap();
        staged.publish(name).await.unwrap()
    }

    #[tokio::test]
    async fn what_has_a_name_keeps_it_and_the_next_gets_a_number() {
        let out = tempfile::tempdir().unwrap();
        let results = Results::open(&out.path().join("made/below")).unwrap();
        fs::write(results.path().join("file"), "a file of that name").unwrap();
        let mut places = Vec::new();
        for (name, content) in [("scan", "1"), ("scan", "2"), ("scan", "3"), ("file", "4")] {
            places.push((published(&results, name, content).await, content));
        }
        let names: Vec<_> = places.iter().map(|(place, _)| place.file_name().unwrap()).collect();
        assert_eq!(names, ["scan", "scan-2", "scan-3", "file-2"]);
        for (place, content) in places {
            assert_eq!(fs::read_to_string(place.join("result.json")).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn of_what_is_given_up_nothing_is_left() {
        let out = tempfile::tempdir().unwrap();
        let results = Results::open(out.path()).unwrap();
        let staged = results.stage().unwrap();
        write(staged.folder("below").unwrap().join("mask.png"), vec![1]).await.unwrap();
        drop(staged);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_entry_leaves_the_folder() {
        assert_eq!(entry_name(0, "series/slice 7.dcm"), "0001-slice_7.dcm");
        assert_eq!(entry_name(41, "../../etc/passwd"), "0042-passwd");
        assert_eq!(entry_name(1, ".."), "0002-..");
        assert_eq!(entry_name(1, r"C:\x"), "0002-C__x");
        assert_eq!(entry_name(2, ""), "0003-");
    }
}
