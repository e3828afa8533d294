use tch::{Device, Kind, TchError, Tensor};

use crate::network::{Activation, Network, Unit, UnitId};
use crate::weights::Folded;

/// How fast running statistics follow the batches' in training.
const MOMENTUM: f64 = 0.1;
/// Keeps a channel without variance from dividing by zero.
pub const EPSILON: f64 = 1e-5;

/// The trainable state of a network: one flat f32 vector of parameters and one of running statistics.
///
/// Flat, so that the optimiser, the moving average and a checkpoint each are a few operations on a few
/// vectors. First come all convolution weights (they decay), then each unit's scale and shift.
pub struct Parameters {
    /// All that is learned, f32, on the device that trains.
    pub flat: Tensor,
    /// How many of [`flat`](Parameters::flat) are convolution weights.
    pub decaying: i64,
    /// Running mean and variance of each unit.
    pub statistics: Tensor,
}

/// A unit's tensors, each a view into the flat vectors.
struct Views {
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
}

/// The parameters of each unit, ready for a forward pass.
pub struct UnitParameters<'a> {
    network: &'a Network,
    views: Vec<Views>,
}

/// What batches are normalised by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalising {
    /// The running statistics.
    Running,
    /// Their own statistics, which the running ones follow.
    Batch,
    /// Their own; after so many batches (the first is 1) the running ones are the mean of all.
    Measured(u32),
}

impl Normalising {
    fn momentum(self) -> f64 {
        match self {
            Normalising::Running | Normalising::Batch => MOMENTUM,
            Normalising::Measured(batches) => 1.0 / f64::from(batches),
        }
    }
}

impl Parameters {
    /// Fresh parameters: He's initialisation; residual branches begin as nothing, which steadies the first steps.
    pub fn fresh(network: &Network, seed: i64, device: Device) -> Parameters {
        tch::manual_seed(seed);
        let decaying = network.units().iter().map(|unit| unit.weights()).sum();
        let channels: i64 = network.units().iter().map(|unit| unit.outputs).sum();
        let weights = network
            .units()
            .iter()
            .map(|unit| Tensor::randn([unit.weights()], (Kind::Float, device)) * deviation(unit));
        let norms = network.units().iter().map(|unit| {
            let scale = if unit.name.ends_with(".expand") { 0.0 } else { 1.0 };
            Tensor::cat(
                &[
                    Tensor::full([unit.outputs], scale, (Kind::Float, device)),
                    Tensor::zeros([unit.outputs], (Kind::Float, device)),
                ],
                0,
            )
        });
        let flat = Tensor::cat(&weights.chain(norms).collect::<Vec<_>>(), 0);
        let statistics = Tensor::zeros([2 * channels], (Kind::Float, device));
        let parameters = Parameters { flat, decaying, statistics };
        for mut views in parameters.views(network) {
            let _ = views.variance.fill_(1.0);
        }
        parameters
    }

    /// Parameters that do what `folded` does, to go on learning from. Each normalisation undoes itself on `x`, images
    /// (N, C, S, S) like those to come; and as it hides its weight's length, that becomes the one of
    /// [`fresh`](Parameters::fresh) parameters, so that one learning rate fits all.
    pub fn unfolded(
        network: &Network,
        folded: &[Folded],
        x: &Tensor,
    ) -> Result<Parameters, TchError> {
        let _guard = tch::no_grad_guard();
        let parameters = Parameters::fresh(network, 0, x.device());
        let mut views = parameters.views(network);
        let _ = network.forward(x, |id, x, activation| {
            let (unit, view) = (&network.units()[id], &mut views[id]);
            let weight = folded[id].weight.to_device(x.device());
            let bias = folded[id].bias.to_device(x.device());
            let y = unit.convolve(x, &weight.to_kind(x.kind()), None)?;
            if id == network.head() {
                view.weight.copy_(&weight);
                view.shift.copy_(&bias);
            } else {
                let length =
                    (&weight * &weight).mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
                let factor = deviation(unit) / length.sqrt().clamp_min(1e-8);
                let dims = [0i64, 2, 3].as_slice();
                let (variance, mean) = y.to_kind(Kind::Float).var_mean_dim(dims, false, false);
                view.weight.copy_(&(&weight * factor.view([-1, 1, 1, 1])));
                view.mean.copy_(&(&mean * &factor));
                view.variance.copy_(&(variance * &factor * &factor));
                view.scale.copy_(&((&view.variance + EPSILON).sqrt() / &factor));
                view.shift.copy_(&(&bias + &mean));
            }
            activation.applied(y + bias.to_kind(x.kind()).view([1, -1, 1, 1]))
        })?;
        Ok(parameters)
    }

    /// The same values, from here on separate.
    pub fn copy(&self) -> Parameters {
        Parameters {
            flat: self.flat.copy(),
            decaying: self.decaying,
            statistics: self.statistics.copy(),
        }
    }

    /// The same weights, with running statistics of its own: for a replica that works beside others.
    pub fn sharing_weights(&self) -> Parameters {
        Parameters {
            flat: self.flat.shallow_clone(),
            decaying: self.decaying,
            statistics: self.statistics.copy(),
        }
    }

    /// The parameters as units; gradients, if wanted, gather in [`UnitParameters::gradient`].
    pub fn by_unit<'a>(&self, network: &'a Network, trainable: bool) -> UnitParameters<'a> {
        let mut views = self.views(network);
        if trainable {
            for view in &mut views {
                for tensor in [&mut view.weight, &mut view.scale, &mut view.shift] {
                    *tensor = tensor.set_requires_grad(true);
                }
            }
        }
        UnitParameters { network, views }
    }

    fn views(&self, network: &Network) -> Vec<Views> {
        let (mut weight_at, mut norm_at, mut statistics_at) = (0, self.decaying, 0);
        let take = |from: &Tensor, at: &mut i64, length: i64| {
            let view = from.narrow(0, *at, length).detach();
            *at += length;
            view
        };
        let views = network.units().iter().map(|unit| Views {
            weight: take(&self.flat, &mut weight_at, unit.weights()).view(unit.shape()).detach(),
            scale: take(&self.flat, &mut norm_at, unit.outputs),
            shift: take(&self.flat, &mut norm_at, unit.outputs),
            mean: take(&self.statistics, &mut statistics_at, unit.outputs),
            variance: take(&self.statistics, &mut statistics_at, unit.outputs),
        });
        views.collect()
    }
}

impl UnitParameters<'_> {
    /// The logits of `x`. Weights are cast to `x`'s kind for the convolutions; statistics stay f32.
    ///
    pub fn forward(&self, x: &Tensor, normalising: Normalising) -> Result<Tensor, TchError> {
        self.network.forward(x, |id, x, activation| self.apply(id, x, activation, normalising))
    }

    fn apply(
        &self,
        id: UnitId,
        x: &Tensor,
        activation: Activation,
        normalising: Normalising,
    ) -> Result<Tensor, TchError> {
        let view = &self.views[id];
        let weight = view.weight.f_to_kind(x.kind())?;
        let y = self.network.units()[id].convolve(x, &weight, None)?;
        if id == self.network.head() {
            return y.f_add(&view.shift.f_to_kind(x.kind())?.f_view([1, -1, 1, 1])?);
        }
        let y = y.f_batch_norm(
            Some(&view.scale),
            Some(&view.shift),
            Some(&view.mean),
            Some(&view.variance),
            normalising != Normalising::Running,
            normalising.momentum(),
            EPSILON,
            true,
        )?;
        activation.applied(y)
    }

    /// The gradient of `loss`, laid out like [`Parameters::flat`].
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor, TchError> {
        let weights = self.views.iter().map(|view| &view.weight);
        let norms = self.views.iter().flat_map(|view| [&view.scale, &view.shift]);
        let leaves: Vec<&Tensor> = weights.chain(norms).collect();
        loss.f_backward()?;
        let gradients = leaves.iter().map(|leaf| {
            let gradient = leaf.grad();
            // The head's scale takes no part: it has a bias alone.
            if gradient.defined() {
                gradient.reshape([-1])
            } else {
                leaf.zeros_like().reshape([-1])
            }
        });
        Tensor::f_cat(&gradients.collect::<Vec<_>>(), 0)
    }

    /// Each unit's weight and bias with the normalisation folded in: what inference runs and files hold.
    pub fn folded(&self) -> Vec<Folded> {
        let fold = |(id, view): (usize, &Views)| {
            if id == self.network.head() {
                return Folded { weight: view.weight.copy(), bias: view.shift.copy() };
            }
            let factor = &view.scale / (&view.variance + EPSILON).sqrt();
            let bias = &view.shift - &view.mean * &factor;
            Folded { weight: &view.weight * factor.view([-1, 1, 1, 1]), bias }
        };
        tch::no_grad(|| self.views.iter().enumerate().map(fold).collect())
    }
}

/// The standard deviation of a unit's fresh weights (He et al. 2015, by the outputs that each weight feeds).
fn deviation(unit: &Unit) -> f64 {
    (2.0 / (unit.outputs * unit.kernel * unit.kernel) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Design, images};

    const SIDE: usize = 64;

    fn x() -> Tensor {
        tch::manual_seed(3);
        let noise = Vec::<f32>::try_from(Tensor::randn([4 * 64 * 64], (Kind::Float, Device::Cpu)));
        images(&noise.unwrap(), 1, SIDE, Kind::Float, Device::Cpu)
    }

    /// Parameters whose normalisations all do something.
    fn seasoned(network: &Network) -> Parameters {
        let parameters = Parameters::fresh(network, 1, Device::Cpu);
        tch::no_grad(|| {
            let _ = parameters.flat.shallow_clone().g_add_(&(parameters.flat.randn_like() * 0.1));
        });
        for _ in 0..3 {
            let _ = parameters.by_unit(network, false).forward(&x(), Normalising::Batch).unwrap();
        }
        parameters
    }

    #[test]
    fn folding_the_normalisation_changes_no_logit() {
        let network = Network::new(Design { width: 8, depths: [1, 2, 1, 1], neighbours: false });
        let parameters = seasoned(&network);
        let unit_parameters = parameters.by_unit(&network, false);
        let straight = unit_parameters.forward(&x(), Normalising::Running).unwrap();
        let folded = unit_parameters.folded();
        let same = network.forward(&x(), |id, x, activation| {
            let Folded { weight, bias } = &folded[id];
            activation.applied(network.units()[id].convolve(x, weight, Some(bias))?)
        });
        let largest = straight.abs().max().double_value(&[]);
        let off = (straight - same.unwrap()).abs().max().double_value(&[]);
        assert!(largest > 0.05 && off < 1e-3 * largest, "{off} of {largest}");
    }

    #[test]
    fn unfolded_parameters_do_what_the_folded_ones_did_and_go_on_learning() {
        let network = Network::new(Design { width: 8, depths: [1, 2, 1, 1], neighbours: false });
        let forward = |parameters: &Parameters, normalising| {
            parameters.by_unit(&network, false).forward(&x(), normalising).unwrap()
        };
        let before = seasoned(&network);
        let folded = before.by_unit(&network, false).folded();
        let after = Parameters::unfolded(&network, &folded, &x()).unwrap();
        let expected = forward(&before, Normalising::Running);
        let largest = expected.abs().max().double_value(&[]);
        // By the running statistics and by the batch's own alike; the latter move the former.
        for normalising in [Normalising::Running, Normalising::Batch] {
            let off = (forward(&after, normalising) - &expected).abs().max().double_value(&[]);
            assert!(largest > 0.05 && off < 1e-3 * largest, "{off} of {largest}");
        }
        let deviations =
            |p: &Parameters| p.flat.narrow(0, 0, p.decaying).std(true).double_value(&[]);
        let fresh = deviations(&Parameters::fresh(&network, 1, Device::Cpu));
        assert!((deviations(&after) / fresh - 1.0).abs() < 0.1, "{}", deviations(&after) / fresh);
    }

    #[test]
    fn measured_statistics_are_the_mean_over_all_batches() {
        let network = Network::new(Design { width: 8, depths: [1, 1, 1, 1], neighbours: false });
        let parameters = seasoned(&network);
        let unit_parameters = parameters.by_unit(&network, false);
        let halves = [x().narrow(0, 0, 2), x().narrow(0, 2, 2) * 3.0];
        for (batch, half) in (1..).zip(&halves) {
            let _ = unit_parameters.forward(half, Normalising::Measured(batch)).unwrap();
        }
        // Of the first unit, which sees the pictures themselves.
        let means = halves.each_ref().map(|half| {
            let seen =
                network.units()[0].convolve(half, &unit_parameters.views[0].weight, None).unwrap();
            seen.mean_dim([0i64, 2, 3].as_slice(), false, Kind::Float)
        });
        let off = ((&means[0] + &means[1]) / 2.0 - &unit_parameters.views[0].mean).abs().max();
        assert!(off.double_value(&[]) < 1e-5, "{off:?}");
    }

    #[test]
    fn the_gradient_is_laid_out_like_the_parameters() {
        let network = Network::new(Design { width: 8, depths: [1, 1, 1, 1], neighbours: false });
        let mut parameters = seasoned(&network);
        let loss = |parameters: &Parameters| {
            parameters
                .by_unit(&network, true)
                .forward(&x(), Normalising::Batch)
                .unwrap()
                .square()
                .mean(Kind::Float)
        };
        let unit_parameters = parameters.by_unit(&network, true);
        let before =
            unit_parameters.forward(&x(), Normalising::Batch).unwrap().square().mean(Kind::Float);
        let gradient = unit_parameters.gradient(&before).unwrap();
        assert_eq!(gradient.size(), parameters.flat.size());
        // A small step against it lowers the loss by as much as its length says.
        let step = 1e-3 / gradient.norm().double_value(&[]).powi(2) * before.double_value(&[]);
        tch::no_grad(|| {
            let _ = parameters.flat.g_sub_(&(&gradient * step));
        });
        let fell = before.double_value(&[]) - loss(&parameters).double_value(&[]);
        let expected = 1e-3 * before.double_value(&[]);
        assert!((fell / expected - 1.0).abs() < 0.2, "{fell} for {expected}");
    }

    #[test]
    fn replicas_share_weights_and_not_statistics() {
        let network = Network::new(Design { width: 8, depths: [1, 1, 1, 1], neighbours: false });
        let parameters = seasoned(&network);
        let before = parameters.statistics.copy();
        let replica = parameters.sharing_weights();
        let _ = replica.by_unit(&network, true).forward(&x(), Normalising::Batch).unwrap();
        assert!(parameters.statistics.equal(&before) && !replica.statistics.equal(&before));
        assert_eq!(parameters.flat.data_ptr(), replica.flat.data_ptr());
    }
}
