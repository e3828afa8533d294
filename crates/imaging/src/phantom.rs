//! Heads that nobody has: made by code from a seed, with a lesion whose size is known exactly.
//!
//! They look enough like axial FLAIR, or contrast-enhanced T1, for a demonstration, for tests and as a seasoning in training;
//! they are no substitute for patients in any figure of quality.

mod anatomy;
mod lesion;
mod noise;
mod solid;

use domain::{ErrorKind, Result};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::{Format, Geometry, ImageKind, Known, Modality, Orientation, Protocol, Shape, Volume};
use anatomy::Head;
use lesion::Lesion;

pub use solid::{Solid, SolidSettings, SolidTruth};

/// More voxels than this are a typing error, not a head.
const VOXELS_MAX: usize = 1 << 28;
/// The value that stands for 1.0 of the model's brightness.
const WHITE: f32 = 1000.0;

/// How tissues are weighted against each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Weighting {
    /// Fluid is dark, and grey matter a little brighter than white.
    #[default]
    Flair,
    /// White matter is brighter than grey, and what takes up the contrast agent brighter than both.
    T1Contrast,
}

/// What is asked of a phantom. Equal settings give equal phantoms.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Varies everything that is not set here: head, pose, texture, noise, the lesion's place and form.
    pub seed: u64,
    /// How many slices, rows and columns; with the spacing it says how large the field of view is.
    pub shape: Shape,
    /// Millimetres between slices, rows and columns.
    pub spacing: [f64; 3],
    /// Whether there is a tumour.
    pub tumour: bool,
    /// Its volume in millilitres; None draws one between 1 and 40 that fits.
    pub lesion_ml: Option<f64>,
    /// The same head with the same lesion in another weighting is drawn from the same seed.
    pub weighting: Weighting,
}

impl Settings {
    /// One 256 x 256 slice of a head with a tumour.
    pub fn slice(seed: u64) -> Settings {
        let shape = Shape { slices: 1, rows: 256, columns: 256 };
        Settings {
            seed,
            shape,
            spacing: [5.0, 0.9375, 0.9375],
            tumour: true,
            lesion_ml: None,
            weighting: Weighting::Flair,
        }
    }

    fn check(&self) -> Result<()> {
        let invalid = |message: &str| Err(ErrorKind::Invalid.error(message));
        let Shape { slices, rows, columns } = self.shape;
        let voxels = slices.checked_mul(rows).and_then(|n| n.checked_mul(columns));
        if !voxels.is_some_and(|n| (1..=VOXELS_MAX).contains(&n)) {
            return invalid("a phantom has between 1 and 268435456 voxels");
        }
        if !self.spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0) {
            return invalid("a phantom's spacing is above 0 mm");
        }
        if self.lesion_ml.is_some_and(|ml| !(ml.is_finite() && ml > 0.0)) {
            return invalid("a lesion's volume is above 0 mL");
        }
        Ok(())
    }
}

/// A made-up head and the truth about it.
#[derive(Clone, Debug)]
pub struct Phantom {
    /// The head as an axial scan of that weighting would show it; its header says nothing of its kind.
    pub volume: Volume,
    /// 1 where the voxel's centre lies in the lesion, else 0; the volume's order.
    pub truth: Vec<u8>,
    /// None: no tumour.
    pub lesion: Option<Truth>,
}

/// The lesion as it was made, from its formula and not from its voxels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// The whole body's volume, all of which lies in the brain (and, in a volume, between the first
    /// and the last slice).
    pub volume_mm3: f64,
    /// The area of its section with the slice that its centre lies in.
    pub section_mm2: f64,
    /// Its centre in patient millimetres (LPS).
    pub centre_mm: [f64; 3],
    /// The slice that its centre lies in, from 0.
    pub slice: usize,
}

impl Phantom {
    /// Makes the phantom; `Invalid` when the asked lesion does not fit the head or the slices.
    pub fn new(settings: &Settings) -> Result<Phantom> {
        settings.check()?;
        let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
        let head = Head::new(&mut random, settings.weighting);
        let geometry = placed(settings, &mut random);
        let lesion = match settings.tumour {
            true => Some(Lesion::new(settings, &head, &geometry, &mut random)?),
            false => None,
        };
        let (voxels, truth) =
            painted(settings.shape, &geometry, &head, lesion.as_ref(), &mut random);
        // Nothing is clipped, as nothing is by a scanner.
        let brightest = voxels.iter().copied().fold(WHITE, f32::max);
        let volume = Volume {
            shape: settings.shape,
            voxels,
            geometry: Some(geometry),
            modality: Some(Modality::MagneticResonance),
            kind: ImageKind::Unknown,
            format: Format::Nifti,
            window: [0.0, brightest],
            remarks: Vec::new(),
            stored: Orientation::default(),
            protocol: Protocol::default(),
        };
        Ok(Phantom { volume, truth, lesion: lesion.map(|lesion| lesion.truth()) })
    }
}

/// Axial slices around the head's middle; a single slice is somewhere between eyes and crown.
fn placed(settings: &Settings, random: &mut ChaCha8Rng) -> Geometry {
    let Shape { slices, rows, columns } = settings.shape;
    let [slice_mm, row_mm, column_mm] = settings.spacing;
    let half = |count: usize, mm: f64| -0.5 * (count as f64 - 1.0) * mm;
    // A tall stack is centred; a short one has room to move.
    let room = (45.0 + half(slices, slice_mm)).max(0.0);
    let middle = 18.0 + random.random_range(-1.0..1.0) * room.min(38.0);
    Geometry {
        origin: [
            half(columns, column_mm) + random.random_range(-8.0..8.0),
            half(rows, row_mm) + random.random_range(-8.0..8.0),
            half(slices, slice_mm) + middle,
        ],
        slice_step: [0.0, 0.0, slice_mm],
        row_step: [0.0, row_mm, 0.0],
        column_step: [column_mm, 0.0, 0.0],
        known: Known::Place,
    }
}

fn painted(
    shape: Shape,
    geometry: &Geometry,
    head: &Head,
    lesion: Option<&Lesion>,
    random: &mut ChaCha8Rng,
) -> (Vec<f32>, Vec<u8>) {
    let sigma = random.random_range(0.006..0.018);
    let gain = random.random_range(0.85..1.1);
    let mut voxels = Vec::with_capacity(shape.len());
    let mut truth = Vec::with_capacity(shape.len());
    for slice in 0..shape.slices {
        for row in 0..shape.rows {
            for column in 0..shape.columns {
                let at =
                    geometry.position(slice as f64, row as f64, column as f64).map(|mm| mm as f32);
                let tissue = head.brightness(at);
                let (signal, inside) =
                    lesion.map_or((tissue, false), |lesion| lesion.over(tissue, at));
                let signal = gain * signal * head.bias(at);
                voxels.push(WHITE * noise::rician(signal, sigma, random.next_u64()));
                truth.push(u8::from(inside));
            }
        }
    }
    (voxels, truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(seed: u64) -> Settings {
        let shape = Shape { slices: 24, rows: 96, columns: 96 };
        let lesion_ml = Some(20.0);
        Settings { shape, spacing: [4.0, 2.5, 2.5], lesion_ml, ..Settings::slice(seed) }
    }

    #[test]
    fn equal_settings_give_equal_phantoms_and_another_seed_another_head() {
        let first = Phantom::new(&stack(1)).unwrap();
        assert_eq!(first.volume, Phantom::new(&stack(1)).unwrap().volume);
        assert_ne!(first.volume, Phantom::new(&stack(2)).unwrap().volume);
    }

    #[test]
    fn the_voxels_of_the_truth_add_up_to_the_volume_that_was_asked() {
        for seed in 0..8 {
            let phantom = Phantom::new(&stack(seed)).unwrap();
            let voxel_mm3 = phantom.volume.geometry.unwrap().voxel_mm3();
            let counted =
                voxel_mm3 * phantom.truth.iter().map(|&inside| f64::from(inside)).sum::<f64>();
            assert!((phantom.lesion.unwrap().volume_mm3 - 20_000.0).abs() < 1e-6);
            assert!((counted / 20_000.0 - 1.0).abs() < 0.03, "seed {seed}: {counted} mm3");
        }
    }

    #[test]
    fn the_pixels_of_a_slice_add_up_to_the_section() {
        for seed in 0..8 {
            let phantom =
                Phantom::new(&Settings { lesion_ml: Some(15.0), ..Settings::slice(seed) }).unwrap();
            let counted =
                0.9375 * 0.9375 * phantom.truth.iter().map(|&i| f64::from(i)).sum::<f64>();
            let section = phantom.lesion.unwrap().section_mm2;
            assert!(
                (counted / section - 1.0).abs() < 0.03,
                "seed {seed}: {counted} for {section} mm2"
            );
        }
    }

    #[test]
    fn without_a_tumour_there_is_no_truth() {
        let phantom = Phantom::new(&Settings { tumour: false, ..Settings::slice(3) }).unwrap();
        assert!(phantom.lesion.is_none() && phantom.truth.iter().all(|&inside| inside == 0));
    }

    #[test]
    fn a_lesion_is_brighter_than_the_brain_around_it() {
        for seed in 0..16 {
            let with = Phantom::new(&Settings::slice(seed)).unwrap();
            let bright = mean(&with, |index| with.truth[index] == 1);
            let without =
                Phantom::new(&Settings { tumour: false, ..Settings::slice(seed) }).unwrap();
            let brain = mean(&without, |index| with.truth[index] == 1);
            assert!(bright > 1.15 * brain, "seed {seed}: {bright} over {brain}");
        }
    }

    #[test]
    fn another_weighting_shows_the_same_lesion_in_the_same_head_otherwise() {
        // Summed up, for the gain is another where there is no lesion, and some lie in grey matter.
        let (mut bright, mut brain, mut flair_brain) = (0.0, 0.0, 0.0);
        for seed in 0..16 {
            let of = |weighting, tumour| {
                Phantom::new(&Settings { weighting, tumour, ..Settings::slice(seed) }).unwrap()
            };
            let (flair, t1) = (of(Weighting::Flair, true), of(Weighting::T1Contrast, true));
            assert_eq!((&flair.truth, flair.lesion), (&t1.truth, t1.lesion));
            let inside = |phantom: &Phantom| mean(phantom, |index| t1.truth[index] == 1);
            bright += inside(&t1);
            brain += inside(&of(Weighting::T1Contrast, false));
            flair_brain += inside(&of(Weighting::Flair, false));
        }
        assert!(
            bright > 1.2 * brain && brain > 1.1 * flair_brain,
            "{bright} {brain} {flair_brain}"
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |settings: Settings| Phantom::new(&settings).unwrap_err().kind();
        let empty = Shape { slices: 0, rows: 4, columns: 4 };
        assert_eq!(refused(Settings { lesion_ml: Some(5000.0), ..stack(1) }), ErrorKind::Invalid);
        assert_eq!(refused(Settings { lesion_ml: Some(f64::NAN), ..stack(1) }), ErrorKind::Invalid);
        assert_eq!(refused(Settings { spacing: [1.0, 0.0, 1.0], ..stack(1) }), ErrorKind::Invalid);
        assert_eq!(refused(Settings { shape: empty, ..stack(1) }), ErrorKind::Invalid);
    }

    fn mean(phantom: &Phantom, wanted: impl Fn(usize) -> bool) -> f64 {
        let chosen = phantom.volume.voxels.iter().enumerate().filter(|(index, _)| wanted(*index));
        let (sum, count) =
            chosen.fold((0.0, 0.0), |(sum, n), (_, v)| (sum + f64::from(*v), n + 1.0));
        sum / count
    }
}
