use std::path::PathBuf;

use crate::tracking::Tracking;

/// All that finishing a model again depends on, whose weights stay as they are.
#[derive(Clone, Debug)]
pub struct Again {
    /// The model's folder.
    pub from: PathBuf,
    /// The labelled slices that it was trained with.
    pub manifests: Vec<PathBuf>,
    /// What the data is, for a model that has no card yet.
    pub data: String,
    /// The seed that the split was drawn with.
    pub seed: u64,
    /// The part of the patients that was kept for validation, 0 to 1.
    pub validation: f64,
    /// Where the same weights go with what was chosen and measured anew.
    pub model: PathBuf,
    /// Where pictures of the worst validation scans go.
    pub run: PathBuf,
    /// The version of the model with the new readings.
    pub version: String,
    /// Whether test-time augmentation may be chosen.
    pub mirrored: bool,
    /// Phantoms whose volumes are measured, shared out among five spacings.
    pub judged_phantoms: u64,
    /// The report of a cross-validation, for the card; without it, the card's own stays.
    pub cross_validation: Option<PathBuf>,
    /// Who hears how it goes; nothing depends on it.
    pub tracking: Tracking,
}
