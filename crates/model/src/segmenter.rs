use std::path::Path;

use domain::{Error, ErrorKind, Result};
use imaging::{Passport, Prepared};
use tch::{Kind, TchError, Tensor};

use crate::Device;
use crate::network::{Network, images};
use crate::parallel::in_parallel;
use crate::weights::{Calibration, Folded, Weights};

/// The network with its weights, ready to look at slices.
pub struct Segmenter {
    network: Network,
    /// One for each core of a CPU, one for a GPU: each looks at a share of a batch, on a thread of its own.
    lanes: Vec<Lane>,
    device: Device,
    channels: usize,
    mirrored: bool,
    calibration: Calibration,
    passport: Passport,
}

/// The weights as one thread holds them; all lanes share the memory behind.
struct Lane(Vec<Folded>);

impl Segmenter {
    /// Reads and verifies a model (see [`Weights::read`]) and puts it on `device`.
    pub fn load(path: &Path, device: Device) -> Result<Segmenter> {
        Ok(Segmenter::new(Weights::read(path)?, device))
    }

    /// The model of weights that are already in memory.
    pub fn new(weights: Weights, device: Device) -> Segmenter {
        let Weights { facts, sha256, units } = weights;
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
            mirrored: facts.mirrored,
            calibration: facts.calibration,
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
                volumes: facts.volumes,
                doubt: facts.doubt,
            },
        }
    }

    /// Which model this is, and where it runs.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// For each square, the (calibrated) probability of tumour at each of its pixels.
    ///
    /// `Invalid` when a square is not of the passport's side, `Exhausted` when there are too many for the
    /// memory at once, `Internal` when the network breaks or gives something that is no probability: never zeros instead.
    pub fn probabilities(&mut self, squares: &[Prepared]) -> Result<Vec<Vec<f32>>> {
        let side = self.passport.side;
        if squares.is_empty() {
            return Ok(Vec::new());
        }
        let channels = |square: &Prepared| {
            let lengths = square.neighbours.iter().flatten().chain([&square.pixels]).map(Vec::len);
            lengths.collect::<Vec<_>>()
        };
        if squares.iter().flat_map(channels).any(|length| length != side * side) {
            return Err(
                ErrorKind::Invalid.error(format!("the model looks at squares of {side} pixels"))
            );
        }
        let mut pixels: Vec<f32> =
            squares.iter().flat_map(|square| side_by_side(square, self.channels)).collect();
        if self.mirrored {
            pixels.extend(in_the_mirror(&pixels, side, self.channels));
        }
        let mut values = self.look(&pixels)?;
        if self.mirrored {
            let turned = in_the_mirror(&values.split_off(values.len() / 2), side, 1);
            values.iter_mut().zip(turned).for_each(|(seen, turned)| *seen = (*seen + turned) / 2.0);
        }
        values.iter_mut().for_each(|p| *p = self.calibration.apply(*p));
        if !values.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err(ErrorKind::Internal.error("the network's output is no probability"));
        }
        Ok(values.chunks(side * side).map(<[f32]>::to_vec).collect())
    }

    /// The probabilities of these images, shared out among the lanes.
    ///
    /// Threads that meet once a batch lose far less on a busy machine than kernels that meet a thousand times,
    /// so a kernel gets several threads only where there are more cores than images.
    fn look(&mut self, pixels: &[f32]) -> Result<Vec<f32>> {
        let (side, device, network) = (self.passport.side, self.device, &self.network);
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
        let values = in_parallel(looks)?.concat();
        if values.len() != count * side * side {
            return Err(ErrorKind::Internal.error("the network's output has the wrong shape"));
        }
        Ok(values)
    }
}

impl Lane {
    fn sharing(units: &[Folded]) -> Lane {
        let share = |unit: &Folded| Folded {
            weight: unit.weight.shallow_clone(),
            bias: unit.bias.shallow_clone(),
        };
        Lane(units.iter().map(share).collect())
    }

    /// The probabilities of the images `x` (N, C, S, S), one after another.
    fn look(&self, network: &Network, x: Tensor) -> Result<Vec<f32>, TchError> {
        let _guard = tch::no_grad_guard();
        let logits = network.forward(&x, |id, x, activation| {
            let Folded { weight, bias } = &self.0[id];
            activation.applied(network.units()[id].convolve(x, weight, Some(bias))?)
        })?;
        Vec::try_from(&logits.f_to_kind(Kind::Float)?.f_sigmoid()?.f_reshape([-1])?)
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
        let pixels = in_the_mirror(&straight.pixels, 32, 1);
        let turned = Prepared { pixels, ..straight.clone() };
        let seen = segmenter.probabilities(&[straight, turned]).unwrap();
        assert!(
            in_the_mirror(&seen[0], 32, 1).iter().zip(&seen[1]).all(|(a, b)| (a - b).abs() < 1e-5)
        );
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
        let _ = segmenter.lanes[0].0[0].bias.fill_(f64::NAN);
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
