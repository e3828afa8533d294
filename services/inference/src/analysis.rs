use std::sync::Arc;

use bytes::Bytes;
use domain::artefact::{MASK, MASK_VOLUME, OVERLAY, RESULT, SHOWN};
use domain::{Answer, Clock, Result, Unanswered};
use imaging::picker::{KindModel, SeriesChoice};
use imaging::{
    Assessment, ClassifiedKind, DocumentHeader, EMBEDDING, Features, Findings, Format, Framed,
    ImageFacts, Inputs, KindPrediction, ModelFacts, ModelInfo, NetworkInput, Prepared,
    Preprocessing, Quality, Reading, Readings, ResultDocument, Role, TilePlacement, TilePrediction,
    Timing, Totals, Volume, Witness, acquisition, embedding, lettered_png, mask_nifti, mask_png,
    orientation, overlay_png, restored, shown_slice,
};
use proto::events::{Embedding, ModelIdentity, Observation};
use proto::storage::{Job, SeriesFit};
use service::wire;

use crate::cores::Whose;
use crate::jobs::File;
use crate::model::Model;
use crate::serving::Served;

/// What a result says whose model has no weights.
const UNTRAINED: &str =
    "this is no trained model: it stands in for one, for research, and no patient may depend on it";

/// The result of one job.
pub struct Analysis {
    pub answer: Answer,
    /// Empty unless the answer needs one.
    pub reason: String,
    /// None where there is an answer.
    pub unanswered: Option<Unanswered>,
    pub files: Vec<File>,
    pub observation: Observation,
    pub compared: Compared,
}

/// What is compared between two models.
#[derive(Clone, Default)]
pub struct Compared {
    /// Whether each voxel is in a main finding; empty where nothing was found.
    mask: Vec<bool>,
    /// None where the scan's spacing is not known.
    pub volume_ml: Option<f64>,
}

impl Compared {
    /// Dice between the two masks; None where both are empty.
    pub fn dice(&self, other: &Compared) -> Option<f64> {
        let count = |mask: &[bool]| mask.iter().filter(|inside| **inside).count();
        let overlap = self.mask.iter().zip(&other.mask).filter(|(a, b)| **a && **b).count();
        let both = count(&self.mask) + count(&other.mask);
        (both > 0).then(|| 2.0 * overlap as f64 / both as f64)
    }
}

/// Analyses a stored volume and makes the result's files.
///
/// Whatever goes wrong is an error: an answer is only ever given by a model that has seen every slice.
pub async fn analyse(
    job: &Job,
    bytes: Vec<u8>,
    served: &Served,
    clock: &Clock,
) -> Result<Analysis> {
    let Served { model, forced_because, .. } = served;
    let started_ms = clock.now_ms();
    let whose = Whose {
        tenant: job.tenant_id.as_str().into(),
        priority: Some(wire::priority_of(job.priority())),
    };
    let model_info = model.model_info().clone();
    let modalities = model_info.facts.modalities.clone();
    let cores = model.cores();
    let read = move || -> Result<(Arc<Volume>, bool)> {
        let volume = Volume::from_bytes(&bytes)?;
        let judged = volume.modality.is_none_or(|modality| modalities.contains(&modality));
        Ok((Arc::new(volume), judged))
    };
    let (volume, judged) = cores.calculate(&whose, read).await?;
    let readings = &model_info.facts.readings;
    let told = readings.classify(volume.kind, None);
    let of = |told: &ClassifiedKind| readings.of(told.kind, volume.shape.slices).clone();
    let case = |told: ClassifiedKind| Case {
        job: job.clone(),
        model_info: model_info.clone(),
        forced_because: forced_because.clone(),
        reading: of(&told),
        told,
        started_ms,
        clock: clock.clone(),
    };
    let unanswered = match judged {
        false => Some(Unanswered::NoModel),
        true => is_stopped(job, &model_info.facts).then_some(Unanswered::Stopped),
    };
    if let Some(why) = unanswered {
        let case = case(told);
        return cores.calculate(&whose, move || Ok(case.not_analysable(&volume, why))).await;
    }
    let first = of(&told).input;
    let mut seen = predict(&volume, first, model, &whose).await?;
    let told = readings.classify(volume.kind, seen.opinion(&model_info));
    let then = of(&told).input;
    if then != first {
        // The kind that the model predicts has another input.
        let again = predict(&volume, then, model, &whose).await?;
        seen = Prediction { compute_ms: seen.compute_ms + again.compute_ms, ..again };
    }
    let case = case(told);
    cores.calculate(&whose, move || case.analysed(&volume, seen)).await
}

/// Whether the scan's hospital takes no answer of the model until somebody decides. Storage would not take one either.
fn is_stopped(job: &Job, model: &ModelFacts) -> bool {
    job.stopped.iter().any(|stopped| stopped.name == model.name && stopped.version == model.version)
}

/// The model's output for all slices.
struct Prediction {
    placements: Vec<TilePlacement>,
    outputs: Vec<TilePrediction>,
    compute_ms: f64,
}

impl Prediction {
    fn opinion(&self, model_info: &ModelInfo) -> Option<KindPrediction> {
        KindPrediction::of(
            &model_info.facts.classes,
            self.outputs.iter().map(|output| output.kinds.as_slice()),
        )
    }

    /// Where the scan lies in what the network knows of images; None of a model that has no network.
    fn embedding(&self) -> Option<Embedding> {
        let values = embedding(&self.outputs)?;
        Some(Embedding {
            projection: EMBEDDING.to_owned(),
            slices: self.outputs.len() as u32,
            values,
        })
    }

    /// The probabilities in the scan's own pixels.
    fn probabilities(&self) -> Vec<f32> {
        restored(&self.placements, &self.outputs)
    }
}

/// Predicts every slice with that input.
async fn predict(
    volume: &Arc<Volume>,
    input: NetworkInput,
    model: &Model,
    whose: &Whose,
) -> Result<Prediction> {
    let (shown, preprocessing) = (volume.clone(), model.model_info().preprocessing()?);
    let cut = move || tiles(&shown, preprocessing, input.side);
    let tiles = model.cores().calculate(whose, cut).await?;
    let placements = tiles.iter().map(|tile| tile.placement).collect();
    let seen = model.predict(tiles, input.mirrored, whose).await?;
    let compute_ms = seen.iter().map(|seen| seen.compute_ms).sum();
    let outputs = seen.into_iter().map(|seen| seen.output).collect();
    Ok(Prediction { placements, outputs, compute_ms })
}

fn tiles(volume: &Volume, preprocessing: Preprocessing, side: usize) -> Result<Vec<Prepared>> {
    let framed = Framed::new(volume, preprocessing)?;
    (0..volume.shape.slices).map(|slice| framed.slice(slice, side)).collect()
}

/// The facts of the analysis beside the model's output.
struct Case {
    job: Job,
    model_info: ModelInfo,
    /// Why the model serves although the gate refused it; empty: it did not.
    forced_because: String,
    reading: Reading,
    told: ClassifiedKind,
    started_ms: i64,
    clock: Clock,
}

impl Case {
    fn analysed(&self, volume: &Volume, seen: Prediction) -> Result<Analysis> {
        let (shape, geometry) = (volume.shape, volume.geometry.as_ref());
        let judged =
            self.reading.assess(seen.probabilities(), shape, geometry, &seen.placements)?;
        let Assessment { findings: found, confidence: sure, expected_dice, .. } = judged;
        let found = found.located(volume)?;
        let answer = if found.findings.is_empty() { Answer::NoneFound } else { Answer::Found };
        let slice = shown_slice(volume.shape, &found);
        let files = encoded(volume, &found, slice)?;
        // Of the very bytes that go out: what contradicts the scan is no answer.
        let witness = witness(volume, &found, &files)?;
        let features = Features::new(volume);
        let totals = Totals::new(&found.findings, volume.shape);
        let main = |label: &u8| *label == Role::Main.label();
        let mask = found.mask.iter().map(main).collect();
        let compared = Compared { mask, volume_ml: totals.volume_ml };
        let quality = Quality::new(volume, features, &found.findings, Some(sure), self.kind());
        let document = ResultDocument {
            answer,
            totals: Some(totals),
            confidence: Some(sure),
            expected_dice,
            quality: Some(self.quality(quality)),
            findings: found.findings,
            witness,
            timing: self.timing(seen.compute_ms),
            ..self.document(volume, slice, features)
        };
        let observation = Observation {
            mask_fraction: Some(totals.mask_fraction),
            confidence: Some(sure),
            image_kind: Some(self.told.kind.name().to_owned()),
            compute_ms: Some(seen.compute_ms),
            expected_dice: expected_dice.map(|expected| expected.dice),
            embedding: seen.embedding(),
            ..self.observation(volume, features)
        };
        Ok(Analysis { compared, ..Analysis::new(document, files, observation) })
    }

    fn not_analysable(&self, volume: &Volume, why: Unanswered) -> Analysis {
        let features = Features::new(volume);
        let ModelFacts { name, version, .. } = &self.model_info.facts;
        let reason = match why {
            Unanswered::Stopped => format!(
                "too many answers of {name} {version} were found wrong here: it gives none until an administrator decides"
            ),
            Unanswered::NoModel | Unanswered::Failed => {
                let term = volume.modality.map_or("this kind of image", |modality| modality.term());
                format!("no model is registered for {term}")
            }
        };
        let document = ResultDocument {
            answer: Answer::NotAnalysable,
            reason: Some(reason),
            ..self.document(volume, volume.shape.slices / 2, features)
        };
        let observation = self.observation(volume, features);
        Analysis { unanswered: Some(why), ..Analysis::new(document, Vec::new(), observation) }
    }

    /// A document that answers nothing yet.
    fn document(&self, volume: &Volume, shown_slice: usize, features: Features) -> ResultDocument {
        let Job { scan_id, volume_sha256, binding, attempt, series, .. } = self.job.clone();
        ResultDocument {
            header: DocumentHeader::default(),
            scan_id,
            answer: Answer::Failed,
            reason: None,
            findings: Vec::new(),
            totals: None,
            confidence: None,
            expected_dice: None,
            quality: Some(self.quality(Quality { features, remarks: Vec::new() })),
            image: Some(ImageFacts::new(volume, self.told, shown_slice)),
            model: Some(self.model_info.used(&self.reading)),
            inputs: Some(Inputs { volume_sha256, binding, attempt }),
            witness: None,
            series: series.map(choice),
            timing: self.timing(0.0),
        }
    }

    fn timing(&self, compute_ms: f64) -> Timing {
        let (accepted_ms, started_ms) = (self.job.accepted_ms, self.started_ms);
        Timing::new(accepted_ms, started_ms, self.clock.now_ms(), compute_ms)
    }

    /// With a warning first where no model looked that was trained, or one that was forced past the gate.
    fn quality(&self, mut quality: Quality) -> Quality {
        if !self.forced_because.is_empty() {
            let why = &self.forced_because;
            quality
                .remarks
                .insert(0, format!("this model serves although its figures were refused: {why}"));
        }
        if !self.model_info.is_trained() {
            quality.remarks.insert(0, UNTRAINED.to_owned());
        }
        quality
    }

    /// How the kind was told, for remarks.
    fn kind(&self) -> (&Readings, &ClassifiedKind) {
        (&self.model_info.facts.readings, &self.told)
    }

    /// How the image looks and was taken, and to which model; nothing yet of what the model says.
    fn observation(&self, volume: &Volume, features: Features) -> Observation {
        let ModelInfo { facts: ModelFacts { name, version, .. }, sha256, .. } =
            self.model_info.clone();
        Observation {
            features: features
                .named()
                .chain(acquisition(volume))
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            orientation: volume.geometry.as_ref().and_then(orientation).map(str::to_owned),
            sequence: volume.protocol.sequence.clone(),
            model: Some(ModelIdentity { name, version, sha256 }),
            ..Default::default()
        }
    }
}

/// What was told of the scan's series when it came.
fn choice(fit: SeriesFit) -> SeriesChoice {
    SeriesChoice {
        kind_model: KindModel::named(fit.kind_model_name, fit.kind_model_version),
        ..SeriesChoice::named(fit.score_permille, fit.picked, &fit.reasons)
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

/// The way from the pictures into the patient and back through what was written.
fn witness(volume: &Volume, found: &Findings, files: &[File]) -> Result<Option<Witness>> {
    match files.iter().find(|(artefact, _)| *artefact == MASK_VOLUME) {
        Some((_, written)) => Witness::of_file(volume, found, written),
        None => Witness::of_grid(volume),
    }
}

impl Analysis {
    fn new(document: ResultDocument, files: Vec<File>, observation: Observation) -> Analysis {
        let mut all: Vec<File> = vec![(RESULT, Bytes::from(document.to_json()))];
        all.extend(files);
        Analysis {
            answer: document.answer,
            reason: document.reason.unwrap_or_default(),
            unanswered: None,
            files: all,
            observation,
            compared: Compared::default(),
        }
    }
}
