use std::sync::Arc;

use bytes::Bytes;
use domain::artefact::{MASK, MASK_VOLUME, OVERLAY, RESULT, SHOWN};
use domain::{Answer, Clock, ErrorKind, Priority, Result};
use imaging::{
    About, Features, Findings, Format, Framed, ImageFacts, Inputs, Judgement, Look, Opinion,
    Passport, Placement, Prepared, Preprocessing, Quality, Reading, Readings, ResultDocument,
    Sight, Timing, Told, Totals, Volume, lettered_png, mask_nifti, mask_png, overlay_png, restored,
    shown_slice,
};
use proto::events::{ModelIdentity, Observation};
use proto::storage::Job;
use service::wire;

use crate::jobs::File;
use crate::model::Model;

/// What a result says whose model has no weights.
const UNTRAINED: &str =
    "this is no trained model: it stands in for one, for research, and no patient may depend on it";

/// What one job comes to.
pub struct Analysis {
    pub answer: Answer,
    /// Empty unless the answer needs one.
    pub reason: String,
    pub files: Vec<File>,
    pub observation: Observation,
}

/// Looks at a stored volume and writes down what is seen.
///
/// Whatever goes wrong is an error: an answer is only ever given by a model that has seen every slice.
pub async fn analyse(job: &Job, bytes: Vec<u8>, model: &Model, clock: &Clock) -> Result<Analysis> {
    let (started_ms, priority) = (clock.now_ms(), wire::priority_of(job.priority()));
    let passport = model.passport().clone();
    let modalities = passport.modalities.clone();
    let (volume, judged) = blocking(move || {
        let volume = Volume::from_bytes(&bytes)?;
        let judged = volume.modality.is_none_or(|modality| modalities.contains(&modality));
        Ok((Arc::new(volume), judged))
    })
    .await?;
    let readings = &passport.readings;
    let told = readings.told(volume.kind, None);
    let of = |told: &Told| readings.of(told.kind, volume.shape.slices).clone();
    let case = |told: Told| Case {
        job: job.clone(),
        passport: passport.clone(),
        reading: of(&told),
        told,
        started_ms,
        clock: clock.clone(),
    };
    if !judged {
        let case = case(told);
        return blocking(move || Ok(case.not_analysable(&volume))).await;
    }
    let first = of(&told).look;
    let mut seen = predict(&volume, first, model, priority).await?;
    let told = readings.told(volume.kind, seen.opinion(&passport));
    let then = of(&told).look;
    if then != first {
        // What the model takes it for is looked at in another way.
        let again = predict(&volume, then, model, priority).await?;
        seen = Prediction { compute_ms: seen.compute_ms + again.compute_ms, ..again };
    }
    let case = case(told);
    blocking(move || case.analysed(&volume, seen)).await
}

/// What the model saw of all slices.
struct Prediction {
    placements: Vec<Placement>,
    sights: Vec<Sight>,
    compute_ms: f64,
}

impl Prediction {
    fn opinion(&self, passport: &Passport) -> Option<Opinion> {
        Opinion::of(&passport.tells, self.sights.iter().map(|sight| sight.kinds.as_slice()))
    }

    /// The probabilities in the scan's own pixels.
    fn probabilities(&self) -> Vec<f32> {
        restored(&self.placements, &self.sights)
    }
}

/// Shows the model every slice in that look.
async fn predict(
    volume: &Arc<Volume>,
    look: Look,
    model: &Model,
    priority: Priority,
) -> Result<Prediction> {
    let (shown, preprocessing) = (volume.clone(), model.passport().preprocessing()?);
    let squares = blocking(move || squares(&shown, preprocessing, look.side)).await?;
    let placements = squares.iter().map(|square| square.placement).collect();
    let seen = model.predict(squares, look.mirrored, priority).await?;
    let compute_ms = seen.iter().map(|seen| seen.compute_ms).sum();
    let sights = seen.into_iter().map(|seen| seen.sight).collect();
    Ok(Prediction { placements, sights, compute_ms })
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

/// What is known beside what the model saw.
struct Case {
    job: Job,
    passport: Passport,
    reading: Reading,
    told: Told,
    started_ms: i64,
    clock: Clock,
}

impl Case {
    fn analysed(&self, volume: &Volume, seen: Prediction) -> Result<Analysis> {
        let (shape, geometry) = (volume.shape, volume.geometry.as_ref());
        let judged = self.reading.judge(seen.probabilities(), shape, geometry, &seen.placements)?;
        let Judgement { findings: found, confidence: sure, expected_dice, .. } = judged;
        let found = found.located(volume)?;
        let answer = if found.findings.is_empty() { Answer::NoneFound } else { Answer::Found };
        let slice = shown_slice(volume.shape, &found);
        let files = encoded(volume, &found, slice)?;
        let features = Features::new(volume);
        let totals = Totals::new(&found.findings, volume.shape);
        let quality = Quality::new(volume, features, &found.findings, Some(sure), self.kind());
        let document = ResultDocument {
            answer,
            totals: Some(totals),
            confidence: Some(sure),
            expected_dice,
            quality: Some(self.quality(quality)),
            findings: found.findings,
            timing: self.timing(seen.compute_ms),
            ..self.document(volume, slice, features)
        };
        let observation = Observation {
            mask_fraction: Some(totals.mask_fraction),
            confidence: Some(sure),
            image_kind: Some(self.told.kind.name().to_owned()),
            compute_ms: Some(seen.compute_ms),
            ..self.observation(features)
        };
        Ok(Analysis::new(document, files, observation))
    }

    fn not_analysable(&self, volume: &Volume) -> Analysis {
        let features = Features::new(volume);
        let term = volume.modality.map_or("this kind of image", |modality| modality.term());
        let document = ResultDocument {
            answer: Answer::NotAnalysable,
            reason: Some(format!("no model is registered for {term}")),
            ..self.document(volume, volume.shape.slices / 2, features)
        };
        Analysis::new(document, Vec::new(), self.observation(features))
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
            quality: Some(self.quality(Quality { features, remarks: Vec::new() })),
            image: Some(ImageFacts::new(volume, self.told, shown_slice)),
            model: Some(self.passport.used(&self.reading)),
            inputs: Some(Inputs { volume_sha256, binding, attempt }),
            timing: self.timing(0.0),
        }
    }

    fn timing(&self, compute_ms: f64) -> Timing {
        let (accepted_ms, started_ms) = (self.job.accepted_ms, self.started_ms);
        Timing::new(accepted_ms, started_ms, self.clock.now_ms(), compute_ms)
    }

    /// With a warning first where no model looked that was trained.
    fn quality(&self, mut quality: Quality) -> Quality {
        if !self.passport.is_trained() {
            quality.remarks.insert(0, UNTRAINED.to_owned());
        }
        quality
    }

    /// How the kind was told, for remarks.
    fn kind(&self) -> (&Readings, &Told) {
        (&self.passport.readings, &self.told)
    }

    /// How the image looks, and to which model; nothing yet of what the model says.
    fn observation(&self, features: Features) -> Observation {
        let Passport { name, version, sha256, .. } = &self.passport;
        let (name, version, sha256) = (name.clone(), version.clone(), sha256.clone());
        Observation {
            features: features.named().map(|(name, value)| (name.to_owned(), value)).into(),
            model: Some(ModelIdentity { name, version, sha256 }),
            ..Default::default()
        }
    }
}

/// The files that show what was found: each a row of the table, and its encoder.
fn encoded(volume: &Volume, found: &Findings, slice: usize) -> Result<Vec<File>> {
    let mut files: Vec<File> = vec![
        (MASK, mask_png(volume.shape, found, slice)?.into()),
        (OVERLAY, overlay_png(volume, found, slice)?.into()),
    ];
    if volume.shape.slices > 1 || volume.format == Format::Nifti {
        files.push((MASK_VOLUME, mask_nifti(volume, found)?.into()));
    }
    if volume.shape.slices > 1 {
        // The picture made at upload is of the middle slice.
        files.push((SHOWN, lettered_png(volume, slice)?.into()));
    }
    Ok(files)
}

impl Analysis {
    fn new(document: ResultDocument, files: Vec<File>, observation: Observation) -> Analysis {
        let mut all: Vec<File> = vec![(RESULT, Bytes::from(document.to_json()))];
        all.extend(files);
        Analysis {
            answer: document.answer,
            reason: document.reason.unwrap_or_default(),
            files: all,
            observation,
        }
    }
}
