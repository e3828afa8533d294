//! Windows: scans of one model, kind of image, scanner and site of a hospital, one after the other, each beside what the model was
//! trained on.
//!
//! Each scan is in one window, so that windows are independent of each other, and how often they cry wolf is known.

mod alarm;
mod carriers;
mod close;
mod compare;
mod gauges;
mod message;
mod news;
mod rows;
mod shown;
mod store;

use std::collections::BTreeMap;

use domain::{Answer, TenantId};
use proto::events::{ModelIdentity, Observation};
use serde::{Deserialize, Serialize};

use crate::embedding::Embedded;
use crate::reference::Reference;
use crate::report::{Feature, Sample, Thresholds, Verdict, answers, features, gravest, values};
use alarm::Standing;

pub use close::{Closer, Schedule, watch};
pub use gauges::describe;
pub use rows::rows;
pub use shown::{comparison, in_full, list};

/// Scans of a window at most: beyond that, one is closed after the other.
const SCANS_MAX: usize = 500;

/// The false-alarm budget: of windows whose scans are like the training ones, one in five hundred is taken for drift at most,
/// however many features there are. Of 200 such windows, more than two are in one of a hundred cases.
const P_WINDOW: f64 = 0.002;

/// The scans that are watched together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    pub tenant: TenantId,
    pub model_name: String,
    pub model_version: String,
    /// Empty: nobody says.
    pub image_kind: String,
    /// Empty: nobody says.
    pub scanner: String,
    /// Where they were made, as quality counts them; empty: nobody says.
    pub site: String,
}

/// A scan, as windows look at it.
#[derive(Clone, Debug)]
pub struct Member {
    pub event_id: String,
    pub scan_id: String,
    pub answer: Answer,
    pub completed_ms: i64,
    /// Where it was made. None: nobody says.
    pub site: Option<String>,
    pub observation: Option<Observation>,
}

/// A window that no scan is added to any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub id: String,
    pub group: Group,
    /// Among those of its group, from 1.
    pub number: i64,
    pub from_ms: i64,
    pub to_ms: i64,
    pub created_ms: i64,
    pub scans: usize,
    pub standing: Standing,
    pub seen: Seen,
}

/// What was seen in a window, beside the training.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Seen {
    pub model: ModelIdentity,
    pub answers: BTreeMap<String, usize>,
    pub features: Vec<Feature>,
    pub thresholds: Thresholds,
}

impl Seen {
    pub fn new(members: &[Member], model: ModelIdentity, reference: &Reference) -> Seen {
        let embedded = Embedded::of(looked_at(members));
        let told = embedded.as_ref().map(|embedded| embedded.reference(reference));
        let reference = Sample::of(reference, told.unwrap_or_default());
        let embeddings = embedded.map(|embedded| embedded.vectors).unwrap_or_default();
        let seen = Sample { embeddings, ..Sample::from(values(observations(members))) };
        let (features, thresholds) = features(&reference, &seen, P_WINDOW);
        let answers = answers(members.iter().map(|member| member.answer));
        Seen { model, answers, features, thresholds }
    }

    pub fn verdict(&self) -> Verdict {
        gravest(&self.features)
    }
}

/// What was observed of each member, where anything was.
fn looked_at(members: &[Member]) -> impl Iterator<Item = Option<&Observation>> {
    members.iter().map(|member| member.observation.as_ref())
}

fn observations(members: &[Member]) -> impl Iterator<Item = &Observation> {
    looked_at(members).flatten()
}

#[cfg(test)]
mod phantom_tests;
#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
