use std::fmt::Write;
use std::path::{Path, PathBuf};

use domain::Result;

use crate::dataset::{self, Patient, Split};

/// What the data is, and who is on which side of the split.
pub fn data(
    manifests: &[PathBuf],
    described: &str,
    split: &Split,
    drawn: &str,
    version: &str,
) -> Result<String> {
    let mut text = format!("\n## Data\n\n{described}\n\n");
    for manifest in manifests {
        let folder = manifest.parent().and_then(|folder| folder.file_name());
        let source = folder.map_or_else(String::new, |name| name.to_string_lossy().into());
        let count = |side: &[Patient]| {
            let patients = side.iter().filter(|patient| patient.source == source);
            let slices: usize = patients.clone().map(|patient| patient.slices.len()).sum();
            format!("{} patients with {slices} slices", patients.count())
        };
        let _ = writeln!(
            text,
            "- `{source}`: {} to learn from, {} for validation; manifest SHA-256 `{}`",
            count(&split.training),
            count(&split.validation),
            digest(manifest)?,
        );
    }
    let _ = writeln!(
        text,
        "\nSplit as the data says, else by patient or by the data's own folds ({drawn}). {DATA_VERSION}{version}`."
    );
    Ok(text)
}

/// What stands before the data version in a card.
const DATA_VERSION: &str = "Data version `";

/// The data version that a card tells, as `medseg dataset version` prints it; None of one that was written before there was
/// any.
pub fn data_version(card: &str) -> Option<&str> {
    let (_, rest) = card.split_once(DATA_VERSION)?;
    rest.split_once('`').map(|(version, _)| version)
}

/// How a split was drawn: [`Story::from_card`](super::Story::from_card) reads it again.
pub fn drawn(seed: u64, part: f64) -> String {
    format!("seed {seed}, part {part}")
}

/// The SHA-256 of a manifest, in hex.
pub fn digest(manifest: &Path) -> Result<String> {
    dataset::digest(&dataset::manifest_of(manifest))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_card_tells_the_version_of_the_data_that_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png"), "any bytes").unwrap();
        let lines = "patient,slice,image,mask\np,1,a.png,a.png\nq,1,a.png,a.png\n";
        let manifest = folder.path().join("manifest.csv");
        fs::write(&manifest, lines).unwrap();
        let split = Split::of_manifests(std::slice::from_ref(&manifest), 0.5, 7).unwrap();
        let manifests = [manifest];
        let version = dataset::version_of(&manifests).unwrap();
        let told = data(&manifests, "Made up.", &split, &drawn(7, 0.5), &version).unwrap();
        assert_eq!(data_version(&format!("# a model\n{told}\n## more")), Some(version.as_str()));
        assert_eq!(data_version("# a card of before\n"), None);
    }
}
