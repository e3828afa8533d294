use domain::Result;
use imaging::{ModelInfo, Prepared, TilePrediction};

use super::{Engine, tile_predictions, weightless};

/// What is three times as bright as the head's median, counted from air. It must cover less than a hundredth
/// of the slice, or brightness is measured by it.
const MARK: f32 = 2.0;

/// Marks what is very bright and nothing else, so that a mask tells which scan it was made from: a
/// test draws a patient's number into the voxels and must read it in that patient's result.
pub struct Echo;

impl Engine for Echo {
    fn model_info(&self) -> ModelInfo {
        weightless("echo", 0.5, 1)
    }

    fn predict(&mut self, tiles: &[Prepared], _mirrored: bool) -> Result<Vec<TilePrediction>> {
        let marked =
            |tile: &Prepared| tile.pixels.iter().map(|p| f32::from(u8::from(*p >= MARK))).collect();
        Ok(tile_predictions(tiles.iter().map(marked).collect()))
    }
}
