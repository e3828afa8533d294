mod graph;
mod openvino;
mod torch;

use std::path::Path;

use domain::{Error, ErrorKind, Result};
use imaging::{ModelInfo, Prepared, Projection, TilePrediction};

use crate::Device;
use crate::kind_head::KindHead;
use crate::network::{Network, SIDE_MULTIPLE};
use crate::weights::Weights;

pub(crate) use torch::torch_error;

/// The network with its weights, ready for inference.
pub struct Segmenter {
    runtime: Box<dyn Runtime>,
    channels: usize,
    /// How many features of an image the bottleneck has.
    features: usize,
    /// Makes embeddings of those.
    projection: Projection,
    kind_head: Option<KindHead>,
    model_info: ModelInfo,
}

/// What calculates the network's output.
trait Runtime: Send {
    /// Of images of that side, each pixel with its channels side by side.
    ///
    /// `Exhausted` when they are too many for the memory at once.
    fn forward(&mut self, pixels: &[f32], side: usize) -> Result<Output>;
}

/// The network's output for some images, one after another.
#[derive(Default)]
struct Output {
    /// Of tumour, for each pixel.
    probabilities: Vec<f32>,
    /// The bottleneck's, each averaged over its image.
    features: Vec<f32>,
}

impl Segmenter {
    /// Reads and verifies a model (see [`Weights::read`]) and puts it on `device`.
    ///
    /// `Unavailable` where OpenVINO is asked for and is not there, `Internal` where it calculates something else than libtorch.
    pub fn load(path: &Path, device: Device) -> Result<Segmenter> {
        Segmenter::new(Weights::read(path)?, device)
    }

    /// The model of weights that are already in memory; fails as [`load`](Segmenter::load).
    pub fn new(weights: Weights, device: Device) -> Result<Segmenter> {
        let Weights { facts, sha256, units, kind_head } = weights;
        let network = Network::new(facts.design);
        let (channels, features) = (network.channels() as usize, network.features() as usize);
        let (runtime, device) = openvino::runtime(facts.design, &units, device)?;
        let model_info = ModelInfo { facts: facts.model, sha256, device };
        let projection = Projection::new(features);
        Ok(Segmenter { runtime, channels, features, projection, kind_head, model_info })
    }

    /// The identity of the model, and where it runs.
    pub fn model_info(&self) -> &ModelInfo {
        &self.model_info
    }

    /// How many channels an image has: one, or three where it sees the slices before and after, too.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Predicts a batch of tiles, all of which have the same side; with test-time augmentation by a flip where `mirrored`.
    ///
    /// `Invalid` when a tile is of another side than the first or than the network can take, `Exhausted` when there
    /// are too many for the memory at once, `Internal` when the network breaks or gives something that is no
    /// probability: never zeros instead.
    pub fn predict(&mut self, tiles: &[Prepared], mirrored: bool) -> Result<Vec<TilePrediction>> {
        let Some(side) = side_of(tiles)? else { return Ok(Vec::new()) };
        let mut pixels = self.pixels(tiles);
        if mirrored {
            pixels.extend(flipped(&pixels, side, self.channels));
        }
        let mut output = self.forward(&pixels, side)?;
        let mut kinds = self.kinds(&output.features);
        let mut embeddings = self.embeddings(&output.features);
        if mirrored {
            let turned = output.probabilities.split_off(output.probabilities.len() / 2);
            average_into(&mut output.probabilities, flipped(&turned, side, 1));
            average_halves(&mut kinds);
            average_halves(&mut embeddings);
        }
        if !output.probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err(ErrorKind::Internal.error("the network's output is no probability"));
        }
        let probabilities = output.probabilities.chunks(side * side).map(<[f32]>::to_vec);
        let kinds = kinds.into_iter().chain(std::iter::repeat_with(Vec::new));
        let predictions = probabilities.zip(kinds).zip(embeddings);
        Ok(predictions
            .map(|((probabilities, kinds), embedding)| TilePrediction {
                probabilities,
                kinds,
                embedding,
            })
            .collect())
    }

    /// The bottleneck's features of each tile, by which kinds of image are classified.
    pub fn features(&mut self, tiles: &[Prepared]) -> Result<Vec<Vec<f32>>> {
        let Some(side) = side_of(tiles)? else { return Ok(Vec::new()) };
        let output = self.forward(&self.pixels(tiles), side)?;
        Ok(output.features.chunks(self.features).map(<[f32]>::to_vec).collect())
    }

    fn pixels(&self, tiles: &[Prepared]) -> Vec<f32> {
        tiles.iter().flat_map(|tile| side_by_side(tile, self.channels)).collect()
    }

    /// The probability of each kind, of each image; none of a model that has no classes.
    fn kinds(&self, features: &[f32]) -> Vec<Vec<f32>> {
        let Some(head) = &self.kind_head else { return Vec::new() };
        let images = features.chunks(self.features);
        images.map(|features| head.probabilities(features)).collect()
    }

    /// Where each image lies; the features come with every pass, so that this costs none.
    fn embeddings(&self, features: &[f32]) -> Vec<Vec<f32>> {
        features.chunks(self.features).map(|features| self.projection.of(features)).collect()
    }

    /// The network's output for these images.
    fn forward(&mut self, pixels: &[f32], side: usize) -> Result<Output> {
        let count = pixels.len() / (side * side * self.channels);
        let output = self.runtime.forward(pixels, side)?;
        let lengths = (output.probabilities.len(), output.features.len());
        if lengths != (count * side * side, count * self.features) {
            return Err(ErrorKind::Internal.error("the network's output has the wrong shape"));
        }
        Ok(output)
    }
}

/// The error of a library, which tells a full memory from a bug only in words: in these.
fn library_error(
    error: impl std::error::Error + Send + Sync + 'static,
    full: [&str; 2],
    otherwise: &'static str,
) -> Error {
    let text = error.to_string().to_lowercase();
    if full.iter().any(|words| text.contains(words)) {
        return ErrorKind::Exhausted
            .error("these tiles do not fit the memory at once")
            .because(error);
    }
    ErrorKind::Internal.error(otherwise).because(error)
}

/// The side of these tiles; None without one.
fn side_of(tiles: &[Prepared]) -> Result<Option<usize>> {
    let Some(first) = tiles.first() else { return Ok(None) };
    let side = first.placement.side;
    let lengths = tiles
        .iter()
        .flat_map(|tile| tile.neighbours.iter().flatten().chain([&tile.pixels]).map(Vec::len));
    let sound = side > 0 && side.is_multiple_of(SIDE_MULTIPLE);
    if !sound || lengths.into_iter().any(|length| length != side * side) {
        let message = format!(
            "the network takes tiles of one size at a time, its side a multiple of {SIDE_MULTIPLE} pixels"
        );
        return Err(ErrorKind::Invalid.error(message));
    }
    Ok(Some(side))
}

/// Averages what was predicted of flipped images, the second half, into the first.
fn average_halves(values: &mut Vec<Vec<f32>>) {
    let turned = values.split_off(values.len() / 2);
    values.iter_mut().zip(turned).for_each(|(straight, turned)| average_into(straight, turned));
}

/// Averages `turned` into `straight`.
fn average_into(straight: &mut [f32], turned: Vec<f32>) {
    straight.iter_mut().zip(turned).for_each(|(p, turned)| *p = (*p + turned) / 2.0);
}

/// A tile's pixels with the channels of each side by side: the slice before, itself, the one after.
pub(crate) fn side_by_side(tile: &Prepared, channels: usize) -> Vec<f32> {
    let Prepared { pixels, neighbours: [before, after], .. } = tile;
    if channels == 1 {
        return pixels.clone();
    }
    let three = [before.as_ref().unwrap_or(pixels), pixels, after.as_ref().unwrap_or(pixels)];
    (0..pixels.len()).flat_map(|at| three.map(|channel| channel[at])).collect()
}

/// The images flipped left to right, of `side` pixels a row.
fn flipped(values: &[f32], side: usize, channels: usize) -> Vec<f32> {
    let rows = values.chunks(side * channels);
    rows.flat_map(|row| row.chunks(channels).rev().flatten().copied()).collect()
}

#[cfg(test)]
mod channel_tests;
#[cfg(test)]
mod tests {
    use imaging::phantom::{Phantom, Settings};
    use imaging::prepare;

    use super::*;
    use crate::weights::Folded;
    use crate::weights::tests::{facts, units};

    fn segmenter() -> Segmenter {
        of(units(facts().design)).unwrap()
    }

    fn of(units: Vec<Folded>) -> Result<Segmenter> {
        let weights = Weights { facts: facts(), sha256: "00".into(), units, kind_head: None };
        Segmenter::new(weights, Device::choose("cpu").unwrap().exact())
    }

    fn tile(seed: u64) -> Prepared {
        let volume = Phantom::new(&Settings::slice(seed)).unwrap().volume;
        prepare(volume.slice(0), 256, 256, 32).unwrap()
    }

    fn turned(tile: &Prepared) -> Prepared {
        Prepared { pixels: flipped(&tile.pixels, 32, 1), ..tile.clone() }
    }

    #[test]
    fn company_changes_no_answer() {
        let mut segmenter = segmenter();
        let tiles = [tile(1), tile(2), tile(3)];
        let together = segmenter.predict(&tiles, false).unwrap();
        for (tile, together) in tiles.into_iter().zip(together) {
            let alone = segmenter.predict(&[tile], false).unwrap().remove(0).probabilities;
            let same = alone.iter().zip(&together.probabilities).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(same);
            assert!(
                alone.iter().any(|p| (p - alone[0]).abs() > 1e-3),
                "an answer to everything alike"
            );
        }
        assert!(segmenter.predict(&[], true).unwrap().is_empty());
    }

    #[test]
    fn a_flipped_tile_has_the_flipped_prediction_under_augmentation() {
        let mut segmenter = segmenter();
        let straight = tile(1);
        let seen = segmenter.predict(&[straight.clone(), turned(&straight)], true).unwrap();
        let [a, b] = [&seen[0].probabilities, &seen[1].probabilities];
        assert!(flipped(a, 32, 1).iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
        let one = segmenter.predict(&[straight], false).unwrap().remove(0).probabilities;
        assert!(
            one.iter().zip(a).any(|(one, both)| (one - both).abs() > 1e-4),
            "no second prediction"
        );
    }

    #[test]
    fn kinds_are_classified_by_the_features_of_the_same_pass() {
        let mut segmenter = segmenter();
        let tiles = [tile(1), tile(2)];
        let features = segmenter.features(&tiles).unwrap();
        assert!(features[0].len() == segmenter.features);
        assert!(segmenter.predict(&tiles, false).unwrap()[0].kinds.is_empty());
        let images: Vec<_> = features.iter().cloned().zip(0..).collect();
        let head = KindHead::fit(&images, 2).unwrap();
        segmenter.kind_head = Some(head.clone());
        let seen = segmenter.predict(&tiles, false).unwrap();
        for (kind, (prediction, features)) in seen.iter().zip(&features).enumerate() {
            assert_eq!(prediction.kinds, head.probabilities(features));
            assert!(prediction.kinds[kind] > 0.9, "{:?}", prediction.kinds);
        }
        let mirrored = segmenter.predict(&tiles, true).unwrap();
        let back = segmenter.predict(&tiles.each_ref().map(turned), false).unwrap();
        let mean = (seen[0].kinds[0] + back[0].kinds[0]) / 2.0;
        assert!((mirrored[0].kinds[0] - mean).abs() < 1e-5);
    }

    #[test]
    fn embeddings_are_made_of_the_features_of_the_same_pass() {
        let mut segmenter = segmenter();
        let tiles = [tile(1), tile(2)];
        let features = segmenter.features(&tiles).unwrap();
        let seen = segmenter.predict(&tiles, false).unwrap();
        let back = segmenter.predict(&tiles.each_ref().map(turned), false).unwrap();
        let mirrored = segmenter.predict(&tiles, true).unwrap();
        for (place, features) in features.iter().enumerate() {
            let own = &seen[place].embedding;
            assert_eq!(*own, Projection::new(features.len()).of(features));
            let mut mean = own.clone();
            average_into(&mut mean, back[place].embedding.clone());
            let mut same = mean.iter().zip(&mirrored[place].embedding);
            assert!(same.all(|(a, b)| (a - b).abs() < 1e-4), "{mean:?}");
        }
        assert!(seen[0].embedding != seen[1].embedding);
    }

    #[test]
    fn tiles_of_another_size_or_of_two_are_refused() {
        let mut short = tile(1);
        short.pixels.pop();
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let larger = prepare(volume.slice(0), 256, 256, 64).unwrap();
        let odd = prepare(volume.slice(0), 256, 256, 48).unwrap();
        for tiles in [vec![short], vec![tile(1), larger], vec![odd]] {
            let error = segmenter().predict(&tiles, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn an_output_that_is_no_probability_is_an_error_and_never_no_tumour() {
        let mut units = units(facts().design);
        let _ = units[0].bias.fill_(f64::NAN);
        let error = of(units).unwrap().predict(&[tile(1)], false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
}
