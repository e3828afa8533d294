//! What the model was trained on, feature by feature.

use std::collections::BTreeMap;
use std::path::Path;

use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The training reference of one model, as `medseg train` writes it beside the weights.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Reference {
    pub features: BTreeMap<String, Distribution>,
    /// How the scans were taken: what a protocol sets, and no patient. Empty of a model from before there was any.
    #[serde(default)]
    pub acquisition: BTreeMap<String, Distribution>,
    /// None of a model from before there were any.
    #[serde(default)]
    pub embedding: Option<Embeddings>,
}

/// Where scans of the training lie in what the network knows of images.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Embeddings {
    /// The digest of the weights that have made them.
    pub weights: String,
    /// How they were made.
    pub projection: String,
    pub scans: Vec<EmbeddingOfScan>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct EmbeddingOfScan {
    pub image_kind: String,
    pub slices: u32,
    pub values: Vec<f64>,
}

/// How one feature was distributed over the training scans.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Distribution {
    /// The histogram's edges, rising; one more than `counts`.
    pub edges: Vec<f64>,
    pub counts: Vec<u64>,
    /// A part of the training values, for the statistics.
    pub sample: Vec<f64>,
}

impl Reference {
    /// Reads and checks the file at `path`.
    pub fn read(path: &Path) -> Result<Reference> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            ErrorKind::Invalid
                .error(format!("the training reference {name} cannot be read"))
                .because(error)
        })?;
        Reference::parse(&text)
            .map_err(|error| ErrorKind::Invalid.error(format!("{name}: {error}")).because(error))
    }

    /// Reads and checks the text of one.
    pub fn parse(text: &str) -> Result<Reference> {
        let reference: Reference = serde_json::from_str(text)
            .map_err(|error| ErrorKind::Invalid.error("not a training reference").because(error))?;
        for (name, distribution) in reference.features.iter().chain(&reference.acquisition) {
            distribution.check().map_err(|why| {
                ErrorKind::Invalid.error(format!("the reference of `{name}` {why}"))
            })?;
        }
        Ok(reference)
    }

    /// What it tells of that feature.
    pub fn distribution(&self, feature: &str) -> Option<&Distribution> {
        self.features.get(feature).or_else(|| self.acquisition.get(feature))
    }
}

impl Distribution {
    fn check(&self) -> Result<(), &'static str> {
        if self.counts.is_empty() || self.edges.len() != self.counts.len() + 1 {
            return Err("needs one edge more than counts");
        }
        if !self.edges.is_sorted() {
            return Err("has falling edges");
        }
        if self.sample.is_empty() {
            return Err("has no sample");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_cannot_be_compared_with_is_refused() {
        let parse =
            |feature: &str| Reference::parse(&format!(r#"{{"features": {{"mean": {feature}}}}}"#));
        assert!(parse(r#"{"edges": [0, 1, 2], "counts": [3, 4], "sample": [0.5]}"#).is_ok());
        for (feature, why) in [
            (r#"{"edges": [0, 1], "counts": [3, 4], "sample": [0.5]}"#, "one edge more"),
            (r#"{"edges": [2, 1, 3], "counts": [3, 4], "sample": [0.5]}"#, "falling"),
            (r#"{"edges": [0, 1, 2], "counts": [3, 4], "sample": []}"#, "no sample"),
            (r#"{"edges": []}"#, "not a training reference"),
        ] {
            let error = parse(feature).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_reference_says_where_scans_lie_or_nothing_of_it() {
        let told = concat!(
            r#"{"features": {}, "embedding": {"weights": "ab", "projection": "signs-32","#,
            r#" "scans": [{"image_kind": "flair", "slices": 24, "values": [0.5, -1]}]}}"#
        );
        let scan =
            EmbeddingOfScan { image_kind: "flair".into(), slices: 24, values: vec![0.5, -1.0] };
        let embedding = Reference::parse(told).unwrap().embedding.unwrap();
        assert_eq!((embedding.weights.as_str(), embedding.projection.as_str()), ("ab", "signs-32"));
        assert_eq!(embedding.scans, [scan]);
        assert_eq!(Reference::parse(r#"{"features": {}}"#).unwrap(), Reference::default());
        for wrong in
            [r#"{"weights": "ab"}"#, r#"{"weights": "ab", "projection": "x", "scans": [[1]]}"#]
        {
            let text = format!(r#"{{"features": {{}}, "embedding": {wrong}}}"#);
            assert!(Reference::parse(&text).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reference_says_how_scans_were_taken_or_nothing_of_it() {
        let parse = |rows: &str| {
            Reference::parse(&format!(r#"{{"features": {{}}, "acquisition": {{"rows": {rows}}}}}"#))
        };
        let told = parse(r#"{"edges": [256, 257], "counts": [3], "sample": [256]}"#).unwrap();
        assert_eq!(told.distribution("rows").unwrap().sample, [256.0]);
        assert_eq!(told.distribution("columns"), None);
        let why = parse(r#"{"edges": [256, 257], "counts": [3], "sample": []}"#).unwrap_err();
        assert_eq!(why.to_string(), "the reference of `rows` has no sample");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Reference::read(Path::new("/nowhere/reference.json")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/reference.json"));
    }

    #[test]
    fn a_file_is_read_whole_and_a_bad_one_is_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.json");
        std::fs::write(
            &path,
            r#"{"features": {"mean": {"edges": [-1, 0.5, 2], "counts": [3, 4], "sample": [0.25, 1]}}}"#,
        )
        .unwrap();
        let distribution = Distribution {
            edges: vec![-1.0, 0.5, 2.0],
            counts: vec![3, 4],
            sample: vec![0.25, 1.0],
        };
        let features = BTreeMap::from([("mean".to_owned(), distribution)]);
        assert_eq!(Reference::read(&path).unwrap(), Reference { features, ..Reference::default() });
        std::fs::write(
            &path,
            r#"{"features": {"std": {"edges": [1, 0], "counts": [1], "sample": [1]}}}"#,
        )
        .unwrap();
        let refused = Reference::read(&path).unwrap_err();
        let words = format!("{}: the reference of `std` has falling edges", path.display());
        assert_eq!((refused.kind(), refused.to_string()), (ErrorKind::Invalid, words));
    }

    #[test]
    fn what_is_no_finite_number_is_no_reference() {
        for number in ["null", "\"0.5\"", "NaN", "1e999"] {
            let feature = format!(r#"{{"edges": [0, 1], "counts": [1], "sample": [{number}]}}"#);
            let refused = Reference::parse(&format!(r#"{{"features": {{"mean": {feature}}}}}"#));
            assert!(refused.is_err(), "{number}");
        }
    }
}
