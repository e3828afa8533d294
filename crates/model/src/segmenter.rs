use std::path::Path;

use domain::{Error, ErrorKind, Result};
use imaging::{Passport, Prepared};
use tch::{TchError, Tensor};

use crate::Device;
use crate::network::{Activation, Network, UnitId, images};
use crate::weights::{Folded, Weights};

/// The network with its weights, ready to look at slices.
pub struct Segmenter {
    network: Network,
    units: Vec<Folded>,
    device: Device,
    mirrored: bool,
    passport: Passport,
}

impl Segmenter {
    /// Reads and verifies a model (see [`Weights::read`]) and puts it on `device`.
    pub fn load(path: &Path, device: Device) -> Result<Segmenter> {
        Ok(Segmenter::new(Weights::read(path)?, device))
    }

    /// The model of weights that are already in memory.
    pub fn new(weights: Weights, device: Device) -> Segmenter {
        let Weights { facts, sha256, units } = weights;
        let there = |tensor: &Tensor| tensor.to_device(device.place).to_kind(device.kind);
        let units = units
            .iter()
            .map(|unit| Folded { weight: there(&unit.weight), bias: there(&unit.bias) });
        Segmenter {
            network: Network::new(facts.design),
            units: units.collect(),
            device,
            mirrored: facts.mirrored,
            passport: Passport {
                name: facts.name,
                version: facts.version,
                sha256,
                preprocessing: facts.preprocessing,
                threshold: facts.threshold,
                minimum_pixels: facts.minimum_pixels,
                side: facts.side,
                modalities: facts.modalities,
                device: device.to_string(),
            },
        }
    }

    /// Which model this is, and where it runs.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// For each square, the probability of tumour at each of its pixels.
    ///
    /// `Invalid` when a square is not of the passport's side, `Exhausted` when there are too many for the
    /// memory at once, `Internal` when the network breaks or gives something that is no probability: never zeros instead.
    pub fn probabilities(&mut self, squares: &[Prepared]) -> Result<Vec<Vec<f32>>> {
        let side = self.passport.side;
        if squares.is_empty() {
            return Ok(Vec::new());
        }
        if squares.iter().any(|square| square.pixels.len() != side * side) {
            return Err(
                ErrorKind::Invalid.error(format!("the model looks at squares of {side} pixels"))
            );
        }
        let pixels: Vec<f32> =
            squares.iter().flat_map(|square| square.pixels.iter().copied()).collect();
        let _guard = tch::no_grad_guard();
        let x = images(&pixels, side, self.device.kind, self.device.place);
        let y = self.look(&x).map_err(broken)?;
        let values: Vec<f32> = Vec::try_from(&y.reshape([-1])).map_err(broken)?;
        if values.len() != pixels.len() || !values.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err(ErrorKind::Internal.error("the network's output is no probability"));
        }
        Ok(values.chunks(side * side).map(<[f32]>::to_vec).collect())
    }

    fn look(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let straight = self.forward(x)?.f_sigmoid()?;
        if !self.mirrored {
            return Ok(straight);
        }
        let mirrored = self.forward(&x.f_flip([3])?)?.f_sigmoid()?.f_flip([3])?;
        (straight + mirrored).f_mul_scalar(0.5)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let logits = self.network.forward(x, |id, x, activation| self.apply(id, x, activation))?;
        logits.f_to_kind(tch::Kind::Float)
    }

    fn apply(&self, id: UnitId, x: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
        let Folded { weight, bias } = &self.units[id];
        let mut y = self.network.units()[id].convolve(x, weight, Some(bias))?;
        match activation {
            Activation::Relu => y.f_relu_(),
            Activation::None => Ok(y),
        }
    }
}

/// libtorch tells a full memory from a bug only in words.
pub(crate) fn broken(error: TchError) -> Error {
    let text = error.to_string().to_lowercase();
    if text.contains("out of memory") || text.contains("allocate memory") {
        return ErrorKind::Exhausted
            .error("these squares do not fit the memory at once")
            .because(error);
    }
    ErrorKind::Internal.error("the network failed").because(error)
}

#[cfg(test)]
mod tests {
    use imaging::phantom::{Phantom, Settings};
    use imaging::prepare;

    use super::*;
    use crate::weights::Facts;
    use crate::weights::tests::{facts, units};

    fn segmenter(facts: Facts) -> Segmenter {
        let units = units(facts.design);
        let device = Device::choose("cpu").unwrap().exact();
        Segmenter::new(Weights { facts, sha256: "00".into(), units }, device)
    }

    fn square(seed: u64) -> Prepared {
        let volume = Phantom::new(&Settings::slice(seed)).unwrap().volume;
        prepare(volume.slice(0), 256, 256, 32).unwrap()
    }

    #[test]
    fn company_changes_no_answer() {
        let mut segmenter = segmenter(facts());
        let squares = [square(1), square(2), square(3)];
        let together = segmenter.probabilities(&squares).unwrap();
        for (square, together) in squares.into_iter().zip(together) {
            let alone = segmenter.probabilities(&[square]).unwrap().remove(0);
            assert!(alone.iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-5));
            assert!(
                alone.iter().any(|p| (p - alone[0]).abs() > 1e-3),
                "an answer to everything alike"
            );
        }
        assert!(segmenter.probabilities(&[]).unwrap().is_empty());
    }

    #[test]
    fn in_the_mirror_the_answer_is_the_mirrored_one() {
        let mut segmenter = segmenter(Facts { mirrored: true, ..facts() });
        let straight = square(1);
        let mirrored = |values: &[f32]| {
            values.chunks(32).flat_map(|row| row.iter().rev().copied()).collect::<Vec<f32>>()
        };
        let turned = Prepared { pixels: mirrored(&straight.pixels), placement: straight.placement };
        let seen = segmenter.probabilities(&[straight, turned]).unwrap();
        assert!(mirrored(&seen[0]).iter().zip(&seen[1]).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn a_square_of_another_size_is_refused() {
        let mut square = square(1);
        square.pixels.pop();
        let error = segmenter(facts()).probabilities(&[square]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn an_output_that_is_no_probability_is_an_error_and_never_no_tumour() {
        let mut segmenter = segmenter(facts());
        let _ = segmenter.units[0].bias.fill_(f64::NAN);
        let error = segmenter.probabilities(&[square(1)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }

    #[test]
    fn memory_that_ran_out_is_told_from_a_bug() {
        let error = |text: &str| broken(TchError::Torch(text.into())).kind();
        assert_eq!(error("CUDA out of memory. Tried to allocate 2 GiB"), ErrorKind::Exhausted);
        assert_eq!(error("DefaultCPUAllocator: can't allocate memory"), ErrorKind::Exhausted);
        assert_eq!(error("expected 4-dimensional input"), ErrorKind::Internal);
    }
}
