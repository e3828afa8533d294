use std::path::Path;

use domain::{Error, ErrorKind, Result};
use imaging::{Passport, Prepared};
use tch::{TchError, Tensor};

use crate::network::{Activation, Network, UnitId, images};
use crate::weights::{Folded, Weights};
use crate::Device;

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
        let units = units.iter().map(|unit| Folded { weight: there(&unit.weight), bias: there(&unit.bias) });
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
            return Err(ErrorKind::Invalid.error(format!("the model looks at squares of {side} pixels")));
        }
        let pixels: Vec<f32> = squares.iter().flat_map(|square| square.pixels.iter().copied()).collect();
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
        return ErrorKind::Exhausted.error("these squares do not fit the memory at once").because(error);
    }
    ErrorKind::Internal.error("the network failed").because(error)
}
