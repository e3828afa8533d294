use std::path::Path;

use domain::{Error, ErrorKind, Result};
use imaging::{Passport, Prepared, Sight};
use tch::{Kind, TchError, Tensor};

use crate::Device;
use crate::kind_head::KindHead;
use crate::network::{Network, SIDE_MULTIPLE, images};
use crate::parallel::in_parallel;
use crate::weights::{Folded, Weights};

/// The network with its weights, ready to look at slices.
pub struct Segmenter {
    network: Network,
    /// One for each core of a CPU, one for a GPU: each looks at a share of a batch, on a thread of its own.
    lanes: Vec<Lane>,
    device: Device,
    channels: usize,
    kind_head: Option<KindHead>,
    passport: Passport,
}

/// The weights as one thread holds them; all lanes share the memory behind.
struct Lane(Vec<Folded>);

/// What the network makes of some images, one after another.
#[derive(Default)]
struct Output {
    /// Of tumour, for each pixel.
    probabilities: Vec<f32>,
    /// The bottleneck's, each averaged over its image.
    features: Vec<f32>,
}

impl Segmenter {
    /// Reads and verifies a model (see [`Weights::read`]) and puts it on `device`.
    pub fn load(path: &Path, device: Device) -> Result<Segmenter> {
        Ok(Segmenter::new(Weights::read(path)?, device))
    }

    /// The model of weights that are already in memory.
    pub fn new(weights: Weights, device: Device) -> Segmenter {
        let Weights { facts, sha256, units, kind_head } = weights;
        let there = |tensor: &Tensor| tensor.to_device(device.place).to_kind(device.kind);
        let units: Vec<Folded> = units
            .iter()
            .map(|unit| Folded { weight: there(&unit.weight), bias: there(&unit.bias) })
            .collect();
        Segmenter {
            network: Network::new(facts.design),
            lanes: (0..device.cores()).map(|_| Lane::sharing(&units)).collect(),
            device,
            channels: facts.design.channels() as usize,
            kind_head,
            passport: Passport {
                name: facts.name,
                version: facts.version,
                sha256,
                preprocessing: facts.preprocessing,
                modalities: facts.modalities,
                device: device.to_string(),
                tells: facts.tells,
                readings: facts.readings,
            },
        }
    }

    /// Which model this is, and where it runs.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// What the network says of each square, all of which have the same side; seen in the mirror too where `mirrored`.
    ///
    /// `Invalid` when a square is of another side than the first or than the network can look at, `Exhausted` when there
    /// are too many for the memory at once, `Internal` when the network breaks or gives something that is no
    /// probability: never zeros instead.
    pub fn look(&mut self, squares: &[Prepared], mirrored: bool) -> Result<Vec<Sight>> {
        let Some(side) = side_of(squares)? else { return Ok(Vec::new()) };
        let mut pixels = self.pixels(squares);
        if mirrored {
            pixels.extend(in_the_mirror(&pixels, side, self.channels));
        }
        let mut seen = self.forward(&pixels, side)?;
        let mut kinds = self.kinds(&seen.features);
        if mirrored {
            let turned = seen.probabilities.split_off(seen.probabilities.len() / 2);
            halved(&mut seen.probabilities, in_the_mirror(&turned, side, 1));
            let turned = kinds.split_off(kinds.len() / 2);
            kinds.iter_mut().zip(turned).for_each(|(kinds, turned)| halved(kinds, turned));
        }
        if !seen.probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err(ErrorKind::Internal.error("the network's output is no probability"));
        }
        let probabilities = seen.probabilities.chunks(side * side).map(<[f32]>::to_vec);
        let kinds = kinds.into_iter().chain(std::iter::repeat_with(Vec::new));
        Ok(probabilities
            .zip(kinds)
            .map(|(probabilities, kinds)| Sight { probabilities, kinds })
            .collect())
    }

    /// The bottleneck's features of each square: what kinds of image are told by.
    pub fn features(&mut self, squares: &[Prepared]) -> Result<Vec<Vec<f32>>> {
        let Some(side) = side_of(squares)? else { return Ok(Vec::new()) };
        let seen = self.forward(&self.pixels(squares), side)?;
        let count = self.network.features() as usize;
        Ok(seen.features.chunks(count).map(<[f32]>::to_vec).collect())
    }

    fn pixels(&self, squares: &[Prepared]) -> Vec<f32> {
        squares.iter().flat_map(|square| side_by_side(square, self.channels)).collect()
    }

    /// The probability of each kind, of each image; none of a model that tells no kinds.
    fn kinds(&self, features: &[f32]) -> Vec<Vec<f32>> {
        let Some(head) = &self.kind_head else { return Vec::new() };
        let images = features.chunks(self.network.features() as usize);
        images.map(|features| head.probabilities(features)).collect()
    }

    /// What the network makes of these images, shared out among the lanes.
    ///
    /// Threads that meet once a batch lose far less on a busy machine than kernels that meet a thousand times,
    /// so a kernel gets several threads only where there are more cores than images.
    fn forward(&mut self, pixels: &[f32], side: usize) -> Result<Output> {
        let (device, network) = (self.device, &self.network);
        let channels = self.channels as i64;
        let image = side * side * self.channels;
        let count = pixels.len() / image;
        let share = count.div_ceil(self.lanes.len());
        let shares = pixels.chunks(share * image);
        let threads = (self.lanes.len() / shares.len()).max(1);
        let looks = shares.zip(&mut self.lanes).map(|(pixels, lane)| {
            move || {
                device.take_threads(threads);
                let images = images(pixels, channels, side, device.kind, device.place);
                lane.look(network, images).map_err(broken)
            }
        });
        let mut all = Output::default();
        for Output { probabilities, features } in in_parallel(looks)? {
            all.probabilities.extend(probabilities);
            all.features.extend(features);
        }
        if all.probabilities.len() != count * side * side {
            return Err(ErrorKind::Internal.error("the network's output has the wrong shape"));
        }
        Ok(all)
    }
}

/// The side of these squares; None without one.
fn side_of(squares: &[Prepared]) -> Result<Option<usize>> {
    let Some(first) = squares.first() else { return Ok(None) };
    let side = first.placement.side;
    let lengths = squares.iter().flat_map(|square| {
        square.neighbours.iter().flatten().chain([&square.pixels]).map(Vec::len)
    });
    let sound = side > 0 && side.is_multiple_of(SIDE_MULTIPLE);
    if !sound || lengths.into_iter().any(|length| length != side * side) {
        let message = format!(
            "the network looks at squares of one size at a time, its side a multiple of {SIDE_MULTIPLE} pixels"
        );
        return Err(ErrorKind::Invalid.error(message));
    }
    Ok(Some(side))
}

/// The mean of both.
fn halved(seen: &mut [f32], turned: Vec<f32>) {
    seen.iter_mut().zip(turned).for_each(|(seen, turned)| *seen = (*seen + turned) / 2.0);
}

impl Lane {
    fn sharing(units: &[Folded]) -> Lane {
        let share = |unit: &Folded| Folded {
            weight: unit.weight.shallow_clone(),
            bias: unit.bias.shallow_clone(),
        };
        Lane(units.iter().map(share).collect())
    }

    /// What the network makes of the images `x` (N, C, S, S).
    fn look(&self, network: &Network, x: Tensor) -> Result<Output, TchError> {
        let _guard = tch::no_grad_guard();
        let mut features = Vec::new();
        let logits = network.forward(&x, |id, x, activation| {
            let Folded { weight, bias } = &self.0[id];
            let y = activation.applied(network.units()[id].convolve(x, weight, Some(bias))?)?;
            if id == network.bottleneck() {
                let mean = y.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?;
                features = Vec::try_from(&mean.f_reshape([-1])?)?;
            }
            Ok(y)
        })?;
        let logits = logits.f_to_kind(Kind::Float)?.f_sigmoid()?.f_reshape([-1])?;
        Ok(Output { probabilities: Vec::try_from(&logits)?, features })
    }
}

/// A square's pixels with the channels of each side by side: the slice before, itself, the one after.
pub(crate) fn side_by_side(square: &Prepared, channels: usize) -> Vec<f32> {
    let Prepared { pixels, neighbours: [before, after], .. } = square;
    if channels == 1 {
        return pixels.clone();
    }
    let three = [before.as_ref().unwrap_or(pixels), pixels, after.as_ref().unwrap_or(pixels)];
    (0..pixels.len()).flat_map(|at| three.map(|channel| channel[at])).collect()
}

/// Images of `side` pixels a row, each row the other way round.
fn in_the_mirror(values: &[f32], side: usize, channels: usize) -> Vec<f32> {
    let rows = values.chunks(side * channels);
    rows.flat_map(|row| row.chunks(channels).rev().flatten().copied()).collect()
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
    use crate::weights::tests::{facts, units};

    fn segmenter() -> Segmenter {
        let facts = facts();
        let units = units(facts.design);
        let device = Device::choose("cpu").unwrap().exact();
        Segmenter::new(Weights { facts, sha256: "00".into(), units, kind_head: None }, device)
    }

    fn square(seed: u64) -> Prepared {
        let volume = Phantom::new(&Settings::slice(seed)).unwrap().volume;
        prepare(volume.slice(0), 256, 256, 32).unwrap()
    }

    fn turned(square: &Prepared) -> Prepared {
        Prepared { pixels: in_the_mirror(&square.pixels, 32, 1), ..square.clone() }
    }

    #[test]
    fn company_changes_no_answer() {
        let mut segmenter = segmenter();
        let squares = [square(1), square(2), square(3)];
        let together = segmenter.look(&squares, false).unwrap();
        for (square, together) in squares.into_iter().zip(together) {
            let alone = segmenter.look(&[square], false).unwrap().remove(0).probabilities;
            let same = alone.iter().zip(&together.probabilities).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(same);
            assert!(
                alone.iter().any(|p| (p - alone[0]).abs() > 1e-3),
                "an answer to everything alike"
            );
        }
        assert!(segmenter.look(&[], true).unwrap().is_empty());
    }

    #[test]
    fn in_the_mirror_the_answer_is_the_mirrored_one() {
        let mut segmenter = segmenter();
        let straight = square(1);
        let seen = segmenter.look(&[straight.clone(), turned(&straight)], true).unwrap();
        let [a, b] = [&seen[0].probabilities, &seen[1].probabilities];
        assert!(in_the_mirror(a, 32, 1).iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
        let one = segmenter.look(&[straight], false).unwrap().remove(0).probabilities;
        assert!(one.iter().zip(a).any(|(one, both)| (one - both).abs() > 1e-4), "no second look");
    }

    #[test]
    fn kinds_are_told_by_the_features_of_the_same_look() {
        let mut segmenter = segmenter();
        let squares = [square(1), square(2)];
        let features = segmenter.features(&squares).unwrap();
        assert!(features[0].len() == segmenter.network.features() as usize);
        assert!(segmenter.look(&squares, false).unwrap()[0].kinds.is_empty());
        let images: Vec<_> = features.iter().cloned().zip(0..).collect();
        let head = KindHead::fit(&images, 2).unwrap();
        segmenter.kind_head = Some(head.clone());
        let seen = segmenter.look(&squares, false).unwrap();
        for (kind, (sight, features)) in seen.iter().zip(&features).enumerate() {
            assert_eq!(sight.kinds, head.probabilities(features));
            assert!(sight.kinds[kind] > 0.9, "{:?}", sight.kinds);
        }
        let mirrored = segmenter.look(&squares, true).unwrap();
        let back = segmenter.look(&squares.each_ref().map(turned), false).unwrap();
        let mean = (seen[0].kinds[0] + back[0].kinds[0]) / 2.0;
        assert!((mirrored[0].kinds[0] - mean).abs() < 1e-5);
    }

    #[test]
    fn squares_of_another_size_or_of_two_are_refused() {
        let mut short = square(1);
        short.pixels.pop();
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let larger = prepare(volume.slice(0), 256, 256, 64).unwrap();
        let odd = prepare(volume.slice(0), 256, 256, 48).unwrap();
        for squares in [vec![short], vec![square(1), larger], vec![odd]] {
            let error = segmenter().look(&squares, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn an_output_that_is_no_probability_is_an_error_and_never_no_tumour() {
        let mut segmenter = segmenter();
        let _ = segmenter.lanes[0].0[0].bias.fill_(f64::NAN);
        let error = segmenter.look(&[square(1)], false).unwrap_err();
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
