//! What tells a label map (a mask, a segmentation, an atlas) from an image: few values and no texture.

use std::ops::Range;

use crate::window::range;
use crate::{Format, Volume};

/// What the pixels of a slice or volume show, whatever their file is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PixelContent {
    /// One value everywhere: an empty slice and an empty mask are the same.
    Blank,
    /// So many values, each of them in patches.
    Labels(usize),
    Image,
}

/// More values than this are no labels; atlases of the brain have some 40 to 100 in all and fewer in a slice.
const VALUES_MAX: usize = 64;
/// Of the values' range: what lies so near to one end is background, so near to the other white, and between a rim.
const BACKGROUND: f32 = 0.06;
const WHITE: f32 = 0.04;
const RIM: f32 = 0.1;
/// What anti-aliasing and JPEG leave of two values: a rim of one pixel (at most 0.97 for each step from one side to the
/// other, on 288 masks of lesions) around what is white. 863 slices of heads have 1.4 at least, however bright they are.
const RIM_MAX: f64 = 1.2;
const WHITE_MIN: f64 = 0.3;
/// Neighbours within a foreground that differ: at its rim in a mask (0.67 in one of seven pixels), everywhere in noise.
const SPECKLED: f64 = 0.7;
/// The same for several labels. Real heads in 2 bits lie on both sides, those in 8 bits above.
const FEW: usize = 4;
const FEW_DIFFER: f64 = 0.35;
/// Of many values: fewer differ still, and where they do, often by more than one step, which a smooth image does not.
const MANY_DIFFER: f64 = 0.2;
const JUMPS_MIN: f64 = 0.4;

/// Whether a volume is a label map (a mask, a segmentation, an atlas) by its values; an empty one may be either.
pub fn is_label_map(volume: &Volume) -> bool {
    let (voxels, columns) = (&volume.voxels, volume.shape.columns);
    let most = voxels.iter().copied().fold(0.0, f32::max);
    // In values without bounds one bright spot makes all else even.
    let bounded = match volume.format {
        Format::Nifti => most <= 1.0,
        Format::Dicom => false,
        _ => most <= 255.0,
    };
    matches!(pixel_content(voxels, columns), PixelContent::Labels(_))
        || (bounded && softened(voxels, columns, EVEN_ALONE_MIN))
}

/// More values than this are no labels but two of them, softened.
const EXACT_MAX: usize = 16;

/// Which voxels of a mask that somebody has drawn are marked, 1 or 0: of a few values all but nought, and of two that were softened
/// those above half of the larger. None where it is no mask but an image.
pub fn marked(mask: &Volume) -> Option<Vec<u8>> {
    let level = mask_level(mask)?;
    Some(mask.voxels.iter().map(|voxel| u8::from(*voxel > level)).collect())
}

/// Above which value the voxels of a mask count.
fn mask_level(mask: &Volume) -> Option<f32> {
    // However small or ragged a brush was: a few values are labels.
    if few_values(&mask.voxels).is_some_and(|values| values.len() <= EXACT_MAX) {
        return Some(0.0);
    }
    is_label_map(mask).then(|| range(&mask.voxels)[1].max(0.0) / 2.0)
}

/// Classifies rows of `columns` voxels.
pub(crate) fn pixel_content(voxels: &[f32], columns: usize) -> PixelContent {
    let [low, high] = range(voxels);
    if low >= high {
        return PixelContent::Blank;
    }
    let values = few_values(voxels);
    if two_levels(voxels, columns, low..high) {
        return PixelContent::Labels(values.map_or(2, |values| values.len()));
    }
    match values {
        Some(values) if in_patches(voxels, columns, &values) => PixelContent::Labels(values.len()),
        _ => PixelContent::Image,
    }
}

/// Of a picture's foreground, what is even over three pixels each way, and how much of that lies at its six commonest levels:
/// labels softened by resampling or a lossy codec have more of both than heads. (Of 5,575 slices of heads none has as much,
/// through WebP of quality 90, which smooths, five have 0.4 to 0.497: so one alone must have more than several together.)
const EVEN: f32 = 0.0125;
pub(crate) const EVEN_MIN: f64 = 0.4;
const EVEN_ALONE_MIN: f64 = 0.55;
const LEVELS: usize = 64;
const COMMONEST: usize = 6;
const COMMONEST_MIN: f64 = 0.98;
/// A foreground of less or more than this shows too little of shapes.
const FOREGROUND: Range<f64> = 0.002..0.6;

/// Whether rows of `columns` voxels that look like no labels are softened ones all the same: even areas of a few levels, at least
/// `even_min` of the foreground. To be asked of a whole scan, or of several slices; one at its end may be even by itself.
pub(crate) fn softened(voxels: &[f32], columns: usize, even_min: f64) -> bool {
    let [low, high] = range(voxels);
    if low >= high || few_values(voxels).is_some() {
        return false;
    }
    let share = |voxel: f32| (voxel - low) / (high - low);
    let on_white =
        count(voxels, |v| share(v) >= 1.0 - BACKGROUND) > count(voxels, |v| share(v) <= BACKGROUND);
    let is_foreground = |voxel: f32| {
        if on_white { share(voxel) < 1.0 - BACKGROUND } else { share(voxel) > BACKGROUND }
    };
    let foreground = count(voxels, is_foreground) as f64 / voxels.len() as f64;
    if !FOREGROUND.contains(&foreground) {
        return false;
    }
    let (mut seen, mut levels) = (0, [0usize; LEVELS]);
    for (voxel, range) in surroundings(voxels, columns, is_foreground) {
        seen += 1;
        let level = (share(voxel) * (LEVELS - 1) as f32).round() as usize;
        levels[level] += usize::from(range <= EVEN * (high - low));
    }
    let even: usize = levels.iter().sum();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    let commonest: usize = levels[..COMMONEST].iter().sum();
    even as f64 >= even_min * f64::from(seen) && commonest as f64 >= COMMONEST_MIN * even as f64
}

/// How many voxels are wanted.
fn count(voxels: &[f32], wanted: impl Fn(f32) -> bool) -> usize {
    voxels.iter().filter(|voxel| wanted(**voxel)).count()
}

/// Each wanted voxel that has eight neighbours, and how far apart the values of all nine are.
fn surroundings(
    voxels: &[f32],
    columns: usize,
    wanted: impl Fn(f32) -> bool,
) -> impl Iterator<Item = (f32, f32)> {
    let inner = columns.saturating_sub(1);
    voxels.windows(2 * columns + 3).enumerate().filter_map(move |(at, window)| {
        let column = (at + 1) % columns.max(1);
        if !(1..inner).contains(&column) || !wanted(window[columns + 1]) {
            return None;
        }
        let rows = [&window[..3], &window[columns..columns + 3], &window[2 * columns..]];
        let [low, high] = range(rows.into_iter().flatten());
        Some((window[columns + 1], high - low))
    })
}

/// All values in their order; None when there are more than labels.
fn few_values(voxels: &[f32]) -> Option<Vec<f32>> {
    let mut values: Vec<f32> = Vec::with_capacity(VALUES_MAX + 1);
    let mut last = f32::NAN;
    for voxel in voxels.iter().copied() {
        // Most neighbours in a label map are equal.
        if voxel == last {
            continue;
        }
        last = voxel;
        if let Err(at) = values.binary_search_by(|value| value.total_cmp(&voxel)) {
            values.insert(at, voxel);
            if values.len() > VALUES_MAX {
                return None;
            }
        }
    }
    Some(values)
}

/// Whether these are shapes of one value on another, if softened at their rims.
fn two_levels(voxels: &[f32], columns: usize, Range { start: low, end: high }: Range<f32>) -> bool {
    let share = |voxel: f32| (voxel - low) / (high - low);
    let up_to = |most: f32| count(voxels, |voxel| share(voxel) <= most) as f64;
    let from = |least: f32| count(voxels, |voxel| share(voxel) >= least) as f64;
    let (dark, bright) = (up_to(BACKGROUND), from(1.0 - BACKGROUND));
    let all = voxels.len() as f64;
    let (foreground, white) = match bright > dark {
        true => (all - bright, up_to(WHITE)),
        false => (all - dark, from(1.0 - WHITE)),
    };
    if white < WHITE_MIN * foreground {
        return false;
    }
    let (inside, background) = (|voxel: f32| usize::from(share(voxel) > 0.5), bright > dark);
    let met = neighbours(voxels, columns, background.into(), inside);
    let rim = count(voxels, |v| share(v) > RIM && share(v) < 1.0 - RIM) as f64;
    rim <= RIM_MAX * met.differ as f64 && (met.differ as f64) < SPECKLED * met.pairs as f64
}

fn in_patches(voxels: &[f32], columns: usize, values: &[f32]) -> bool {
    let rank =
        |voxel: f32| values.binary_search_by(|value| value.total_cmp(&voxel)).unwrap_or_default();
    let mut counts = vec![0usize; values.len()];
    voxels.iter().for_each(|voxel| counts[rank(*voxel)] += 1);
    let background = (0..counts.len()).max_by_key(|rank| counts[*rank]).unwrap_or_default();
    let Neighbours { pairs, differ, jump } = neighbours(voxels, columns, background, rank);
    let share = differ as f64 / pairs.max(1) as f64;
    match values.len() {
        ..=FEW => share < FEW_DIFFER,
        _ => share < MANY_DIFFER && jump as f64 >= JUMPS_MIN * differ as f64,
    }
}

/// Pairs of neighbours of which one at least is no background, those that differ, and those by more than one rank.
#[derive(Default)]
struct Neighbours {
    pairs: usize,
    differ: usize,
    jump: usize,
}

fn neighbours(
    voxels: &[f32],
    columns: usize,
    background: usize,
    rank: impl Fn(f32) -> usize,
) -> Neighbours {
    let mut found = Neighbours::default();
    let mut meet = |a: usize, b: usize| {
        if a != background || b != background {
            found.pairs += 1;
            found.differ += usize::from(a != b);
            found.jump += usize::from(a.abs_diff(b) > 1);
        }
    };
    let mut above: Vec<usize> = Vec::new();
    for row in voxels.chunks_exact(columns.max(1)) {
        let row: Vec<usize> = row.iter().map(|voxel| rank(*voxel)).collect();
        row.windows(2).for_each(|pair| meet(pair[0], pair[1]));
        above.iter().zip(&row).for_each(|(a, b)| meet(*a, *b));
        above = row;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::{Phantom, Settings};

    const SIDE: usize = 128;

    fn drawn(value: impl Fn(f32, f32) -> f32) -> Vec<f32> {
        let half = SIDE as f32 / 2.0;
        (0..SIDE * SIDE)
            .map(|at| value((at % SIDE) as f32 - half, (at / SIDE) as f32 - half))
            .collect()
    }

    /// 1 in a disc of that radius, falling to 0 over `rim` pixels.
    fn disc(radius: f32, rim: f32) -> impl Fn(f32, f32) -> f32 {
        move |x, y| ((radius - x.hypot(y)) / rim.max(1e-6)).clamp(0.0, 1.0)
    }

    #[test]
    fn a_mask_is_labels_however_small_it_is_and_whatever_it_is_written_with() {
        for radius in [1.6, 4.0, 30.0] {
            for white in [1.0, 255.0, 65_535.0] {
                let mask = drawn(|x, y| white * disc(radius, 0.0)(x, y));
                assert_eq!(pixel_content(&mask, SIDE), PixelContent::Labels(2), "{radius} {white}");
            }
        }
        // Resampled, or through a lossy codec.
        let soft = drawn(|x, y| (255.0 * disc(30.0, 1.2)(x, y)).round());
        assert!(matches!(pixel_content(&soft, SIDE), PixelContent::Labels(_)));
        let on_white = drawn(|x, y| 255.0 - 255.0 * disc(9.0, 0.0)(x, y));
        assert_eq!(pixel_content(&on_white, SIDE), PixelContent::Labels(2));
        assert_eq!(pixel_content(&drawn(|_, _| 0.0), SIDE), PixelContent::Blank);
    }

    #[test]
    fn what_somebody_has_drawn_is_marked_whatever_it_is_written_with_and_an_image_is_no_mask() {
        let of = |voxels: Vec<f32>| {
            let Phantom { volume, .. } = Phantom::new(&Settings::slice(1)).unwrap();
            let shape = crate::Shape { slices: 1, rows: SIDE, columns: SIDE };
            marked(&Volume { shape, voxels, format: Format::Png, ..volume })
        };
        // Single pixels here and there, which are no patches.
        let strokes = |x: f32, y: f32| f32::from((x * 7.0 + y * 13.0).rem_euclid(11.0) < 1.0);
        for white in [1.0, 255.0] {
            let marked = of(drawn(|x, y| white * strokes(x, y))).unwrap();
            assert_eq!(marked, drawn(strokes).into_iter().map(|one| one as u8).collect::<Vec<_>>());
        }
        let marked = of(drawn(|x, y| (255.0 * disc(30.0, 1.2)(x, y)).round())).unwrap();
        let expected = drawn(|x, y| f32::from(disc(30.0, 1.2)(x, y) > 0.5));
        assert!(marked.iter().zip(&expected).all(|(one, other)| f32::from(*one) == *other));
        assert_eq!(of(drawn(|_, _| 0.0)), Some(vec![0; SIDE * SIDE]));
        let Phantom { volume, .. } = Phantom::new(&Settings::slice(1)).unwrap();
        assert_eq!(super::marked(&volume), None);
    }

    #[test]
    fn a_map_of_several_labels_is_labels() {
        let brats = drawn(|x, y| match x.hypot(y) {
            r if r < 6.0 => 4.0,
            r if r < 12.0 => 1.0,
            r if r < 30.0 => 2.0,
            _ => 0.0,
        });
        assert_eq!(pixel_content(&brats, SIDE), PixelContent::Labels(4));
        let atlas = drawn(|x, y| {
            let (column, row) = ((x / 16.0).floor() as i32, (y / 16.0).floor() as i32);
            if x.hypot(y) < 60.0 {
                (1000 + (column * 7 + row * 13).rem_euclid(40)) as f32
            } else {
                0.0
            }
        });
        assert!(matches!(pixel_content(&atlas, SIDE), PixelContent::Labels(_)));
    }

    #[test]
    fn labels_that_were_softened_are_even_areas_of_a_few_levels() {
        let rings = drawn(|x, y| {
            let wave = 2.0 * ((x * 7.0 + y * 5.0).sin());
            match x.hypot(y) {
                r if r < 20.0 => 240.0,
                // A codec's ringing about the rim.
                r if r < 22.0 => 200.0 + wave * 9.0,
                r if r < 40.0 => 140.0,
                r if r < 42.0 => 70.0 + wave * 9.0,
                _ => 0.0,
            }
        });
        assert!(
            pixel_content(&rings, SIDE) == PixelContent::Image && softened(&rings, SIDE, EVEN_MIN)
        );
        for seed in 0..10 {
            let Phantom { volume, .. } = Phantom::new(&Settings::slice(seed)).unwrap();
            assert!(!softened(&volume.voxels, 256, EVEN_MIN), "seed {seed}");
        }
    }

    #[test]
    fn a_head_is_an_image_also_in_four_bits_and_so_is_the_noise_of_an_empty_slice() {
        for seed in 0..10 {
            let Phantom { volume, .. } = Phantom::new(&Settings::slice(seed)).unwrap();
            let [black, white] = volume.window;
            let bits = |bits: i32| -> Vec<f32> {
                let top = 2f32.powi(bits) - 1.0;
                let shown = |v: &f32| ((v - black) / (white - black)).clamp(0.0, 1.0) * top;
                volume.voxels.iter().map(|voxel| shown(voxel).round()).collect()
            };
            for depth in [4, 8, 12] {
                assert_eq!(
                    pixel_content(&bits(depth), 256),
                    PixelContent::Image,
                    "seed {seed}, {depth} bits"
                );
            }
        }
        // Where the inversion of real-valued recovery makes air bright, a head is still an image.
        let inverted = |x: f32, y: f32| match x.hypot(y) {
            r if r > 60.0 => 0.0,
            r if r > 40.0 => 2050.0 + (x * 7.0 + y * 13.0).rem_euclid(40.0),
            r => 1200.0 + 20.0 * r + (x * 3.0 + y * 11.0).rem_euclid(90.0),
        };
        assert_eq!(pixel_content(&drawn(inverted), SIDE), PixelContent::Image);
        let speckle = |x: f32, y: f32| f32::from((x * 7.0 + y * 13.0).rem_euclid(11.0) < 1.0);
        assert_eq!(pixel_content(&drawn(speckle), SIDE), PixelContent::Image);
    }
}
