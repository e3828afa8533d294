//! Where scans lie in what the network knows of images, beside those of the training; pure.

use std::collections::BTreeMap;

use proto::events::Observation;

use crate::reference::Reference;
use crate::report::{Feature, Thresholds, Verdict, judge_discrepancy};
use crate::statistics::{discrepancy, witnesses};

/// What it is called among features.
pub const EMBEDDING: &str = "embedding";

/// What embeddings have in common that can be compared with each other.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Space<'a> {
    /// The digest of the weights that have made them.
    weights: &'a str,
    projection: &'a str,
    /// A mean over slices lies elsewhere, and less far apart, than slices that come alone.
    is_volume: bool,
}

impl<'a> Space<'a> {
    /// Of the scan, and where it lies in it; None where nobody says.
    fn of(observation: &'a Observation) -> Option<(Space<'a>, &'a [f64])> {
        let (embedding, model) = (observation.embedding.as_ref()?, observation.model.as_ref()?);
        let space = Space {
            weights: &model.sha256,
            projection: &embedding.projection,
            is_volume: embedding.slices > 1,
        };
        Some((space, embedding.values.as_slice()))
    }

    /// Where the scans of the training lie that are of that kind of image; none where the reference is of other weights, does
    /// not tell, or knows no such scans.
    pub fn reference<'r>(&self, reference: &'r Reference, image_kind: &str) -> Vec<&'r [f64]> {
        let Some(told) = &reference.embedding else { return Vec::new() };
        if (told.weights.as_str(), told.projection.as_str()) != (self.weights, self.projection) {
            return Vec::new();
        }
        let alike = told
            .scans
            .iter()
            .filter(|scan| scan.image_kind == image_kind && (scan.slices > 1) == self.is_volume);
        alike.map(|scan| scan.values.as_slice()).collect()
    }
}

/// The space that most of the scans lie in, and where each does of those that do; `places` are the scans' among all.
pub struct Embedded<'a> {
    pub space: Space<'a>,
    pub image_kind: &'a str,
    pub places: Vec<usize>,
    pub vectors: Vec<&'a [f64]>,
}

impl<'a> Embedded<'a> {
    /// None where no scan says where it lies.
    pub fn of(scans: impl Iterator<Item = Option<&'a Observation>>) -> Option<Embedded<'a>> {
        let mut spaces = BTreeMap::<(Space, usize), Embedded>::new();
        for (place, scan) in scans.enumerate() {
            let Some(observation) = scan else { continue };
            let Some((space, vector)) = Space::of(observation) else { continue };
            // Vectors of another length are of nobody's making.
            let embedded = spaces.entry((space, vector.len())).or_insert_with(|| Embedded {
                space,
                image_kind: observation.image_kind.as_deref().unwrap_or_default(),
                places: Vec::new(),
                vectors: Vec::new(),
            });
            embedded.places.push(place);
            embedded.vectors.push(vector);
        }
        spaces.into_values().max_by_key(|embedded| embedded.vectors.len())
    }

    /// Where the scans of the training lie that these can be compared with.
    pub fn reference<'r>(&self, reference: &'r Reference) -> Vec<&'r [f64]> {
        let mut vectors = self.space.reference(reference, self.image_kind);
        vectors.retain(|vector| vector.len() == self.vectors[0].len());
        vectors
    }
}

/// The feature, of scans that lie there.
pub fn feature(reference: &[&[f64]], seen: &[&[f64]], thresholds: Thresholds) -> Feature {
    let found = discrepancy(reference, seen);
    let verdict = match found {
        _ if reference.is_empty() => Verdict::NoReference,
        Some(found) if seen.len().min(reference.len()) >= thresholds.scans_min => {
            judge_discrepancy(found.squared, found.p_value, thresholds)
        }
        _ => Verdict::TooFewScans,
    };
    Feature {
        scans: seen.len(),
        mmd2: found.map(|found| found.squared),
        mmd_p_value: found.map(|found| found.p_value),
        ..Feature::new(EMBEDDING, verdict)
    }
}

/// The place of each scan that says where it lies, and by how much it is nearer to the others of the window than to the training.
pub fn carried<'a>(
    scans: impl Iterator<Item = Option<&'a Observation>>,
    reference: &Reference,
) -> Vec<(usize, f64)> {
    let Some(embedded) = Embedded::of(scans) else { return Vec::new() };
    let witnesses = witnesses(&embedded.vectors, &embedded.reference(reference));
    embedded.places.into_iter().zip(witnesses).collect()
}

#[cfg(test)]
mod tests {
    use proto::events::{Embedding, ModelIdentity};

    use super::*;
    use crate::reference::{EmbeddingOfScan, Embeddings};

    fn observation(weights: &str, kind: &str, slices: u32, values: &[f64]) -> Observation {
        let projection = "signs-32".to_owned();
        Observation {
            model: Some(ModelIdentity { sha256: weights.into(), ..ModelIdentity::default() }),
            image_kind: Some(kind.into()),
            embedding: Some(Embedding { projection, slices, values: values.to_vec() }),
            ..Observation::default()
        }
    }

    fn reference(scans: &[(&str, u32, f64)]) -> Reference {
        let scan = |(kind, slices, value): &(&str, u32, f64)| EmbeddingOfScan {
            image_kind: (*kind).to_owned(),
            slices: *slices,
            values: vec![*value],
        };
        let embedding = Some(Embeddings {
            weights: "ab".into(),
            projection: "signs-32".into(),
            scans: scans.iter().map(scan).collect(),
        });
        Reference { embedding, ..Reference::default() }
    }

    #[test]
    fn scans_are_compared_with_those_of_their_weights_kind_and_form_only() {
        let told =
            [("flair", 24, 1.0), ("flair", 1, 2.0), ("t1_contrast", 24, 3.0), ("flair", 12, 4.0)];
        let reference = reference(&told);
        let of = |weights: &str, kind: &str, slices: u32, values: &[f64]| {
            let seen = observation(weights, kind, slices, values);
            let embedded = Embedded::of(std::iter::once(Some(&seen))).unwrap();
            let first = |vector: &[f64]| vector[0];
            embedded.reference(&reference).into_iter().map(first).collect::<Vec<_>>()
        };
        assert_eq!(of("ab", "flair", 30, &[0.0]), [1.0, 4.0]);
        assert_eq!(of("ab", "flair", 1, &[0.0]), [2.0]);
        assert_eq!(of("ab", "t1_contrast", 2, &[0.0]), [3.0]);
        for nothing in [
            of("cd", "flair", 30, &[0.0]),
            of("ab", "unknown", 30, &[0.0]),
            of("ab", "flair", 30, &[0.0, 0.0]),
        ] {
            assert!(nothing.is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn of_several_spaces_the_one_counts_that_most_scans_are_in() {
        let (volume, slice) =
            (observation("ab", "flair", 9, &[1.0]), observation("ab", "flair", 1, &[2.0]));
        let without = Observation::default();
        let scans = [Some(&slice), Some(&volume), None, Some(&without), Some(&volume)];
        let embedded = Embedded::of(scans.into_iter()).unwrap();
        assert_eq!((embedded.places, embedded.vectors), (vec![1, 4], vec![&[1.0][..], &[1.0]]));
        assert!(Embedded::of([Some(&without), None].into_iter()).is_none());
    }
}
