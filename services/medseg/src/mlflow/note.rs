use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use model::tracking::Record;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Beside what is kept of a run: what of it the server has.
const SENT_FILE: &str = "mlflow.json";

/// What the server has of a run.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Sent {
    /// The run's own id: another run may have taken the folder since.
    pub of: String,
    /// The server's name for it.
    pub run_id: String,
    /// Where the server wants its files.
    pub folder: String,
    /// Parameters and tags.
    pub described: Value,
    /// How many metrics.
    pub metrics: usize,
    /// The digests of its artefacts.
    pub artefacts: BTreeMap<String, String>,
    /// The version of the model that it made, as the server counts.
    pub version: Option<String>,
    /// Whether the alias is that version's.
    pub aliased: bool,
    /// How the run goes.
    pub status: String,
}

/// What the server has, as it is noted beside the run.
pub struct Note {
    path: PathBuf,
    pub sent: Sent,
}

impl Note {
    /// Of what cannot be read, nothing is known to be there: the server is asked.
    pub fn read(record: &Record) -> Note {
        let path = record.folder().join(SENT_FILE);
        let sent = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let sent = sent.filter(|sent: &Sent| sent.of == record.run.id).unwrap_or_default();
        Note { path, sent }
    }

    pub fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(&self.sent)?;
        durable::replace(&self.path, &text)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
