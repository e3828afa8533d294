use std::collections::BTreeMap;

use domain::Result;
use tch::{Kind, Reduction, Tensor};

use super::darkroom::{Batch, Darkroom};
use super::pool::{Pool, View};
use crate::Device;
use crate::dataset::Patient;
use crate::evaluate::{Counts, mean};
use crate::network::Network;
use crate::parameters::{Normalising, Parameters};
use crate::segmenter::torch_error;

/// Slices that are shown at once when there is nothing to learn from them.
const SHOWN: usize = 16;

/// A loss and a (soft) Dice, both of one number on the device.
pub struct Objective {
    /// What the gradient is taken of.
    pub loss: Tensor,
    /// Soft Dice over the batch, 0 to 1: for people who watch.
    pub dice: Tensor,
}

/// Cross-entropy, which teaches every pixel, plus what is missing to a Dice of 1: half of it over all pictures, half the
/// mean over pictures that show a tumour, in which a small one counts as much as a large one.
pub fn objective(logits: &Tensor, targets: &Tensor) -> Objective {
    let logits = logits.to_kind(Kind::Float);
    let entropy =
        logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, Reduction::Mean);
    let probabilities = logits.sigmoid();
    let sums =
        |values: &Tensor| values.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float);
    let (overlap, found, truth) =
        (sums(&(&probabilities * targets)), sums(&probabilities), sums(targets));
    let dice = |overlap: &Tensor, both: &Tensor| -> Tensor { (overlap * 2.0 + 1.0) / (both + 1.0) };
    let all = dice(&overlap.sum(Kind::Float), &(found.sum(Kind::Float) + truth.sum(Kind::Float)));
    let shows = truth.gt(0.5).to_kind(Kind::Float);
    let missing: Tensor = (1.0 - dice(&overlap, &(found + &truth))) * &shows;
    let each = missing.sum(Kind::Float) / shows.sum(Kind::Float).clamp_min(1.0);
    let dice = all.detach();
    Objective { loss: entropy + (1.0 - all) * 0.5 + each * 0.5, dice }
}

/// Slices to validate on.
pub struct HeldOut {
    pool: Pool,
    /// Each with its patient's place in the pool.
    views: Vec<(usize, View)>,
}

impl HeldOut {
    /// Loads all slices of these patients.
    pub fn load(patients: &[Patient], device: Device, loaded: impl Fn()) -> Result<HeldOut> {
        let pool = Pool::load(patients, 0, device, loaded)?.for_use_in("validation")?;
        let views = pool.views();
        Ok(HeldOut { pool, views })
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
        device.take_threads(device.cores());
        let darkroom = Darkroom::new(&self.pool, network.channels(), device);
        let mut counts = Vec::new();
        for shown in self.views.chunks(SHOWN) {
            let slices: Vec<_> = shown.iter().map(|(_, view)| view.together).collect();
            counts.extend(count(network, parameters, &darkroom.plain(&slices, side))?);
        }
        let sources: Vec<&str> = self.pool.sources().collect();
        let mut patients = vec![Counts::default(); sources.len()];
        for ((patient, _), counts) in self.views.iter().zip(counts) {
            patients[*patient] = patients[*patient].plus(counts);
        }
        let mut dice = BTreeMap::<String, Vec<f64>>::new();
        for (source, counts) in sources.into_iter().zip(patients) {
            dice.entry(source.to_owned()).or_default().push(counts.dice());
        }
        Ok(dice.into_iter().map(|(source, dice)| (source, mean(&dice).unwrap_or(0.0))).collect())
    }
}

/// The counts of each slice of the batch.
fn count(network: &Network, parameters: &Parameters, batch: &Batch) -> Result<Vec<Counts>> {
    let _guard = tch::no_grad_guard();
    let unit_parameters = parameters.by_unit(network, false);
    let logits =
        unit_parameters.forward(&batch.images, Normalising::Running).map_err(torch_error)?;
    let (found, truth) = (logits.gt(0.0), batch.targets.gt(0.5));
    let pixels = |mask: &Tensor| {
        let sums = mask.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Int64);
        Vec::<i64>::try_from(&sums).map_err(torch_error)
    };
    let (overlap, found, truth) =
        (pixels(&found.logical_and(&truth))?, pixels(&found)?, pixels(&truth)?);
    let counts = |((overlap, found), truth): ((i64, i64), i64)| Counts {
        overlap: overlap as usize,
        found: found as usize,
        truth: truth as usize,
    };
    Ok(overlap.into_iter().zip(found).zip(truth).map(counts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 8 x 8 pixels of which the first so many have that value, and the others the negative.
    fn pixels(first: i64, value: f64) -> Tensor {
        let all = Tensor::full([1, 1, 8, 8], -value, (Kind::Float, tch::Device::Cpu));
        let _ = all.view([-1]).narrow(0, 0, first).fill_(value);
        all
    }

    /// The loss and the Dice of logits of -20 and 20 against a tumour of so many pixels.
    fn judged(found: i64, tumour: i64) -> [f64; 2] {
        let targets = pixels(tumour, 1.0).clamp_min(0.0);
        objective(&pixels(found, 20.0), &targets).read()
    }

    #[test]
    fn loss_and_dice_are_what_a_hand_computes() {
        // Twenty for each pixel that is surely wrong; twice the overlap and one, of both masks and one.
        let dice = 9.0 / 13.0;
        let [loss, seen] = judged(4, 8);
        assert!((seen - dice).abs() < 1e-5, "{seen}");
        // Half of what is missing over all pictures, half over those with a tumour: here one picture is both.
        assert!((loss - (20.0 * 4.0 / 64.0 + 1.0 - dice)).abs() < 1e-4, "{loss}");
    }

    #[test]
    fn a_healthy_picture_costs_nothing_until_something_is_found_in_it() {
        let [loss, dice] = judged(0, 0);
        assert!(loss < 1e-4 && (dice - 1.0).abs() < 1e-4, "{loss} {dice}");
        let [loss, dice] = judged(9, 0);
        assert!((dice - 0.1).abs() < 1e-5, "{dice}");
        // No tumour is missed in it: the Dice over all pictures alone counts, by half.
        assert!((loss - (20.0 * 9.0 / 64.0 + 0.5 * 0.9)).abs() < 1e-4, "{loss}");
    }
}
