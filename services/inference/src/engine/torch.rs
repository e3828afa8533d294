use std::path::Path;

use domain::Result;
use imaging::{ModelInfo, Prepared, TilePrediction};
use model::{Device, Segmenter};

use super::Engine;

/// The network, on libtorch or OpenVINO as the device says.
pub struct Network(Segmenter);

impl Network {
    /// Reads the weights and verifies their digest; `device` is `auto`, `cpu`, `openvino` or `cuda:N`.
    pub fn load(path: &Path, device: &str) -> Result<Network> {
        Ok(Network(Segmenter::load(path, Device::choose(device)?)?))
    }
}

impl Engine for Network {
    fn model_info(&self) -> ModelInfo {
        self.0.model_info().clone()
    }

    fn channels(&self) -> usize {
        self.0.channels()
    }

    fn predict(&mut self, tiles: &[Prepared], mirrored: bool) -> Result<Vec<TilePrediction>> {
        self.0.predict(tiles, mirrored)
    }
}
