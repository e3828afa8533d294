use domain::{Error, Result};
use tch::{Kind, TchError, Tensor};

use super::{Output, Runtime, library_error};
use crate::Device;
use crate::network::{Network, images};
use crate::parallel::in_parallel;
use crate::weights::Folded;

/// The network on libtorch.
pub struct Torch {
    network: Network,
    /// One for each core of a CPU, one for a GPU: each runs a shard of a batch, on a thread of its own.
    replicas: Vec<Replica>,
    device: Device,
}

/// The weights as one thread holds them; all replicas share the memory behind.
struct Replica(Vec<Folded>);

impl Torch {
    /// The network with those weights, on `device`.
    pub fn new(network: Network, units: &[Folded], device: Device) -> Torch {
        let there = |tensor: &Tensor| tensor.to_device(device.place).to_kind(device.kind);
        let units: Vec<Folded> = units
            .iter()
            .map(|unit| Folded { weight: there(&unit.weight), bias: there(&unit.bias) })
            .collect();
        let replicas = (0..device.cores()).map(|_| Replica::sharing(&units)).collect();
        Torch { network, replicas, device }
    }
}

impl Runtime for Torch {
    /// Sharded among the replicas.
    ///
    /// Threads that meet once a batch lose far less on a busy machine than kernels that meet a thousand times,
    /// so a kernel gets several threads only where there are more cores than images.
    fn forward(&mut self, pixels: &[f32], side: usize) -> Result<Output> {
        let (device, network) = (self.device, &self.network);
        let channels = network.channels();
        let image = side * side * channels as usize;
        let count = pixels.len() / image;
        let shard = count.div_ceil(self.replicas.len());
        let shards = pixels.chunks(shard * image);
        let threads = (self.replicas.len() / shards.len()).max(1);
        let passes = shards.zip(&mut self.replicas).map(|(pixels, replica)| {
            move || {
                device.take_threads(threads);
                let images = images(pixels, channels, side, device.kind, device.place);
                replica.forward(network, images).map_err(torch_error)
            }
        });
        let mut all = Output::default();
        for Output { probabilities, features } in in_parallel(passes)? {
            all.probabilities.extend(probabilities);
            all.features.extend(features);
        }
        Ok(all)
    }
}

impl Replica {
    fn sharing(units: &[Folded]) -> Replica {
        let share = |unit: &Folded| Folded {
            weight: unit.weight.shallow_clone(),
            bias: unit.bias.shallow_clone(),
        };
        Replica(units.iter().map(share).collect())
    }

    /// The network's output for the images `x` (N, C, S, S).
    fn forward(&self, network: &Network, x: Tensor) -> Result<Output, TchError> {
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

/// The error of libtorch.
pub(crate) fn torch_error(error: TchError) -> Error {
    library_error(error, ["out of memory", "allocate memory"], "the network failed")
}

#[cfg(test)]
mod tests {
    use domain::ErrorKind;

    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_from_a_bug() {
        let error = |text: &str| torch_error(TchError::Torch(text.into())).kind();
        assert_eq!(error("CUDA out of memory. Tried to allocate 2 GiB"), ErrorKind::Exhausted);
        assert_eq!(error("DefaultCPUAllocator: can't allocate memory"), ErrorKind::Exhausted);
        assert_eq!(error("expected 4-dimensional input"), ErrorKind::Internal);
    }
}
