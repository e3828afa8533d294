//! Inference engines, behind one trait; a URL chooses.

#[cfg(any(debug_assertions, feature = "doubles"))]
mod echo;
#[cfg(any(debug_assertions, feature = "doubles"))]
mod stub;
mod threshold;
#[cfg(feature = "torch")]
mod torch;

use domain::{ErrorKind, Result};
use imaging::{ModelFacts, ModelInfo, OperatingPoint, Prepared, Reading, Readings, TilePrediction};
use url::Url;

/// An inference engine: gives each pixel's probability of tumour. It runs on a thread of its own, where it may block.
pub trait Engine: Send {
    /// The identity of the model, for results to name.
    fn model_info(&self) -> ModelInfo;

    /// How many channels of a tile it looks at: one, the slice itself; or three, with the slices before and after it.
    fn channels(&self) -> usize {
        1
    }

    /// Predicts a batch of tiles of one side, in their order; `mirrored`: with test-time augmentation by a flip, where the
    /// engine supports it.
    ///
    /// `Exhausted` when the tiles are too many for the memory at once; any other error says that
    /// the engine itself has failed. What it returns is checked by the caller.
    fn predict(&mut self, tiles: &[Prepared], mirrored: bool) -> Result<Vec<TilePrediction>>;
}

/// The engine at `url`, on `device` (`auto`, `cpu`, `openvino` or `cuda:N`) if it is one that can choose.
///
/// `file:///…` and a plain path name the network's weights. What has none only stands in for a model, and is opened only
/// for research: `threshold:` knows bright from dark · `echo:` and `stub:` are for tests and measurements, and no release
/// build has them.
pub fn open(url: &str, device: &str, research: bool) -> Result<Box<dyn Engine>> {
    let Ok(parsed) = Url::parse(url) else { return network(url.as_ref(), device) };
    if parsed.scheme() == "file" {
        return match parsed.to_file_path() {
            Ok(path) => network(&path, device),
            Err(()) => Err(ErrorKind::Invalid.error(format!("`{url}` names no file"))),
        };
    }
    let engine = weightless_engine(&parsed)?;
    if !research {
        return Err(ErrorKind::Invalid.error(format!(
            "`{}:` is no trained model: name a weights file, or say `--research` where no patient depends on the answer",
            parsed.scheme()
        )));
    }
    Ok(engine)
}

fn weightless_engine(url: &Url) -> Result<Box<dyn Engine>> {
    match url.scheme() {
        "threshold" => Ok(Box::new(threshold::Threshold)),
        #[cfg(any(debug_assertions, feature = "doubles"))]
        "echo" => Ok(Box::new(echo::Echo)),
        #[cfg(any(debug_assertions, feature = "doubles"))]
        "stub" => Ok(Box::new(stub::Stub::new(url)?)),
        scheme => Err(ErrorKind::Invalid
            .error(format!("no engine for `{scheme}:`: use file:///… or threshold:"))),
    }
}

#[cfg(feature = "torch")]
fn network(path: &std::path::Path, device: &str) -> Result<Box<dyn Engine>> {
    Ok(Box::new(torch::Network::load(path, device)?))
}

#[cfg(not(feature = "torch"))]
fn network(path: &std::path::Path, _device: &str) -> Result<Box<dyn Engine>> {
    let path = path.display();
    Err(ErrorKind::Invalid.error(format!("cannot run {path}: built without the feature `torch`")))
}

/// The info of an engine that has no weights: one reading for everything.
fn weightless(name: &str, threshold: f32, minimum_pixels: usize) -> ModelInfo {
    let operating_point = OperatingPoint { threshold, minimum_pixels };
    let facts = ModelFacts {
        name: name.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        data_version: String::new(),
        preprocessing: imaging::Preprocessing::HeadSquare1.name().into(),
        modalities: vec![imaging::Modality::MagneticResonance],
        classes: Vec::new(),
        readings: Readings::alike(Reading::plain(256, operating_point)),
    };
    ModelInfo { facts, sha256: String::new(), device: "cpu".into() }
}

/// The outputs of an engine that has no network: it tells no kinds of image, and makes no embeddings.
fn tile_predictions(probabilities: Vec<Vec<f32>>) -> Vec<TilePrediction> {
    let prediction = |probabilities| TilePrediction { probabilities, ..TilePrediction::default() };
    probabilities.into_iter().map(prediction).collect()
}

#[cfg(test)]
mod tests {
    use imaging::phantom::{Phantom, Settings};
    use imaging::prepare;

    use super::*;

    /// Promises of the trait, for any engine.
    pub fn suite(mut engine: Box<dyn Engine>) {
        let side = engine.model_info().facts.readings.general.slice.input.side;
        let tiles: Vec<Prepared> = (0..3)
            .map(|seed| {
                let volume = Phantom::new(&Settings::slice(seed)).unwrap().volume;
                prepare(volume.slice(0), 256, 256, side).unwrap()
            })
            .collect();
        let together = engine.predict(&tiles, false).unwrap();
        assert_eq!(together.len(), tiles.len());
        for (tile, output) in tiles.iter().zip(&together) {
            let output = &output.probabilities;
            assert_eq!(output.len(), tile.pixels.len());
            assert!(output.iter().all(|p| (0.0..=1.0).contains(p)));
            let alone = engine.predict(std::slice::from_ref(tile), false).unwrap().remove(0);
            // Sums in another order may differ in their last bits.
            assert!(alone.probabilities.iter().zip(output).all(|(a, b)| (a - b).abs() < 1e-3));
        }
        assert!(engine.predict(&[], false).unwrap().is_empty());
    }

    #[test]
    fn the_closed_form_engines_keep_the_traits_promises() {
        for url in ["threshold:", "echo:", "stub:"] {
            suite(open(url, "auto", true).unwrap());
        }
    }

    #[test]
    fn an_unknown_engine_is_refused_by_name() {
        let error = open("magic:wand", "auto", true).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("`magic:`"), "{error}");
    }

    #[test]
    fn what_only_stands_in_for_a_model_is_refused_unless_it_is_for_research() {
        for url in ["threshold:", "echo:", "stub:"] {
            let error = open(url, "auto", false).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("no trained model"), "{error}");
            assert!(!open(url, "auto", true).unwrap().model_info().is_trained());
        }
    }

    #[test]
    fn missing_weights_are_refused_by_name() {
        for url in ["/nowhere/weights.safetensors", "file:///nowhere/weights.safetensors"] {
            let error = open(url, "cpu", false).err().unwrap();
            assert!(error.to_string().contains("/nowhere/weights.safetensors"), "{error}");
        }
    }
}
