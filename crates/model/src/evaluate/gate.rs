//! The gate set: bundled phantoms on which versions of models are compared before one serves.

use std::collections::BTreeSet;

use domain::{ErrorKind, Result};
use imaging::phantom::{Phantom, Settings, Weighting};
use imaging::{ImageKind, Volume};
use serde::Serialize;

use super::{Rate, ScanPrediction, Scored, bootstrap, mean, median, predict, score};
use crate::Segmenter;
use crate::dataset::Labelled;

/// The gate set's name. Figures of different sets are not compared, so it changes with the set.
pub const GATE_SET: &str = "phantoms-2";
/// The name of the file with the golden phantom's mask, beside the weights.
pub const GOLDEN_FILE: &str = "golden.pbm";
/// The kinds of image that there are phantoms of.
const KINDS: [(ImageKind, Weighting); 2] =
    [(ImageKind::Flair, Weighting::Flair), (ImageKind::T1Contrast, Weighting::T1Contrast)];
/// Phantoms of each kind with a tumour, and as many without.
const SCANS: u64 = 40;
/// The first phantom's seed, and the golden one's: far from those that training draws.
const FIRST_SEED: u64 = 7_000_000;
const GOLDEN_SEED: u64 = 6_999_999;
/// The bootstrap's seed.
const RESAMPLING_SEED: u64 = 1;
/// A portable bitmap (PBM, P4) of a phantom's one slice: this header, and a bit for each pixel.
const GOLDEN_HEADER: &[u8] = b"P4\n256 256\n";
const GOLDEN_SIDE: usize = 256;

/// What a model comes to on the gate set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateFigures {
    /// Of all phantoms, whose headers say what kind of image they are.
    #[serde(flatten)]
    pub all: CaseFigures,
    /// Of each kind of image by itself; `unknown`: of all phantoms, with headers that say nothing.
    pub kinds: Vec<KindFigures>,
    /// Kinds that the model was made for, and that the gate set has no phantom of.
    pub kinds_without_cases: Vec<ImageKind>,
    /// The median of the milliseconds from voxels to findings.
    pub ms_per_slice: f64,
}

/// What a model comes to on the phantoms of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindFigures {
    /// As their headers say it.
    pub kind: ImageKind,
    /// Of these phantoms alone.
    #[serde(flatten)]
    pub figures: CaseFigures,
}

/// The figures of some phantoms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseFigures {
    /// Scans with a tumour, and without one.
    pub scans: [usize; 2],
    /// The mean Dice of the scans with a tumour; a missed one counts 0.
    pub dice_mean: f64,
    /// Its 95 % interval (bootstrap).
    pub dice_interval: [f64; 2],
    /// False acceptance rate, by scan.
    pub far: Rate,
    /// False rejection rate, by scan.
    pub frr: Rate,
}

/// What the model said of a phantom whose header says that kind.
struct Case {
    kind: ImageKind,
    tumour: bool,
    found: bool,
    dice: f64,
    ms: f64,
}

impl Case {
    fn new(kind: ImageKind, tumour: bool, scored: &Scored) -> Case {
        // Of main findings: what totals count.
        let found = scored.assessment.findings.main().next().is_some();
        Case { kind, tumour, found, dice: scored.outcome.counts().dice(), ms: scored.outcome.ms }
    }
}

/// Evaluates the model on the gate set. `before_each` scan somebody may be let past; its error ends the evaluation.
pub fn gate_figures(
    segmenter: &mut Segmenter,
    mut before_each: impl FnMut() -> Result<()>,
) -> Result<GateFigures> {
    let mut cases = Vec::new();
    for (index, (kind, weighting)) in (0..).zip(KINDS) {
        let first = FIRST_SEED + 2 * SCANS * index;
        for seed in first..first + 2 * SCANS {
            before_each()?;
            let settings = Settings { tumour: seed % 2 == 1, weighting, ..Settings::slice(seed) };
            cases.extend(judged(segmenter, kind, &settings)?);
        }
    }
    let (silent, told): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| case.kind == ImageKind::Unknown);
    let ms: Vec<f64> = told.iter().map(|case| case.ms).collect();
    let of_kind = |kind: ImageKind| -> Result<KindFigures> {
        let cases: Vec<&Case> =
            told.iter().chain(&silent).filter(|case| case.kind == kind).collect();
        Ok(KindFigures { kind, figures: CaseFigures::new(&cases)? })
    };
    let kinds = KINDS.map(|(kind, _)| kind).into_iter().chain([ImageKind::Unknown]);
    Ok(GateFigures {
        all: CaseFigures::new(&told.iter().collect::<Vec<_>>())?,
        kinds: kinds.map(of_kind).collect::<Result<_>>()?,
        kinds_without_cases: without_cases(segmenter),
        ms_per_slice: median(&ms).ok_or_else(none)?,
    })
}

/// What the model makes of a phantom whose header says its kind, and of the same one where it says nothing.
fn judged(segmenter: &mut Segmenter, kind: ImageKind, settings: &Settings) -> Result<[Case; 2]> {
    let Phantom { volume, truth, .. } = Phantom::new(settings)?;
    let labelled = Labelled { volume: Volume { kind, ..volume }, truth };
    let told = predict(segmenter, &labelled)?;
    let silent = without_header(segmenter, labelled, told.clone())?;
    let case = |kind, prediction: &ScanPrediction| -> Result<Case> {
        Ok(Case::new(kind, settings.tumour, &score(segmenter.model_info(), prediction)?))
    };
    Ok([case(kind, &told)?, case(ImageKind::Unknown, &silent)?])
}

/// The prediction of the same scan, if its header said nothing of its kind: made anew only where the network would be given
/// it in another way.
fn without_header(
    segmenter: &mut Segmenter,
    labelled: Labelled,
    told: ScanPrediction,
) -> Result<ScanPrediction> {
    let readings = &segmenter.model_info().facts.readings;
    let classified = readings.classify(ImageKind::Unknown, told.classified.model);
    let input = |kind| readings.of(kind, told.shape.slices).input;
    if input(ImageKind::Unknown) == told.input && input(classified.kind) == told.input {
        return Ok(ScanPrediction { classified, ..told });
    }
    let Labelled { volume, truth } = labelled;
    let volume = Volume { kind: ImageKind::Unknown, ..volume };
    predict(segmenter, &Labelled { volume, truth })
}

/// The kinds that the model tells apart or reads in a way of their own, and that there is no phantom of.
fn without_cases(segmenter: &Segmenter) -> Vec<ImageKind> {
    let facts = &segmenter.model_info().facts;
    let made_for: BTreeSet<ImageKind> =
        facts.classes.iter().chain(facts.readings.kinds.keys()).copied().collect();
    let has = |kind: &ImageKind| KINDS.iter().any(|(there, _)| there == kind);
    made_for.into_iter().filter(|kind| !has(kind)).collect()
}

impl CaseFigures {
    fn new(cases: &[&Case]) -> Result<CaseFigures> {
        let (with, without): (Vec<&Case>, Vec<&Case>) =
            cases.iter().copied().partition(|case| case.tumour);
        let dice: Vec<f64> = with.iter().map(|case| case.dice).collect();
        let each: Vec<Vec<f64>> = dice.iter().map(|dice| vec![*dice]).collect();
        Ok(CaseFigures {
            scans: [with.len(), without.len()],
            dice_mean: mean(&dice).ok_or_else(none)?,
            dice_interval: bootstrap(&each, RESAMPLING_SEED).ok_or_else(none)?,
            far: Rate::new(without.iter().filter(|case| case.found).count(), without.len()),
            frr: Rate::new(with.iter().filter(|case| !case.found).count(), with.len()),
        })
    }
}

fn none() -> domain::Error {
    ErrorKind::Internal.error("the gate set is empty")
}

/// The model's mask of the golden phantom, as [`GOLDEN_FILE`] holds it.
pub fn golden_mask(segmenter: &mut Segmenter) -> Result<Vec<u8>> {
    let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(GOLDEN_SEED))?;
    let prediction = predict(segmenter, &Labelled { volume, truth })?;
    let mask = score(segmenter.model_info(), &prediction)?.assessment.findings.mask;
    let byte = |pixels: &[u8]| {
        pixels
            .iter()
            .enumerate()
            .fold(0, |byte, (at, label)| byte | (u8::from(*label != 0) << (7 - at)))
    };
    Ok(GOLDEN_HEADER.iter().copied().chain(mask.chunks(8).map(byte)).collect())
}

/// The Dice between the model's mask of the golden phantom here and the `stored` one; `Invalid` where that is none.
pub fn golden_dice(segmenter: &mut Segmenter, stored: &[u8]) -> Result<f64> {
    let bits = stored
        .strip_prefix(GOLDEN_HEADER)
        .filter(|bits| bits.len() == GOLDEN_SIDE * GOLDEN_SIDE / 8)
        .ok_or_else(|| {
            ErrorKind::Invalid.error(format!("{GOLDEN_FILE} is no mask of the golden phantom"))
        })?;
    let mask = golden_mask(segmenter)?;
    let own = mask.strip_prefix(GOLDEN_HEADER).unwrap_or_default();
    let ones = |bytes: &mut dyn Iterator<Item = u8>| bytes.map(u8::count_ones).sum::<u32>();
    let overlap = ones(&mut own.iter().zip(bits).map(|(a, b)| a & b));
    let both = ones(&mut own.iter().copied()) + ones(&mut bits.iter().copied());
    Ok(if both == 0 { 1.0 } else { 2.0 * f64::from(overlap) / f64::from(both) })
}

#[cfg(test)]
mod tests {
    use imaging::ModelFacts;

    use super::*;
    use crate::Device;
    use crate::weights::Weights;
    use crate::weights::tests::{facts, units};

    fn tiny() -> Segmenter {
        tiny_but(|_| ())
    }

    /// With something else known of the model.
    fn tiny_but(change: impl FnOnce(&mut ModelFacts)) -> Segmenter {
        let mut facts = facts();
        change(&mut facts.model);
        let units = units(facts.design);
        let device = Device::choose("cpu").unwrap();
        let weights = Weights { facts, sha256: "00".into(), units, kind_head: None };
        Segmenter::new(weights, device).unwrap()
    }

    #[test]
    fn an_evaluation_ends_where_it_is_told_to() {
        let mut begun = 0;
        let ended = gate_figures(&mut tiny(), || {
            begun += 1;
            match begun {
                3 => Err(ErrorKind::Unavailable.error("told to stop")),
                _ => Ok(()),
            }
        });
        assert_eq!((ended.unwrap_err().kind(), begun), (ErrorKind::Unavailable, 3));
    }

    #[test]
    fn a_header_that_says_nothing_is_read_as_the_service_reads_it() {
        let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(1)).unwrap();
        let labelled =
            |kind| Labelled { volume: Volume { kind, ..volume.clone() }, truth: truth.clone() };
        // As the general reading has it, and otherwise.
        for side in [32, 64] {
            let mut segmenter = tiny_but(|model| {
                let mut flair = model.readings.general.clone();
                flair.slice.input.side = side;
                model.readings.kinds.insert(ImageKind::Flair, flair);
            });
            let told = predict(&mut segmenter, &labelled(ImageKind::Flair)).unwrap();
            assert_eq!((told.input.side, told.classified.kind), (side, ImageKind::Flair));
            let silent = without_header(&mut segmenter, labelled(ImageKind::Flair), told).unwrap();
            let served = predict(&mut segmenter, &labelled(ImageKind::Unknown)).unwrap();
            assert_eq!((silent.input, silent.classified), (served.input, served.classified));
            assert!(silent.probabilities == served.probabilities, "{side}");
        }
    }

    #[test]
    fn a_kind_that_there_is_no_phantom_of_is_named() {
        assert!(without_cases(&tiny()).is_empty());
        let model = tiny_but(|model| model.classes = vec![ImageKind::Other, ImageKind::Flair]);
        assert_eq!(without_cases(&model), [ImageKind::Other]);
    }

    #[test]
    fn figures_of_cases_counted_by_hand() {
        let case =
            |tumour, found, dice| Case { kind: ImageKind::Flair, tumour, found, dice, ms: 1.0 };
        let cases = [
            case(true, true, 0.8),
            case(true, false, 0.0),
            case(false, true, 0.0),
            case(false, false, 1.0),
            case(false, false, 1.0),
        ];
        let figures = CaseFigures::new(&cases.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!((figures.scans, figures.dice_mean), ([2, 3], 0.4));
        let counted = |rate: Rate| (rate.count, rate.of);
        assert_eq!((counted(figures.far), counted(figures.frr)), ((1, 3), (1, 2)));
        assert!(CaseFigures::new(&[]).is_err());
    }

    #[test]
    fn a_golden_mask_is_compared_bit_by_bit_and_what_is_none_is_refused() {
        let mut mask = golden_mask(&mut tiny()).unwrap();
        assert_eq!(golden_dice(&mut tiny(), &mask).unwrap(), 1.0);
        for other in [&mask[1..], &mask[..mask.len() - 1], &[]] {
            let refused = golden_dice(&mut tiny(), other).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
        }
        *mask.last_mut().unwrap() ^= 1;
        assert!(golden_dice(&mut tiny(), &mask).unwrap() < 1.0);
    }
}
