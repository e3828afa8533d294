//! The gate set: bundled phantoms on which versions of models are compared before one serves.

use domain::{ErrorKind, Result};
use imaging::phantom::{Phantom, Settings};
use serde::Serialize;

use super::{Rate, Scored, bootstrap, mean, median, predict, score};
use crate::Segmenter;
use crate::dataset::Labelled;

/// The gate set's name. Figures of different sets are not compared, so it changes with the set.
pub const GATE_SET: &str = "phantoms-1";
/// The name of the file with the golden phantom's mask, beside the weights.
pub const GOLDEN_FILE: &str = "golden.pbm";
/// Phantoms with a tumour, and as many without.
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
    /// The median of the milliseconds from voxels to findings.
    pub ms_per_slice: f64,
}

/// Evaluates the model on the gate set. `before_each` scan somebody may be let past; its error ends the evaluation.
pub fn gate_figures(
    segmenter: &mut Segmenter,
    mut before_each: impl FnMut() -> Result<()>,
) -> Result<GateFigures> {
    let mut scored = |tumour: bool| -> Result<Vec<Scored>> {
        let seeds = (0..SCANS).map(|scan| FIRST_SEED + 2 * scan + u64::from(tumour));
        let one = |seed| before_each().and_then(|()| one(segmenter, seed, tumour));
        seeds.map(one).collect()
    };
    let (with, without) = (scored(true)?, scored(false)?);
    let found = |scored: &Scored| scored.assessment.findings.main().next().is_some();
    // Of main findings: what totals count.
    let dice: Vec<f64> = with.iter().map(|scored| scored.outcome.counts().dice()).collect();
    let each: Vec<Vec<f64>> = dice.iter().map(|dice| vec![*dice]).collect();
    let none = || ErrorKind::Internal.error("the gate set is empty");
    let ms: Vec<f64> = with.iter().chain(&without).map(|scored| scored.outcome.ms).collect();
    Ok(GateFigures {
        scans: [with.len(), without.len()],
        dice_mean: mean(&dice).ok_or_else(none)?,
        dice_interval: bootstrap(&each, RESAMPLING_SEED).ok_or_else(none)?,
        far: Rate::new(without.iter().filter(|scored| found(scored)).count(), without.len()),
        frr: Rate::new(with.iter().filter(|scored| !found(scored)).count(), with.len()),
        ms_per_slice: median(&ms).ok_or_else(none)?,
    })
}

/// The model's mask of the golden phantom, as [`GOLDEN_FILE`] holds it.
pub fn golden_mask(segmenter: &mut Segmenter) -> Result<Vec<u8>> {
    let mask = one(segmenter, GOLDEN_SEED, true)?.assessment.findings.mask;
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

fn one(segmenter: &mut Segmenter, seed: u64, tumour: bool) -> Result<Scored> {
    let Phantom { volume, truth, .. } =
        Phantom::new(&Settings { tumour, ..Settings::slice(seed) })?;
    let prediction = predict(segmenter, &Labelled { volume, truth })?;
    score(segmenter.model_info(), &prediction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::weights::Weights;
    use crate::weights::tests::{facts, units};

    fn tiny() -> Segmenter {
        let facts = facts();
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
