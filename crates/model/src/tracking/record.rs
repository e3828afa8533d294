use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files::inside;

/// The folder in a run's folder that keeps how it went.
pub const TRACKING_FOLDER: &str = "tracking";
/// What the folder holds, beside its lock: the run, a line for each metric, a line for each artefact, and the artefacts.
pub(super) const RUN_FILE: &str = "run.json";
pub(super) const METRICS_FILE: &str = "metrics.jsonl";
pub(super) const ARTEFACTS_FILE: &str = "artefacts.jsonl";
pub(super) const ARTEFACTS_FOLDER: &str = "artefacts";

/// A run as its folder keeps it, without metrics and artefacts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// No other run has it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The runs that it is to be compared with.
    pub experiment: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: i64,
    /// What it began with; these never change.
    pub parameters: BTreeMap<String, String>,
    /// What it is known by besides.
    pub tags: BTreeMap<String, String>,
    /// The folders of the runs within it, beside its own folder.
    pub nested: Vec<String>,
    /// The model that it made, once that has been evaluated.
    pub model: Option<Made>,
    /// How it ended; None while it goes on, and of one that was cut off.
    pub ended: Option<End>,
}

/// A model that a run made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Made {
    /// What it is called.
    pub name: String,
    /// Which of the models of that name it is.
    pub version: String,
}

/// The end of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct End {
    /// In milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why, where it did not come to its end.
    pub failed: Option<String>,
}

/// A metric at one time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Point {
    /// In milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The step of the training.
    pub step: u64,
    /// Which metric.
    pub name: String,
    /// A finite number.
    pub value: f64,
}

/// A file that a run made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Artefact {
    /// Its path among the artefacts.
    pub name: String,
    /// Of its bytes, in lower-case hex.
    pub sha256: String,
}

/// The folder that keeps how a run went, for whoever reads it while it goes on or later.
#[derive(Clone, Debug)]
pub struct Record {
    folder: PathBuf,
    /// The run itself.
    pub run: Run,
}

impl Record {
    /// That of the run in this folder; `NotFound` where none was kept there.
    pub fn read(run: &Path) -> Result<Record> {
        let folder = run.join(TRACKING_FOLDER);
        let path = folder.join(RUN_FILE);
        let bytes = fs::read(&path).map_err(|error| {
            let message =
                format!("no run is kept in {}: cannot read {}", run.display(), path.display());
            ErrorKind::NotFound.error(message).because(error)
        })?;
        let run = serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!("{} is not what a run is kept as", path.display());
            ErrorKind::Invalid.error(message).because(error)
        })?;
        Ok(Record { folder, run })
    }

    /// Its metrics from that one on, in the order in which they came.
    pub fn metrics(&self, from: usize) -> Result<Vec<Point>> {
        let mut points = lines(&self.folder.join(METRICS_FILE))?;
        Ok(points.split_off(from.min(points.len())))
    }

    /// Its artefacts by name, each as it was written last.
    pub fn artefacts(&self) -> Result<BTreeMap<String, Artefact>> {
        let all: Vec<Artefact> = lines(&self.folder.join(ARTEFACTS_FILE))?;
        Ok(all.into_iter().map(|artefact| (artefact.name.clone(), artefact)).collect())
    }

    /// Where that artefact lies.
    pub fn path(&self, artefact: &Artefact) -> PathBuf {
        // As it was kept: a record that comes from elsewhere names no other file.
        self.folder.join(ARTEFACTS_FOLDER).join(inside(&artefact.name))
    }

    /// The folder itself: who sends it elsewhere may note there what has been sent.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folders of the runs within it.
    pub fn nested(&self) -> Vec<PathBuf> {
        let run = self.folder.parent().unwrap_or(&self.folder);
        self.run.nested.iter().map(|name| run.join(inside(name))).collect()
    }
}

/// The lines of a file that is written to at its end: what stands after the last line break is not whole yet.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == Io::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let message = format!("cannot read {}", path.display());
            return Err(ErrorKind::Unavailable.error(message).because(error));
        }
    };
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let message = format!("{} line {} is damaged", path.display(), number + 1);
            ErrorKind::Invalid.error(message).because(error)
        })
    };
    whole.lines().enumerate().map(line).collect()
}
