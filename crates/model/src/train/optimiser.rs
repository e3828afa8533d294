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
