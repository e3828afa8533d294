use serde::{Deserialize, Serialize};

use crate::Volume;

/// A tall stack is judged by this many of its slices, evenly spread.
const SLICES_MAX: usize = 16;
/// What is darker than this part of the bright end is air or bone.
const BACKGROUND_LEVEL: f32 = 0.1;

/// How an image looks, in six numbers that can be compared over time and between sites.
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
        }
    }

    /// Each number with its name.
    pub fn named(&self) -> [(&'static str, f64); 6] {
        let Features { mean, std, p01, p99, sharpness, background } = *self;
        [
            ("mean", mean),
            ("std", std),
            ("p01", p01),
            ("p99", p99),
            ("sharpness", sharpness),
            ("background", background),
        ]
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
    let (rows, columns) = (volume.shape.rows, volume.shape.columns);
    for pixels in slices.iter().map(|&slice| volume.slice(slice)) {
        for row in 1..rows.saturating_sub(1) {
            let line = |row: usize| &pixels[row * columns..][..columns];
            let (above, here, below) = (line(row - 1), line(row), line(row + 1));
            for column in 1..columns.saturating_sub(1) {
                let centre = here[column];
                if centre > level {
                    let around =
                        above[column] + below[column] + here[column - 1] + here[column + 1];
                    edges += f64::from((around - 4.0 * centre).abs());
                    brightness += f64::from(centre - black);
                }
            }
        }
    }
    if brightness > 0.0 { edges / brightness } else { 0.0 }
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

    #[test]
    fn twice_as_bright_moves_the_brightness_and_nothing_else() {
        let (once, twice) = (Features::new(&volume(|v| v)), Features::new(&volume(|v| 2.0 * v)));
        assert!(
            (twice.mean / once.mean - 2.0).abs() < 1e-6
                && (twice.p99 / once.p99 - 2.0).abs() < 1e-6
        );
        assert!((twice.sharpness - once.sharpness).abs() < 1e-6);
        assert_eq!(twice.background, once.background);
    }

    #[test]
    fn a_blank_image_has_finite_features() {
        let blank = Volume { window: [0.0, 1000.0], ..volume(|_| 500.0) };
        let Features { mean, std, sharpness, background, .. } = Features::new(&blank);
        assert_eq!((mean, std, sharpness, background), (0.5, 0.0, 0.0, 1.0));
    }

    #[test]
    fn every_feature_is_named_as_in_json() {
        let features = Features::new(&volume(|v| v));
        let named: serde_json::Map<_, _> = features
            .named()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        assert_eq!(serde_json::to_value(features).unwrap(), serde_json::Value::Object(named));
    }

    #[test]
    fn slices_are_taken_evenly() {
        assert_eq!(spread(3), [0, 1, 2]);
        let of_many = spread(100);
        assert_eq!((of_many.len(), of_many[0], of_many[15]), (16, 3, 96));
    }
}
