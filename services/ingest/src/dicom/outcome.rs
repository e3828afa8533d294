//! What has become of a series, noted beside its instances.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use domain::{ErrorKind, Result};
use proto::storage::BatchEntry;
use serde::{Deserialize, Serialize};

use crate::spool::unusable;

/// Of which instances something was made, and when: what comes later is of a new version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outcome {
    /// The digests of the instances, in the order of their UIDs.
    pub instances: Vec<String>,
    /// In milliseconds since 1970.
    pub at_ms: i64,
    pub became: Became,
    /// Of a batch the digests of those instances of which it is sure that a scan has them; of all else none. A note of a version that
    /// did not say it promises nothing.
    #[serde(default)]
    pub accepted: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Became {
    Scan(String),
    /// Several scans, or some that were refused.
    Batch(String),
    /// The name of the problem.
    Refused(String),
    /// Its scan was deleted, and storage makes no other of the same instances.
    Deleted,
}

/// What keeps instances, until somebody deletes it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Keeper {
    Scan(String),
    Batch(String),
}

/// The files of a batch of which it is sure that a scan has them. An entry of several files names its first and its last only: where
/// another was refused beside it, or its scan was deleted, nothing is sure of them.
pub struct OfScans {
    all: bool,
    names: HashSet<String>,
}

impl OfScans {
    pub fn of(entries: &[BatchEntry]) -> OfScans {
        let has_scan = |entry: &&BatchEntry| !entry.scan_id.is_empty();
        let all = !entries.is_empty() && entries.iter().all(|entry| has_scan(&entry));
        let names = entries.iter().filter(has_scan).map(|entry| entry.name.clone()).collect();
        OfScans { all, names }
    }

    pub fn has(&self, file_name: &str) -> bool {
        self.all || self.names.contains(file_name)
    }
}

impl Became {
    /// As it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Became::Scan(_) => "scan",
            Became::Batch(_) => "batch",
            Became::Refused(_) => "refused",
            Became::Deleted => "deleted",
        }
    }
}

impl Outcome {
    /// Of each of the instances, by its digest, whether a scan has been made that keeps it for longer than it lies here.
    pub fn kept(&self) -> HashMap<&str, bool> {
        let accepted: HashSet<&str> = self.accepted.iter().map(String::as_str).collect();
        let is_kept = |digest: &str| match self.became {
            Became::Scan(_) => true,
            Became::Batch(_) => accepted.contains(digest),
            Became::Refused(_) | Became::Deleted => false,
        };
        self.instances.iter().map(|digest| (digest.as_str(), is_kept(digest))).collect()
    }

    /// What keeps those of its instances that are kept; None: nothing does.
    pub fn keeper(&self) -> Option<Keeper> {
        match &self.became {
            Became::Scan(id) => Some(Keeper::Scan(id.clone())),
            Became::Batch(id) => Some(Keeper::Batch(id.clone())),
            Became::Refused(_) | Became::Deleted => None,
        }
    }

    /// None where nothing is noted. Blocks.
    pub fn load(path: &Path) -> Result<Option<Outcome>> {
        let json = match std::fs::read(path) {
            Ok(json) => json,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        serde_json::from_slice(&json).map(Some).map_err(|error| {
            ErrorKind::Internal.error("what became of a series is broken").because(error)
        })
    }

    /// Returns once it survives a crash. Blocks.
    pub fn save(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec(self).map_err(|error| {
            ErrorKind::Internal.error("what became of a series cannot be noted").because(error)
        })?;
        durable::replace_private(path, &json).map_err(unusable)
    }
}
