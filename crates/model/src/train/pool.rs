use domain::{ErrorKind, Result};
use imaging::phantom::{Phantom, Settings};
use imaging::prepare;
use rand::{Rng, RngExt};

use super::augment::{Example, KEPT_SIDE, Square};
use crate::dataset::{Labelled, Patient};

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
    pub fn load(patients: &[Patient], phantoms: u64, loaded: impl Fn()) -> Result<Pool> {
        let mut pool = Pool { with_tumour: vec![], without: vec![], phantoms: vec![] };
        for entry in patients.iter().flat_map(|patient| &patient.slices) {
            let square = square(&entry.load()?)?;
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

    /// A random example at `side` pixels, varied with that `strength`.
    pub fn draw(&self, side: usize, strength: f32, random: &mut impl Rng) -> Example {
        let phantom = random.random_bool(PHANTOM_PART);
        let tumour = random.random_bool(TUMOUR_PART);
        let wanted = match (phantom, tumour) {
            (true, _) => &self.phantoms,
            (false, true) => &self.with_tumour,
            (false, false) => &self.without,
        };
        let parts = [wanted, &self.with_tumour, &self.phantoms];
        let part =
            parts.into_iter().find(|part| !part.is_empty()).expect("load refuses an empty pool");
        part[random.random_range(0..part.len())].varied(side, strength, random)
    }
}

/// A labelled slice as training keeps it.
pub fn square(labelled: &Labelled) -> Result<Square> {
    let shape = labelled.volume.shape;
    let prepared = prepare(labelled.volume.slice(0), shape.rows, shape.columns, KEPT_SIDE)?;
    let truth: Vec<f32> = labelled.truth.iter().map(|inside| f32::from(*inside)).collect();
    Ok(Square::new(&prepared.pixels, &prepared.placement.sample(&truth, 0.0)))
}

/// A phantom slice; every third is free of tumour.
pub fn phantom(seed: u64) -> Result<Square> {
    let Phantom { volume, truth, .. } =
        Phantom::new(&Settings { tumour: !seed.is_multiple_of(3), ..Settings::slice(seed) })?;
    square(&Labelled { volume, truth })
}
