use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, PartialUploadId, Result};
use proto::ingest::partial_upload;
use proto::ingest::{UploadBeginning, UploadContents, UploadHeader};
use proto::storage::Refusal;
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::spool::{lying_in, unusable};

const FACTS: &str = "json";
const BYTES: &str = "bytes";
/// Folders that are made with the first upload, below one that is there: for all, for a hospital, for those of one state.
const LEVELS: usize = 3;

/// What is known of an upload, as it lies beside its bytes. Never logged: it may name a patient.
#[derive(Clone, Deserialize, Serialize)]
pub struct Facts {
    pub user: String,
    pub contents: Contents,
    pub size_bytes: u64,
    /// So many bytes are on the disk for sure. What the file has beyond them, a crash may have left.
    pub kept_bytes: u64,
    /// When the last of them came, in milliseconds since 1970.
    pub touched_ms: i64,
    pub outcome: Option<Outcome>,
    idempotency_key: String,
    file_name: String,
    priority: i32,
    reference: String,
    patient_id: String,
    accession_number: String,
    site: String,
    /// Absent in what a version before has written.
    #[serde(default)]
    series: String,
    /// When the upload began; 0: a version before has written it, and did not say.
    #[serde(default)]
    begun_ms: i64,
}

/// What the bytes are taken for.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub enum Contents {
    File,
    Files,
    Batch,
}

/// What a whole upload has become.
#[derive(Clone, Deserialize, Serialize)]
pub enum Outcome {
    Scan(String),
    Batch(String),
    Refusal(Refusal),
}

impl Facts {
    /// Of an upload that begins now.
    pub fn of(owner: &Owner, beginning: UploadBeginning, now_ms: i64) -> Result<Facts> {
        let contents = match beginning.contents() {
            UploadContents::File => Contents::File,
            UploadContents::Files => Contents::Files,
            UploadContents::Batch => Contents::Batch,
            UploadContents::Unspecified => {
                return Err(ErrorKind::Invalid.error("an upload says what its bytes are"));
            }
        };
        let UploadBeginning { header, size_bytes, .. } = beginning;
        let header =
            header.ok_or_else(|| ErrorKind::Invalid.error("an upload begins with its header"))?;
        Ok(Facts {
            user: owner.user.clone(),
            contents,
            size_bytes,
            kept_bytes: 0,
            touched_ms: now_ms,
            outcome: None,
            idempotency_key: header.idempotency_key,
            file_name: header.file_name,
            priority: header.priority,
            reference: header.reference,
            patient_id: header.patient_id,
            accession_number: header.accession_number,
            site: header.site,
            series: header.series,
            begun_ms: now_ms,
        })
    }

    /// What goes before the upload when it is whole. Without a key of its sender's it has one of its own, so that however often it
    /// is looked at, it becomes one scan.
    pub fn header(&self, id: PartialUploadId) -> UploadHeader {
        let own_key = || format!("upload {id}");
        let key = Some(self.idempotency_key.clone()).filter(|key| !key.is_empty());
        UploadHeader {
            idempotency_key: key.unwrap_or_else(own_key),
            file_name: self.file_name.clone(),
            priority: self.priority,
            reference: self.reference.clone(),
            patient_id: self.patient_id.clone(),
            accession_number: self.accession_number.clone(),
            site: self.site.clone(),
            series: self.series.clone(),
            received_ms: self.begun_ms,
        }
    }

    /// The same of an upload that has become something: what its sender states of it, that has from here on.
    pub fn closed(&self, outcome: Outcome, now_ms: i64) -> Facts {
        Facts {
            outcome: Some(outcome),
            touched_ms: now_ms,
            file_name: String::new(),
            reference: String::new(),
            patient_id: String::new(),
            accession_number: String::new(),
            ..self.clone()
        }
    }

    pub fn is_whole(&self) -> bool {
        self.kept_bytes == self.size_bytes
    }

    /// None where there are none.
    pub fn load(path: &Path) -> Result<Option<Facts>> {
        let json = match fs::read(path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        serde_json::from_slice(&json).map(Some).map_err(|error| {
            ErrorKind::Internal.error("an upload's facts are broken").because(error)
        })
    }

    /// Returns once they, and whatever lies beside them, survive a crash.
    pub fn save(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| {
            ErrorKind::Internal.error("an upload's facts cannot be written").because(error)
        })?;
        durable::replace_private(path, &json).map_err(unusable)
    }
}

impl From<partial_upload::Outcome> for Outcome {
    fn from(outcome: partial_upload::Outcome) -> Outcome {
        match outcome {
            partial_upload::Outcome::ScanId(id) => Outcome::Scan(id),
            partial_upload::Outcome::BatchId(id) => Outcome::Batch(id),
            partial_upload::Outcome::Refusal(refusal) => Outcome::Refusal(refusal),
        }
    }
}

impl From<Outcome> for partial_upload::Outcome {
    fn from(outcome: Outcome) -> partial_upload::Outcome {
        match outcome {
            Outcome::Scan(id) => partial_upload::Outcome::ScanId(id),
            Outcome::Batch(id) => partial_upload::Outcome::BatchId(id),
            Outcome::Refusal(refusal) => partial_upload::Outcome::Refusal(refusal),
        }
    }
}

/// Where the files of one upload lie.
#[derive(Clone)]
pub struct Place {
    /// What is known of it while it is not whole, and its bytes.
    pub facts: PathBuf,
    pub bytes: PathBuf,
    /// The same facts, with what has become of it.
    pub done: PathBuf,
}

impl Place {
    pub fn of(tenant: &Path, id: PartialUploadId) -> Place {
        let (open, done) = (Place::open(tenant), Place::closed(tenant));
        Place {
            facts: open.join(format!("{id}.{FACTS}")),
            bytes: open.join(format!("{id}.{BYTES}")),
            done: done.join(format!("{id}.{FACTS}")),
        }
    }

    /// Where a hospital's unfinished uploads lie.
    pub fn open(tenant: &Path) -> PathBuf {
        tenant.join("open")
    }

    /// Where it is noted what has become of the others.
    pub fn closed(tenant: &Path) -> PathBuf {
        tenant.join("done")
    }

    pub fn make_folders(&self) -> Result<()> {
        for folder in [&self.facts, &self.done].map(|path| durable::folder_of(path)) {
            fs::create_dir_all(folder).map_err(unusable)?;
            // A folder that a crash takes away takes all that lies in it along.
            for above in folder.ancestors().skip(1).take(LEVELS) {
                durable::flush_folder(above).map_err(unusable)?;
            }
        }
        Ok(())
    }

    /// What is known of it; nothing where there is no such upload.
    pub fn read(&self) -> Result<Option<Facts>> {
        // Whoever closes it may write the one and remove the other between the first two looks.
        for path in [&self.done, &self.facts, &self.done] {
            if let Some(facts) = Facts::load(path)? {
                return Ok(Some(facts));
            }
        }
        Ok(None)
    }

    pub fn remove_open(&self) -> Result<()> {
        // In this order: bytes that nobody knows of would lie there for good.
        [&self.bytes, &self.facts].into_iter().try_for_each(|path| gone(path)).map_err(unusable)
    }

    /// Removes bytes that no upload has: it was ended, or is gone.
    pub fn remove_unneeded(&self) -> Result<()> {
        match self.read()? {
            Some(facts) if facts.outcome.is_none() => Ok(()),
            _ => gone(&self.bytes).map_err(unusable),
        }
    }

    pub fn remove(&self) -> Result<()> {
        self.remove_open()?;
        gone(&self.done).map_err(unusable)
    }
}

fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The facts that lie in that folder, by their paths.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = lying_in(folder)?.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == FACTS)).collect())
}
