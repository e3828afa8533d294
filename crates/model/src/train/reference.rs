use std::collections::BTreeMap;

use domain::{ErrorKind, Result};
use imaging::Features;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::embedded::Embedded;
use crate::dataset::{Labelled, Split};

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
    embedding: Embedded,
}

/// What a model says of one slice.
pub struct Said {
    /// The part of the slice's pixels that is in main findings, 0 to 1.
    pub mask_fraction: f64,
    /// How sure it is of the answer, 0 to 1.
    pub confidence: f64,
}

/// What drift is measured against, as JSON: how images look, over the slices of both sides of the split; and what
/// the model says of them, over the validation slices only, as it is too sure of those that it learned from. With that come the
/// embeddings of scans.
pub fn reference(split: &Split, validated: &[Said], embedding: Embedded) -> Result<String> {
    let mut values = BTreeMap::<&'static str, Vec<f64>>::new();
    let mut add = |features: &Features| {
        for (name, value) in features.named() {
            values.entry(name).or_default().push(value);
        }
    };
    for patient in split.training.iter().chain(&split.validation) {
        for entry in &patient.slices {
            add(&Features::new(&Labelled::load(std::slice::from_ref(entry))?.volume));
        }
    }
    let said = |part: fn(&Said) -> f64| validated.iter().map(part).collect();
    values.insert("mask_fraction", said(|said| said.mask_fraction));
    values.insert("confidence", said(|said| said.confidence));
    let features = values.into_iter().map(|(name, values)| (name, Distribution::new(values)));
    let reference = Reference { features: features.collect(), embedding };
    Ok(serde_json::to_string(&reference).expect("numbers are plain data"))
}

/// The text of a reference with these embeddings in place of those that it has, if any.
///
/// `Invalid` where it is none.
pub fn with_embedding(reference: &str, embedding: &Embedded) -> Result<String> {
    let no_reference = || ErrorKind::Invalid.error("not a training reference");
    // What is not touched keeps its very digits.
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(reference).map_err(|error| no_reference().because(error))?;
    if !fields.contains_key("features") {
        return Err(no_reference());
    }
    let embedding = to_raw_value(embedding).expect("numbers are plain data");
    fields.insert("embedding".to_owned(), embedding);
    Ok(serde_json::to_string(&fields).expect("texts are plain data"))
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
    use super::*;

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
