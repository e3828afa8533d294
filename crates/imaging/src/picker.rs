//! Which series of a study are worth analysing: each has a score, with what speaks for it and what against it.
//!
//! A rule of the site has the first word. Then come what the scanner wrote (modality, ImageType, times, geometry), what the image
//! looks like to a model, and last what somebody typed. Nothing is left out here: who asks is told of every series.

mod choice;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

pub use choice::{KindModel, SeriesChoice};
pub use shown::{middle, shown_tiles};

use crate::{ImageKind, KindPrediction, Modality};

/// A series fits from this score on.
pub const FITS_FROM: f64 = 0.5;
/// How sure a model must be of a kind of image where no attribute says it.
const SURE_FROM: f64 = 0.9;
/// Fewer slices are pictures, and no volume.
const SLICES_MIN: usize = 3;
/// What lies further apart, in millimetres, may have a tumour between its slices.
const SLICE_MM_MAX: f64 = 8.0;
/// Larger pixels, in millimetres, are those of localisers and of functional images.
const PIXEL_MM_MAX: f64 = 2.5;
/// A head's brain is twice as high, in millimetres: less is a slab of it.
const COVERAGE_MM_MIN: f64 = 60.0;

/// What is known of one series, from its headers; nothing of it is shown or kept but what a [`Reason`] says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SeriesFacts {
    /// Whose study it is, and its UID, as one text: the same for all series of one; empty: it says none, and belongs to no other.
    pub study: String,
    /// DICOM's term; empty: it does not say.
    pub modality: String,
    /// What defined terms, times and the contrast agent say of all its images.
    pub kind_by_attributes: ImageKind,
    /// What the model's head for kinds of image says; None where no model was asked.
    #[serde(default)]
    pub kind_by_content: Option<KindPrediction>,
    /// What the whole header says, descriptions included: that is what a scan's kind is.
    pub kind_said: ImageKind,
    /// What all its images are marked as.
    pub marks: BTreeSet<Mark>,
    /// Images, or frames.
    pub slices: usize,
    /// None where the slices form no even stack, or do not say where they lie.
    pub grid: Option<SeriesGrid>,
    /// Where it was made; empty: nobody says.
    pub site: String,
    /// As somebody typed it: for rules only, because it may name anybody.
    pub description: String,
}

/// How far apart a series' voxels are, in millimetres of the patient.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct SeriesGrid {
    /// Between the middles of neighbouring slices; of a single one, its thickness.
    pub slice_mm: f64,
    /// Between rows and between columns.
    pub pixel_mm: [f64; 2],
    /// All slices together.
    pub coverage_mm: f64,
}

/// What a header says that images are, which no model is made for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// For planning others.
    Localizer,
    /// Many slices as tiles of one image.
    Mosaic,
    /// A picture of a screen.
    Capture,
    /// A maximum or minimum intensity projection, or a rendering.
    Projection,
    /// One image less another.
    Subtraction,
    /// Of something calculated: diffusion, perfusion, relaxation, susceptibility.
    Map,
    /// Made of other images.
    Derived,
    /// Of a functional series whose time points were laid upon each other.
    MotionCorrected,
    /// Somebody typed that the patient moved.
    Motion,
    /// Slices in several directions, as localisers have them.
    Crossed,
}

/// What speaks for a series, or against it.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    EnumString,
    Eq,
    IntoStaticStr,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = SeriesReason))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// A rule of the site prefers it.
    Preferred,
    /// A registered model is made for its kind, as attributes say.
    KindByAttributes,
    /// A registered model is made for its kind, as the image looks.
    KindByContent,
    /// A registered model is made for its kind, as its description says.
    KindByDescription,
    /// A rule of the site leaves it out.
    RuledOut,
    /// No registered model is made for its modality.
    WrongModality,
    /// It is for planning others.
    Localizer,
    /// Its slices are tiles of one image.
    Mosaic,
    /// It is a picture of a screen.
    Capture,
    /// It is a projection or a rendering.
    Projection,
    /// It is one image less another.
    Subtraction,
    /// It shows something calculated.
    Map,
    /// It was made of other images.
    Derived,
    /// It is a functional series, corrected for motion.
    MotionCorrected,
    /// It is said to be blurred by motion.
    Motion,
    /// Its slices lie in several directions.
    Crossed,
    /// It is of another kind than models are made for, as attributes say.
    OtherKind,
    /// The same, as the image looks.
    OtherKindByContent,
    /// The same, as its description says.
    OtherKindByDescription,
    /// It looks like another kind than its description says.
    DescriptionDenied,
    /// Its attributes leave its kind open, and no model could be asked.
    NoModelAsked,
    /// The same, and the model that serves tells no kinds.
    NoKindTold,
    /// No registered model is made for its kind.
    NoModel,
    /// Nothing says of which kind it is.
    UnknownKind,
    /// It has too few slices for a volume.
    FewSlices,
    /// Its slices form no even stack, or do not say where they lie.
    NoGrid,
    /// Its slices are too far apart.
    ThickSlices,
    /// Its pixels are too large.
    CoarsePixels,
    /// It covers a part of the head only.
    ShortCoverage,
}

impl Reason {
    /// Whether it speaks for the series.
    pub fn speaks_for(self) -> bool {
        matches!(
            self,
            Self::Preferred
                | Self::KindByAttributes
                | Self::KindByContent
                | Self::KindByDescription
        )
    }

    /// The name used in answers.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The same in a clinician's words, as a sentence goes on behind "it".
    pub fn words(self) -> &'static str {
        match self {
            Self::Preferred => "is preferred by a rule of the site",
            Self::KindByAttributes => {
                "is of a kind that a model is made for, as its attributes say"
            }
            Self::KindByContent => "looks like a kind that a model is made for",
            Self::KindByDescription => {
                "is of a kind that a model is made for, as its description says"
            }
            Self::RuledOut => "is left out by a rule of the site",
            Self::WrongModality => "is of a modality that no model is made for",
            Self::Localizer => "is a localiser",
            Self::Mosaic => "is a mosaic",
            Self::Capture => "is a screen capture",
            Self::Projection => "is a projection or a rendering",
            Self::Subtraction => "is a subtraction",
            Self::Map => "shows something calculated, such as diffusion or perfusion",
            Self::Derived => "was made of other images",
            Self::MotionCorrected => "is a functional series",
            Self::Motion => "is said to be blurred by motion",
            Self::Crossed => "has slices in several directions",
            Self::OtherKind => "is neither FLAIR nor contrast-enhanced T1",
            Self::OtherKindByContent => "looks like neither FLAIR nor contrast-enhanced T1",
            Self::OtherKindByDescription => {
                "is neither FLAIR nor contrast-enhanced T1, as its description says"
            }
            Self::DescriptionDenied => "looks like another kind than its description says",
            Self::NoModelAsked => "is told by its description only, for no model was asked",
            Self::NoKindTold => {
                "is told by its description only, for the model that serves tells no kinds"
            }
            Self::NoModel => "is of a kind that no registered model is made for",
            Self::UnknownKind => "does not say of which kind it is",
            Self::FewSlices => "has too few slices for a volume",
            Self::NoGrid => "does not say where its slices lie, or they are not evenly apart",
            Self::ThickSlices => "has slices that are too far apart",
            Self::CoarsePixels => "has pixels that are too large",
            Self::ShortCoverage => "covers a part of the head only",
        }
    }

    /// What the score is multiplied by. Nought: no other reason makes up for it.
    fn factor(self) -> f64 {
        match self {
            Self::Preferred
            | Self::KindByAttributes
            | Self::KindByContent
            | Self::KindByDescription
            | Self::DescriptionDenied
            | Self::NoModelAsked
            | Self::NoKindTold => 1.0,
            Self::RuledOut
            | Self::WrongModality
            | Self::Localizer
            | Self::Mosaic
            | Self::Capture
            | Self::Projection
            | Self::Subtraction
            | Self::Map => 0.0,
            Self::OtherKind
            | Self::OtherKindByContent
            | Self::OtherKindByDescription
            | Self::Crossed => 0.1,
            Self::NoModel | Self::MotionCorrected => 0.2,
            Self::FewSlices => 0.3,
            Self::NoGrid | Self::ShortCoverage => 0.4,
            Self::Derived | Self::CoarsePixels => 0.6,
            // A model may still tell it, or judge it as a general one.
            Self::UnknownKind => 0.7,
            Self::ThickSlices | Self::Motion => 0.8,
        }
    }
}

/// What the registered models can judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// What they are made for.
    pub modalities: Vec<Modality>,
    /// Kinds of MR image; none: any.
    pub kinds: Vec<ImageKind>,
}

/// What a rule does with a series.
#[derive(Clone, Copy, Debug, Deserialize, EnumString, Eq, IntoStaticStr, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = SeriesPreference))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Preference {
    /// It fits, whatever else speaks against it but its modality.
    Prefer,
    /// It does not fit.
    Never,
}

impl Preference {
    /// The name used in rows and answers.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A site's own word about series: those whose description contains a text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Rule {
    /// Whose series it is about, compared without regard to capitals; empty: those of every site.
    pub site: String,
    /// Compared without regard to capitals; an empty one is contained in none.
    pub contains: String,
    /// What becomes of them.
    pub preference: Preference,
}

impl Rule {
    fn is_about(&self, series: &SeriesFacts) -> bool {
        let [contains, site, of] =
            [&self.contains, &self.site, &series.site].map(|text| text.trim().to_lowercase());
        let here = site.is_empty() || site == of;
        here && !contains.is_empty() && series.description.to_lowercase().contains(&contains)
    }
}

/// What was found of one series.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Fit {
    /// From 0 to 1.
    pub score: f64,
    /// Whether the score says that it is worth analysing.
    pub fits: bool,
    /// What speaks for it, and what against it.
    pub reasons: Vec<Reason>,
}

impl Fit {
    /// How well a series fits what is registered, by itself.
    pub fn of(series: &SeriesFacts, registered: &Registered, rules: &[Rule]) -> Fit {
        let reasons = reasons(series, registered, rules);
        let preferred = reasons.contains(&Reason::Preferred);
        let barred = |reason: &Reason| matches!(reason, Reason::WrongModality | Reason::RuledOut);
        let score = if preferred && !reasons.iter().any(barred) {
            1.0
        } else {
            reasons.iter().map(|reason| reason.factor()).product::<f64>()
        };
        Fit { score, fits: score >= FITS_FROM, reasons }
    }

    /// What speaks against it, as one sentence; None where nothing does.
    pub fn why_not(&self) -> Option<String> {
        let against: Vec<&str> = self
            .reasons
            .iter()
            .filter(|reason| !reason.speaks_for())
            .map(|reason| reason.words())
            .collect();
        (!against.is_empty()).then(|| format!("it {}", against.join(", ")))
    }
}

/// What becomes of one series of an upload.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    /// How well it fits.
    pub fit: Fit,
    /// Whether it is analysed without being asked for.
    pub picked: bool,
}

/// Chooses among the series of an upload, in their order.
///
/// Of a study of several series those are picked that fit. Where none does, and where a study has one series only, all of it is
/// picked: somebody has sent it, and an answer with its doubts is more than none.
pub fn pick(series: &[SeriesFacts], registered: &Registered, rules: &[Rule]) -> Vec<Pick> {
    let fits: Vec<Fit> = series.iter().map(|one| Fit::of(one, registered, rules)).collect();
    let mut studies = BTreeMap::<&str, Vec<usize>>::new();
    for (place, one) in series.iter().enumerate().filter(|(_, one)| !one.study.is_empty()) {
        studies.entry(&one.study).or_default().push(place);
    }
    let mut picked = vec![true; series.len()];
    for places in studies.into_values() {
        if places.len() > 1 && places.iter().any(|place| fits[*place].fits) {
            places.iter().for_each(|place| picked[*place] = fits[*place].fits);
        }
    }
    fits.into_iter().zip(picked).map(|(fit, picked)| Pick { fit, picked }).collect()
}

fn reasons(series: &SeriesFacts, registered: &Registered, rules: &[Rule]) -> Vec<Reason> {
    let mut reasons = ruled(series, rules);
    let modality = Modality::of_term(&series.modality);
    if !modality.is_some_and(|modality| registered.modalities.contains(&modality)) {
        reasons.push(Reason::WrongModality);
    }
    reasons.extend(series.marks.iter().copied().map(marked));
    if modality == Some(Modality::MagneticResonance) {
        reasons.extend(of_kind(series, &registered.kinds));
    }
    reasons.extend(of_grid(series));
    reasons
}

/// What the site's rules say: `never` is stronger, because somebody has seen what came of it.
fn ruled(series: &SeriesFacts, rules: &[Rule]) -> Vec<Reason> {
    let says = |preference: Preference| {
        let mut rules = rules.iter().filter(|rule| rule.preference == preference);
        rules.any(|rule| rule.is_about(series))
    };
    match (says(Preference::Never), says(Preference::Prefer)) {
        (true, _) => vec![Reason::RuledOut],
        (false, true) => vec![Reason::Preferred],
        (false, false) => Vec::new(),
    }
}

fn marked(mark: Mark) -> Reason {
    match mark {
        Mark::Localizer => Reason::Localizer,
        Mark::Mosaic => Reason::Mosaic,
        Mark::Capture => Reason::Capture,
        Mark::Projection => Reason::Projection,
        Mark::Subtraction => Reason::Subtraction,
        Mark::Map => Reason::Map,
        Mark::Derived => Reason::Derived,
        Mark::MotionCorrected => Reason::MotionCorrected,
        Mark::Motion => Reason::Motion,
        Mark::Crossed => Reason::Crossed,
    }
}

/// The kind of image: as attributes say, else as it looks, else as it is described.
fn of_kind(series: &SeriesFacts, kinds: &[ImageKind]) -> Vec<Reason> {
    let (kind, told) = kind_of(series);
    let mut reasons = vec![match (kind, told) {
        (ImageKind::Unknown, _) => Reason::UnknownKind,
        (ImageKind::Other, Reason::KindByContent) => Reason::OtherKindByContent,
        (ImageKind::Other, Reason::KindByDescription) => Reason::OtherKindByDescription,
        (ImageKind::Other, _) => Reason::OtherKind,
        (kind, told) if kinds.is_empty() || kinds.contains(&kind) => told,
        _ => Reason::NoModel,
    }];
    let is_denied =
        told == Reason::KindByContent && ![ImageKind::Unknown, kind].contains(&series.kind_said);
    reasons.extend(is_denied.then_some(Reason::DescriptionDenied));
    reasons
}

/// Whether a series' kind decides on it, and only what it looks like could tell more of that than somebody's words: attributes say
/// nothing, and neither a rule nor anything else about the series has decided.
pub fn is_open(series: &SeriesFacts, registered: &Registered, rules: &[Rule]) -> bool {
    let of_mr = Modality::of_term(&series.modality) == Some(Modality::MagneticResonance);
    let unlooked =
        SeriesFacts { kind_by_content: None, kind_said: ImageKind::Unknown, ..series.clone() };
    let reasons = reasons(&unlooked, registered, rules);
    let besides = reasons.iter().filter(|reason| **reason != Reason::UnknownKind);
    let score: f64 = besides.map(|reason| reason.factor()).product();
    of_mr
        && series.kind_by_attributes == ImageKind::Unknown
        && !reasons.contains(&Reason::Preferred)
        && score >= FITS_FROM
}

/// The kind that a series is taken for, and what told it.
fn kind_of(series: &SeriesFacts) -> (ImageKind, Reason) {
    if series.kind_by_attributes != ImageKind::Unknown {
        return (series.kind_by_attributes, Reason::KindByAttributes);
    }
    let sure = series.kind_by_content.filter(|prediction| prediction.probability >= SURE_FROM);
    match sure {
        Some(prediction) => (prediction.kind, Reason::KindByContent),
        None => (series.kind_said, Reason::KindByDescription),
    }
}

/// Whether it is what a series looks like that tells its kind.
pub fn is_told_by_content(series: &SeriesFacts) -> bool {
    kind_of(series).1 == Reason::KindByContent
}

/// The kind of image that a series is taken for.
pub fn kind(series: &SeriesFacts) -> ImageKind {
    kind_of(series).0
}

fn of_grid(series: &SeriesFacts) -> Vec<Reason> {
    if series.slices < SLICES_MIN {
        return vec![Reason::FewSlices];
    }
    let Some(SeriesGrid { slice_mm, pixel_mm, coverage_mm }) = series.grid else {
        // Slices in several directions form no stack: that was said.
        return if series.marks.contains(&Mark::Crossed) {
            Vec::new()
        } else {
            vec![Reason::NoGrid]
        };
    };
    let [rows, columns] = pixel_mm;
    let bad = [
        (Reason::ThickSlices, slice_mm > SLICE_MM_MAX),
        (Reason::CoarsePixels, rows.max(columns) > PIXEL_MM_MAX),
        (Reason::ShortCoverage, coverage_mm < COVERAGE_MM_MIN),
    ];
    bad.into_iter().filter(|(_, is_bad)| *is_bad).map(|(reason, _)| reason).collect()
}
