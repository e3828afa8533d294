//! The values shown as black and as white, where a file names none that show anything.

use crate::{Volume, requirements};

/// Voxels that percentiles are taken of: spread evenly, they stand for all.
const LOOKED_AT: usize = 50_000;
/// A window shows something when this part of the voxels lies in it,
const WITHIN: f64 = 0.01;
/// and when dark and bright are this far apart on the way from black to white.
const CONTRAST: f32 = 1.0 / 16.0;
const DARK_AND_BRIGHT: [f64; 2] = [0.005, 0.995];

/// The volume's window, or from dark to bright where that would show a black, a white or a two-coloured picture.
pub(crate) fn shown(volume: &Volume) -> [f32; 2] {
    if requirements::absolute(volume) || shows_something(volume) {
        return volume.window;
    }
    match percentiles(&volume.voxels, DARK_AND_BRIGHT) {
        [dark, bright] if bright > dark => [dark, bright],
        _ => volume.window,
    }
}

fn shows_something(volume: &Volume) -> bool {
    let [black, white] = volume.window;
    let all = sample(&volume.voxels);
    let within = all.iter().filter(|value| (black..=white).contains(*value)).count();
    let [dark, bright] = percentiles(&volume.voxels, DARK_AND_BRIGHT)
        .map(|value| value.clamp(black, white.max(black)));
    white > black
        && within as f64 >= WITHIN * all.len() as f64
        && bright - dark >= CONTRAST * (white - black)
}

/// The smallest and the largest value: the window of an image that brings none.
pub(crate) fn range<'a>(values: impl IntoIterator<Item = &'a f32>) -> [f32; 2] {
    values.into_iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], value| {
        [low.min(*value), high.max(*value)]
    })
}

/// The values below which these parts of all values lie.
pub(crate) fn percentiles<const N: usize>(values: &[f32], parts: [f64; N]) -> [f32; N] {
    let mut sample = sample(values);
    if sample.is_empty() {
        return [0.0; N];
    }
    parts.map(|part| {
        let rank = ((sample.len() - 1) as f64 * part).round() as usize;
        *sample.select_nth_unstable_by(rank, f32::total_cmp).1
    })
}

fn sample(values: &[f32]) -> Vec<f32> {
    let step = (values.len() / LOOKED_AT).max(1);
    values.iter().copied().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::phantom::{Phantom, Settings};

    #[test]
    fn a_window_that_shows_nothing_gives_way_and_any_other_stays() {
        let volume = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let of = |window| shown(&Volume { window, format: Format::Dicom, ..volume.clone() });
        let whole = percentiles(&volume.voxels, DARK_AND_BRIGHT);
        for window in
            [[49_995.0, 50_005.0], [-900.0, -800.0], [400.0, 400.0], [400.2, 400.4], [0.0, 1e6]]
        {
            assert_eq!(of(window), whole, "{window:?}");
        }
        for window in [[0.0, 1000.0], [200.0, 600.0], whole] {
            assert_eq!(of(window), window, "{window:?}");
        }
        let picture = Volume { window: [0.0, 1e6], format: Format::Png, ..volume };
        assert_eq!(shown(&picture), [0.0, 1e6]);
    }
}
