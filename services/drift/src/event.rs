//! The event `scan.completed`, as far as drift looks into it.

use std::collections::BTreeMap;

use domain::{Answer, ErrorKind, Result, ScanId, TenantId};
use serde::{Deserialize, Serialize};

/// A CloudEvent 1.0 in its JSON form.
#[derive(Debug, Deserialize)]
pub struct Event {
    pub id: String,
    /// The trace of the scan's upload (CloudEvents' extension for distributed tracing).
    #[serde(default)]
    pub traceparent: String,
    pub data: Completed,
}

/// What is told of a scan when it is done.
#[derive(Debug, Deserialize)]
pub struct Completed {
    pub tenant: TenantId,
    pub scan_id: ScanId,
    pub answer: Answer,
    pub completed_ms: i64,
    /// From upload accepted to result readable.
    pub response_ms: Option<i64>,
    /// None when the scan failed before anything was seen of it.
    pub observation: Option<Observation>,
}

/// What the model saw of one scan, and said.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Observation {
    pub features: BTreeMap<String, Option<f64>>,
    pub mask_fraction: Option<f64>,
    pub confidence: Option<f64>,
    pub compute_ms: Option<f64>,
    pub model: Model,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default)]
pub struct Model {
    pub name: String,
    pub version: String,
    pub sha256: String,
}

impl Event {
    pub fn parse(body: &[u8]) -> Result<Event> {
        serde_json::from_slice(body).map_err(|error| {
            ErrorKind::Invalid.error("not an event of a completed scan").because(error)
        })
    }
}

impl Observation {
    /// Everything that is compared with the reference, by name; what is no finite number is left out.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        let said = [("mask_fraction", self.mask_fraction), ("confidence", self.confidence)];
        let seen = self.features.iter().map(|(name, value)| (name.as_str(), *value));
        seen.chain(said).filter_map(|(name, value)| Some((name, value.filter(|v| v.is_finite())?)))
    }
}
