use std::path::Path;

use domain::Result;
use imaging::{Passport, Prepared, Sight};
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

    fn predict(&mut self, squares: &[Prepared], mirrored: bool) -> Result<Vec<Sight>> {
        self.0.look(squares, mirrored)
    }
}
