//! What is known of a model, said once: as its file tells it, where it runs, and as a result names it.

use domain::Result;
use serde::{Deserialize, Serialize};

use crate::{ImageKind, Modality, Preprocessing, Reading, Readings};

/// What is known of a model wherever it runs: its weights file says so itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFacts {
    /// What the model is called, as in `model.json`.
    pub name: String,
    /// Which of the models of that name it is.
    pub version: String,
    /// The version of the data that it was trained on, as its card tells it; empty where nobody has noted it.
    pub data_version: String,
    /// What was done to pixels before the network saw them ([`Preprocessing`]).
    pub preprocessing: String,
    /// What it may judge: it was trained on these.
    pub modalities: Vec<Modality>,
    /// The kinds that it classifies scans into, in the order of [`TilePrediction::kinds`](crate::TilePrediction::kinds); none of a model that
    /// cannot.
    pub classes: Vec<ImageKind>,
    /// How it reads scans, by their kind and form.
    pub readings: Readings,
}

/// A model that was opened: what is known of it, of which weights, and where it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// What is known of it anywhere.
    pub facts: ModelFacts,
    /// Of the weights file, in hex; empty for an engine that has no weights.
    pub sha256: String,
    /// Where it runs: `cpu`, `cuda:0`.
    pub device: String,
}

/// The model and the reading that made a result: enough to repeat it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelUsed {
    /// What the model is called.
    pub name: String,
    /// Which of the models of that name it is.
    pub version: String,
    /// Of the weights file, in hex; empty for an engine that has no weights.
    pub sha256: String,
    /// The version of the data that it was trained on, as its card tells it; empty where nobody has noted it.
    #[serde(default)]
    pub data_version: String,
    /// Whether it was trained. What was not only stands in for a model, for research.
    #[serde(default = "trained")]
    pub trained: bool,
    /// The version of everything done to pixels before the model sees them.
    pub preprocessing: String,
    /// What the model may judge.
    pub modalities: Vec<Modality>,
    /// Where it ran: `cpu`, `cuda:0`.
    pub device: String,
    /// How it read this scan.
    #[serde(flatten)]
    pub reading: Reading,
}

fn trained() -> bool {
    true
}

impl ModelInfo {
    /// Whether there are weights that somebody has trained.
    pub fn is_trained(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// How slices are prepared for it; `Invalid` for a preprocessing that is unknown here.
    pub fn preprocessing(&self) -> Result<Preprocessing> {
        Preprocessing::named(&self.facts.preprocessing)
    }

    /// The model as a result of that reading names it.
    pub fn used(&self, reading: &Reading) -> ModelUsed {
        let ModelInfo { facts, sha256, device } = self.clone();
        let ModelFacts { name, version, data_version, preprocessing, modalities, .. } = facts;
        ModelUsed {
            name,
            version,
            trained: self.is_trained(),
            sha256,
            data_version,
            preprocessing,
            modalities,
            device,
            reading: reading.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OperatingPoint;

    fn info() -> ModelInfo {
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        let facts = ModelFacts {
            name: "m".into(),
            version: "1".into(),
            data_version: "d1".into(),
            preprocessing: Preprocessing::NEWEST.name().into(),
            modalities: vec![Modality::MagneticResonance],
            classes: Vec::new(),
            readings: Readings::alike(Reading::plain(64, operating_point)),
        };
        ModelInfo { facts, sha256: "ab".into(), device: "cpu".into() }
    }

    #[test]
    fn a_result_names_the_data_of_its_model_and_older_ones_that_do_not_are_still_read() {
        let info = info();
        let used = info.used(&info.facts.readings.general.slice);
        let mut json = serde_json::to_value(&used).unwrap();
        assert_eq!(json["data_version"], "d1");
        json.as_object_mut().unwrap().remove("data_version");
        let older: ModelUsed = serde_json::from_value(json).unwrap();
        assert_eq!(older, ModelUsed { data_version: String::new(), ..used });
    }
}
