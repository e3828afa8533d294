//! What looks at slices, behind one trait; a URL chooses.

#[cfg(any(debug_assertions, feature = "doubles"))]
mod echo;
#[cfg(any(debug_assertions, feature = "doubles"))]
mod stub;
mod threshold;
#[cfg(feature = "torch")]
mod torch;

use domain::{ErrorKind, Result};
use imaging::{Cut, Passport, Prepared, Reading, Readings, Sight};
use url::Url;

/// Something that says of each pixel how likely it is tumour. It lives on a thread of its own, where
/// it may block.
pub trait Engine: Send {
    /// What it is, for results to name.
    fn passport(&self) -> Passport;

    /// What it says of each square, in their order; all are of one side. `mirrored`: in the mirror, too, where the engine
    /// knows of mirrors.
    ///
    /// `Exhausted` when the squares are too many for the memory at once; any other error says that
    /// the engine itself is broken. What it returns is checked by the caller.
    fn predict(&mut self, squares: &[Prepared], mirrored: bool) -> Result<Vec<Sight>>;
}

/// The engine at `url`, on `device` (`auto`, `cpu` or `cuda:N`) if it is one that can choose.
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

/// The passport of an engine that has no weights: it reads everything alike.
fn weightless(name: &str, threshold: f32, minimum_pixels: usize) -> Passport {
    Passport {
        name: name.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        sha256: String::new(),
        preprocessing: imaging::Preprocessing::HeadSquare1.name().into(),
        modalities: vec![imaging::Modality::MagneticResonance],
        device: "cpu".into(),
        tells: Vec::new(),
        readings: Readings::alike(Reading::plain(256, Cut { threshold, minimum_pixels })),
    }
}

/// What an engine says that knows of no kinds.
fn sights(probabilities: Vec<Vec<f32>>) -> Vec<Sight> {
    let sight = |probabilities| Sight { probabilities, kinds: Vec::new() };
    probabilities.into_iter().map(sight).collect()
}

#[cfg(test)]
mod tests {
    use imaging::phantom::{Phantom, Settings};
    use imaging::prepare;

    use super::*;

    /// Promises of the trait, for any engine.
    pub fn suite(mut engine: Box<dyn Engine>) {
        let side = engine.passport().readings.general.slice.look.side;
        let squares: Vec<Prepared> = (0..3)
            .map(|seed| {
                let volume = Phantom::new(&Settings::slice(seed)).unwrap().volume;
                prepare(volume.slice(0), 256, 256, side).unwrap()
            })
            .collect();
        let together = engine.predict(&squares, false).unwrap();
        assert_eq!(together.len(), squares.len());
        for (square, output) in squares.iter().zip(&together) {
            let output = &output.probabilities;
            assert_eq!(output.len(), square.pixels.len());
            assert!(output.iter().all(|p| (0.0..=1.0).contains(p)));
            let alone = engine.predict(std::slice::from_ref(square), false).unwrap().remove(0);
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
            assert!(!open(url, "auto", true).unwrap().passport().is_trained());
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
