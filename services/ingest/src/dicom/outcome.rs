//! What has become of a series, noted beside its instances.

use std::path::Path;

use domain::{ErrorKind, Result};
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
