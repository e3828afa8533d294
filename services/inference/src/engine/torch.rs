use std::path::Path;

use domain::Result;
use imaging::{Passport, Prepared};
use model::{Device, Segmenter};

use super::Engine;

/// The network on libtorch.
pub struct Network(Segmenter);

impl Network {
    /// Reads the weights and verifies their digest; `device` is `auto`, `cpu` or `cuda:N`.
    pub fn load(path: &Path, device: &str) -> Result<Network> {
        Ok(Network(Segmenter::load(path, Device::choose(device)?)?))
    }
}

impl Engine for Network {
    fn passport(&self) -> Passport {
        self.0.passport().clone()
    }

    fn probabilities(&mut self, squares: &[Prepared]) -> Result<Vec<Vec<f32>>> {
        self.0.probabilities(squares)
    }
}
