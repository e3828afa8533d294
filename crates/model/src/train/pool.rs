use std::path::Path;

use domain::{ErrorKind, Result};
use imaging::phantom::{Phantom, Settings};
use imaging::{Placement, prepare};
use rand::{Rng, RngExt};

use super::augment::{Example, KEPT_SIDE, Square};
use super::dataset::{Entry, Patient};

/// Squares in memory, ready to be drawn from.
pub struct Pool {
    with_tumour: Vec<Square>,
    without: Vec<Square>,
    phantoms: Vec<Square>,
}

/// How often a drawn square shows a tumour, and how often it is a phantom.
const TUMOUR_PART: f64 = 0.55;
const PHANTOM_PART: f64 = 0.08;
/// Where phantoms for training begin; demonstrations and tests use small seeds and never meet these.
const PHANTOM_SEED: u64 = 1 << 40;

impl Pool {
    /// Loads all slices of these patients, and makes that many phantoms.
    pub fn load(
        patients: &[Patient],
        phantoms: u64,
        loaded: impl Fn(),
    ) -> Result<Pool> {
        let mut pool = Pool { with_tumour: vec![], without: vec![], phantoms: vec![] };
        for entry in patients.iter().flat_map(|patient| &patient.slices) {
            let square = square(entry)?;
            let part = if square.has_tumour() { &mut pool.with_tumour } else { &mut pool.without };
            part.push(square);
            loaded();
        }
        for seed in PHANTOM_SEED..PHANTOM_SEED + phantoms {
            pool.phantoms.push(phantom(seed)?);
            loaded();
        }
        if pool.with_tumour.is_empty() && pool.phantoms.is_empty() {
            return Err(ErrorKind::Invalid.error("no slice for training shows a tumour"));
        }
        Ok(pool)
    }

    /// A random example at `side` pixels.
    pub fn draw(&self, side: usize, random: &mut impl Rng) -> Example {
        let phantom = random.random_bool(PHANTOM_PART);
        let tumour = random.random_bool(TUMOUR_PART);
        let wanted = match (phantom, tumour) {
            (true, _) => &self.phantoms,
            (false, true) => &self.with_tumour,
            (false, false) => &self.without,
        };
        let parts = [wanted, &self.with_tumour, &self.phantoms];
        let part = parts.into_iter().find(|part| !part.is_empty()).expect("load refuses an empty pool");
        part[random.random_range(0..part.len())].varied(side, random)
    }
}

/// A slice of a manifest as training keeps it.
pub fn square(entry: &Entry) -> Result<Square> {
    let (image, rows, columns) = grey(&entry.image)?;
    let (mask, mask_rows, mask_columns) = grey(&entry.mask)?;
    if (mask_rows, mask_columns) != (rows, columns) {
        let message = format!("{} is not as large as its image", entry.mask.display());
        return Err(ErrorKind::Invalid.error(message));
    }
    let mask: Vec<f32> = mask.iter().map(|value| f32::from(u8::from(*value > 0.0))).collect();
    prepared(&image, &mask, rows, columns)
}

/// A phantom slice; every third is free of tumour.
pub fn phantom(seed: u64) -> Result<Square> {
    let phantom = Phantom::new(&Settings { tumour: seed % 3 != 0, ..Settings::slice(seed) })?;
    let truth: Vec<f32> = phantom.truth.iter().map(|inside| f32::from(*inside)).collect();
    let shape = phantom.volume.shape;
    prepared(phantom.volume.slice(0), &truth, shape.rows, shape.columns)
}

fn prepared(image: &[f32], mask: &[f32], rows: usize, columns: usize) -> Result<Square> {
    let prepared = prepare(image, rows, columns, KEPT_SIDE)?;
    Ok(Square::new(&prepared.pixels, &prepared.placement.sample(mask, 0.0)))
}

fn grey(path: &Path) -> Result<(Vec<f32>, usize, usize)> {
    let image = image::open(path).map_err(|error| {
        ErrorKind::Invalid.error(format!("cannot read {}", path.display())).because(error)
    })?;
    let image = image.to_luma16();
    let (columns, rows) = image.dimensions();
    let pixels = image.into_raw().into_iter().map(f32::from).collect();
    Ok((pixels, rows as usize, columns as usize))
}
