use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// What kind of image a scan is, as far as models treat kinds differently.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    EnumString,
    Eq,
    Hash,
    IntoStaticStr,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ImageKind {
    /// T2-weighted, the signal of fluid suppressed.
    Flair,
    /// T1-weighted, after a contrast agent.
    T1Contrast,
    /// One that is neither, as its header says: T2, T1 before a contrast agent, diffusion.
    Other,
    /// Nobody says: the file does not, and no model was sure.
    #[default]
    Unknown,
}

impl ImageKind {
    /// The name used in results, facts and manifests.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What readers call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Flair => "FLAIR",
            Self::T1Contrast => "contrast-enhanced T1",
            Self::Other => "another kind of image",
            Self::Unknown => "an unknown kind of image",
        }
    }

    /// The kind of that name, of those that a model can be made for.
    pub fn of_name(name: &str) -> Option<ImageKind> {
        name.parse::<ImageKind>().ok().filter(|kind| matches!(kind, Self::Flair | Self::T1Contrast))
    }

    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

/// What a scan's kind of image was classified by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", schema(as = ToldBy))]
pub enum KindSource {
    /// The attributes of its DICOM header.
    Dicom,
    /// The model, from the image itself.
    Model,
}

/// The kind of image that a model predicts for a scan.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Opinion))]
pub struct KindPrediction {
    /// The likeliest kind.
    pub kind: ImageKind,
    /// The mean over the scan's slices.
    pub probability: f64,
}

impl KindPrediction {
    /// Of the model's `classes`, the likeliest over all slices, each of which brings a probability for
    /// each of them. None without a slice, or from a model that has no classes.
    pub fn of<'a>(
        classes: &[ImageKind],
        slices: impl IntoIterator<Item = &'a [f32]>,
    ) -> Option<KindPrediction> {
        let mut sums = vec![0.0; classes.len()];
        let mut count = 0;
        for slice in slices {
            sums.iter_mut().zip(slice).for_each(|(sum, p)| *sum += f64::from(*p));
            count += 1;
        }
        let (kind, sum) = classes.iter().zip(sums).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (count > 0).then(|| KindPrediction { kind: *kind, probability: sum / f64::from(count) })
    }
}

/// The kind of image that a scan was taken for, and how it was classified.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Told))]
pub struct ClassifiedKind {
    /// `unknown` where neither its header says it nor the model is sure: then what counts for any kind counts.
    pub kind: ImageKind,
    /// None of an unknown kind.
    #[serde(rename = "told_by")]
    pub source: Option<KindSource>,
    /// The model's prediction, also where the header decided.
    pub model: Option<KindPrediction>,
    /// Whether that was sure enough to be taken, had there been no header.
    #[serde(default)]
    pub model_sure: bool,
}

impl ClassifiedKind {
    /// The header has the first word; else a model that is at least `sure_from` sure has it.
    pub fn new(header: ImageKind, model: Option<KindPrediction>, sure_from: f64) -> ClassifiedKind {
        let sure = model.filter(|prediction| prediction.probability >= sure_from);
        let (kind, source) = match (header, sure) {
            (ImageKind::Unknown, Some(prediction)) => (prediction.kind, Some(KindSource::Model)),
            (ImageKind::Unknown, None) => (ImageKind::Unknown, None),
            (said, _) => (said, Some(KindSource::Dicom)),
        };
        ClassifiedKind { kind, source, model, model_sure: sure.is_some() }
    }

    /// What a reader should know of it, in words; nothing of a model that treats all kinds alike.
    pub(crate) fn remark(&self, kinds_matter: bool) -> Option<String> {
        if !kinds_matter {
            return None;
        }
        let title = self.kind.title();
        match (self.kind, self.model.filter(|_| self.model_sure)) {
            (ImageKind::Unknown, _) => Some(
                "what kind of image this is could not be told: the general cut was used".into(),
            ),
            (ImageKind::Other, _) => Some(
                "its header says that it is of a kind that the model was not made for: \
                 neither FLAIR nor contrast-enhanced T1"
                    .into(),
            ),
            (kind, Some(prediction)) if prediction.kind != kind => Some(format!(
                "its header says that it is {title}, and to the model it looks like {}: it was judged as {title}",
                prediction.kind.title()
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ImageKind; 2] = [ImageKind::Flair, ImageKind::T1Contrast];

    fn predicted(probability: f64) -> Option<KindPrediction> {
        Some(KindPrediction { kind: ImageKind::T1Contrast, probability })
    }

    #[test]
    fn a_prediction_is_the_mean_over_the_slices() {
        let slices: [&[f32]; 3] = [&[0.9, 0.1], &[0.2, 0.8], &[0.1, 0.9]];
        let KindPrediction { kind, probability } = KindPrediction::of(&KINDS, slices).unwrap();
        assert!(kind == ImageKind::T1Contrast && (probability - 0.6).abs() < 1e-6);
        assert_eq!(KindPrediction::of(&KINDS, []), None);
        assert_eq!(KindPrediction::of(&[], slices), None);
    }

    #[test]
    fn the_header_has_the_first_word_and_an_unsure_model_none() {
        let classified = |header, probability| {
            let ClassifiedKind { kind, source, .. } =
                ClassifiedKind::new(header, predicted(probability), 0.9);
            (kind, source)
        };
        assert_eq!(classified(ImageKind::Flair, 0.99), (ImageKind::Flair, Some(KindSource::Dicom)));
        assert_eq!(classified(ImageKind::Other, 0.99), (ImageKind::Other, Some(KindSource::Dicom)));
        assert_eq!(
            classified(ImageKind::Unknown, 0.9),
            (ImageKind::T1Contrast, Some(KindSource::Model))
        );
        assert_eq!(classified(ImageKind::Unknown, 0.89), (ImageKind::Unknown, None));
        assert_eq!(ClassifiedKind::new(ImageKind::Unknown, None, 0.0), ClassifiedKind::default());
    }

    #[test]
    fn contradictions_and_doubts_are_remarked_and_agreement_is_not() {
        let remark = |header, probability| {
            ClassifiedKind::new(header, predicted(probability), 0.9).remark(true)
        };
        let words = remark(ImageKind::Flair, 0.95).unwrap();
        assert!(words.contains("FLAIR") && words.contains("looks like contrast-enhanced T1"));
        assert_eq!(remark(ImageKind::Flair, 0.8), None);
        assert_eq!(remark(ImageKind::T1Contrast, 0.95), None);
        assert!(remark(ImageKind::Unknown, 0.5).unwrap().contains("could not be told"));
        assert!(remark(ImageKind::Other, 0.5).unwrap().contains("not made for"));
        assert_eq!(ClassifiedKind::default().remark(false), None);
    }

    #[test]
    fn names_are_read_back() {
        for kind in KINDS {
            assert_eq!(ImageKind::of_name(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        let names =
            [ImageKind::T1Contrast, ImageKind::Other, ImageKind::Unknown].map(ImageKind::name);
        assert_eq!(names, ["t1_contrast", "other", "unknown"]);
        assert_eq!(ImageKind::of_name("other"), None);
    }
}
