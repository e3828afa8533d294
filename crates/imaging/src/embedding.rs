//! Where a scan lies in what a network knows of images, as a few figures.

use crate::TilePrediction;

/// How embeddings are made. Only those of one name, made with the same weights, can be compared: whoever changes what follows
/// changes the name.
pub const EMBEDDING: &str = "signs-32";
/// The figures of an embedding.
pub const EMBEDDING_WIDTH: usize = 32;

/// Where the signs begin.
const SEED: u64 = 17;

/// Makes an embedding of a network's features: each of its figures is a sum of all features, half of them drawn with a minus.
///
/// Signs that are drawn by chance keep distances between images nearly as they are (Achlioptas 2003), in figures that are far
/// fewer than features, and of which no image can be made again. They are the same everywhere and always.
#[derive(Clone, Debug)]
pub struct Projection {
    /// Of each feature: the signs, a bit for each figure.
    signs: Vec<u32>,
}

impl Projection {
    /// Of so many features.
    pub fn new(features: usize) -> Projection {
        Projection { signs: (1..=features as u64).map(|place| mixed(place) as u32).collect() }
    }

    /// The embedding of an image with these features: [`EMBEDDING_WIDTH`] figures.
    pub fn of(&self, features: &[f32]) -> Vec<f32> {
        let mut sums = [0.0_f32; EMBEDDING_WIDTH];
        for (value, signs) in features.iter().zip(&self.signs) {
            for (figure, sum) in sums.iter_mut().enumerate() {
                *sum += if (signs >> figure) & 1 == 1 { *value } else { -*value };
            }
        }
        let length = (EMBEDDING_WIDTH as f32).sqrt();
        sums.iter().map(|sum| sum / length).collect()
    }
}

/// The number at that place of SplitMix64 (Steele 2014).
fn mixed(place: u64) -> u64 {
    let state = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(SEED);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The embedding of a scan: the mean over its slices. None without slices, of a model that makes none, or where a figure is not
/// finite: never zeros instead.
pub fn embedding(slices: &[TilePrediction]) -> Option<Vec<f64>> {
    let width = slices.first()?.embedding.len();
    if width == 0 || slices.iter().any(|slice| slice.embedding.len() != width) {
        return None;
    }
    let mut sums = vec![0.0; width];
    for slice in slices {
        sums.iter_mut().zip(&slice.embedding).for_each(|(sum, figure)| *sum += f64::from(*figure));
    }
    let means: Vec<f64> = sums.into_iter().map(|sum| sum / slices.len() as f64).collect();
    means.iter().all(|figure| figure.is_finite()).then_some(means)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the first three features, as bits.
    const SIGNS: [u32; 3] = [0x2ee3_7363, 0xb4e8_edd1, 0x02d4_1b8c];

    /// So many features, of which each differs from the next.
    fn features(count: usize, seed: u64) -> Vec<f32> {
        let even = |place: u64| (mixed(place + seed) >> 40) as f32 / (1 << 24) as f32;
        (0..count as u64).map(even).collect()
    }

    fn squared(figures: &[f32]) -> f32 {
        figures.iter().map(|figure| figure * figure).sum()
    }

    fn slice(embedding: &[f32]) -> TilePrediction {
        TilePrediction { embedding: embedding.to_vec(), ..TilePrediction::default() }
    }

    #[test]
    fn the_signs_are_those_that_references_were_made_with() {
        let one = |place: usize| {
            let mut features = vec![0.0; 3];
            features[place] = (EMBEDDING_WIDTH as f32).sqrt();
            let figures = Projection::new(3).of(&features);
            figures
                .iter()
                .fold(0_u32, |signs, figure| (signs >> 1) | (u32::from(*figure > 0.0) << 31))
        };
        assert_eq!([0, 1, 2].map(one), SIGNS);
        assert!(Projection::new(3).of(&[1.0, -2.0, 0.5]).len() == EMBEDDING_WIDTH);
    }

    #[test]
    fn distances_stay_nearly_as_they_are() {
        let projection = Projection::new(256);
        for seed in [1000, 2000, 3000] {
            let (a, b) = (features(256, seed), features(256, seed + 500));
            let apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            let (a, b) = (projection.of(&a), projection.of(&b));
            let then: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            let kept = squared(&then) / squared(&apart);
            assert!((0.4..2.0).contains(&kept), "{kept}");
        }
    }

    #[test]
    fn a_scan_lies_where_its_slices_do_on_average() {
        let slices = [slice(&[1.0, 4.0]), slice(&[3.0, 0.0])];
        assert_eq!(embedding(&slices), Some(vec![2.0, 2.0]));
    }

    #[test]
    fn what_no_network_has_seen_lies_nowhere() {
        for slices in [
            vec![],
            vec![slice(&[])],
            vec![slice(&[1.0]), slice(&[])],
            vec![slice(&[1.0, f32::NAN])],
            vec![slice(&[f32::INFINITY])],
        ] {
            assert_eq!(embedding(&slices), None, "{slices:?}");
        }
    }
}
