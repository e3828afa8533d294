use std::collections::BTreeMap;

use domain::{ErrorKind, Result};
use imaging::phantom::{Phantom, Settings};
use imaging::prepare_within;
use rand::{Rng, RngExt};

use super::augment::{Example, KEPT_SIDE, Square};
use crate::dataset::{Labelled, Patient};

/// Squares in memory, ready to be drawn from.
pub struct Pool {
    sources: BTreeMap<String, Source>,
    phantoms: Vec<Square>,
}

#[derive(Default)]
struct Source {
    with_tumour: Vec<Square>,
    without: Vec<Square>,
}

/// How often a drawn square is a phantom; of the others, each source gives as many; and of a source's, how many show
/// a tumour, if it has both kinds.
const PHANTOM_PART: f64 = 0.08;
const TUMOUR_PART: f64 = 0.55;
/// Where phantoms for training begin; demonstrations and tests use small seeds and never meet these.
const PHANTOM_SEED: u64 = 1 << 40;

impl Pool {
    /// Loads all slices of these patients, and makes that many phantoms; at least one of both.
    pub fn load(patients: &[Patient], phantoms: u64, loaded: impl Fn()) -> Result<Pool> {
        let mut sources = BTreeMap::<String, Source>::new();
        for patient in patients {
            let source = sources.entry(patient.source.clone()).or_default();
            for scan in patient.scans() {
                for square in squares(&Labelled::load(scan)?)? {
                    let part = if square.has_tumour() {
                        &mut source.with_tumour
                    } else {
                        &mut source.without
                    };
                    part.push(square);
                    loaded();
                }
            }
        }
        for (name, source) in &sources {
            if source.with_tumour.is_empty() {
                let message = format!("no slice of {name} for training shows a tumour");
                return Err(ErrorKind::Invalid.error(message));
            }
        }
        if sources.is_empty() && phantoms == 0 {
            return Err(ErrorKind::Invalid.error("there is nothing to learn from"));
        }
        let phantoms = (PHANTOM_SEED..PHANTOM_SEED + phantoms).map(|seed| {
            loaded();
            phantom(seed)
        });
        Ok(Pool { sources, phantoms: phantoms.collect::<Result<_>>()? })
    }

    /// A random example at `side` pixels, varied with that `strength`.
    pub fn draw(&self, side: usize, strength: f32, random: &mut impl Rng) -> Example {
        let phantom = random.random_bool(PHANTOM_PART);
        let tumour = random.random_bool(TUMOUR_PART);
        let source = random.random_range(0..self.sources.len().max(1));
        let part = match self.sources.values().nth(source) {
            None => &self.phantoms,
            Some(_) if phantom && !self.phantoms.is_empty() => &self.phantoms,
            Some(source) if !tumour && !source.without.is_empty() => &source.without,
            Some(source) => &source.with_tumour,
        };
        part[random.random_range(0..part.len())].varied(side, strength, random)
    }
}

/// A labelled scan's slices as training keeps them.
pub fn squares(labelled: &Labelled) -> Result<Vec<Square>> {
    let Labelled { volume, truth } = labelled;
    let square = |slice: usize| {
        let prepared = prepare_within(volume, slice, KEPT_SIDE)?;
        let length = volume.shape.slice_len();
        let truth: Vec<f32> =
            truth[slice * length..][..length].iter().map(|inside| f32::from(*inside)).collect();
        Ok(Square::new(&prepared, &prepared.placement.sample(&truth, 0.0)))
    };
    (0..volume.shape.slices).map(square).collect()
}

/// A phantom slice; every third is free of tumour.
pub fn phantom(seed: u64) -> Result<Square> {
    let Phantom { volume, truth, .. } =
        Phantom::new(&Settings { tumour: !seed.is_multiple_of(3), ..Settings::slice(seed) })?;
    Ok(squares(&Labelled { volume, truth })?.remove(0))
}
