use std::fmt;

use domain::Equipment;
use domain::identity::Contradiction;
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::kind::ImageKind;

/// Why an upload is not analysed: one problem type each, so that programs can tell them apart.
#[derive(Clone, Copy, Debug, EnumString, Eq, Hash, IntoStaticStr, PartialEq, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum RefusalReason {
    /// Not one of the formats that medseg reads.
    NotAnImage,
    /// A format that medseg knows, in a form that it does not read.
    Unsupported,
    /// The file ends before its image does.
    Truncated,
    /// The file contradicts itself or does not decode.
    Corrupt,
    /// Fewer than 64 pixels a side.
    TooSmall,
    /// More bytes, pixels or slices than a head scan has.
    TooLarge,
    /// The file does not say which way the patient lies, and its slices cannot be understood without.
    UnknownOrientation,
    /// The file says two things of where its voxels lie, or how large they are, and nothing tells which is true.
    ContradictoryGeometry,
    /// Files of different series or patients, or files that do not fit together, in one archive.
    MixedSeries,
    /// A series with missing or unevenly spaced slices.
    UnevenSlices,
    /// Every pixel has (nearly) the same value.
    Blank,
    /// So little light that nothing can be told apart.
    TooDark,
    /// So much of the image is pure white that what was there is lost.
    Clipped,
    /// Sound, but no picture of a head.
    NotAHead,
    /// Made by a kind of machine that no registered model was trained on.
    WrongModality,
    /// The file says that it is of another patient, or another examination, than its sender does.
    WrongIdentity,
    /// Its patient, study or series was erased, and nobody has said that it may come back.
    Erased,
}

impl RefusalReason {
    /// The stable name of the reason, which is its problem type: `too-small`, `not-a-head`, …
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The reason of that [`name`](RefusalReason::name).
    pub fn named(name: &str) -> Option<RefusalReason> {
        name.parse().ok()
    }

    /// What is wrong, the same for each file that is refused for this reason.
    pub fn title(self) -> &'static str {
        self.words().0
    }

    /// What the sender can do about it, as a sentence.
    pub fn advice(self) -> &'static str {
        self.words().1
    }

    /// Title and advice.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotAnImage => (
                "This is not an image",
                "Send a DICOM, NIfTI, PNG, JPEG, TIFF or WebP file, or a zip of one series.",
            ),
            Self::Unsupported => (
                "This kind of image cannot be read",
                "Export the scan as uncompressed DICOM, NIfTI or PNG and send that.",
            ),
            Self::Truncated => (
                "The file is incomplete",
                "Export the file again, check that the transfer finished, and send it once more.",
            ),
            Self::Corrupt => (
                "The file is damaged",
                "Export the file again from the archive or the scanner and send the new copy.",
            ),
            Self::TooSmall => (
                "The image is too small",
                "Send the scan in its original resolution, at least 64 x 64 pixels, not a thumbnail.",
            ),
            Self::TooLarge => (
                "The scan is too large",
                "Send one series of one head, in its original resolution.",
            ),
            Self::UnknownOrientation => (
                "The orientation is unknown",
                "Send the original DICOM series, or a NIfTI file whose sform or qform is set.",
            ),
            Self::ContradictoryGeometry => (
                "The file contradicts itself about sizes or sides",
                "Send the original DICOM series, or a NIfTI file whose pixdim, sform and qform agree.",
            ),
            Self::MixedSeries => {
                ("The files do not belong together", "Send one series of one patient at a time.")
            }
            Self::UnevenSlices => (
                "Slices are missing or unevenly spaced",
                "Send the complete series, with the same distance between all slices.",
            ),
            Self::Blank => (
                "The image is blank",
                "Check that the right image was exported, and send one that shows the head.",
            ),
            Self::TooDark => (
                "The image is too dark",
                "Export it again with the window set so that the brain can be seen, or send the DICOM file.",
            ),
            Self::Clipped => (
                "The image is overexposed",
                "Export it again with a wider window, so that the brain is not pure white, or send the DICOM file.",
            ),
            Self::NotAHead => (
                "This does not look like a head",
                "Send MR or CT images of one head, one slice per image, without screens, text or other body parts.",
            ),
            Self::WrongModality => (
                "No model here can judge this kind of scan",
                "Send a scan of a kind that this installation has a model for.",
            ),
            Self::WrongIdentity => (
                "The file and its sender disagree whose scan it is",
                "Check whose scan it is, and send the right file, or leave out what the file says itself.",
            ),
            Self::Erased => (
                "It was erased and may not come back of itself",
                "Where it is wanted, ask an administrator to lift the erasure, and send it again then.",
            ),
        }
    }

    /// The refusal of one file for this reason. `what` is a sentence on this very file, and never
    /// says anything of the patient.
    pub fn refuse(self, what: impl Into<String>) -> Refusal {
        let detail = format!("{} {}", what.into(), self.advice());
        Refusal { problem: self, detail, known: KnownOfRefused::default() }
    }
}

impl Refusal {
    /// The same, said of one place in what was sent: a file, a slice.
    pub(crate) fn at(self, place: &str) -> Refusal {
        Refusal { detail: format!("{place}: {}", self.detail), ..self }
    }

    /// The same of a file of which that was known already.
    #[must_use]
    pub fn of_known(self, known: KnownOfRefused) -> Refusal {
        Refusal { known, ..self }
    }
}

/// An upload that is not analysed, and why, in a clinician's words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Which requirement is not met, for programs.
    pub problem: RefusalReason,
    /// What is wrong with this file, and what to do.
    pub detail: String,
    /// What refusals are counted by.
    pub known: KnownOfRefused,
}

/// What was known of a file when it was refused: where, with what and as what it was made. Nothing of the patient.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct KnownOfRefused {
    /// As its file says.
    pub equipment: Equipment,
    /// None: it was refused before that was read.
    pub kind: Option<ImageKind>,
}

impl From<Contradiction> for Refusal {
    fn from(Contradiction(what): Contradiction) -> Refusal {
        RefusalReason::WrongIdentity
            .refuse(format!("The file has another {what} than the upload states."))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.problem.name(), self.detail)
    }
}

impl std::error::Error for Refusal {}

impl Serialize for Refusal {
    /// As the API shows it: `problem`, `title` and `detail`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Refusal", 3)?;
        object.serialize_field("problem", self.problem.name())?;
        object.serialize_field("title", self.problem.title())?;
        object.serialize_field("detail", &self.detail)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_programs_know() {
        let names: Vec<&str> = RefusalReason::VARIANTS.iter().map(|reason| reason.name()).collect();
        let known = [
            "not-an-image",
            "unsupported",
            "truncated",
            "corrupt",
            "too-small",
            "too-large",
            "unknown-orientation",
            "contradictory-geometry",
            "mixed-series",
            "uneven-slices",
            "blank",
            "too-dark",
            "clipped",
            "not-a-head",
            "wrong-modality",
            "wrong-identity",
            "erased",
        ];
        assert_eq!(names, known);
    }

    #[test]
    fn every_reason_has_its_own_name_and_its_own_words() {
        for &reason in RefusalReason::VARIANTS {
            assert_eq!(RefusalReason::named(reason.name()), Some(reason));
            assert!(reason.advice().ends_with('.') && !reason.title().ends_with('.'));
        }
    }

    #[test]
    fn a_refusal_of_another_patients_file_says_what_differs() {
        let refusal = Refusal::from(Contradiction("patient id"));
        assert_eq!(refusal.problem, RefusalReason::WrongIdentity);
        assert!(refusal.detail.starts_with("The file has another patient id than"), "{refusal}");
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_to_do() {
        let json =
            serde_json::to_value(RefusalReason::TooSmall.refuse("It is 12 x 12 pixels.")).unwrap();
        assert_eq!(json["problem"], "too-small");
        assert_eq!(json["title"], "The image is too small");
        assert!(json["detail"].as_str().unwrap().starts_with("It is 12 x 12 pixels. Send "));
    }
}
