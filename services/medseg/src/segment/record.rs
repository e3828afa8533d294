use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What tells a file or a folder from what was there under its name before.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Fingerprint {
    /// Of the file in it that was changed last, in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    pub files: u64,
    pub bytes: u64,
}

/// A line of the record.
#[derive(Deserialize, Serialize)]
pub struct Entry {
    /// The name in the folder that is watched.
    pub name: String,
    #[serde(flatten)]
    pub fingerprint: Fingerprint,
    /// What each of its scans has come to.
    pub answers: Vec<String>,
    /// The folders with their results, below the record's own.
    pub folders: Vec<String>,
}

/// What has been done, one JSON object a line, held by one process at a time.
pub struct Record {
    file: File,
    done: HashMap<String, Fingerprint>,
}

impl Record {
    /// Reads the record at `path`, made if it is missing.
    ///
    /// Of a line that a crash has cut off nothing stays, and a line that cannot be read is passed over: what it was about is
    /// done again.
    pub fn open(path: &Path) -> anyhow::Result<Record> {
        let unusable = || format!("the record {} cannot be used", path.display());
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).append(true).create(true).open(path).with_context(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another medseg writes the record {}: stop it first", path.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(unusable),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(unusable)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        file.set_len(whole as u64).with_context(unusable)?;
        let done = lines(&text[..whole]).map(|entry| (entry.name, entry.fingerprint)).collect();
        Ok(Record { file, done })
    }

    /// Whether what is called so, and looks so, has been done.
    pub fn has(&self, name: &str, fingerprint: &Fingerprint) -> bool {
        self.done.get(name) == Some(fingerprint)
    }

    /// Returns once the entry will survive a crash.
    pub fn add(&mut self, entry: Entry) -> anyhow::Result<()> {
        let line = format!("{}\n", serde_json::to_string(&entry)?);
        self.append(&line).context("the record cannot be written")?;
        self.done.insert(entry.name, entry.fingerprint);
        Ok(())
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()
    }
}

/// What the record at `path` tells, the oldest first, whoever writes it meanwhile; nothing where there is none yet.
pub fn entries(path: &Path) -> anyhow::Result<Vec<Entry>> {
    match fs::read(path) {
        Ok(text) => Ok(lines(&text).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            Err(error).with_context(|| format!("the record {} cannot be read", path.display()))
        }
    }
}

/// The lines that can be read.
fn lines(text: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(name: &str, bytes: u64) -> Entry {
        Entry {
            name: name.to_owned(),
            fingerprint: Fingerprint { modified_ns: 1, files: 1, bytes },
            answers: vec!["found".to_owned()],
            folders: vec![name.to_owned()],
        }
    }

    #[test]
    fn what_was_done_is_known_after_a_restart_and_a_line_that_was_cut_off_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watched.jsonl");
        let mut record = Record::open(&path).unwrap();
        record.add(entry("a", 1)).unwrap();
        record.add(entry("b", 1)).unwrap();
        drop(record);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();

        let mut record = Record::open(&path).unwrap();
        let has =
            |record: &Record, name: &str, bytes| record.has(name, &entry(name, bytes).fingerprint);
        assert_eq!(["a", "b"].map(|name| has(&record, name, 1)), [true, false]);
        // Another file of that name is another scan.
        assert!(!has(&record, "a", 2));
        record.add(entry("a", 2)).unwrap();
        drop(record);
        let record = Record::open(&path).unwrap();
        assert_eq!([1, 2].map(|bytes| has(&record, "a", bytes)), [false, true]);
    }

    #[test]
    fn a_record_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watched.jsonl");
        let held = Record::open(&path).unwrap();
        let error = Record::open(&path).err().unwrap().to_string();
        assert!(error.starts_with("another medseg writes"), "{error}");
        drop(held);
        Record::open(&path).unwrap();
    }
}
