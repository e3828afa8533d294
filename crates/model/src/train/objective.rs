use domain::Result;
use tch::{Kind, Reduction, Tensor};

use super::augment::{Example, Square};
use super::pool::square;
use crate::Device;
use crate::dataset::Patient;
use crate::evaluate::Counts;
use crate::network::{Network, images};
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
    /// Images in the device's arithmetic, targets in f32.
    pub fn new(examples: &[Example], side: usize, device: Device) -> Batch {
        let joined = |part: fn(&Example) -> &Vec<f32>| {
            examples.iter().flat_map(|example| part(example).iter().copied()).collect::<Vec<f32>>()
        };
        Batch {
            images: images(&joined(|e| &e.pixels), side, device.kind, device.place),
            targets: images(&joined(|e| &e.target), side, Kind::Float, device.place),
        }
    }
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

/// The squares of each patient.
pub fn held_out(patients: &[Patient], loaded: impl Fn()) -> Result<Vec<Vec<Square>>> {
    let squares = |patient: &Patient| {
        let slices = patient.slices.iter().map(|entry| {
            loaded();
            square(&entry.load()?)
        });
        slices.collect::<Result<Vec<_>>>()
    };
    patients.iter().map(squares).collect()
}

/// The mean volumetric Dice over patients, at probability 0.5 and in the network's own pixels: near enough to
/// the real figure to see whether training goes well.
pub fn validate(
    network: &Network,
    parameters: &Parameters,
    patients: &[Vec<Square>],
    side: usize,
    device: Device,
) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    device.take_threads(device.cores());
    let cut = parameters.cut(network, false);
    let mut dice = 0.0;
    for slices in patients {
        let mut counts = Counts::default();
        for shown in slices.chunks(SHOWN) {
            let examples: Vec<_> = shown.iter().map(|square| square.plain(side)).collect();
            let batch = Batch::new(&examples, side, device);
            let logits = cut.forward(&batch.images, false).map_err(broken)?;
            let (found, truth) = (logits.gt(0.0), batch.targets.gt(0.5));
            let count = |mask: &Tensor| mask.sum(Kind::Int64).int64_value(&[]) as usize;
            counts.overlap += count(&found.logical_and(&truth));
            counts.found += count(&found);
            counts.truth += count(&truth);
        }
        dice += counts.dice();
    }
    Ok(dice / patients.len() as f64)
}
