use std::collections::BTreeMap;
use std::path::Path;

use csv::Writer;
use domain::{Error, ErrorKind, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::manifest::Table;
use super::split::groups;
use super::{Part, Patient, manifest_of};
use crate::weights::replace;

/// The column that says who is in which part.
const COLUMN: &str = "part";

/// How much of the patients goes where; the rest is learned from.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// For choosing, 0 to 1.
    pub validation: f64,
    /// For measuring a finished model, 0 to 1.
    pub test: f64,
}

/// How many patients are in each part.
pub type Drawn = BTreeMap<Part, usize>;

/// Draws a part for each patient of a manifest, and writes it into the column `part`; all else stays as it is. Patients of
/// one fold stay together, and each source, kind of image and site is spread over the parts as far as that goes. The same
/// seed draws the same.
///
/// `Conflict` where the manifest says already who is in which part, unless they are to be drawn `again`: what was kept for
/// measuring would be learned from.
pub fn write_parts(manifest: &Path, shares: Shares, seed: u64, again: bool) -> Result<Drawn> {
    let manifest = manifest_of(manifest);
    let mut patients = super::read(&manifest)?;
    if !again && patients.iter().any(|patient| patient.part.is_some()) {
        let message = format!("{} says already who is in which part", manifest.display());
        return Err(ErrorKind::Conflict.error(message));
    }
    // Parts of before must not decide anything.
    patients.iter_mut().for_each(|patient| patient.part = None);
    written(&manifest, patients, shares, seed, &BTreeMap::new())
}

/// The same of a data set that has grown: whoever is in a part `before`, and all of their fold, stays there, so that nobody who
/// was kept for measuring is learned from; only those who are new are drawn.
pub fn write_parts_beside(
    manifest: &Path,
    before: &BTreeMap<String, Part>,
    shares: Shares,
    seed: u64,
) -> Result<Drawn> {
    let manifest = manifest_of(manifest);
    let mut patients = super::read(&manifest)?;
    patients.iter_mut().for_each(|patient| patient.part = None);
    written(&manifest, patients, shares, seed, before)
}

/// Who is in which part, as a manifest says; empty where it does not say.
pub fn parts_of(manifest: &Path) -> Result<BTreeMap<String, Part>> {
    let patients = super::read(&manifest_of(manifest))?;
    Ok(patients.into_iter().filter_map(|patient| Some((patient.id, patient.part?))).collect())
}

fn written(
    manifest: &Path,
    patients: Vec<Patient>,
    shares: Shares,
    seed: u64,
    before: &BTreeMap<String, Part>,
) -> Result<Drawn> {
    let parts = draw(patients, shares, seed, before)?;
    let table = Table::open(manifest)?;
    replace(manifest, &with_parts(&table, &parts)?)?;
    let mut drawn = Drawn::new();
    parts.values().for_each(|part| *drawn.entry(*part).or_default() += 1);
    Ok(drawn)
}

/// The table with that column, in place of one of before.
fn with_parts(table: &Table, parts: &BTreeMap<String, Part>) -> Result<Vec<u8>> {
    let kept: Vec<usize> = (0..table.header.len())
        .filter(|column| table.header.get(*column) != Some(COLUMN))
        .collect();
    let patient = table.header.iter().position(|name| name == "patient").unwrap_or_default();
    let mut writer = Writer::from_writer(Vec::new());
    let header = kept.iter().filter_map(|column| table.header.get(*column));
    writer.write_record(header.chain([COLUMN])).map_err(unwritten)?;
    for record in &table.records {
        let cells = kept.iter().map(|column| record.get(*column).unwrap_or_default());
        let part = record.get(patient).and_then(|id| parts.get(id)).map(|part| part.name());
        writer.write_record(cells.chain([part.unwrap_or_default()])).map_err(unwritten)?;
    }
    writer.into_inner().map_err(|error| unwritten(error.into_error().into()))
}

fn unwritten(error: csv::Error) -> Error {
    ErrorKind::Internal.error("a table could not be written").because(error)
}

/// Who is in which part: who was in one `before` stays there, and the others are drawn.
fn draw(
    patients: Vec<Patient>,
    shares: Shares,
    seed: u64,
    before: &BTreeMap<String, Part>,
) -> Result<BTreeMap<String, Part>> {
    let groups = groups(patients);
    let quotas = quotas(groups.len(), shares)?;
    let all = groups.len() as f64;
    let (mut given, mut parts) = ([0_u32; 3], BTreeMap::new());
    let mut give = |group: Vec<Patient>, part: usize, given: &mut [u32; 3]| {
        given[part] += 1;
        parts.extend(group.into_iter().map(|patient| (patient.id, Part::ALL[part])));
    };
    let mut new = Vec::new();
    for group in groups {
        match kept(&group, before) {
            Some(part) => give(group, part, &mut given),
            None => new.push(group),
        }
    }
    new.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    for group in by_stratum(new) {
        let place = given.iter().sum::<u32>();
        // The part that is farthest behind its share of those before: so each stratum is spread over all parts.
        let owed = |part: &usize| {
            f64::from(place + 1) * quotas[*part] as f64 / all - f64::from(given[*part])
        };
        let open = (0..3).filter(|part| (given[*part] as usize) < quotas[*part]);
        let Some(part) = open.max_by(|a, b| owed(a).total_cmp(&owed(b))) else { break };
        give(group, part, &mut given);
    }
    Ok(parts)
}

/// The part that somebody of the group was in, by its place in [`Part::ALL`]; of several, the last: what was measured on stays
/// unlearned.
fn kept(group: &[Patient], before: &BTreeMap<String, Part>) -> Option<usize> {
    let part = group.iter().filter_map(|patient| before.get(&patient.id)).max()?;
    Part::ALL.iter().position(|other| other == part)
}

/// How many of so many groups are in each part, in the order of [`Part::ALL`]. Somebody is in each that has a share.
fn quotas(groups: usize, Shares { validation, test }: Shares) -> Result<[usize; 3]> {
    let invalid = |message: String| Err(ErrorKind::Invalid.error(message));
    let is_share = |share: f64| (0.0..1.0).contains(&share);
    if !is_share(validation) || !is_share(test) || validation + test >= 1.0 {
        return invalid(format!(
            "parts of {validation} and {test} leave nothing to learn from: each is from 0 to below 1, and so are both together"
        ));
    }
    let [validated, tested] = [validation, test].map(|share| {
        let count = (groups as f64 * share).round() as usize;
        if share > 0.0 { count.max(1) } else { 0 }
    });
    if validated + tested >= groups {
        return invalid(format!("{groups} patients or folds are too few for these parts"));
    }
    Ok([groups - validated - tested, validated, tested])
}

/// Those of one source, kind and site beside each other, in their order; strata in the order of their first.
fn by_stratum(groups: Vec<Vec<Patient>>) -> Vec<Vec<Patient>> {
    let mut strata: Vec<(_, Vec<Vec<Patient>>)> = Vec::new();
    for group in groups {
        let key = group.first().map(|one| (one.source.clone(), one.kind, one.site.clone()));
        match strata.iter_mut().find(|(other, _)| *other == key) {
            Some((_, stratum)) => stratum.push(group),
            None => strata.push((key, vec![group])),
        }
    }
    strata.into_iter().flat_map(|(_, stratum)| stratum).collect()
}

#[cfg(test)]
mod tests;
