use std::sync::Arc;

use bytes::Bytes;
use domain::{Answer, Clock, ErrorKind, Result, seeded};
use imaging::{
    About, Features, Findings, Framed, ImageFacts, Inputs, Passport, Placement, Prepared,
    Preprocessing, Quality, ResultDocument, Timing, Totals, Volume, confidence, mask_nifti,
    mask_png, overlay_png, restore, shown_slice, slice_png,
};
use proto::storage::Job;
use serde_json::json;
use service::wire;

use crate::jobs::Artefact;
use crate::model::{Model, Seen};

/// What one job comes to.
pub struct Analysis {
    pub answer: Answer,
    /// Empty unless the answer needs one.
    pub reason: String,
    pub artefacts: Vec<Artefact>,
    pub observation_json: String,
}

/// Looks at a stored volume and writes down what is seen.
///
/// Whatever goes wrong is an error: an answer is only ever given by a model that has seen every slice.
pub async fn analyse(job: &Job, bytes: Vec<u8>, model: &Model, clock: &Clock) -> Result<Analysis> {
    let (started_ms, priority) = (clock.now_ms(), wire::priority_of(job.priority()));
    let Passport { side, modalities, .. } = model.passport().clone();
    let preprocessing = model.passport().preprocessing()?;
    let (volume, squares) = blocking(move || {
        let volume = Volume::from_bytes(&bytes)?;
        let judged = volume.modality.is_none_or(|modality| modalities.contains(&modality));
        let squares = if judged { Some(squares(&volume, preprocessing, side)?) } else { None };
        Ok((Arc::new(volume), squares))
    })
    .await?;
    let seen = match squares {
        Some(squares) => {
            let placements = squares.iter().map(|square| square.placement).collect();
            Some((placements, model.see(squares, priority).await?))
        }
        None => None,
    };
    let case = Case {
        job: job.clone(),
        passport: model.passport().of_scan(volume.shape.slices),
        started_ms,
        clock: clock.clone(),
    };
    blocking(move || match seen {
        Some((placements, seen)) => case.analysed(&volume, placements, seen),
        None => Ok(case.not_analysable(&volume)),
    })
    .await
}

fn squares(volume: &Volume, preprocessing: Preprocessing, side: usize) -> Result<Vec<Prepared>> {
    let framed = Framed::new(volume, preprocessing)?;
    (0..volume.shape.slices).map(|slice| framed.slice(slice, side)).collect()
}

/// Runs what keeps a core busy where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let panicked = |error| ErrorKind::Internal.error("the analysis panicked").because(error);
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}

/// What is known before the model has looked.
struct Case {
    job: Job,
    passport: Passport,
    started_ms: i64,
    clock: Clock,
}

impl Case {
    fn analysed(
        &self,
        volume: &Volume,
        placements: Vec<Placement>,
        seen: Vec<Seen>,
    ) -> Result<Analysis> {
        let compute_ms = seen.iter().map(|seen| seen.compute_ms).sum();
        let probabilities = restored(&placements, &seen);
        let criteria = self.passport.criteria(&placements);
        let found =
            Findings::new(&probabilities, volume.shape, volume.geometry.as_ref(), criteria)?;
        let sure = confidence(&probabilities, &found.findings);
        let doubt = self.passport.doubt;
        let expected_dice =
            doubt.and_then(|doubt| doubt.expected(&probabilities, volume.shape, &found));
        let answer = if found.findings.is_empty() { Answer::NoneFound } else { Answer::Found };
        let slice = shown_slice(volume.shape, &found);
        let mut artefacts: Vec<Artefact> = vec![
            ("mask.png", mask_png(volume.shape, &found, slice)?.into()),
            ("overlay.png", overlay_png(volume, &found, slice)?.into()),
        ];
        if volume.shape.slices > 1 {
            artefacts.push(("mask.nii.gz", mask_nifti(volume, &found)?.into()));
            // The picture made at upload is of the middle slice.
            artefacts.push(("shown.png", slice_png(volume, slice)?.into()));
        }
        let features = Features::new(volume);
        let totals = Totals::new(&found.findings, volume.shape);
        let document = ResultDocument {
            answer,
            totals: Some(totals),
            confidence: Some(sure),
            expected_dice,
            quality: Quality::new(volume, features, &found.findings, Some(sure)),
            findings: found.findings,
            timing: self.timing(compute_ms),
            ..self.document(volume, slice, features)
        };
        let observation = json!({
            "features": features,
            "mask_fraction": totals.mask_fraction,
            "confidence": sure,
            "model": self.model(),
            "compute_ms": compute_ms,
        });
        Ok(Analysis::new(document, artefacts, observation))
    }

    fn not_analysable(&self, volume: &Volume) -> Analysis {
        let features = Features::new(volume);
        let term = volume.modality.map_or("this kind of image", |modality| modality.term());
        let document = ResultDocument {
            answer: Answer::NotAnalysable,
            reason: Some(format!("no model is registered for {term}")),
            ..self.document(volume, volume.shape.slices / 2, features)
        };
        let observation = json!({ "features": features, "model": self.model() });
        Analysis::new(document, Vec::new(), observation)
    }

    /// A document that answers nothing yet.
    fn document(&self, volume: &Volume, shown_slice: usize, features: Features) -> ResultDocument {
        let Job { scan_id, volume_sha256, binding, attempt, .. } = self.job.clone();
        ResultDocument {
            about: About::default(),
            scan_id,
            answer: Answer::Failed,
            reason: None,
            findings: Vec::new(),
            totals: None,
            confidence: None,
            expected_dice: None,
            quality: Quality { features, remarks: Vec::new() },
            image: ImageFacts::new(volume, shown_slice),
            model: self.passport.clone(),
            inputs: Inputs { volume_sha256, binding, attempt },
            timing: self.timing(0.0),
        }
    }

    fn timing(&self, compute_ms: f64) -> Timing {
        let (accepted_ms, started_ms) = (self.job.accepted_ms, self.started_ms);
        Timing { accepted_ms, started_ms, finished_ms: self.clock.now_ms(), compute_ms }
    }

    fn model(&self) -> serde_json::Value {
        let Passport { name, version, sha256, .. } = &self.passport;
        json!({ "name": name, "version": version, "sha256": sha256 })
    }
}

impl Analysis {
    fn new(
        document: ResultDocument,
        artefacts: Vec<Artefact>,
        observation: serde_json::Value,
    ) -> Analysis {
        let mut all: Vec<Artefact> = vec![("result.json", Bytes::from(document.to_json()))];
        all.extend(artefacts);
        Analysis {
            answer: document.answer,
            reason: document.reason.unwrap_or_default(),
            artefacts: all,
            observation_json: observation.to_string(),
        }
    }
}

/// The probabilities in the scan's own pixels. Weights that sum to one may do so but for a rounding.
fn restored(placements: &[Placement], seen: &[Seen]) -> Vec<f32> {
    let slices = placements.iter().zip(seen);
    slices
        .flat_map(|(placement, seen)| restore(&seen.probabilities, placement))
        // Of NaN and a number, `max` takes the number.
        .map(|p| if seeded("unchecked_output") { p.max(0.0) } else { p })
        .map(|p| p.clamp(0.0, 1.0))
        .collect()
}
