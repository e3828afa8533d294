use serde::{Deserialize, Serialize};

use crate::Volume;

/// A tall stack is judged by this many of its slices, evenly spread.
const SLICES_MAX: usize = 16;
/// What is darker than this part of the bright end is air or bone.
const BACKGROUND_LEVEL: f32 = 0.1;

/// What a median absolute deviation is multiplied by to be a standard deviation, of what is normally distributed.
const DEVIATION_OF_MEDIAN: f64 = 1.482_602_218_505_602;
/// The weights of the mask that noise is seen through are, squared and added up, the square of this.
const MASK_NORM: f64 = 6.0;
/// The same weights without their signs, added up: what is seen through the mask is at most so many times the brightest voxel.
const MASK_SUM: f64 = 16.0;

/// How an image looks, in seven numbers that can be compared over time and between sites.
///
/// Brightness is relative to the volume's window: 0 is shown as black and 1 as white.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Features {
    /// Of all voxels.
    pub mean: f64,
    /// The standard deviation of all voxels.
    pub std: f64,
    /// The percentile 1.
    pub p01: f64,
    /// The percentile 99.
    pub p99: f64,
    /// The mean absolute Laplacian within a slice over the mean brightness, both of the foreground:
    /// it falls with blur, rises with noise, and does not mind how bright the image is.
    pub sharpness: f64,
    /// The part of the voxels that is darker than a tenth of the way from p01 to p99.
    pub background: f64,
    /// The standard deviation of the noise within a slice over the mean brightness, both of the foreground: seen through Immerkær's
    /// mask (1996), which shows neither what is even nor what is a slope, by the median absolute deviation, which edges hardly move.
    /// Missing of a result from before it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub noise: Option<f64>,
}

impl Features {
    /// Measures a volume; of a tall one, 16 slices evenly spread. All numbers are finite.
    pub fn new(volume: &Volume) -> Features {
        let slices = spread(volume.shape.slices);
        let mut values: Vec<f32> =
            slices.iter().flat_map(|&slice| volume.slice(slice)).copied().collect();
        if values.is_empty() {
            return Features::default();
        }
        let count = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        let (p01, p99) = (percentile(&mut values, 0.01), percentile(&mut values, 0.99));
        let level = p01 + BACKGROUND_LEVEL * (p99 - p01);
        let dark = values.iter().filter(|value| **value <= level).count() as f64;
        let [black, white] = volume.window.map(f64::from);
        let range = if white > black { white - black } else { 1.0 };
        Features {
            mean: (mean - black) / range,
            std: variance.sqrt() / range,
            p01: (f64::from(p01) - black) / range,
            p99: (f64::from(p99) - black) / range,
            sharpness: sharpness(volume, &slices, p01, level),
            background: dark / count,
            noise: Some(noise(volume, &slices, p01, level, values)),
        }
    }

    /// Each number with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
        let Features { mean, std, p01, p99, sharpness, background, noise } = *self;
        let always = [
            ("mean", mean),
            ("std", std),
            ("p01", p01),
            ("p99", p99),
            ("sharpness", sharpness),
            ("background", background),
        ];
        always.into_iter().chain(noise.map(|noise| ("noise", noise)))
    }
}

fn spread(slices: usize) -> Vec<usize> {
    let taken = slices.min(SLICES_MAX);
    (0..taken).map(|i| (2 * i + 1) * slices / (2 * taken)).collect()
}

/// `values` is left in another order.
fn percentile(values: &mut [f32], part: f64) -> f32 {
    let rank = ((values.len() - 1) as f64 * part).round() as usize;
    *values.select_nth_unstable_by(rank, f32::total_cmp).1
}

fn sharpness(volume: &Volume, slices: &[usize], black: f32, level: f32) -> f64 {
    let (mut edges, mut brightness) = (0.0, 0.0);
    for_foreground(volume, slices, level, |[above, here, below], column| {
        let at = |line: &[f32], column: usize| f64::from(line[column]);
        let sides =
            at(above, column) + at(below, column) + at(here, column - 1) + at(here, column + 1);
        edges += (sides - 4.0 * at(here, column)).abs();
        brightness += at(here, column) - f64::from(black);
    });
    if brightness > 0.0 { edges / brightness } else { 0.0 }
}

/// J. Immerkær, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (1996): the image under the difference
/// of two Laplacians. He takes the mean of what is left; the median (as D. L. Donoho and I. M. Johnstone do, "Ideal spatial adaptation by
/// wavelet shrinkage", Biometrika 81, 1994) lets edges and tumours be outliers.
///
/// `left` has room for as many values.
fn noise(volume: &Volume, slices: &[usize], black: f32, level: f32, mut left: Vec<f32>) -> f64 {
    left.clear();
    let mut brightness = 0.0;
    for_foreground(volume, slices, level, |[above, here, below], column| {
        let at = |line: &[f32], column: usize| f64::from(line[column]);
        let (before, after) = (column - 1, column + 1);
        let corners = at(above, before) + at(above, after) + at(below, before) + at(below, after);
        let sides = at(above, column) + at(below, column) + at(here, before) + at(here, after);
        let seen = (corners - 2.0 * sides + 4.0 * at(here, column)).abs();
        left.push((seen / MASK_SUM) as f32);
        brightness += at(here, column) - f64::from(black);
    });
    if brightness <= 0.0 {
        return 0.0;
    }
    let mean = brightness / left.len() as f64;
    MASK_SUM * f64::from(percentile(&mut left, 0.5)) * DEVIATION_OF_MEDIAN / MASK_NORM / mean
}

/// Each voxel of these slices that is no background and has neighbours on all sides: its row between the two beside it, and its column.
fn for_foreground(
    volume: &Volume,
    slices: &[usize],
    level: f32,
    mut each: impl FnMut([&[f32]; 3], usize),
) {
    let (rows, columns) = (volume.shape.rows, volume.shape.columns);
    for pixels in slices.iter().map(|&slice| volume.slice(slice)) {
        for row in 1..rows.saturating_sub(1) {
            let lines = [row - 1, row, row + 1].map(|row| &pixels[row * columns..][..columns]);
            for column in 1..columns.saturating_sub(1) {
                if lines[1][column] > level {
                    each(lines, column);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, Settings};

    fn volume(change: impl Fn(f32) -> f32) -> Volume {
        let mut volume = Phantom::new(&Settings::slice(5)).unwrap().volume;
        volume.voxels.iter_mut().for_each(|voxel| *voxel = change(*voxel));
        volume
    }

    fn blurred() -> Volume {
        let sharp = volume(|v| v);
        let mut soft = sharp.clone();
        for index in 257..sharp.voxels.len() - 257 {
            let around = [0, 1, 2, 256, 257, 258, 512, 513, 514];
            soft.voxels[index] =
                around.iter().map(|step| sharp.voxels[index + step - 257]).sum::<f32>() / 9.0;
        }
        soft
    }

    #[test]
    fn blur_lowers_the_sharpness() {
        let (sharp, soft) = (Features::new(&volume(|v| v)), Features::new(&blurred()));
        assert!(soft.sharpness < 0.6 * sharp.sharpness, "{soft:?} {sharp:?}");
    }

    /// An even number from 0 to 1, each unlike the next: SplitMix64 (Steele 2014).
    fn even(place: u64) -> f64 {
        let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Normal ones of these (Box and Muller 1958).
    fn normal(place: usize) -> f32 {
        let (radius, turn) = (even(2 * place as u64 + 1), even(2 * place as u64 + 2));
        ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()) as f32
    }

    #[test]
    fn noise_is_the_part_of_the_brightness_that_it_deviates_by() {
        let shape = volume(|v| v).shape;
        // A slope with a step in it, on air: what the mask does not show, and what the median passes over.
        let head = |at: usize| match (at / shape.columns, at % shape.columns) {
            (row, column) if row < 40 || column < 40 => 0.0,
            (row, column) => 500.0 + row as f32 + if column > 150 { 300.0 } else { 0.0 },
        };
        let of = |deviation: f32| {
            let noisy = |at| match head(at) {
                0.0 => 0.0,
                value => value + deviation * normal(at),
            };
            let voxels = (0..shape.len()).map(noisy).collect();
            let Features { noise, .. } = Features::new(&Volume { voxels, ..volume(|v| v) });
            noise.unwrap()
        };
        let seen: Vec<f32> = (0..shape.len()).map(head).filter(|value| *value > 0.0).collect();
        let mean = f64::from(seen.iter().sum::<f32>()) / seen.len() as f64;
        assert!(of(0.0) < 1e-4, "{}", of(0.0));
        for deviation in [5.0, 20.0] {
            let (found, expected) = (of(deviation), f64::from(deviation) / mean);
            assert!((found / expected - 1.0).abs() < 0.05, "{found} and not {expected}");
        }
        assert!(Features::new(&blurred()).noise < Features::new(&volume(|v| v)).noise);
    }

    #[test]
    fn twice_as_bright_moves_the_brightness_and_nothing_else() {
        let (once, twice) = (Features::new(&volume(|v| v)), Features::new(&volume(|v| 2.0 * v)));
        assert!(
            (twice.mean / once.mean - 2.0).abs() < 1e-6
                && (twice.p99 / once.p99 - 2.0).abs() < 1e-6
        );
        assert!((twice.sharpness - once.sharpness).abs() < 1e-6);
        assert!((twice.noise.unwrap() - once.noise.unwrap()).abs() < 1e-6);
        assert_eq!(twice.background, once.background);
    }

    #[test]
    fn a_blank_image_has_finite_features() {
        let blank = Volume { window: [0.0, 1000.0], ..volume(|_| 500.0) };
        let Features { mean, std, sharpness, background, noise, .. } = Features::new(&blank);
        assert_eq!((mean, std, sharpness, background, noise), (0.5, 0.0, 0.0, 1.0, Some(0.0)));
    }

    #[test]
    fn an_image_as_bright_as_a_voxel_can_be_has_finite_features() {
        let brightest = volume(|v| v).voxels.into_iter().fold(0.0, f32::max);
        let (dim, bright) =
            (Features::new(&volume(|v| v)), Features::new(&volume(|v| v / brightest * f32::MAX)));
        for (name, value) in bright.named() {
            assert!(value.is_finite(), "{name} is {value}");
        }
        assert!((bright.sharpness / dim.sharpness - 1.0).abs() < 1e-3, "{bright:?}");
        assert!((bright.noise.unwrap() / dim.noise.unwrap() - 1.0).abs() < 1e-3, "{bright:?}");
    }

    #[test]
    fn every_feature_is_named_as_in_json() {
        let features = Features::new(&volume(|v| v));
        let named: serde_json::Map<_, _> =
            features.named().map(|(name, value)| (name.to_owned(), value.into())).collect();
        assert_eq!(serde_json::to_value(features).unwrap(), serde_json::Value::Object(named));
    }

    #[test]
    fn a_result_from_before_noise_was_measured_does_not_say_it() {
        let mut told = serde_json::to_value(Features::new(&volume(|v| v))).unwrap();
        told.as_object_mut().unwrap().remove("noise").unwrap();
        let before: Features = serde_json::from_value(told.clone()).unwrap();
        assert_eq!((before.noise, before.named().count()), (None, 6));
        assert_eq!(serde_json::to_value(before).unwrap(), told);
    }

    #[test]
    fn slices_are_taken_evenly() {
        assert_eq!(spread(3), [0, 1, 2]);
        let of_many = spread(100);
        assert_eq!((of_many.len(), of_many[0], of_many[15]), (16, 3, 96));
    }
}
