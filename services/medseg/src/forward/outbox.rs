use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use domain::hex;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::segment::record::{Entry, Fingerprint, entries};
use crate::segment::watch::{RECORD, spelled};

/// Among the results: what has become of each scan, a file for each.
const NOTES: &str = "forwarded";
/// Held by the one process that forwards from there.
const LOCK: &str = "lock";
/// What the record says of files that are no scans: they would be refused at the other end as well.
const REFUSED: &str = "refused";

/// What is to be sent: what the record tells of, but for what a note is there of. There is no other state, so that a crash
/// leaves a scan either noted or to be sent.
pub struct Outbox {
    folder: PathBuf,
    results: PathBuf,
    notes: PathBuf,
    _lock: File,
}

/// What is not noted.
#[derive(Default)]
pub struct Due {
    /// The oldest first.
    pub waiting: Vec<Waiting>,
    /// The names of what is no longer there, or no longer as it was.
    pub gone: Vec<String>,
}

/// A file or a folder that is to be sent.
pub struct Waiting {
    pub path: PathBuf,
    /// What its note is called.
    pub note: String,
    entry: Entry,
    results: PathBuf,
}

/// What has become of a scan, for good.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Fate {
    /// The other end keeps it, there.
    Sent { location: String },
    /// The other end will not have it, and says why (RFC 9457).
    Refused { problem: Value },
}

#[derive(Serialize)]
struct Note<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    to: &'a str,
    #[serde(flatten)]
    fate: &'a Fate,
}

impl Outbox {
    /// Of a watched folder and its results. Those are made by whoever watches: a mistyped name must not make some.
    pub fn open(folder: &Path, results: &Path) -> anyhow::Result<Outbox> {
        let unusable = |path: &Path| format!("the folder {} cannot be used", path.display());
        let folder = folder.canonicalize().with_context(|| unusable(folder))?;
        let results = results.canonicalize().with_context(|| unusable(results))?;
        let notes = results.join(NOTES);
        match fs::create_dir(&notes) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| unusable(&notes));
            }
            _ => durable::flush_folder(&results).with_context(|| unusable(&results))?,
        }
        let lock = File::create(notes.join(LOCK)).with_context(|| unusable(&notes))?;
        match lock.try_lock() {
            Ok(()) => Ok(Outbox { folder, results, notes, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another medseg forwards from {}: stop it first", results.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| unusable(&notes)),
        }
    }

    /// What comes to be watched.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is to be sent now.
    pub fn due(&self) -> anyhow::Result<Due> {
        let noted = self.noted()?;
        let record = entries(&self.results.join(RECORD))?.into_iter();
        let is_scan = |entry: &Entry| entry.answers.iter().any(|answer| answer != REFUSED);
        let record = record.filter(is_scan).map(|entry| (note_of(&entry), entry));
        // A scan that was done again, because its line was deleted, has two.
        let unsent: HashMap<_, _> = record.filter(|(note, _)| !noted.contains(note)).collect();
        let mut due = Due::default();
        if unsent.is_empty() {
            return Ok(due);
        }
        let there = self.there()?;
        for (note, entry) in unsent {
            let results = self.results.clone();
            match there.get(&entry.name) {
                Some(path) if Fingerprint::of(path) == Some(entry.fingerprint) => {
                    due.waiting.push(Waiting { path: path.clone(), note, entry, results });
                }
                _ => due.gone.push(entry.name),
            }
        }
        due.gone.sort();
        let age = |waiting: &Waiting| (waiting.entry.fingerprint, waiting.entry.name.clone());
        due.waiting.sort_by_cached_key(age);
        Ok(due)
    }

    /// Returns once the note will survive a crash.
    pub fn note(&self, waiting: &Waiting, to: &str, fate: &Fate) -> anyhow::Result<()> {
        let note = serde_json::to_vec_pretty(&Note { entry: &waiting.entry, to, fate })?;
        let path = self.notes.join(&waiting.note);
        let written =
            durable::replace(&path, &note).and_then(|()| durable::flush_folder(&self.notes));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    fn noted(&self) -> anyhow::Result<HashSet<String>> {
        let text = |name: OsString| name.to_string_lossy().into_owned();
        names(&self.notes)?.map(|name| name.map(text)).collect()
    }

    /// What lies in the folder, by its name in the record.
    fn there(&self) -> anyhow::Result<HashMap<String, PathBuf>> {
        names(&self.folder)?
            .map(|name| name.map(|name| (spelled(&name), self.folder.join(&name))))
            .collect()
    }
}

impl Waiting {
    /// The folder with this side's result, or with those of all its scans.
    pub fn folder(&self) -> Option<PathBuf> {
        let first = Path::new(self.entry.folders.first()?).iter().next()?;
        Some(self.results.join(first))
    }

    /// Whether it is still what was analysed.
    pub fn is_unchanged(&self) -> bool {
        Fingerprint::of(&self.path) == Some(self.entry.fingerprint)
    }
}

fn names(folder: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<OsString>>> {
    let unreadable = move || format!("the folder {} cannot be read", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    Ok(entries.map(move |entry| Ok(entry.with_context(unreadable)?.file_name())))
}

/// What the note is called of a file or folder that is called so and looks so.
fn note_of(entry: &Entry) -> String {
    let Fingerprint { modified_ns, files, bytes } = entry.fingerprint;
    let looks = format!("{modified_ns} {files} {bytes} {}", entry.name);
    format!("{}.json", &hex(&Sha256::digest(looks))[..32])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            let place = Place(tempfile::tempdir().unwrap());
            for folder in ["inbox", "results"] {
                fs::create_dir(place.0.path().join(folder)).unwrap();
            }
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn outbox(&self) -> Outbox {
            Outbox::open(&self.at("inbox"), &self.at("results")).unwrap()
        }

        /// A scan that came, and came to that.
        fn analysed(&self, name: &str, content: &str, answer: &str) {
            let path = self.at("inbox").join(name);
            fs::write(&path, content).unwrap();
            let entry = Entry {
                name: name.to_owned(),
                fingerprint: Fingerprint::of(&path).unwrap(),
                answers: vec![answer.to_owned()],
                folders: vec![format!("{name}-folder/0001-one")],
            };
            let record = self.at("results").join(RECORD);
            let record = fs::OpenOptions::new().append(true).create(true).open(record);
            let mut record = record.unwrap();
            writeln!(record, "{}", serde_json::to_string(&entry).unwrap()).unwrap();
        }
    }

    fn names(due: &Due) -> Vec<&str> {
        due.waiting.iter().map(|waiting| &*waiting.entry.name).collect()
    }

    fn sent() -> Fate {
        Fate::Sent { location: "/v1/scans/1".to_owned() }
    }

    #[test]
    fn what_was_analysed_waits_until_it_is_noted_also_after_a_restart() {
        let place = Place::new();
        assert!(place.outbox().due().unwrap().waiting.is_empty(), "there is no record yet");
        place.analysed("a.png", "1", "found");
        place.analysed("b.png", "2", "failed");
        place.analysed("notes.txt", "3", "refused");
        let outbox = place.outbox();
        let due = outbox.due().unwrap();
        assert_eq!(names(&due), ["a.png", "b.png"]);
        let results = place.at("results").canonicalize().unwrap();
        assert_eq!(due.waiting[0].folder(), Some(results.join("a.png-folder")));
        outbox.note(&due.waiting[0], "http://centre/", &sent()).unwrap();
        let refused = Fate::Refused { problem: json!({ "status": 422 }) };
        drop(outbox);
        let outbox = place.outbox();
        let due = outbox.due().unwrap();
        assert_eq!(names(&due), ["b.png"]);
        outbox.note(&due.waiting[0], "http://centre/", &refused).unwrap();
        assert!(outbox.due().unwrap().waiting.is_empty());
        let note = fs::read(place.at("results/forwarded").join(&due.waiting[0].note)).unwrap();
        let note: Value = serde_json::from_slice(&note).unwrap();
        let said = ["name", "state", "to"].map(|field| note[field].as_str().unwrap());
        assert_eq!(said, ["b.png", "refused", "http://centre/"]);
        assert_eq!(note["problem"]["status"], 422);
    }

    #[test]
    fn what_took_a_names_place_is_another_scan_and_what_is_gone_is_told() {
        let place = Place::new();
        place.analysed("a.png", "1", "found");
        place.analysed("b.png", "1", "found");
        let outbox = place.outbox();
        outbox.note(&outbox.due().unwrap().waiting[0], "http://centre/", &sent()).unwrap();
        place.analysed("a.png", "12", "none_found");
        fs::remove_file(place.at("inbox/b.png")).unwrap();
        let due = outbox.due().unwrap();
        assert_eq!(names(&due), ["a.png"]);
        assert_eq!(due.gone, ["b.png"]);
        assert!(due.waiting[0].is_unchanged());
        fs::write(place.at("inbox/a.png"), "123").unwrap();
        assert!(!due.waiting[0].is_unchanged());
    }

    #[test]
    fn one_process_forwards_and_a_mistyped_folder_is_not_made() {
        let place = Place::new();
        let held = place.outbox();
        let again = Outbox::open(&place.at("inbox"), &place.at("results"));
        let error = again.err().unwrap().to_string();
        assert!(error.starts_with("another medseg forwards from"), "{error}");
        drop(held);
        assert!(Outbox::open(&place.at("inbox"), &place.at("result")).is_err());
        assert!(fs::metadata(place.at("result")).is_err());
    }
}
