use tch::Tensor;

const BETA_MEAN: f64 = 0.9;
const BETA_SQUARE: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// A gradient longer than this is shortened to it: one strange batch must not throw the weights about.
const NORM_MAX: f64 = 1.0;
/// Elements that a processor handles at a time: few enough that five vectors of them stay in its cache. A GPU takes all at
/// once, as each chunk costs it the start of a dozen kernels.
const CHUNK: i64 = 1 << 18;

/// AdamW (Loshchilov and Hutter 2019) over one flat vector.
pub struct Optimiser {
    /// Moving mean of the gradient: the first moment.
    pub mean: Tensor,
    /// Moving mean of the gradient's square: the second moment.
    pub square: Tensor,
    /// Steps taken, by which the moments' start from zero is set right.
    pub steps: i64,
    /// Weight decay, of the first `decaying` elements only.
    pub decay: f64,
    /// Convolution weights come first in the vector: that many of them.
    pub decaying: i64,
}

impl Optimiser {
    /// An optimiser that has seen nothing, for parameters like `flat`.
    pub fn new(flat: &Tensor, decaying: i64, decay: f64) -> Optimiser {
        Optimiser { mean: flat.zeros_like(), square: flat.zeros_like(), steps: 0, decay, decaying }
    }

    /// Moves `flat` against `gradient` at the learning rate `rate`. Nothing is read back from the device.
    pub fn step(&mut self, flat: &mut Tensor, gradient: &Tensor, rate: f64) {
        let shorten = ((gradient.norm() + 1e-6).reciprocal() * NORM_MAX).clamp_max(1.0);
        let chunk = if flat.device() == tch::Device::Cpu { CHUNK } else { i64::MAX };
        self.steps += 1;
        let unbias_mean = 1.0 - BETA_MEAN.powi(self.steps as i32);
        let unbias_square = (1.0 - BETA_SQUARE.powi(self.steps as i32)).sqrt();
        let length = gradient.size()[0];
        let mut at = 0;
        while at < length {
            // A chunk never straddles the end of what decays.
            let end = if at < self.decaying { self.decaying } else { length };
            let count = chunk.min(end - at);
            let part = |tensor: &Tensor| tensor.narrow(0, at, count);
            let gradient = part(gradient) * &shorten;
            let (mut mean, mut square) = (part(&self.mean), part(&self.square));
            let _ = mean.lerp_(&gradient, 1.0 - BETA_MEAN);
            let _ = square.lerp_(&(&gradient * &gradient), 1.0 - BETA_SQUARE);
            let divisor = square.sqrt().g_add_scalar_(EPSILON * unbias_square);
            let step = (mean / divisor).g_mul_scalar_(-rate * unbias_square / unbias_mean);
            let mut flat = part(flat);
            if at < self.decaying {
                let _ = flat.g_mul_scalar_(1.0 - rate * self.decay);
            }
            let _ = flat.g_add_(&step);
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: (tch::Kind, tch::Device) = (tch::Kind::Float, tch::Device::Cpu);

    /// One element by Loshchilov and Hutter's algorithm 2, in their order.
    struct Element {
        value: f64,
        mean: f64,
        square: f64,
    }

    impl Element {
        fn step(&mut self, gradient: f64, rate: f64, decay: f64, steps: i32) {
            self.mean = 0.9 * self.mean + 0.1 * gradient;
            self.square = 0.999 * self.square + 0.001 * gradient * gradient;
            let mean = self.mean / (1.0 - 0.9_f64.powi(steps));
            let square = self.square / (1.0 - 0.999_f64.powi(steps));
            self.value -= rate * (mean / (square.sqrt() + 1e-8) + decay * self.value);
        }
    }

    #[test]
    fn a_step_is_the_papers_and_only_the_first_elements_decay() {
        let begin = [1.0f32, -2.0, 0.5, 3.0, -0.25];
        let (rate, decay, decaying) = (0.1, 0.5, 2);
        let mut flat = Tensor::from_slice(&begin);
        let mut optimiser = Optimiser::new(&flat, decaying, decay);
        let mut elements =
            begin.map(|value| Element { value: value.into(), mean: 0.0, square: 0.0 });
        // The third is far longer than any may be: it counts as one of length 1.
        for (steps, gradient) in (1..).zip([
            [0.1f32, 0.2, -0.3, 0.0, 0.01],
            [-0.1, 0.2, 0.1, 0.0, 0.01],
            [30.0, -40.0, 0.0, 0.0, 0.0],
            [0.2, 0.1, 0.1, -0.4, 0.01],
        ]) {
            optimiser.step(&mut flat, &Tensor::from_slice(&gradient), rate);
            let norm = gradient.map(|g| f64::from(g).powi(2)).iter().sum::<f64>().sqrt();
            for (at, (element, gradient)) in elements.iter_mut().zip(gradient).enumerate() {
                let decay = if (at as i64) < decaying { decay } else { 0.0 };
                element.step(f64::from(gradient) / norm.max(1.0), rate, decay, steps);
                let value = flat.double_value(&[at as i64]);
                assert!((value - element.value).abs() < 1e-5, "{steps}, {at}: {value}");
            }
        }
    }

    #[test]
    fn every_element_of_a_long_vector_is_stepped_once() {
        // Chunks end within what decays, at its end, and within the rest.
        let (decaying, length) = (CHUNK + 3, 3 * CHUNK + 7);
        let mut flat = Tensor::ones([length], CPU);
        let mut optimiser = Optimiser::new(&flat, decaying, 0.5);
        optimiser.step(&mut flat, &Tensor::ones([length], CPU), 0.1);
        // A first step is as long as the rate, whatever the gradient.
        for (from, count, expected) in
            [(0, decaying, 0.95 - 0.1), (decaying, length - decaying, 0.9)]
        {
            let part = flat.narrow(0, from, count);
            let off = (part - expected).abs().max().double_value(&[]);
            assert!(off < 1e-4, "from {from}: {off}");
        }
    }
}
