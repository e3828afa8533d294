use std::collections::BTreeMap;

use domain::{ErrorKind, Result};
use tch::{Kind, Reduction, Tensor};

use super::augment::{Example, Square};
use super::pool::squares;
use crate::Device;
use crate::dataset::{Labelled, Patient};
use crate::evaluate::{Counts, mean};
use crate::network::{Network, images};
use crate::parallel::in_parallel;
use crate::parameters::Parameters;
use crate::segmenter::broken;

/// Slices that are shown at once when there is nothing to learn from them.
const SHOWN: usize = 16;

/// Examples as tensors.
pub struct Batch {
    pub images: Tensor,
    pub targets: Tensor,
}

impl Batch {
    /// Images of that many channels in the device's arithmetic, targets in f32.
    pub fn new(examples: &[Example], channels: i64, side: usize, device: Device) -> Batch {
        let pixels: Vec<f32> =
            examples.iter().flat_map(|example| side_by_side(&example.planes, channels)).collect();
        let targets: Vec<f32> =
            examples.iter().flat_map(|example| example.target.iter().copied()).collect();
        Batch {
            images: images(&pixels, channels, side, device.kind, device.place),
            targets: images(&targets, 1, side, Kind::Float, device.place),
        }
    }
}

/// As the segmenter lays them out: before, itself, after; a slice that came alone stands in for its neighbours.
fn side_by_side(planes: &[Vec<f32>], channels: i64) -> Vec<f32> {
    if channels == 1 {
        return planes[0].clone();
    }
    let three = match planes {
        [slice, before, after] => [before, slice, after],
        _ => [&planes[0]; 3],
    };
    (0..planes[0].len()).flat_map(|at| three.map(|plane| plane[at])).collect()
}

/// Cross-entropy, which teaches every pixel, plus what is missing to a Dice of 1 over the whole batch,
/// which weighs small tumours like large ones. Answers the loss and that (soft) Dice.
pub fn loss(logits: &Tensor, targets: &Tensor) -> (Tensor, f64) {
    let logits = logits.to_kind(Kind::Float);
    let entropy =
        logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, Reduction::Mean);
    let probabilities = logits.sigmoid();
    let overlap = (&probabilities * targets).sum(Kind::Float);
    let both = probabilities.sum(Kind::Float) + targets.sum(Kind::Float);
    let dice = (overlap * 2.0 + 1.0) / (both + 1.0);
    let value = dice.double_value(&[]);
    (entropy + 1.0 - dice, value)
}

/// Squares to be judged by.
pub struct HeldOut {
    /// Each with its patient's place in the list below.
    squares: Vec<(usize, Square)>,
    /// What each patient's source is called.
    sources: Vec<String>,
}

impl HeldOut {
    /// Loads all slices of these patients.
    pub fn load(patients: &[Patient], loaded: impl Fn()) -> Result<HeldOut> {
        let mut held_out = HeldOut { squares: Vec::new(), sources: Vec::new() };
        for (index, patient) in patients.iter().enumerate() {
            for scan in patient.scans() {
                let squares = squares(&Labelled::load(scan)?)?;
                held_out.squares.extend(squares.into_iter().map(|square| (index, square)));
                loaded();
            }
            held_out.sources.push(patient.source.clone());
        }
        for source in &held_out.sources {
            let shows = |(patient, square): &(usize, Square)| {
                held_out.sources[*patient] == *source && square.has_tumour()
            };
            if !held_out.squares.iter().any(shows) {
                let message = format!("no slice of {source} for validation shows a tumour");
                return Err(ErrorKind::Invalid.error(message));
            }
        }
        Ok(held_out)
    }

    /// For each source the mean Dice over patients, at probability 0.5 and in the network's own pixels: near enough to
    /// the real figure to see whether training goes well.
    pub fn validate(
        &self,
        network: &Network,
        parameters: &Parameters,
        side: usize,
        device: Device,
    ) -> Result<BTreeMap<String, f64>> {
        let share = self.squares.len().div_ceil(device.cores()).max(1);
        let works = self.squares.chunks(share).map(|squares| {
            let parameters = parameters.sharing_weights();
            move || {
                device.take_threads(1);
                let shown = squares.chunks(SHOWN);
                let counts = shown.map(|shown| count(network, &parameters, shown, side, device));
                Ok(counts.collect::<Result<Vec<_>>>()?.concat())
            }
        });
        let mut patients = vec![Counts::default(); self.sources.len()];
        let counts = in_parallel(works)?.concat();
        for ((patient, _), counts) in self.squares.iter().zip(counts) {
            patients[*patient] = patients[*patient].plus(counts);
        }
        let mut dice = BTreeMap::<String, Vec<f64>>::new();
        for (source, counts) in self.sources.iter().zip(patients) {
            dice.entry(source.clone()).or_default().push(counts.dice());
        }
        Ok(dice.into_iter().map(|(source, dice)| (source, mean(&dice).unwrap_or(0.0))).collect())
    }
}

/// The counts of each of these squares.
fn count(
    network: &Network,
    parameters: &Parameters,
    squares: &[(usize, Square)],
    side: usize,
    device: Device,
) -> Result<Vec<Counts>> {
    let _guard = tch::no_grad_guard();
    let examples: Vec<_> = squares.iter().map(|(_, square)| square.plain(side)).collect();
    let batch = Batch::new(&examples, network.channels(), side, device);
    let logits = parameters.cut(network, false).forward(&batch.images, false).map_err(broken)?;
    let (found, truth) = (logits.gt(0.0), batch.targets.gt(0.5));
    let pixels = |mask: &Tensor| {
        let sums = mask.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Int64);
        Vec::<i64>::try_from(&sums).map_err(broken)
    };
    let (overlap, found, truth) =
        (pixels(&found.logical_and(&truth))?, pixels(&found)?, pixels(&truth)?);
    let counts = |at: usize| Counts {
        overlap: overlap[at] as usize,
        found: found[at] as usize,
        truth: truth[at] as usize,
    };
    Ok((0..squares.len()).map(counts).collect())
}
