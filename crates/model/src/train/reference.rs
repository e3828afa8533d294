use std::collections::BTreeMap;
use std::slice::from_ref;

use domain::{Error, ErrorKind, Result};
use imaging::{Features, Shape, Volume, acquisition};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::embedded::Embedded;
use crate::dataset::{Entry, Labelled, Split};

/// What drift compares new scans with; it lies beside the weights.
pub const REFERENCE_FILE: &str = "reference.json";

/// Bins of a histogram, each with about as many values as the next.
const BINS: usize = 10;
const SAMPLE_MAX: usize = 500;

/// How one feature is distributed over the slices that the model comes from.
#[derive(Debug, PartialEq, Serialize)]
struct Distribution {
    /// Rising; one more than counts. The last bin includes its upper edge.
    edges: Vec<f64>,
    counts: Vec<usize>,
    /// Values at even ranks, sorted.
    sample: Vec<f64>,
}

/// What is written beside the weights.
#[derive(Serialize)]
struct Reference {
    features: BTreeMap<&'static str, Distribution>,
    acquisition: BTreeMap<&'static str, Distribution>,
    embedding: Embedded,
}

/// The values of each feature, by its name.
type Values = BTreeMap<&'static str, Vec<f64>>;

/// What images of both sides of the split tell without a model.
#[derive(Default)]
struct Seen {
    /// How slices look.
    features: Values,
    /// How scans were taken. Pictures do not say: how large they are is how they were exported.
    acquisition: Values,
}

/// What a model says of one slice.
pub struct Said {
    /// The part of the slice's pixels that is in main findings, 0 to 1.
    pub mask_fraction: f64,
    /// How sure it is of the answer, 0 to 1.
    pub confidence: f64,
}

impl Seen {
    fn new(split: &Split) -> Result<Seen> {
        let mut seen = Seen::default();
        for patient in split.training.iter().chain(&split.validation) {
            for scan in patient.scans() {
                seen.add(scan)?;
            }
        }
        Ok(seen)
    }

    fn add(&mut self, scan: &[Entry]) -> Result<()> {
        let mut first = None;
        for entry in scan {
            let Labelled { volume, .. } = Labelled::load(from_ref(entry))?;
            extend(&mut self.features, Features::new(&volume).named());
            first.get_or_insert(volume);
        }
        if let Some(first) = first.filter(|slice| slice.geometry.is_some()) {
            let shape = Shape { slices: scan.len(), ..first.shape };
            extend(&mut self.acquisition, acquisition(&Volume { shape, ..first }));
        }
        Ok(())
    }
}

fn extend(values: &mut Values, told: impl IntoIterator<Item = (&'static str, f64)>) {
    for (name, value) in told {
        values.entry(name).or_default().push(value);
    }
}

fn distributions(values: Values) -> BTreeMap<&'static str, Distribution> {
    values.into_iter().map(|(name, values)| (name, Distribution::new(values))).collect()
}

/// What drift is measured against, as JSON: how images look, over the slices of both sides of the split; how they were taken, over its
/// scans; and what the model says of them, over the validation slices only, as it is too sure of those that it learned from. With that
/// come the embeddings of scans.
pub fn reference(split: &Split, validated: &[Said], embedding: Embedded) -> Result<String> {
    let Seen { mut features, acquisition } = Seen::new(split)?;
    let said = |part: fn(&Said) -> f64| validated.iter().map(part).collect();
    features.insert("mask_fraction", said(|said| said.mask_fraction));
    features.insert("confidence", said(|said| said.confidence));
    let reference = Reference {
        features: distributions(features),
        acquisition: distributions(acquisition),
        embedding,
    };
    Ok(serde_json::to_string(&reference).expect("numbers are plain data"))
}

/// The text of a reference with these embeddings in place of those that it has, if any, and with what it does not tell of the images
/// of the split. What it tells already keeps its very digits; what the model says of images is not asked anew.
///
/// `Invalid` where it is none.
pub fn filled(reference: &str, split: &Split, embedding: &Embedded) -> Result<String> {
    let mut fields = parts(reference)?;
    let known = fields.get("features").ok_or_else(no_reference)?;
    let features = parts(known.get())?;
    let acquisition = match fields.get("acquisition") {
        Some(known) => parts(known.get())?,
        None => Parts::new(),
    };
    let seen = Seen::new(split)?;
    for (name, known, values) in
        [("features", features, seen.features), ("acquisition", acquisition, seen.acquisition)]
    {
        let told = distributions(values).into_iter();
        let told = told.map(|(name, distribution)| (name.to_owned(), plain(&distribution)));
        // Of two of one name the latter stays.
        let whole: Parts = told.chain(known).collect();
        fields.insert(name.to_owned(), plain(&whole));
    }
    fields.insert("embedding".to_owned(), plain(embedding));
    Ok(serde_json::to_string(&fields).expect("texts are plain data"))
}

/// The fields of an object, in the very digits of its text.
type Parts = BTreeMap<String, Box<RawValue>>;

fn parts(text: &str) -> Result<Parts> {
    serde_json::from_str(text).map_err(|error| no_reference().because(error))
}

fn plain(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("numbers are plain data")
}

fn no_reference() -> Error {
    ErrorKind::Invalid.error("not a training reference")
}

impl Distribution {
    /// Of at least one value.
    fn new(mut values: Vec<f64>) -> Distribution {
        values.sort_by(f64::total_cmp);
        let at = |rank: usize, of: usize| values[(values.len() - 1) * rank / of];
        let mut edges: Vec<f64> = (0..=BINS).map(|bin| at(bin, BINS)).collect();
        // Many equal values (empty masks) make equal edges, and bins that nothing can fall into.
        edges.dedup();
        if edges.len() == 1 {
            edges.push(edges[0] + 1.0);
        }
        let mut counts = vec![0; edges.len() - 1];
        for value in &values {
            let bin = edges[1..edges.len() - 1].partition_point(|edge| edge <= value);
            counts[bin] += 1;
        }
        let taken = values.len().min(SAMPLE_MAX);
        let sample = (0..taken).map(|rank| at(rank, (taken - 1).max(1))).collect();
        Distribution { edges, counts, sample }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use imaging::encode::nifti;
    use imaging::phantom::{Phantom, Settings};

    use super::*;

    #[test]
    fn scans_that_say_how_they_were_taken_are_told_and_pictures_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(5)).unwrap();
        let file = |name: &str, bytes: Vec<u8>| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let written =
            |voxels: &[f32]| nifti(voxels, volume.shape, volume.geometry.as_ref()).unwrap();
        let marked: Vec<f32> = truth.iter().map(|inside| f32::from(*inside)).collect();
        let mask = file("mask.nii", written(&marked));
        let entries = |image: &std::path::Path| {
            [1, 2].map(|slice| Entry { slice, image: image.to_owned(), mask: mask.clone() })
        };
        let mut seen = Seen::default();
        seen.add(&entries(&file("image.nii", written(&volume.voxels)))).unwrap();
        let told = seen.acquisition.clone();
        assert_eq!(
            [&told["rows"], &told["slices"], &told["tilt_degrees"]],
            [&[256.0], &[2.0], &[0.0]]
        );
        assert_eq!((told["pixel_mm"].len(), told.contains_key("echo_ms")), (1, false));

        let shape = volume.shape;
        let grey: Vec<u8> = volume.voxels.iter().map(|value| (value / 5.0) as u8).collect();
        let picture = imaging::encode::grey_png(&grey, shape.rows, shape.columns).unwrap();
        seen.add(&entries(&file("picture.png", picture))).unwrap();
        assert_eq!((seen.features["noise"].len(), seen.acquisition == told), (4, true));
    }

    #[test]
    fn bins_hold_all_values_in_equal_parts() {
        let Distribution { edges, counts, sample } =
            Distribution::new((0..1001).rev().map(f64::from).collect());
        assert_eq!((edges[0], edges[5], edges[10]), (0.0, 500.0, 1000.0));
        assert_eq!(counts, [100, 100, 100, 100, 100, 100, 100, 100, 100, 101]);
        assert_eq!((sample.len(), sample[0], sample[499]), (500, 0.0, 1000.0));
    }

    #[test]
    fn mostly_equal_values_make_no_empty_bins() {
        let mut values = vec![0.0; 95];
        values.extend((1..=5).map(f64::from));
        let made = Distribution::new(values);
        assert!(made.edges.is_sorted_by(|a, b| a < b), "{:?}", made.edges);
        assert_eq!(made.counts.iter().sum::<usize>(), 100);
        assert_eq!(Distribution::new(vec![0.5]).counts, [1]);
    }
}
