use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::picture::Picture;
use super::pool::{BRIGHTEST, DARKEST, Planes, Pool};
use super::variation::{BEND_POINTS, LIGHT_POINTS, Place, Variation};
use crate::Device;

/// How soft the blurred and the coarse pictures of one batch are.
#[derive(Clone, Copy, Debug)]
pub struct Softness {
    /// Standard deviation, in parts of the side.
    blur: f64,
    /// How many pixels become one.
    coarse: f64,
}

/// Pictures as tensors.
pub struct Batch {
    /// (N, channels, side, side) in the device's arithmetic, channels last in memory.
    pub images: Tensor,
    /// (N, 1, side, side) in f32: how much of each pixel is tumour.
    pub targets: Tensor,
}

/// Makes batches of a pool's slices where the pool lies: whatever is drawn at random is drawn before.
pub struct Darkroom<'a> {
    pool: &'a Pool,
    device: Device,
    channels: i64,
    /// Gaussian noise to cut from: cheaper than new noise for each picture, and the same on each device.
    noise: Tensor,
}

/// Values in the bank of noise.
const NOISE_VALUES: usize = 1 << 19;
/// Brightness of the head's median above air, in the scale that pictures are lit in; air is 0.
const MEDIAN: f64 = -DARKEST;
/// Brighter than this above air is head: nothing is pasted elsewhere.
const HEAD: f64 = 0.3;

impl Softness {
    /// Drawn once a batch: blur as a part of the picture's side, coarseness as a factor of a pixel's.
    pub fn draw(random: &mut impl Rng) -> Softness {
        Softness {
            blur: random.random_range(0.3..1.0) / 128.0,
            coarse: random.random_range(1.3..2.5),
        }
    }
}

impl Batch {
    /// That many of the pictures from `first` on.
    pub fn part(&self, first: i64, count: i64) -> Batch {
        Batch {
            images: self.images.narrow(0, first, count),
            targets: self.targets.narrow(0, first, count),
        }
    }
}

impl<'a> Darkroom<'a> {
    /// One for networks that take so many channels.
    pub fn new(pool: &'a Pool, channels: i64, device: Device) -> Darkroom<'a> {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let values: Vec<f32> = (0..NOISE_VALUES).map(|_| gaussian(&mut random)).collect();
        let noise = Tensor::from_slice(&values).to_device(device.place);
        Darkroom { pool, device, channels, noise }
    }

    /// These slices (each with the ones before and after) as the service would prepare them.
    pub fn plain(&self, slices: &[[i64; 3]], side: usize) -> Batch {
        let _guard = tch::no_grad_guard();
        let taken = self.taken(self.pool.whole(), slices);
        let size = [side as i64; 2];
        let shown = taken.internal_upsample_bilinear2d_aa(size, false, None, None);
        self.batch(&self.lit(&shown), &shown.narrow(1, 4, 1))
    }

    /// The pictures with all their variations.
    pub fn varied(&self, pictures: &[Picture], side: usize, softness: Softness) -> Batch {
        let _guard = tch::no_grad_guard();
        let slices: Vec<_> = pictures.iter().map(|picture| picture.slices).collect();
        let places = pictures.iter().map(|picture| picture.variation.place);
        let grid = self.grid(places, side) + self.bend(pictures, side);
        let shown = self.sampled(&slices, &grid, side);
        let (mut light, mut tumour) = (self.lit(&shown), shown.narrow(1, 3, 3));
        self.paste(pictures, side, &mut light, &mut tumour);
        let light = self.recoloured(pictures, side, light, &tumour);
        let mut light = self.relit(pictures, side, light);
        self.soften(pictures, side, softness, &mut light);
        self.add_noise(pictures, side, &mut light);
        self.batch(&light.clamp_(0.0, BRIGHTEST - DARKEST), &tumour.narrow(1, 1, 1))
    }

    /// Brightness above air of what was taken.
    fn lit(&self, taken: &Tensor) -> Tensor {
        taken.narrow(1, 0, 3) * (BRIGHTEST - DARKEST)
    }

    fn batch(&self, light: &Tensor, tumour: &Tensor) -> Batch {
        let light = if self.channels == 1 { light.narrow(1, 1, 1) } else { light.shallow_clone() };
        let images = (light + DARKEST).to_kind(self.device.kind);
        // In memory each pixel's channels lie side by side, as convolutions want them.
        let images = images.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        Batch { images, targets: tumour.contiguous() }
    }

    /// Three planes of brightness and three of tumour for each picture, 0 to 1.
    fn taken(&self, planes: &Planes, slices: &[[i64; 3]]) -> Tensor {
        let index = Tensor::from_slice(slices.as_flattened()).to_device(self.device.place);
        let take = |from: &Tensor| {
            let side = from.size()[1];
            from.index_select(0, &index).view([-1, 3, side, side])
        };
        let both = Tensor::cat(&[take(&planes.brightness), take(&planes.tumour)], 1);
        both.to_kind(Kind::Float).g_div_scalar_(255.0)
    }

    /// The same seen through `grid`; outside there is air.
    fn sampled(&self, slices: &[[i64; 3]], grid: &Tensor, side: usize) -> Tensor {
        const BILINEAR: i64 = 0;
        const ZEROS: i64 = 0;
        self.taken(self.pool.planes(side), slices).grid_sampler(grid, BILINEAR, ZEROS, false)
    }

    fn grid(&self, places: impl Iterator<Item = Place>, side: usize) -> Tensor {
        let rows: Vec<[f32; 6]> = places.map(|place| place.0).collect();
        let (count, side) = (rows.len() as i64, side as i64);
        let theta = self.tensor(rows.as_flattened()).view([count, 2, 3]);
        Tensor::affine_grid_generator(&theta, [count, 1, side, side], false)
    }

    fn bend(&self, pictures: &[Picture], side: usize) -> Tensor {
        let points: Vec<_> = pictures.iter().map(|picture| picture.variation.bend).collect();
        let length = BEND_POINTS as i64;
        let field = self.tensor(points.as_flattened()).view([-1, 2, length, length]);
        smooth(&field, side).permute([0, 2, 3, 1])
    }

    fn paste(&self, pictures: &[Picture], side: usize, light: &mut Tensor, tumour: &mut Tensor) {
        let pasted = pictures.iter().enumerate();
        let pasted: Vec<(usize, ([i64; 3], Place))> =
            pasted.filter_map(|(at, picture)| Some((at, picture.pasted?))).collect();
        let Some(index) = self.index(pasted.iter().map(|(at, _)| *at)) else { return };
        let slices: Vec<_> = pasted.iter().map(|(_, (slices, _))| *slices).collect();
        let grid = self.grid(pasted.iter().map(|(_, (_, place))| *place), side);
        let other = self.sampled(&slices, &grid, side);
        let (below, marked) = (light.index_select(0, &index), tumour.index_select(0, &index));
        let inside = other.narrow(1, 3, 3) * below.gt(HEAD).to_kind(Kind::Float);
        // A soft border, as a tumour's own.
        let share = mean_around(&inside, 3);
        let _ = light.index_copy_(0, &index, &below.lerp_tensor(&self.lit(&other), &share));
        *tumour = tumour.index_copy(0, &index, &marked.maximum(&inside));
    }

    /// Tumours that hardly differ from the brain, and tumours with a dark core.
    fn recoloured(
        &self,
        pictures: &[Picture],
        side: usize,
        light: Tensor,
        tumour: &Tensor,
    ) -> Tensor {
        let faded = self.column(pictures, |variation| variation.faded);
        let cystic = self.column(pictures, |variation| variation.cystic);
        let light = &light + mean_around(tumour, 3) * faded * (MEDIAN - &light);
        let within = mean_around(tumour, (side as i64 / 24) | 1);
        let core = mean_around(&((within - 0.9) * 10.0).clamp_(0.0, 1.0), 3);
        light * (1.0 - core * cystic)
    }

    fn relit(&self, pictures: &[Picture], side: usize, light: Tensor) -> Tensor {
        let points: Vec<_> = pictures.iter().map(|picture| picture.variation.light).collect();
        let length = LIGHT_POINTS as i64;
        let field = self.tensor(points.as_flattened()).view([-1, 1, length, length]);
        let contrast = self.column(pictures, |variation| variation.contrast);
        let gamma = self.column(pictures, |variation| variation.gamma);
        (light * smooth(&field, side).exp() * contrast).clamp_min(0.0).pow(&gamma)
    }

    fn soften(
        &self,
        pictures: &[Picture],
        side: usize,
        Softness { blur, coarse }: Softness,
        light: &mut Tensor,
    ) {
        let chosen = |wanted: fn(&Variation) -> bool| {
            let all = pictures.iter().enumerate();
            self.index(all.filter(|(_, p)| wanted(&p.variation)).map(|(at, _)| at))
        };
        if let Some(index) = chosen(|variation| variation.coarse) {
            let fine = light.index_select(0, &index);
            let size = [(side as f64 / coarse).round() as i64; 2];
            let coarse = fine.internal_upsample_bilinear2d_aa(size, false, None, None);
            let again = coarse.upsample_bilinear2d([side as i64; 2], false, None, None);
            let _ = light.index_copy_(0, &index, &again);
        }
        if let Some(index) = chosen(|variation| variation.blurred) {
            let blurred = self.blurred(&light.index_select(0, &index), blur * side as f64);
            let _ = light.index_copy_(0, &index, &blurred);
        }
    }

    /// A Gaussian blur of `sigma` pixels; beyond the rim there is air.
    fn blurred(&self, light: &Tensor, sigma: f64) -> Tensor {
        let radius = (2.5 * sigma).ceil() as i64;
        let weight = |at: i64| (-0.5 * (at as f64 / sigma).powi(2)).exp() as f32;
        let kernel: Vec<f32> = (-radius..=radius).map(weight).collect();
        let kernel = self.tensor(&kernel);
        let kernel = &kernel / kernel.sum(Kind::Float);
        let length = 2 * radius + 1;
        let pass = |light: &Tensor, shape: [i64; 4], padding: [i64; 2]| {
            let weight = kernel.view(shape).expand([3, 1, shape[2], shape[3]], false);
            light.conv2d::<Tensor>(&weight, None, [1, 1], padding, [1, 1], 3)
        };
        let down = pass(light, [1, 1, length, 1], [radius, 0]);
        pass(&down, [1, 1, 1, length], [0, radius])
    }

    fn add_noise(&self, pictures: &[Picture], side: usize, light: &mut Tensor) {
        let noisy = pictures.iter().enumerate();
        let noisy: Vec<(usize, &Picture)> =
            noisy.filter(|(_, picture)| picture.variation.noise > 0.0).collect();
        let Some(index) = self.index(noisy.iter().map(|(at, _)| *at)) else { return };
        let side = side as i64;
        let cut = |(_, picture): &(usize, &Picture)| {
            // A slice that came alone stands in for its neighbours with its noise.
            let planes = if picture.slices == [picture.slices[0]; 3] { 1 } else { 3 };
            let length = planes * side * side;
            let at = i64::from(picture.variation.noise_at) % (NOISE_VALUES as i64 - length);
            let noise = self.noise.narrow(0, at, length).view([planes, side, side]);
            noise.expand([3, side, side], false) * f64::from(picture.variation.noise)
        };
        let noise: Vec<Tensor> = noisy.iter().map(cut).collect();
        let _ = light.index_add_(0, &index, &Tensor::stack(&noise, 0));
    }

    /// One number for each picture, to be spread over its pixels.
    fn column(&self, pictures: &[Picture], value: fn(&Variation) -> f32) -> Tensor {
        let values: Vec<f32> = pictures.iter().map(|picture| value(&picture.variation)).collect();
        self.tensor(&values).view([-1, 1, 1, 1])
    }

    fn tensor(&self, values: &[f32]) -> Tensor {
        Tensor::from_slice(values).to_device(self.device.place)
    }

    /// Places in the batch, if any.
    fn index(&self, places: impl Iterator<Item = usize>) -> Option<Tensor> {
        let places: Vec<i64> = places.map(|at| at as i64).collect();
        (!places.is_empty()).then(|| Tensor::from_slice(&places).to_device(self.device.place))
    }
}

/// A field of a few points (N, C, P, P) as a smooth one of `side` pixels.
fn smooth(points: &Tensor, side: usize) -> Tensor {
    // Curved through the points; between so many of its own points it is as good as straight.
    let curve = points.upsample_bicubic2d([32, 32], false, None, None);
    curve.upsample_bilinear2d([side as i64; 2], false, None, None)
}

/// The mean over a square of `length` pixels around each.
fn mean_around(values: &Tensor, length: i64) -> Tensor {
    values.avg_pool2d([length; 2], [1, 1], [length / 2; 2], false, true, None)
}

/// A draw from the standard normal distribution (Box and Muller 1958).
fn gaussian(random: &mut impl Rng) -> f32 {
    let (a, b) = (1.0 - random.random_range(0.0f32..1.0), random.random_range(0.0f32..1.0));
    (-2.0 * a.ln()).sqrt() * (std::f32::consts::TAU * b).cos()
}
